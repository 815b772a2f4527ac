//! Certificates of clients, good and bad ones.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Signs certificates.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What a client shows in the handshake.
#[derive(Debug)]
pub(crate) struct Credential {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut parameters = subject(name, &[]);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a certificate can always be made");
        let pem = parameters
            .self_signed(&key)
            .expect("a certificate can always be made")
            .pem();
        Self {
            pem,
            issuer: Issuer::new(parameters, key),
        }
    }

    /// A client's certificate.
    pub(crate) fn client(&self, name: &str, groups: &[&str]) -> Credential {
        self.signed(subject(name, groups), ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A certificate that is for servers.
    pub(crate) fn server(&self, name: &str) -> Credential {
        self.signed(subject(name, &[]), ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client's certificate of the last century.
    pub(crate) fn expired(&self, name: &str) -> Credential {
        let mut parameters = subject(name, &[]);
        parameters.not_before = date_time_ymd(1998, 1, 1);
        parameters.not_after = date_time_ymd(1999, 1, 1);
        self.signed(parameters, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A client's certificate of the next century.
    pub(crate) fn not_yet_valid(&self, name: &str) -> Credential {
        let mut parameters = subject(name, &[]);
        parameters.not_before = date_time_ymd(2998, 1, 1);
        parameters.not_after = date_time_ymd(2999, 1, 1);
        self.signed(parameters, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn signed(&self, mut leaf: CertificateParams, usage: ExtendedKeyUsagePurpose) -> Credential {
        leaf.extended_key_usages = vec![usage];
        let key = KeyPair::generate().expect("a certificate can always be made");
        let certificate = leaf
            .signed_by(&key, &self.issuer)
            .expect("a certificate can always be made");
        Credential {
            chain: vec![certificate.der().clone()],
            key: key.into(),
        }
    }
}

/// A certificate that a client signed itself.
pub(crate) fn self_signed(name: &str) -> Credential {
    let mut parameters = subject(name, &["system:masters"]);
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().expect("a certificate can always be made");
    let certificate = parameters
        .self_signed(&key)
        .expect("a certificate can always be made");
    Credential {
        chain: vec![certificate.der().clone()],
        key: key.into(),
    }
}

fn subject(name: &str, groups: &[&str]) -> CertificateParams {
    let mut parameters =
        CertificateParams::new(["localhost".to_owned()]).expect("a certificate can always be made");
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    for group in groups {
        let organization = DnType::OrganizationName;
        parameters.distinguished_name.push(organization, *group);
    }
    parameters
}
