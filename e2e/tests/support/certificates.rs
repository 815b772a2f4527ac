//! Client certificates as users of kubeconfigs.

use std::fs;

use anyhow::{Context, Result};
use base64::prelude::{BASE64_STANDARD, Engine};
use e2e::{pki::Identity, testing::Cluster};
use serde_json::{Value, json};

/// An administrator, as the aggregator names one.
pub(crate) const MASTER: [(&str, &str); 2] = [
    ("X-Remote-User", "system:admin"),
    ("X-Remote-Group", "system:masters"),
];

/// The aggregator's own client certificate, as a user of a kubeconfig.
pub(crate) fn front_proxy_client(cluster: &Cluster) -> Result<Value> {
    let read = |name: &str| {
        let path = cluster.dir().join("pki").join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    Ok(user_with_certificate(&Identity {
        certificate_pem: read("front-proxy-client.crt")?,
        key_pem: read("front-proxy-client.key")?,
    }))
}

/// A user of a kubeconfig who has a client certificate.
pub(crate) fn user_with_certificate(identity: &Identity) -> Value {
    json!({
        "client-certificate-data": BASE64_STANDARD.encode(&identity.certificate_pem),
        "client-key-data": BASE64_STANDARD.encode(&identity.key_pem),
    })
}
