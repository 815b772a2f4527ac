//! The TLS configuration, built anew whenever the certificate or an authority changes.
//!
//! A connection keeps the configuration that it began with; no open connection is dropped.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{
    CertificateSource, ServingCertificate, client_certificates::RequestClientCertificate,
    crypto_provider,
};
use crate::authentication::{Trust, TrustStore};

/// HTTP/2 by its name in a handshake.
pub(super) const HTTP2: &[u8] = b"h2";
/// Time between two looks at the certificate files.
const RELOAD_PERIOD: Duration = Duration::from_secs(5);

/// The current TLS configuration.
#[derive(Debug)]
pub struct TlsConfig {
    current: ArcSwap<ServerConfig>,
    /// What the current configuration was made of. Held for an assignment, never over an await.
    certificate: Mutex<ServingCertificate>,
}

#[derive(Debug)]
struct OneCertificate(Arc<CertifiedKey>);

impl ResolvesServerCert for OneCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

impl TlsConfig {
    /// A configuration that serves this certificate and names these authorities to clients.
    ///
    /// # Errors
    /// A sentence when the crypto provider cannot do TLS 1.2 and 1.3.
    pub fn new(certificate: ServingCertificate, trust: &Trust) -> Result<Self, String> {
        let config = build(&certificate, trust)?;
        Ok(Self {
            current: ArcSwap::from_pointee(config),
            certificate: Mutex::new(certificate),
        })
    }

    /// The configuration for a new connection.
    pub fn load(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// Uses another certificate for new connections.
    ///
    /// # Errors
    /// As [`TlsConfig::new`]; the old configuration then stays.
    pub fn set_certificate(
        &self,
        certificate: ServingCertificate,
        trust: &Trust,
    ) -> Result<(), String> {
        let config = build(&certificate, trust)?;
        *self.certificate.lock() = certificate;
        self.current.store(Arc::new(config));
        Ok(())
    }

    /// Keeps the configuration equal to the files and to the trusted authorities; never ends.
    pub async fn follow(&self, source: Option<CertificateSource>, trust: &TrustStore) {
        let mut authorities = trust.changes();
        let mut content = source.as_ref().and_then(|source| source.read().ok());
        let mut looks = tokio::time::interval(RELOAD_PERIOD);
        loop {
            tokio::select! {
                Ok(()) = authorities.changed() => self.rebuild(None, trust),
                _ = looks.tick() => {
                    let Some(source) = &source else { continue };
                    match source.read() {
                        Ok(new) if content.as_ref() != Some(&new) => {
                            self.rebuild(Some(&new), trust);
                            content = Some(new);
                        }
                        Ok(_) => {}
                        Err(error) => tracing::warn!(error, "the serving certificate stays"),
                    }
                }
            }
        }
    }

    fn rebuild(&self, content: Option<&(Vec<u8>, Vec<u8>)>, trust: &TrustStore) {
        let certificate = match content {
            Some((certificate, key)) => ServingCertificate::from_pem(certificate, key),
            None => Ok(self.certificate.lock().clone()),
        };
        match certificate.and_then(|c| self.set_certificate(c, &trust.load())) {
            Ok(()) => tracing::info!("TLS configuration renewed"),
            Err(error) => tracing::error!(error, "the last good TLS configuration stays"),
        }
    }
}

fn build(certificate: &ServingCertificate, trust: &Trust) -> Result<ServerConfig, String> {
    let pools = [
        trust.client_ca.as_ref(),
        trust.front_proxy.as_ref().map(|proxy| &proxy.ca),
    ];
    let authorities = pools
        .into_iter()
        .flatten()
        .flat_map(|p| p.subjects().to_vec())
        .collect();
    let mut config = ServerConfig::builder_with_provider(crypto_provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|e| e.to_string())?
        .with_client_cert_verifier(Arc::new(RequestClientCertificate { authorities }))
        .with_cert_resolver(Arc::new(OneCertificate(Arc::clone(&certificate.key))));
    config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
