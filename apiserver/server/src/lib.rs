//! A library for Kubernetes extension API servers.

pub mod cacher;
