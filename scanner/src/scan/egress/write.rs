//! The way out for what changes something. It takes a [`Leave`], which only the ticket desk can give: a scan can name
//! these methods, but has nothing to call them with.

use super::{Egress, SendError};
use crate::ticket::Leave;
use bytes::Bytes;
use twinflow_connectors::{Answer, Draft, Operation};

impl Egress {
    /// Lets these questions through beside the contract's.
    pub(crate) fn beside(self, _: &Leave, operations: &'static [&'static Operation]) -> Self {
        Self { beside: operations, ..self }
    }

    /// Where a draft goes, for a person to see.
    pub(crate) fn address(&self, draft: &Draft) -> String {
        self.way().pin.url(draft.action().path, &[]).into()
    }

    /// Sends it once. The client repeats nothing but what a server said it did not look at (RFC 9113, section 8.7).
    pub(crate) async fn deliver(&self, _: Leave, draft: Draft) -> Result<Answer, SendError> {
        let action = draft.action();
        let body = Bytes::from_owner(draft.into_body());
        self.exchange(action.method, action.path, &[], Some(body.into())).await
    }
}
