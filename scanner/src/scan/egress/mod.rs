//! The one HTTP client that reaches tools. A request leaves only if it is an operation of the connection's contract,
//! only to the host the connection is pinned to, and only to an address that was checked.
//!
//! [`Egress::send`] takes questions. What changes something is of another type, and leaves by `write.rs`, which opens
//! for the ticket desk alone.

mod door;
mod pin;
mod write;

pub use door::{Door, Post};
pub use pin::{Allowed, BadOrigin, NotAllowed, Pin};

use crate::metrics;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Body, Client, RequestBuilder, redirect};
use secrecy::{ExposeSecret, SecretString};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Semaphore;
use twinflow_connectors::{Answer, Contract, Method, Operation, Request};

/// What keeps an answer from doing harm.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// From the first byte sent to the last one read; shorter than a lease.
    pub deadline: Duration,
    /// Bytes of a decoded body.
    pub biggest: usize,
    /// Requests of one connection at a time.
    pub side_by_side: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(30), biggest: 16 << 20, side_by_side: 8 }
    }
}

/// Why no answer came. Nothing of the request, the answer or an address is quoted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    #[error("operation {0:?} is not in the contract of this connection; nothing was sent")]
    NotInContract(&'static str),
    #[error(
        "{host} resolves to an address inside a private network; list it in TWINFLOW_EGRESS_ALLOW if it belongs there"
    )]
    Private { host: String },
    #[error("{0} cannot be reached; check the network, the name and the certificate")]
    Unreachable(String),
    #[error("no whole answer came within {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("the connection broke off in the middle of an answer")]
    CutShort,
    #[error("the answer is larger than {} MiB", .0 >> 20)]
    TooBig(usize),
    #[error("the answer points elsewhere (HTTP {0}); credentials are not carried there: check --base-url")]
    Redirected(u16),
    #[error(
        "the credential holds characters that no header can carry; was it pasted whole, and nothing else?"
    )]
    BadCredential,
    #[error("no HTTP client could be made")]
    NoClient,
}

impl SendError {
    /// Whether it is certain that the tool was sent nothing.
    pub fn is_before_sending(&self) -> bool {
        !matches!(self, Self::TimedOut(_) | Self::CutShort | Self::TooBig(_) | Self::Redirected(_))
    }

    /// Whether the same request may succeed later.
    pub fn is_passing(&self) -> bool {
        !matches!(self, Self::NotInContract(_) | Self::Private { .. } | Self::BadCredential | Self::NoClient)
    }
}

/// Whose request it is.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "holds a token")]
pub enum Authorization<'a> {
    /// RFC 6750.
    Bearer(&'a SecretString),
    /// RFC 7617.
    Basic { user: &'a str, secret: &'a SecretString },
}

/// A way out for one connection.
pub struct Egress {
    way: RwLock<Arc<Way>>,
    contract: &'static Contract,
    /// What else may be asked: nothing, in a scan.
    beside: &'static [&'static Operation],
    permits: Semaphore,
    bounds: Bounds,
}

/// Where to and as whom; both may change while a scan runs.
struct Way {
    client: Client,
    pin: Pin,
    authorization: HeaderValue,
}

impl Way {
    fn new(client: Client, pin: Pin, authorization: Authorization<'_>) -> Result<Self, SendError> {
        let authorization = header(&client, &pin, authorization)?;
        Ok(Self { client, pin, authorization })
    }
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Egress")
            .field("tool", &self.contract.tool)
            .field("pin", &self.way().pin)
            .finish_non_exhaustive()
    }
}

impl Egress {
    pub fn new(
        contract: &'static Contract,
        pin: Pin,
        authorization: Authorization<'_>,
        bounds: Bounds,
    ) -> Result<Self, SendError> {
        let way = Way::new(client(&pin, bounds)?, pin, authorization)?;
        Ok(Self {
            way: RwLock::new(Arc::new(way)),
            contract,
            beside: &[],
            permits: Semaphore::new(bounds.side_by_side),
            bounds,
        })
    }

