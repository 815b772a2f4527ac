//! A library for Kubernetes extension API servers.
//!
//! An extension API server serves kinds of its own behind kube-apiserver's aggregation layer. This
//! library has the whole way of a request, in the order in which a request takes it:
//!
//! | module | what it does |
//! |---|---|
//! | [`transport`] | accepts TLS connections |
//! | [`request`] | reads what is asked |
//! | `limits` | refuses what is too much |
//! | [`authentication`] | finds out who asks |
//! | [`audit`] | records who does what |
//! | [`authorization`] | asks kube-apiserver whether they may |
//! | `endpoints` | decodes the request and shapes the answer |
//! | [`registry`] | does what the verb means |
//! | [`admission`] | asks whether a namespace takes objects |
//! | [`cacher`] | reads and watches from memory |
//! | `encoding` | writes the answer as it is wanted |
//! | `traces` | tells a collector how long each step took; only with the feature `otlp` |
//!
//! Discovery, OpenAPI and health are answered from memory before anything that can block.
//! [`ApiServer::handle`] is that way as code. [`serving`] makes a program of it; the example `wardle`
//! is the smallest one.

mod access_log;
pub mod admission;
pub mod audit;
pub mod authentication;
pub mod authorization;
pub mod cacher;
mod discovery;
mod document;
mod encoding;
mod endpoints;
mod fields;
#[cfg(test)]
mod fuzz;
#[cfg(all(fuzzing, not(test)))]
pub mod fuzz;
mod health;
mod impersonation;
mod limits;
pub mod metrics;
mod negotiation;
mod openapi;
pub mod registry;
pub mod request;
mod response;
mod review;
mod server;
pub mod serving;
pub mod standalone;
pub mod subresource;
#[cfg(test)]
mod testing;
#[cfg(all(fuzzing, not(test)))]
mod testing;
#[cfg(feature = "otlp")]
pub mod traces;
pub mod transport;

pub use health::Health;
pub use response::Body;
pub use server::{ApiServer, Resource};
