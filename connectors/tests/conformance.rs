//! What every connector promises, shown on every tool's pretend service: whole sweeps over real HTTP, and answers
//! damaged in every way there is. `stage.rs` is where a new tool names its pretend service.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop at what it did not expect")]

#[path = "conformance/canaries.rs"]
mod canaries;
#[path = "conformance/census.rs"]
mod census;
#[path = "conformance/damage.rs"]
mod damage;
#[path = "conformance/github.rs"]
mod github;
#[path = "conformance/gmail.rs"]
mod gmail;
#[path = "conformance/gmail_answers.rs"]
mod gmail_answers;
#[path = "conformance/jira.rs"]
mod jira;
#[path = "conformance/linear.rs"]
mod linear;
#[path = "conformance/questions.rs"]
mod questions;
#[path = "conformance/salesforce.rs"]
mod salesforce;
#[path = "conformance/stage.rs"]
mod stage;
#[path = "conformance/sweeps.rs"]
mod sweeps;
#[path = "conformance/text.rs"]
mod text;
#[path = "conformance/zendesk.rs"]
mod zendesk;
#[path = "conformance/zendesk_detailed.rs"]
mod zendesk_detailed;
#[path = "conformance/zendesk_refusals.rs"]
mod zendesk_refusals;
