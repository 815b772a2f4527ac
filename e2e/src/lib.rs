//! A real Kubernetes cluster for tests, on one machine and without images from anywhere.
//!
//! The cluster's programs are built from Go modules, and run as plain processes
//! ([`Tier::ControlPlane`](state::Tier)) or in private namespaces with a container runtime
//! ([`Tier::Node`](state::Tier)). What it deliberately is not: a cluster of several nodes, one with
//! DNS, or one that enforces network policies.
//!
//! - [`programs`] builds what runs, [`prerequisites`] checks what the machine must have;
//! - [`cluster`] brings a cluster up, from [`pki`], [`kubeconfig`], [`control_plane`], [`node`],
//!   [`namespaces`], [`network`] and [`forwarder`];
//! - [`state`] and [`process`] record what was started, [`teardown`] removes exactly that;
//! - [`image`] makes images from static programs;
//! - [`testing`] is for tests that run on a cluster, [`wait`] is how they and the harness wait.

pub mod cluster;
pub mod control_plane;
pub mod forwarder;
pub mod image;
pub mod kubeconfig;
pub mod namespaces;
pub mod network;
pub mod node;
pub mod pki;
pub mod prerequisites;
pub mod process;
pub mod programs;
pub mod state;
pub mod teardown;
pub mod testing;
pub mod wait;

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
