//! What is traced of a scan: scan → stream → page, and the census of a stream. Ids, tools and counts only; where no
//! traces are wanted a span is nothing.

use crate::store::Claim;
use tracing::field::Empty;
use tracing::{Span, info_span};

pub(super) fn scan(claim: &Claim) -> Span {
    let (scan, connection, epoch) = (claim.scan, claim.connection, claim.epoch);
    info_span!("scan", %scan, %connection, epoch, tool = Empty, state = Empty)
}

pub(super) fn stream(tool: &str) -> Span {
    info_span!("stream", tool, state = Empty, pages = Empty, cases = Empty, events = Empty, requests = Empty)
}

pub(super) fn census(tool: &str) -> Span {
    info_span!("census", tool, state = Empty, pages = Empty, cases = Empty, events = Empty, requests = Empty)
}

pub(super) fn page(tool: &str) -> Span {
    info_span!("page", tool, cases = Empty, events = Empty, requests = Empty)
}
