//! The product on a real cluster with real pods: what a platform engineer does with it.
//!
//! All tests share one installation. Those that only use the API run side by side; those that take
//! it apart have it to themselves and put it back. Run them with `make test`, or one of them with
//! `cargo run -p e2e -- run --tier node -- cargo test -p e2e --test node NAME -- --ignored`.

#[path = "node/access.rs"]
mod access;
#[path = "node/api.rs"]
mod api;
#[path = "node/footprint.rs"]
mod footprint;
#[path = "node/installation.rs"]
mod installation;
#[path = "node/kubectl.rs"]
mod kubectl;
#[path = "node/lifecycle.rs"]
mod lifecycle;
#[path = "node/refusals.rs"]
mod refusals;
#[path = "node/rolling.rs"]
mod rolling;
#[path = "node/storage.rs"]
mod storage;
#[expect(dead_code, reason = "other tests need what this one does not")]
#[path = "support/traffic.rs"]
mod traffic;
#[path = "node/volumes.rs"]
mod volumes;
