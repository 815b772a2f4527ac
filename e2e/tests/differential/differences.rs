//! The differences between the server and kube-apiserver that are known, each with its reason.
//!
//! A place is `case #step field`; `*` in it stands for any text. The test fails when a difference
//! has no place here, and when a place here has no difference.

/// Places that differ for one reason.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) why: &'static str,
    pub(crate) places: &'static [&'static str],
}

/// What differs on purpose.
pub(crate) const DELIBERATE: &[Known] = &[];

/// What is to be mended: this list is to become empty.
pub(crate) const PENDING: &[Known] = &[];
