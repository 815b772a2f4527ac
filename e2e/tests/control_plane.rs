//! The product on a control plane without nodes: the server behind the real aggregator, and the
//! operator with the rights of its chart, both as local processes.
//!
//! All tests share one server and one operator, and run side by side. Run them with `make test`, or
//! with `cargo run -p e2e -- run --tier control-plane -- cargo test -p e2e --test control_plane --
//! --ignored`, after `cargo build --workspace --bins --examples`.
#![expect(
    clippy::unwrap_used,
    reason = "what a test has built or seen before is there"
)]

#[path = "control_plane/access.rs"]
mod access;
#[path = "support/account.rs"]
mod account;
#[path = "control_plane/auditing.rs"]
mod auditing;
#[path = "support/certificates.rs"]
mod certificates;
#[path = "control_plane/children.rs"]
mod children;
#[path = "control_plane/collection.rs"]
mod collection;
#[path = "control_plane/conflicts.rs"]
mod conflicts;
#[path = "control_plane/discovery.rs"]
mod discovery;
#[path = "support/example.rs"]
mod example;
#[path = "control_plane/extension_api.rs"]
mod extension_api;
#[path = "control_plane/fleet.rs"]
mod fleet;
#[path = "control_plane/fleet_scale.rs"]
mod fleet_scale;
#[path = "control_plane/fleet_subresources.rs"]
mod fleet_subresources;
#[path = "control_plane/fleet_versions.rs"]
mod fleet_versions;
#[path = "control_plane/followers.rs"]
mod followers;
#[path = "control_plane/garbage.rs"]
mod garbage;
#[path = "control_plane/informers.rs"]
mod informers;
#[path = "control_plane/kubectl/mod.rs"]
mod kubectl;
#[path = "support/server.rs"]
mod local_server;
#[path = "control_plane/merging.rs"]
mod merging;
#[path = "control_plane/namespaces.rs"]
mod namespaces;
#[path = "control_plane/operator.rs"]
mod operator;
#[path = "control_plane/policies.rs"]
mod policies;
#[path = "control_plane/priorities.rs"]
mod priorities;
#[path = "support/program.rs"]
mod program;
#[path = "control_plane/quota.rs"]
mod quota;
#[path = "control_plane/records.rs"]
mod records;
#[path = "support/reference.rs"]
mod reference;
#[path = "control_plane/rights.rs"]
mod rights;
#[path = "control_plane/server.rs"]
mod server;
#[path = "control_plane/stopping.rs"]
mod stopping;
#[path = "support/texts.rs"]
mod texts;
#[path = "control_plane/trust.rs"]
mod trust;
#[path = "control_plane/watching.rs"]
mod watching;
