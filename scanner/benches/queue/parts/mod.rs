//! What the measured processes do.

pub(crate) mod bare;
pub(crate) mod tick;
pub(crate) mod work;
