//! Every parser of bytes that a client chooses, against bytes that were not meant well.
//!
//! An input may be refused, but not panic, overflow the stack of a worker thread, take long or make
//! more of itself than its size allows.
//!
//! As tests, the targets get the kept corpus and inputs made of good ones: parts are left out,
//! repeated, exchanged, put into each other and nested. `make fuzz` builds them with `cfg(fuzzing)`
//! for libFuzzer, which finds new inputs by what they reach, and keeps the best of them in
//! `fuzz/corpus`.

#[cfg(not(test))]
mod by_coverage;
#[cfg(test)]
mod mutation;
mod targets;
#[cfg(test)]
mod tests;

#[cfg(not(test))]
pub use by_coverage::{TARGETS, run, seeds};

#[cfg(not(test))]
use by_coverage::fuzz;
#[cfg(test)]
use tests::fuzz;
