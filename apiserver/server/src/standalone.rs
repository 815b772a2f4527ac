//! Certificates and a kubeconfig for a server without any cluster.
//!
//! The server mints a CA of its own, a serving certificate for loopback and one client certificate
//! in the group `system:masters`. Nothing is written but the kubeconfig; the CA's key is forgotten.

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use time::OffsetDateTime;

use crate::{
    authentication::{CertificatePool, Trust},
    request::user::SYSTEM_MASTERS,
    transport::ServingCertificate,
};

/// How long the certificates are valid, in seconds: longer than anybody tries something out.
const LIFETIME_SECONDS: i64 = 30 * 24 * 3600;
/// How far the validity begins in the past, in seconds, for clocks that differ.
const BACKDATE_SECONDS: i64 = 300;

/// What a server on loopback needs, and what a client needs to reach it.
#[derive(Debug)]
pub struct Standalone {
    /// The server's certificate, for `localhost` and 127.0.0.1.
    pub certificate: ServingCertificate,
    /// Trusts the one client certificate.
    pub trust: Trust,
    ca_pem: String,
    client_certificate_pem: String,
    client_key_pem: String,
}

impl Standalone {
    /// Mints everything anew.
    ///
    /// # Errors
    /// A sentence when a certificate cannot be made.
    pub fn mint() -> Result<Self, String> {
        Self::try_mint().map_err(|e| format!("cannot make certificates: {e}"))
    }

    fn try_mint() -> Result<Self, Box<dyn std::error::Error>> {
        let mut ca = parameters("extension-apiserver standalone CA")?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_key = KeyPair::generate()?;
        let ca_pem = ca.self_signed(&ca_key)?.pem();
        let issuer = Issuer::new(ca, ca_key);

        let mut server = leaf("localhost", ExtendedKeyUsagePurpose::ServerAuth)?;
        server.subject_alt_names = vec![
            SanType::DnsName("localhost".try_into()?),
            SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        ];
        let server_key = KeyPair::generate()?;
        let server_pem = server.signed_by(&server_key, &issuer)?.pem();

        let mut client = leaf("standalone-admin", ExtendedKeyUsagePurpose::ClientAuth)?;
        client
            .distinguished_name
            .push(DnType::OrganizationName, SYSTEM_MASTERS);
        let client_key = KeyPair::generate()?;
        let client_pem = client.signed_by(&client_key, &issuer)?.pem();

        let server_key_pem = server_key.serialize_pem();
        Ok(Self {
            certificate: ServingCertificate::from_pem(
                server_pem.as_bytes(),
                server_key_pem.as_bytes(),
            )?,
            trust: Trust {
                client_ca: Some(CertificatePool::from_pem(&ca_pem)?),
                front_proxy: None,
            },
            ca_pem,
            client_certificate_pem: client_pem,
            client_key_pem: client_key.serialize_pem(),
        })
    }

    /// A kubeconfig that reaches the server at this address as `system:masters`.
    pub fn kubeconfig(&self, address: SocketAddr) -> Value {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let data = |pem: &str| STANDARD.encode(pem);
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "standalone",
            "clusters": [{ "name": "standalone", "cluster": {
                "server": format!("https://{address}"),
                "certificate-authority-data": data(&self.ca_pem),
            } }],
            "users": [{ "name": "standalone-admin", "user": {
                "client-certificate-data": data(&self.client_certificate_pem),
                "client-key-data": data(&self.client_key_pem),
            } }],
            "contexts": [{ "name": "standalone", "context": {
                "cluster": "standalone", "user": "standalone-admin",
            } }],
        })
    }
}

fn parameters(common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new(Vec::<String>::new())?;
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters
        .distinguished_name
        .push(DnType::CommonName, common_name);
    let now = Timestamp::now().as_second();
    let at = |seconds| {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    };
    parameters.not_before = at(now - BACKDATE_SECONDS);
    parameters.not_after = at(now + LIFETIME_SECONDS);
    Ok(parameters)
}

fn leaf(
    common_name: &str,
    usage: ExtendedKeyUsagePurpose,
) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = parameters(common_name)?;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![usage];
    parameters.use_authority_key_identifier_extension = true;
    Ok(parameters)
}
