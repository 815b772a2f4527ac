//! The schema that the API server enforces, run without one.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod generated;
mod rules;
