//! Certificates as clients see them, and the order of their replacement.

use std::{error::Error, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use x509_parser::{extensions::ParsedExtension, prelude::X509Certificate};

use super::{
    CaDecision, KeyPair, Policy, ServingDecision, Stored, Tls, decide_ca, decide_serving, inspect,
    renew,
};

const NAME: &str = "records.apps.svc";

fn policy() -> Policy {
    Policy {
        ca_seconds: 8760 * 3600,
        serving_seconds: 2160 * 3600,
        dns_names: vec![NAME.into(), "records.apps".into(), "records".into()],
    }
}

fn start() -> Timestamp {
    Timestamp::now()
}

fn after(from: Timestamp, hours: i64) -> Timestamp {
    from + SignedDuration::from_hours(hours)
}

fn stored(tls: &Tls) -> Stored {
    Stored {
        authority: Some(tls.authority.clone()),
        serving: Some(tls.serving.clone()),
        registered_bundles: vec![tls.bundle.clone()],
    }
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> X509Certificate<'a> {
    x509_parser::parse_x509_certificate(der).unwrap().1
}

#[test]
fn a_serving_certificate_carries_what_clients_look_for() {
    let now = start();
    let tls = renew(now, &Stored::default(), &policy()).unwrap();
    let (ca, leaf) = (
        der(&tls.authority.current.certificate),
        der(&tls.serving.certificate),
    );
    let (ca, leaf) = (parse(&ca), parse(&leaf));

    assert!(
        leaf.validity().not_before.timestamp() <= now.as_second() - 300,
        "backdated"
    );
    assert_eq!(
        leaf.validity().not_after.timestamp(),
        after(now, 2160).as_second()
    );
    assert_eq!(
        ca.validity().not_after.timestamp(),
        after(now, 8760).as_second()
    );
    let names: Vec<_> = leaf
        .subject_alternative_name()
        .unwrap()
        .unwrap()
        .value
        .general_names
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(
        leaf.extended_key_usage()
            .unwrap()
            .unwrap()
            .value
            .server_auth
    );
    assert!(leaf.key_usage().unwrap().unwrap().value.digital_signature());
    let usage = ca.key_usage().unwrap().unwrap().value;
    assert!(usage.key_cert_sign() && usage.crl_sign());
    assert_eq!(
        ca.basic_constraints()
            .unwrap()
            .unwrap()
            .value
            .path_len_constraint,
        Some(0)
    );
    assert!(leaf.iter_extensions().any(|extension| matches!(
        extension.parsed_extension(),
        ParsedExtension::AuthorityKeyIdentifier(_)
    )));
    assert_ne!(leaf.raw_serial(), ca.raw_serial());
}

#[test]
fn two_generations_of_an_authority_share_neither_name_nor_serial_number() {
    let [first, second] = [(); 2].map(|()| renew(start(), &Stored::default(), &policy()).unwrap());
    let (first, second) = (
        der(&first.authority.current.certificate),
        der(&second.authority.current.certificate),
    );
    assert_ne!(parse(&first).subject(), parse(&second).subject());
    assert_ne!(parse(&first).raw_serial(), parse(&second).raw_serial());
}

#[test]
fn a_client_with_the_bundle_completes_a_handshake() {
    let tls = renew(start(), &Stored::default(), &policy()).unwrap();
    handshake(&tls.bundle, &tls.serving, NAME).unwrap();
}

#[test]
fn a_client_with_another_bundle_or_name_does_not() {
    let tls = renew(start(), &Stored::default(), &policy()).unwrap();
    let other = renew(start(), &Stored::default(), &policy()).unwrap();
    handshake(&other.bundle, &tls.serving, NAME).unwrap_err();
    handshake(&tls.bundle, &tls.serving, "other.apps.svc").unwrap_err();
}

fn handshake(bundle: &str, serving: &KeyPair, name: &str) -> Result<(), Box<dyn Error>> {
    let provider = Arc::new(ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(inspect::roots(bundle)?)
        .with_no_client_auth();
    let key = PrivateKeyDer::from_pem_slice(serving.key.as_bytes())?;
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(
                serving.certificate.as_bytes(),
            )?],
            key,
        )?;
    let name = ServerName::try_from(name.to_owned())?;
    let mut client = ClientConnection::new(Arc::new(client), name)?;
    let mut server = ServerConnection::new(Arc::new(server))?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire)?;
        server.read_tls(&mut wire.as_slice())?;
        server.process_new_packets()?;
        let mut wire = Vec::new();
        server.write_tls(&mut wire)?;
        client.read_tls(&mut wire.as_slice())?;
        client.process_new_packets()?;
    }
    Ok(())
}

/// B6: a valid certificate is kept, across restarts too: nothing but the stored objects decides.
#[test]
fn what_is_good_is_kept() {
    let now = start();
    let tls = renew(now, &Stored::default(), &policy()).unwrap();
    let again = renew(after(now, 1000), &stored(&tls), &policy()).unwrap();
    assert_eq!(again.authority, tls.authority);
    assert_eq!(again.serving, tls.serving);
    assert_eq!(again.bundle, tls.bundle);
}

