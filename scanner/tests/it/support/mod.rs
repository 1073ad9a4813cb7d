//! What the tests share: private databases, a clock on which waiting takes no time, and a bench of pretend tools
//! with a scanner in front of them.

pub(crate) mod bells;
pub(crate) mod bench;
pub(crate) mod browser;
pub(crate) mod clock;
pub(crate) mod engines;
pub(crate) mod postgres;
pub(crate) mod program;
pub(crate) mod redis;
