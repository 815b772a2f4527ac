//! Who is let in, on a real socket: everything that others got wrong, tried against the server.
//!
//! The cluster that the server asks is a script, so that it can be made to say anything. What a real
//! one says is tested in `e2e`.

mod authority;
mod authorization;
mod cluster;
mod degradation;
mod front_proxy;
mod patience;
mod reviews;
mod saturation;
mod server;
mod targets;
mod tls;
mod tokens;
#[cfg(feature = "otlp-tests")]
mod traces;
mod transport;
