//! The controller that reconciles `ExtensionAPI` objects.
//!
//! It turns one object into a running, trusted, registered API, keeps it that way and takes it
//! away without hurting the cluster. [`reconcile`] is the way of one object; `watches` says when;
//! [`certificates`] decides about TLS; [`run`] wires it all.

pub mod args;
pub mod certificates;
pub mod cleanup;
mod conditions;
mod context;
mod health;
mod lease;
mod metrics;
mod names;
mod probe;
pub mod reconcile;
pub mod run;
mod text;
mod watches;
