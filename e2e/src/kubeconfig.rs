//! Kubeconfig files, with certificates and keys inside so that they work from anywhere.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

use crate::pki::Identity;

/// The file's content. JSON is YAML too, so every client reads it.
pub fn kubeconfig(server: &str, ca_pem: &str, user: &Identity) -> Value {
    let base64 = |pem: &str| BASE64_STANDARD.encode(pem);
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "e2e",
            "cluster": { "server": server, "certificate-authority-data": base64(ca_pem) },
        }],
        "users": [{
            "name": "e2e",
            "user": {
                "client-certificate-data": base64(&user.certificate_pem),
                "client-key-data": base64(&user.key_pem),
            },
        }],
        "contexts": [{ "name": "e2e", "context": { "cluster": "e2e", "user": "e2e" } }],
        "current-context": "e2e",
    })
}

/// Writes a file that holds a key: only its owner may read it.
pub fn write_private(file: &Path, content: &[u8]) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut opened| opened.write_all(content))
        .with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn holds_server_and_credentials() {
        let user = Identity {
            certificate_pem: "CERT".into(),
            key_pem: "KEY".into(),
        };
        let config = kubeconfig("https://127.0.0.1:1", "CA", &user);
        assert_eq!(
            config["clusters"][0]["cluster"]["server"],
            "https://127.0.0.1:1"
        );
        assert_eq!(
            config["clusters"][0]["cluster"]["certificate-authority-data"],
            "Q0E="
        );
        assert_eq!(config["users"][0]["user"]["client-key-data"], "S0VZ");
        assert_eq!(config["current-context"], config["contexts"][0]["name"]);
    }

    #[test]
    fn a_private_file_is_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        write_private(&file, b"secret").unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
