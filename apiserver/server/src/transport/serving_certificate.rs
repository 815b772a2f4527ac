//! The server's own certificate, and where it comes from.

use std::{path::PathBuf, sync::Arc};

use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::crypto_provider;

/// Two files in PEM, read again when their content changes.
///
/// The content is compared, not watched: a Secret volume is swapped by renaming a link, of which a
/// watch on the file hears nothing.
#[derive(Clone, Debug)]
pub struct CertificateSource {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// A certificate chain with its private key, ready for TLS.
#[derive(Clone, Debug)]
pub struct ServingCertificate {
    pub(super) key: Arc<CertifiedKey>,
}

impl CertificateSource {
    /// The content of both files.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn read(&self) -> Result<(Vec<u8>, Vec<u8>), String> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
        };
        Ok((read(&self.certificate)?, read(&self.key)?))
    }
}

impl ServingCertificate {
    /// Reads a chain and its key, and checks that they belong together.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, String> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(|e| format!("the serving certificate is not PEM: {e}"))?;
        if chain.is_empty() {
            return Err("the serving certificate's file holds no certificate".to_owned());
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|e| format!("the serving key is not a PEM private key: {e}"))?;
        let certified = CertifiedKey::from_der(chain, key, &crypto_provider())
            .map_err(|e| format!("the serving certificate and key do not fit together: {e}"))?;
        Ok(Self {
            key: Arc::new(certified),
        })
    }
}
