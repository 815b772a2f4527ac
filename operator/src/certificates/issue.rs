//! New certificates.
//!
//! The generator's defaults are not fit for use: they are valid from 1975 to 4096 and name neither
//! key usages nor the issuer's key. Everything is set here. Keys are P-256: handshakes are cheap,
//! and the aggregator makes many.

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyUsagePurpose, SerialNumber,
};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::{BACKDATE_SECONDS, CertificateError, CertificateFacts, KeyPair, Policy};
use crate::text::hex;

/// The length of a serial number: the most that RFC 5280 allows is 20, and 16 are unique enough.
const SERIAL_LENGTH: usize = 16;

/// A new authority. Its name holds part of its key's hash: two generations with one name would
/// leave a client that knows both to guess which one signed.
pub(super) fn authority(now: Timestamp, policy: &Policy) -> Result<KeyPair, CertificateError> {
    let key = rcgen::KeyPair::generate().map_err(CertificateError::Issue)?;
    let subject = policy
        .dns_names
        .first()
        .map_or("extension-api", String::as_str);
    let fingerprint = hex(&serial(&key)[..4]);
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(&format!("{}-ca-{fingerprint}", short(subject)));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(SerialNumber::from_slice(&serial(&key)));
    (params.not_before, params.not_after) = validity(now, policy.ca_seconds, None)?;
    let certificate = params.self_signed(&key).map_err(CertificateError::Issue)?;
    Ok(KeyPair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

/// A new serving certificate, which ends no later than its authority.
pub(super) fn serving(
    now: Timestamp,
    authority: &KeyPair,
    authority_facts: &CertificateFacts,
    policy: &Policy,
) -> Result<KeyPair, CertificateError> {
    let key = rcgen::KeyPair::generate().map_err(CertificateError::Issue)?;
    let signing_key = rcgen::KeyPair::from_pem(&authority.key).map_err(CertificateError::Issue)?;
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate, signing_key)
        .map_err(CertificateError::Issue)?;
    let mut params =
        CertificateParams::new(policy.dns_names.clone()).map_err(CertificateError::Issue)?;
    let subject = policy
        .dns_names
        .first()
        .map_or("extension-api", String::as_str);
    params.distinguished_name = common_name(short(subject));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(SerialNumber::from_slice(&serial(&key)));
    (params.not_before, params.not_after) =
        validity(now, policy.serving_seconds, Some(authority_facts.not_after))?;
    let certificate = params
        .signed_by(&key, &issuer)
        .map_err(CertificateError::Issue)?;
    Ok(KeyPair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

fn validity(
    now: Timestamp,
    seconds: i64,
    latest: Option<Timestamp>,
) -> Result<(OffsetDateTime, OffsetDateTime), CertificateError> {
    let not_before = now - SignedDuration::from_secs(BACKDATE_SECONDS);
    let end = now + SignedDuration::from_secs(seconds);
    let not_after = latest.map_or(end, |latest| latest.min(end));
    let date = |at: Timestamp| {
        OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(|_| CertificateError::Date)
    };
    Ok((date(not_before)?, date(not_after)?))
}

/// A serial number that is random because the fresh key is. The first bit is cleared: serial
/// numbers are positive.
fn serial(key: &rcgen::KeyPair) -> Vec<u8> {
    let mut serial = Sha256::digest(key.public_key_raw()).to_vec();
    serial.truncate(SERIAL_LENGTH);
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    serial
}

fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}

/// A common name has at most 64 characters; the suffix of an authority's takes 12.
fn short(name: &str) -> &str {
    name.get(..52).unwrap_or(name)
}
