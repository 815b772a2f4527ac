//! The authorities that identify clients, and how they are read from the ConfigMap
//! `kube-system/extension-apiserver-authentication`.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::certificates::CertificatePool;

/// Whom to believe, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trust {
    /// Signs client certificates of users.
    pub client_ca: Option<CertificatePool>,
    /// The aggregator's identity.
    pub front_proxy: Option<FrontProxyTrust>,
}

/// How to recognise the aggregator and which headers it sends; header names are lower case.
#[derive(Clone, Debug, PartialEq)]
pub struct FrontProxyTrust {
    /// Signs the aggregator's client certificate.
    pub ca: CertificatePool,
    /// Common names that may be the aggregator; an empty list allows any.
    pub allowed_names: Vec<String>,
    /// Headers with the user's name.
    pub username_headers: Vec<String>,
    /// Headers with the user's ID.
    pub uid_headers: Vec<String>,
    /// Headers with the user's groups.
    pub group_headers: Vec<String>,
    /// Prefixes of headers with the user's extra fields.
    pub extra_prefixes: Vec<String>,
}

/// The current [`Trust`], swapped as a whole.
#[derive(Debug)]
pub struct TrustStore {
    current: ArcSwap<Trust>,
    changes: watch::Sender<u64>,
}

impl FrontProxyTrust {
    /// Whether a header of this lower-case name carries identity.
    pub(super) fn owns_header(&self, name: &str) -> bool {
        [
            &self.username_headers,
            &self.uid_headers,
            &self.group_headers,
        ]
        .into_iter()
        .any(|names| names.iter().any(|n| n == name))
            || self
                .extra_prefixes
                .iter()
                .any(|prefix| name.starts_with(prefix.as_str()))
    }
}

impl Trust {
    /// Reads the data of the ConfigMap. A key that is missing leaves that way of authentication
    /// out.
    ///
    /// # Errors
    /// A sentence for the log that names the key.
    pub fn from_config_map(data: &BTreeMap<String, String>) -> Result<Self, String> {
        let pool = |key: &str| {
            let pem = data
                .get(key)
                .map(String::as_str)
                .filter(|pem| !pem.trim().is_empty());
            pem.map(|pem| CertificatePool::from_pem(pem).map_err(|e| format!("{key}: {e}")))
                .transpose()
        };
        let list = |key: &str| -> Result<Vec<String>, String> {
            match data
                .get(key)
                .map(String::as_str)
                .filter(|text| !text.is_empty())
            {
                None => Ok(Vec::new()),
                Some(text) => serde_json::from_str(text)
                    .map_err(|e| format!("{key}: not a JSON list of strings: {e}")),
            }
        };
        let headers = |key: &str| -> Result<Vec<String>, String> {
            Ok(list(key)?
                .into_iter()
                .map(|name| name.to_ascii_lowercase())
                .collect())
        };
        let front_proxy = match pool("requestheader-client-ca-file")? {
            None => None,
            Some(ca) => Some(FrontProxyTrust {
                ca,
                allowed_names: list("requestheader-allowed-names")?,
                username_headers: headers("requestheader-username-headers")?,
                uid_headers: headers("requestheader-uid-headers")?,
                group_headers: headers("requestheader-group-headers")?,
                extra_prefixes: headers("requestheader-extra-headers-prefix")?,
            }),
        };
        Ok(Self {
            client_ca: pool("client-ca-file")?,
            front_proxy,
        })
    }

    /// What deserves a warning at the start.
    pub fn warnings(&self) -> Option<&'static str> {
        let front_proxy = self.front_proxy.as_ref()?;
        let shared = self.client_ca.as_ref() == Some(&front_proxy.ca);
        (shared && front_proxy.allowed_names.is_empty()).then_some(
            "the client CA is also the request-header CA and any name is allowed: every client \
             certificate can pose as the aggregator; set --requestheader-allowed-names on \
             kube-apiserver",
        )
    }
}

impl TrustStore {
    /// A store that starts with this trust.
    pub fn new(trust: Trust) -> Self {
        Self {
            current: ArcSwap::from_pointee(trust),
            changes: watch::Sender::new(0),
        }
    }

    /// The current trust.
    pub fn load(&self) -> Arc<Trust> {
        self.current.load_full()
    }

    /// Replaces the trust if it is another one; says whether it was.
    pub fn swap(&self, trust: Trust) -> bool {
        let changed = *self.current.load_full() != trust;
        if changed {
            self.current.store(Arc::new(trust));
            self.changes.send_modify(|n| *n += 1);
        }
        changed
    }

    /// Tells when the trust was replaced.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