#[test]
fn a_serving_certificate_is_renewed_at_two_thirds_by_the_same_authority() {
    let now = start();
    let tls = renew(now, &Stored::default(), &policy()).unwrap();
    let kept = renew(after(now, 1439), &stored(&tls), &policy()).unwrap();
    assert_eq!(kept.serving, tls.serving);
    let renewed = renew(after(now, 1441), &stored(&tls), &policy()).unwrap();
    assert_ne!(renewed.serving, tls.serving);
    assert_ne!(renewed.serving.key, tls.serving.key, "a fresh key");
    assert_eq!(renewed.authority, tls.authority);
}

/// B6: names that change, a key of another pair and damaged text each give a new certificate.
#[test]
fn an_unusable_serving_certificate_is_replaced_at_once() {
    let now = start();
    let tls = renew(now, &Stored::default(), &policy()).unwrap();
    let mut renamed = policy();
    renamed
        .dns_names
        .push("records.apps.svc.example.org".into());
    assert_ne!(
        renew(now, &stored(&tls), &renamed).unwrap().serving,
        tls.serving
    );

    let other = renew(now, &Stored::default(), &policy()).unwrap();
    for serving in [
        KeyPair {
            key: other.serving.key.clone(),
            ..tls.serving.clone()
        },
        KeyPair {
            certificate: "damaged".into(),
            ..tls.serving.clone()
        },
        other.serving,
    ] {
        let damaged = Stored {
            serving: Some(serving),
            ..stored(&tls)
        };
        let mended = renew(now, &damaged, &policy()).unwrap();
        assert_eq!(mended.authority, tls.authority);
        handshake(&tls.bundle, &mended.serving, NAME).unwrap();
    }
}

#[test]
fn a_lost_or_expired_authority_is_replaced_with_its_certificates() {
    let now = start();
    let tls = renew(now, &Stored::default(), &policy()).unwrap();
    let lost = Stored {
        authority: None,
        ..stored(&tls)
    };
    for (at, stored) in [(now, lost), (after(now, 8761), stored(&tls))] {
        let replaced = renew(at, &stored, &policy()).unwrap();
        assert_ne!(replaced.authority, tls.authority);
        assert_eq!(replaced.authority.previous, None);
        inspect::serving(at, &replaced.serving, &replaced.bundle, &policy().dns_names).unwrap();
    }
}

/// A rotation from end to end, an hour at a time: at every step what is served is trusted by what
/// was registered the step before, and by what is registered now.
#[test]
fn every_certificate_in_use_is_trusted_by_the_registered_bundle_at_all_times() {
    let begin = start();
    let policy = policy();
    let mut tls = renew(begin, &Stored::default(), &policy).unwrap();
    let first = tls.authority.current.clone();
    let mut authorities = 1;
    for hour in (0..3 * 8760).step_by(12) {
        let now = after(begin, hour);
        let next = renew(now, &stored(&tls), &policy).unwrap();
        for bundle in [&tls.bundle, &next.bundle] {
            for serving in [&tls.serving, &next.serving] {
                inspect::serving(now, serving, bundle, &policy.dns_names).unwrap();
            }
        }
        authorities += i32::from(next.authority.current != tls.authority.current);
        tls = next;
    }
    assert_ne!(tls.authority.current, first);
    assert_eq!(
        authorities, 5,
        "one start and one at every two thirds of a year"
    );
}

#[test]
fn a_new_authority_does_not_sign_before_it_is_registered_everywhere() {
    let now = start();
    let tls = renew(now, &Stored::default(), &policy()).unwrap();
    let due = after(now, 5841);
    let old_leaf = renew(after(now, 4400), &stored(&tls), &policy()).unwrap();
    let rotated = renew(due, &stored(&old_leaf), &policy()).unwrap();
    assert!(rotated.authority.previous.is_some());
    assert_eq!(
        rotated.serving, old_leaf.serving,
        "held while the new authority is unknown"
    );

    let unregistered = Stored {
        registered_bundles: vec![tls.bundle.clone()],
        ..stored(&rotated)
    };
    let held = renew(after(due, 24), &unregistered, &policy()).unwrap();
    assert_eq!(held.serving, old_leaf.serving);
    let registered = renew(after(due, 24), &stored(&rotated), &policy()).unwrap();
    assert_ne!(registered.serving, old_leaf.serving);
}

#[test]
fn decisions_follow_the_dates() {
    let now = start();
    let tls = renew(now, &Stored::default(), &policy()).unwrap();
    let ca = inspect::certificate(&tls.authority.current.certificate).unwrap();
    assert_eq!(decide_ca(now, None), CaDecision::Replace);
    assert_eq!(decide_ca(now, Some(&ca)), CaDecision::Keep);
    assert_eq!(decide_ca(after(now, 5841), Some(&ca)), CaDecision::Rotate);
    assert_eq!(decide_ca(after(now, 8760), Some(&ca)), CaDecision::Replace);
    assert_eq!(decide_serving(now, None, false), ServingDecision::Issue);
    assert_eq!(
        decide_serving(after(now, 8000), Some(&ca), false),
        ServingDecision::Hold
    );
}

#[test]
fn the_next_look_is_within_the_hour_and_never_in_the_past() {
    let now = start();
    let short = Policy {
        ca_seconds: 360,
        serving_seconds: 120,
        ..policy()
    };
    let tls = renew(now, &Stored::default(), &short).unwrap();
    assert!(tls.next_look > now && tls.next_look <= now + SignedDuration::from_secs(81));
    let tls = renew(now, &Stored::default(), &policy()).unwrap();
    assert_eq!(tls.next_look, after(now, 1));
}
