//! TwinFlow: says where work waits, from workflow metadata alone.
//!
//! The binary is `main.rs`; this library is what it is made of, so that tests and benchmarks use the same code.
//! Start reading at [`scan`], the loop everything else serves.

pub mod cli;
pub mod clock;
pub mod config;
pub mod connect;
pub mod credential;
pub mod disconnect;
mod failpoint;
pub mod insight;
pub mod keeper;
pub mod leaks;
pub mod log;
pub mod metrics;
pub mod oauth;
pub mod scan;
pub mod store;
pub mod ticket;
mod traces;
