//! The way to one endpoint of a tool's authorisation server. What is posted there holds secrets, so nothing of it is
//! ever in an error, and an answer may be short only.

use super::{Authorization, Bounds, Pin, SendError, client, exchange, header};
use reqwest::Client;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};

/// Bytes of an answer: what is sealed may have no more.
const BIGGEST: usize = 32 << 10;

pub struct Door {
    client: Client,
    pin: Pin,
    bounds: Bounds,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Door").field(&self.pin).finish()
    }
}

/// What is posted, and as what.
#[expect(missing_debug_implementations, reason = "holds tokens")]
pub enum Post {
    Form(Vec<u8>),
    Json(Vec<u8>),
}

impl Door {
    pub fn new(pin: Pin, bounds: Bounds) -> Result<Self, SendError> {
        let bounds = Bounds { biggest: BIGGEST, ..bounds };
        Ok(Self { client: client(&pin, bounds)?, pin, bounds })
    }

    /// The status of the answer, and its body.
    pub async fn post(&self, what: Post) -> Result<(u16, Vec<u8>), SendError> {
        let (kind, body) = match what {
            Post::Form(body) => ("application/x-www-form-urlencoded", body),
            Post::Json(body) => ("application/json", body),
        };
        let sending = self.client.post(self.pin.url("", &[])).header(CONTENT_TYPE, kind);
        let sending = sending.header(ACCEPT, "application/json").body(body);
        let (status, _, body) = exchange(sending, &self.pin, self.bounds).await?;
        Ok((status, body))
    }

    /// Asks for what the request is authorised by to be deleted; the status of the answer.
    pub async fn delete(&self, authorization: Authorization<'_>) -> Result<u16, SendError> {
        let signed = header(&self.client, &self.pin, authorization)?;
        let sending = self.client.delete(self.pin.url("", &[])).header(AUTHORIZATION, signed);
        Ok(exchange(sending, &self.pin, self.bounds).await?.0)
    }
}
