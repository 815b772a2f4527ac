//! Client certificates: `CN` is the user, every `O` a group.

use std::{fmt, sync::Arc, time::Duration};

use rustls::{
    RootCertStore,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, UnixTime, pem::PemObject};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Outcome;
use crate::{request::UserInfo, transport::crypto_provider};

/// Certificate authorities that client certificates are checked against.
#[derive(Clone)]
pub struct CertificatePool {
    verifier: Arc<dyn ClientCertVerifier>,
    pem: String,
}

impl fmt::Debug for CertificatePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificatePool").finish_non_exhaustive()
    }
}

impl PartialEq for CertificatePool {
    fn eq(&self, other: &Self) -> bool {
        self.pem == other.pem
    }
}

impl CertificatePool {
    /// Reads one or more authorities.
    ///
    /// # Errors
    /// A sentence for the log when the text has no certificate or a broken one.
    pub fn from_pem(pem: &str) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|e| format!("not a PEM certificate: {e}"))?;
            roots
                .add(certificate)
                .map_err(|e| format!("not a certificate authority: {e}"))?;
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), crypto_provider())
                .build()
                .map_err(|e| format!("no usable certificate authority: {e}"))?;
        Ok(Self {
            verifier,
            pem: pem.to_owned(),
        })
    }

    /// The subjects, for the server to name in a handshake.
    pub fn subjects(&self) -> &[rustls::DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    /// Whether a chain leads to one of the authorities, now, for client authentication.
    fn verify(&self, chain: &[CertificateDer<'_>]) -> Result<(), String> {
        let (leaf, intermediates) = chain.split_first().ok_or("no certificate")?;
        let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        let verified = self.verifier.verify_client_cert(leaf, intermediates, now);
        verified.map(|_| ()).map_err(|e| e.to_string())
    }

    /// The certificate's subject, if the chain verifies.
    ///
    /// # Errors
    /// A sentence for the log that says why not.
    pub(super) fn subject(&self, chain: &[CertificateDer<'_>]) -> Result<Subject, String> {
        self.verify(chain)?;
        let leaf = chain.first().ok_or("no certificate")?;
        Subject::from_der(leaf)
    }
}

/// Who a certificate was made out to.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) common_name: String,
    organizations: Vec<String>,
}

impl Subject {
    fn from_der(der: &[u8]) -> Result<Self, String> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|e| e.to_string())?;
        let text = |a: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            a.as_str().map(str::to_owned).map_err(|e| e.to_string())
        };
        let subject = certificate.subject();
        let common_name = subject.iter_common_name().map(text).next().transpose()?;
        let organizations = subject
            .iter_organization()
            .map(text)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            common_name: common_name.unwrap_or_default(),
            organizations,
        })
    }
}

/// A user by client certificate, of which it is known whose it is for the client authority.
pub(super) fn authenticate(owner: Option<&Result<Subject, String>>) -> Outcome {
    match owner {
        None => {
            Outcome::Rejected("there is no client CA to check the certificate against".to_owned())
        }
        Some(Ok(subject)) if subject.common_name.is_empty() => {
            Outcome::Rejected("the client certificate has no common name".to_owned())
        }
        Some(Ok(subject)) => Outcome::User(UserInfo {
            name: subject.common_name.clone(),
            groups: subject.organizations.clone(),
            ..UserInfo::default()
        }),
        Some(Err(reason)) => Outcome::Rejected(format!("client certificate: {reason}")),
    }
}