    /// From the next request on: to this base, as this one.
    pub fn change(&self, pin: Pin, authorization: Authorization<'_>) -> Result<(), SendError> {
        let old = self.way();
        let client = if old.pin.is_listed() == pin.is_listed() {
            old.client.clone()
        } else {
            client(&pin, self.bounds)?
        };
        let new = Arc::new(Way::new(client, pin, authorization)?);
        *self.way.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    fn way(&self) -> Arc<Way> {
        self.way.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub async fn send(&self, request: &Request) -> Result<Answer, SendError> {
        let operation = request.operation();
        let beside = self.beside.iter().any(|it| std::ptr::eq(*it, operation));
        if !beside && !self.contract.allows(request) {
            return Err(SendError::NotInContract(operation.name));
        }
        let body = request.body().map(|body| body.to_owned().into());
        metrics::request(self.contract.tool);
        let answer = self.exchange(operation.method, request.path(), request.query(), body).await?;
        let answer = answer.to(operation, self.contract);
        let (tool, status, bytes) = (self.contract.tool, answer.status(), answer.bytes());
        tracing::debug!(tool, operation = operation.name, status, bytes, "answered");
        Ok(answer)
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        query: &[(&'static str, String)],
        body: Option<Body>,
    ) -> Result<Answer, SendError> {
        let method = match method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
        };
        // Closed never: the semaphore lives as long as `self`.
        let _permit = self.permits.acquire().await.map_err(|_| SendError::NoClient)?;
        let way = self.way();
        let mut sending = way
            .client
            .request(method, way.pin.url(path, query))
            .header(AUTHORIZATION, way.authorization.clone())
            .header(ACCEPT, "application/json");
        if let Some(body) = body {
            sending = sending.header(CONTENT_TYPE, "application/json").body(body);
        }
        let (status, headers, body) = exchange(sending, &way.pin, self.bounds).await?;
        Ok(Answer::new(status, headers, body))
    }
}

type Received = (u16, Vec<(String, String)>, Vec<u8>);

/// Sends, and reads the answer to its end.
async fn exchange(sending: RequestBuilder, pin: &Pin, bounds: Bounds) -> Result<Received, SendError> {
    let complaint = |error| complaint(&error, pin, bounds);
    let mut response = sending.send().await.map_err(complaint)?;
    let status = response.status();
    if status.is_redirection() {
        return Err(SendError::Redirected(status.as_u16()));
    }
    let text = |value: &HeaderValue| value.to_str().map(str::to_owned).ok();
    let headers =
        response.headers().iter().filter_map(|(name, value)| Some((name.to_string(), text(value)?)));
    let headers = headers.collect();
    let mut body = Vec::new();
    // Counted as they are decoded, so that a small answer cannot unfold into a large one.
    while let Some(chunk) = response.chunk().await.map_err(complaint)? {
        if body.len() + chunk.len() > bounds.biggest {
            return Err(SendError::TooBig(bounds.biggest));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((status.as_u16(), headers, body))
}

/// reqwest's errors name the URL, and a URL can hold what was asked for: only their kind is kept.
fn complaint(error: &reqwest::Error, pin: &Pin, bounds: Bounds) -> SendError {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if inner.is::<PrivateAddress>() {
            return SendError::Private { host: pin.host().to_owned() };
        }
        cause = inner.source();
    }
    // First of all, since nothing was sent then; also when it was waited for in vain.
    if error.is_connect() {
        SendError::Unreachable(pin.host().to_owned())
    } else if error.is_timeout() {
        SendError::TimedOut(bounds.deadline)
    } else {
        SendError::CutShort
    }
}

#[expect(clippy::disallowed_methods, reason = "the only HTTP client that reaches tools")]
fn client(pin: &Pin, bounds: Bounds) -> Result<Client, SendError> {
    // The process-wide choice; a second call changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("twinflow/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .timeout(bounds.deadline)
        .connect_timeout(bounds.deadline / 3)
        .dns_resolver(Arc::new(Checked { private_too: pin.is_listed() }))
        .build()
        .map_err(|_| SendError::NoClient)
}

/// As reqwest writes it, which also marks it as not to be shown.
#[expect(clippy::disallowed_methods, reason = "the one header that carries a credential")]
fn header(client: &Client, pin: &Pin, authorization: Authorization<'_>) -> Result<HeaderValue, SendError> {
    let blank = client.get(pin.url("", &[]));
    let signed = match authorization {
        Authorization::Bearer(token) => blank.bearer_auth(token.expose_secret()),
        Authorization::Basic { user, secret } => blank.basic_auth(user, Some(secret.expose_secret())),
    };
    let signed = signed.build().map_err(|_| SendError::BadCredential)?;
    signed.headers().get(AUTHORIZATION).cloned().ok_or(SendError::BadCredential)
}

/// Resolves a name and hands over only addresses that passed, so that the one connected to is the one checked.
struct Checked {
    private_too: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("only private addresses")]
struct PrivateAddress;

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let private_too = self.private_too;
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let passed: Vec<_> =
                found.iter().copied().filter(|it| private_too || pin::is_public(it.ip())).collect();
            if passed.is_empty() && !found.is_empty() {
                return Err(PrivateAddress.into());
            }
            Ok(Box::new(passed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use twinflow_connectors::find;
    use twinflow_fixtures::{GitHub, Service, ServiceOptions, Story, StoryOptions};

    #[tokio::test]
    async fn what_is_not_in_the_contract_is_refused_before_a_byte_leaves() {
        let story = Story::new(StoryOptions { seed: 1, cases: 1, now: chrono::DateTime::UNIX_EPOCH });
        let tool =
            Service::start(GitHub::new(&story, "a/b"), ServiceOptions::default()).await.expect("a port");
        let (github, jira) = (find("github").expect("a tool"), find("jira").expect("a tool"));
        let allowed = Allowed::default().and(&tool.url()).expect("an origin");
        let pin = allowed.pin(&tool.url(), github.contract()).expect("listed");
        let token = SecretString::from("t");
        let egress = Egress::new(github.contract(), pin, Authorization::Bearer(&token), Bounds::default())
            .expect("a client");

        let foreign = jira.probe().expect("declared");
        assert_eq!(egress.send(&foreign).await.err(), Some(SendError::NotInContract("myself")));
        assert_eq!(tool.asked(), 0);
        assert!(egress.send(&github.probe().expect("declared")).await.is_ok());
        assert_eq!(tool.asked(), 1);
    }

    #[tokio::test]
    async fn a_name_that_resolves_into_a_private_network_is_refused_unless_it_is_listed() {
        let name = || "localhost".parse::<Name>().expect("a name");
        let refused = Checked { private_too: false }.resolve(name()).await.err();
        assert!(refused.is_some_and(|error| error.is::<PrivateAddress>()));
        assert!(
            Checked { private_too: true }.resolve(name()).await.is_ok_and(|mut found| found.next().is_some())
        );
    }
}
