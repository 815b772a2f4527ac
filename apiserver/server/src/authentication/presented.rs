//! The certificates that a client showed in the handshake, and whose they are.
//!
//! Checking a chain costs many times what the rest of a request's identity does, so what was found counts for the requests of a
//! connection until the trust is another one, and for ten seconds at most: a certificate that
//! expires meanwhile is worth nothing soon after.

use std::{fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;
use tokio::time::Instant;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{
    certificates::{CertificatePool, Subject},
    trust::Trust,
};

/// How long a chain that was checked counts as checked.
const CHECKED_FOR: Duration = Duration::from_secs(10);

/// A connection's certificate chain, leaf first; who it belongs to depends on whom to trust.
#[derive(Default)]
pub struct PresentedCertificates {
    chain: Vec<CertificateDer<'static>>,
    checked: Mutex<Option<Checked>>,
}

/// What was found, and when, and with which trust.
struct Checked {
    trust: Arc<Trust>,
    at: Instant,
    owners: Arc<Owners>,
}

/// Whose the chain is for each authority, or why nobody's; `None` without that authority.
#[derive(Debug)]
pub(super) struct Owners {
    pub(super) client: Option<Result<Subject, String>>,
    pub(super) front_proxy: Option<Result<Subject, String>>,
}

impl fmt::Debug for PresentedCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedCertificates")
            .field("chain", &self.chain.len())
            .finish_non_exhaustive()
    }
}

impl From<Vec<CertificateDer<'static>>> for PresentedCertificates {
    fn from(chain: Vec<CertificateDer<'static>>) -> Self {
        Self {
            chain,
            checked: Mutex::default(),
        }
    }
}

impl PresentedCertificates {
    /// Who signed the client's certificate, as it says itself, for the log.
    pub(crate) fn issuer(&self) -> Option<String> {
        let (_, certificate) = X509Certificate::from_der(self.chain.first()?).ok()?;
        Some(certificate.issuer().to_string())
    }

    /// Whose they are; `None` when there are none.
    pub(super) fn owners(&self, trust: &Arc<Trust>) -> Option<Arc<Owners>> {
        if self.chain.is_empty() {
            return None;
        }
        let mut checked = self.checked.lock();
        let valid = checked.as_ref().filter(|checked| {
            Arc::ptr_eq(&checked.trust, trust) && checked.at.elapsed() < CHECKED_FOR
        });
        if let Some(checked) = valid {
            return Some(Arc::clone(&checked.owners));
        }
        let owner = |pool: &CertificatePool| pool.subject(&self.chain);
        let owners = Arc::new(Owners {
            client: trust.client_ca.as_ref().map(owner),
            front_proxy: trust.front_proxy.as_ref().map(|proxy| owner(&proxy.ca)),
        });
        *checked = Some(Checked {
            trust: Arc::clone(trust),
            at: Instant::now(),
            owners: Arc::clone(&owners),
        });
        Some(owners)
    }
}
