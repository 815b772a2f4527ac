//! Placeholder until the program is filled.

fn main() {}
