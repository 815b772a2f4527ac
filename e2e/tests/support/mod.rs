//! What the tests of the harness share.

pub(crate) mod harness;
pub(crate) mod leftovers;
