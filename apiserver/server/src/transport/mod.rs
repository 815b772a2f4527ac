//! TLS and connections.
//!
//! A client certificate is asked for and not required; who it belongs to is decided per request,
//! so that a changed authority counts at once also on open connections.

mod client_certificates;
mod idle;
mod listener;
mod patience;
mod serving_certificate;
mod tls;

use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;

pub use listener::{Connection, Listener};
pub use serving_certificate::{CertificateSource, ServingCertificate};
pub use tls::TlsConfig;

/// The one crypto provider of the process, passed explicitly wherever TLS is set up.
pub fn crypto_provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}
