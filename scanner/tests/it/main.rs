//! Real databases, real HTTP to the pretend tools, the real binary, a clock that is handed in.
//! The names of the tests are the promises.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it does not expect")]

mod backfill;
mod background;
mod bells;
mod census;
mod deploy;
mod dialects;
mod disconnect;
mod docs;
mod faults;
mod grants;
mod kill;
mod leaks;
mod lockout;
mod oauth;
mod ops;
mod privacy;
mod program;
mod proxy;
mod recorded;
mod scans;
mod serve;
mod store;
mod support;
mod tenants;
mod ticket;
mod ticket_program;
mod tools;
mod watched;
