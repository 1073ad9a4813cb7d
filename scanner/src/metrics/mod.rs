//! What an operator sees of the work in numbers: [`names`] is the list of them, `record.rs` has a function for each,
//! `port.rs` shows them. Where no port is open nothing is recorded, and a call costs next to nothing.

pub mod names;
mod port;
mod record;
#[cfg(test)]
mod tests;

pub use port::{Port, PortArgs};
pub use record::*;
