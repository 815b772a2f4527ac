//! The differences that are defects and wait to be mended: this list is to become empty.

/// Places that differ for one reason.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) why: &'static str,
    pub(crate) places: &'static [&'static str],
}

/// What is to be mended, by cause.
pub(crate) const PENDING: &[Pending] = &[];
