//! What a certificate says, and whether a client would accept it.
//!
//! Acceptance is decided by the verifier that clients use (rustls with webpki) rather than by a
//! list of checks of our own: chain, dates, names and usages then fail here as they would there.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use rcgen::PublicKeyData;
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::ring,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
use thiserror::Error;

use super::{BACKDATE_SECONDS, KeyPair};

/// The dates of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The start of validity.
    pub not_before: Timestamp,
    /// The end of validity.
    pub not_after: Timestamp,
}

/// Why a stored certificate cannot be used.
#[derive(Debug, Error)]
pub enum InspectError {
    /// The text is no certificate in PEM.
    #[error("not a certificate in PEM")]
    Pem(#[source] rustls_pki_types::pem::Error),
    /// The certificate cannot be parsed.
    #[error("not an X.509 certificate")]
    X509,
    /// A date lies outside what a timestamp can hold.
    #[error("a date of the certificate is out of range")]
    Date(#[source] jiff::Error),
    /// The key cannot be read.
    #[error("not a private key in PEM")]
    Key(#[source] rcgen::Error),
    /// Certificate and key are of two pairs.
    #[error("the certificate is for another key")]
    KeyMismatch,
    /// The certificate may not sign others.
    #[error("the certificate is not an authority")]
    NotAuthority,
    /// No client with the bundle would accept the certificate.
    #[error("the certificate would not be trusted")]
    Untrusted(#[source] rustls::Error),
    /// The bundle holds no usable certificate.
    #[error("the bundle has no usable certificate")]
    Bundle(#[source] rustls::client::VerifierBuilderError),
    /// A name cannot be in a certificate.
    #[error("not a DNS name")]
    Name(#[source] rustls_pki_types::InvalidDnsNameError),
}

impl CertificateFacts {
    /// When it was made: validity is backdated.
    pub fn issued_at(&self) -> Timestamp {
        self.not_before + SignedDuration::from_secs(BACKDATE_SECONDS)
    }

    /// Two thirds of its life.
    pub fn renewal_time(&self) -> Timestamp {
        self.issued_at() + self.not_after.duration_since(self.issued_at()) * 2 / 3
    }
}

/// The dates of a certificate.
pub(super) fn certificate(pem: &str) -> Result<CertificateFacts, InspectError> {
    let der = der(pem)?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|_| InspectError::X509)?;
    let date = |at: x509_parser::time::ASN1Time| {
        Timestamp::from_second(at.timestamp()).map_err(InspectError::Date)
    };
    Ok(CertificateFacts {
        not_before: date(parsed.validity().not_before)?,
        not_after: date(parsed.validity().not_after)?,
    })
}

/// The dates of an authority that can sign.
pub(super) fn authority(pair: &KeyPair) -> Result<CertificateFacts, InspectError> {
    let der = der(&pair.certificate)?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|_| InspectError::X509)?;
    if !parsed.is_ca() {
        return Err(InspectError::NotAuthority);
    }
    key_matches(&parsed, &pair.key)?;
    certificate(&pair.certificate)
}

/// The dates of a serving certificate that a client with this bundle accepts now for every name.
pub(super) fn serving(
    now: Timestamp,
    pair: &KeyPair,
    bundle: &str,
    dns_names: &[String],
) -> Result<CertificateFacts, InspectError> {
    let der = der(&pair.certificate)?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|_| InspectError::X509)?;
    key_matches(&parsed, &pair.key)?;
    let verifier = WebPkiServerVerifier::builder_with_provider(
        Arc::new(roots(bundle)?),
        Arc::new(ring::default_provider()),
    )
    .build()
    .map_err(InspectError::Bundle)?;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.as_second().unsigned_abs()));
    for name in dns_names {
        let name = ServerName::try_from(name.as_str()).map_err(InspectError::Name)?;
        verifier
            .verify_server_cert(&der, &[], &name, &[], now)
            .map_err(InspectError::Untrusted)?;
    }
    certificate(&pair.certificate)
}

/// The trust anchors of a bundle in PEM.
pub(crate) fn roots(bundle: &str) -> Result<RootCertStore, InspectError> {
    let mut roots = RootCertStore::empty();
    for der in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots
            .add(der.map_err(InspectError::Pem)?)
            .map_err(InspectError::Untrusted)?;
    }
    Ok(roots)
}

fn der(pem: &str) -> Result<CertificateDer<'static>, InspectError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(InspectError::Pem)
}

fn key_matches(
    parsed: &x509_parser::certificate::X509Certificate<'_>,
    key: &str,
) -> Result<(), InspectError> {
    let key = rcgen::KeyPair::from_pem(key).map_err(InspectError::Key)?;
    if key.subject_public_key_info() == parsed.public_key().raw {
        Ok(())
    } else {
        Err(InspectError::KeyMismatch)
    }
}
