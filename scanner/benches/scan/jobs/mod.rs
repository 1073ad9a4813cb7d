//! The three kinds of job.

pub(crate) mod download;
pub(crate) mod insert;
pub(crate) mod scan;
