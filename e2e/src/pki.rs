//! The cluster's certificates: two authorities, and what they sign.
//!
//! All keys are ECDSA P-256, because they are made in no time; service account tokens become ES256.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

use crate::kubeconfig::write_private;
use crate::network;
use crate::state::Tier;

/// Long enough for a cluster that is kept for a while, short enough that a leaked key dies.
const VALIDITY: Duration = Duration::days(30);
/// Clocks may differ a little, in containers for instance.
const BACKDATE: Duration = Duration::hours(1);

/// A certificate and its key, as PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate_pem: String,
    /// Its private key, PKCS #8.
    pub key_pem: String,
}

/// What the rest of the harness needs beside the files that [`generate`] writes.
#[derive(Debug)]
pub struct Pki {
    /// The authority that signs clients and servers.
    pub ca_pem: String,
    /// A member of `system:masters`.
    pub admin: Identity,
    /// kube-controller-manager's identity.
    pub controller_manager: Identity,
    /// The identities of a node's components; node tier only.
    pub node: Option<NodeIdentities>,
}

/// Clients of the API server in the node tier.
#[derive(Debug)]
pub struct NodeIdentities {
    /// kube-scheduler's identity.
    pub scheduler: Identity,
    /// kube-proxy's identity.
    pub kube_proxy: Identity,
    /// The kubelet's identity, which the Node authorizer knows.
    pub kubelet: Identity,
}

/// Signs certificates, and holds its own.
pub type Authority = CertifiedIssuer<'static, KeyPair>;

/// Makes all certificates of a tier, and writes those that components read from files.
pub fn generate(tier: Tier, dir: &Path) -> Result<Pki> {
    let ca = authority("e2e-ca")?;
    let front_proxy_ca = authority("e2e-front-proxy-ca")?;
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
    ];
    let mut addresses = vec![network::LOCALHOST, network::KUBERNETES_SERVICE];
    if tier == Tier::Node {
        addresses.push(network::NODE);
    }

    write_authority(dir, "ca", &ca)?;
    // Whom kube-apiserver lets in by a certificate: a file of its own, so that it can change.
    write(&dir.join("client-ca.crt"), &ca.pem())?;
    write_authority(dir, "front-proxy-ca", &front_proxy_ca)?;
    write_identity(
        dir,
        "apiserver",
        &server(&ca, "kube-apiserver", &names, &addresses)?,
    )?;
    write_identity(
        dir,
        "front-proxy-client",
        &client(&front_proxy_ca, None, "front-proxy-client")?,
    )?;
    let service_account = KeyPair::generate()?;
    write_private(
        &dir.join("service-account.key"),
        service_account.serialize_pem().as_bytes(),
    )?;
    write(
        &dir.join("service-account.pub"),
        &service_account.public_key_pem(),
    )?;

    let node = match tier {
        Tier::ControlPlane => None,
        Tier::Node => {
            let masters = Some("system:masters");
            let name = "kube-apiserver-kubelet-client";
            write_identity(
                dir,
                "apiserver-kubelet-client",
                &client(&ca, masters, name)?,
            )?;
            let names = [network::NODE_NAME];
            let kubelet_server = server(&ca, network::NODE_NAME, &names, &[network::NODE])?;
            write_identity(dir, "kubelet-server", &kubelet_server)?;
            let node = format!("system:node:{}", network::NODE_NAME);
            Some(NodeIdentities {
                scheduler: client(&ca, None, "system:kube-scheduler")?,
                kube_proxy: client(&ca, None, "system:kube-proxy")?,
                kubelet: client(&ca, Some("system:nodes"), &node)?,
            })
        }
    };
    Ok(Pki {
        ca_pem: ca.pem(),
        admin: client(&ca, Some("system:masters"), "admin")?,
        controller_manager: client(&ca, None, "system:kube-controller-manager")?,
        node,
    })
}

fn params(organization: Option<&str>, common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    let now = OffsetDateTime::now_utc();
    params.not_before = now - BACKDATE;
    params.not_after = now + VALIDITY;
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(organization) = organization {
        params
            .distinguished_name
            .push(DnType::OrganizationName, organization);
    }
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}

/// A new authority.
pub fn authority(common_name: &str) -> Result<Authority> {
    let mut params = params(None, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
    ];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
        .with_context(|| format!("cannot make the authority {common_name}"))
}

/// A client certificate.
pub fn client(
    issuer: &Authority,
    organization: Option<&str>,
    common_name: &str,
) -> Result<Identity> {
    let params = params(organization, common_name);
    sign(issuer, params, ExtendedKeyUsagePurpose::ClientAuth)
}

/// A serving certificate for names and addresses.
pub fn server(
    issuer: &Authority,
    common_name: &str,
    names: &[&str],
    addresses: &[IpAddr],
) -> Result<Identity> {
    let mut params = params(None, common_name);
    for name in names {
        params
            .subject_alt_names
            .push(SanType::DnsName((*name).try_into()?));
    }
    params
        .subject_alt_names
        .extend(addresses.iter().map(|address| SanType::IpAddress(*address)));
    sign(issuer, params, ExtendedKeyUsagePurpose::ServerAuth)
}

fn sign(
    issuer: &Authority,
    mut params: CertificateParams,
    usage: ExtendedKeyUsagePurpose,
) -> Result<Identity> {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    Ok(Identity {
        certificate_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
    })
}

fn write_authority(dir: &Path, name: &str, authority: &Authority) -> Result<()> {
    let key_pem = authority.key().serialize_pem();
    write_identity(
        dir,
        name,
        &Identity {
            certificate_pem: authority.pem(),
            key_pem,
        },
    )
}

fn write_identity(dir: &Path, name: &str, identity: &Identity) -> Result<()> {
    write(&dir.join(format!("{name}.crt")), &identity.certificate_pem)?;
    write_private(
        &dir.join(format!("{name}.key")),
        identity.key_pem.as_bytes(),
    )
}

fn write(file: &Path, content: &str) -> Result<()> {
    fs::write(file, content).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(tier: Tier) -> (Pki, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let pki = generate(tier, dir.path()).unwrap();
        let mut names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        (pki, names)
    }

    #[test]
    fn a_control_plane_gets_no_files_of_a_node() {
        let (pki, names) = files(Tier::ControlPlane);
        assert!(pki.node.is_none());
        let expected = [
            "apiserver.crt",
            "apiserver.key",
            "ca.crt",
            "ca.key",
            "client-ca.crt",
            "front-proxy-ca.crt",
            "front-proxy-ca.key",
            "front-proxy-client.crt",
            "front-proxy-client.key",
            "service-account.key",
            "service-account.pub",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_node_gets_the_files_between_apiserver_and_kubelet() {
        let (pki, names) = files(Tier::Node);
        assert!(pki.node.is_some());
        for name in ["apiserver-kubelet-client.crt", "kubelet-server.key"] {
            assert!(
                names.iter().any(|found| found == name),
                "{name} not in {names:?}"
            );
        }
    }
}
