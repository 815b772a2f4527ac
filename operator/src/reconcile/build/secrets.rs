//! The Secrets with the authority and with the serving certificate.
//!
//! They are apart: the authority's key stays in the operator's namespace and is in no pod.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use crate::{
    args::Config,
    certificates::{Authority, KeyPair, Tls},
    reconcile::validate::Plan,
};

/// Of the types, this is the one whose keys the API server checks. It cannot be changed later.
pub(crate) const TLS_TYPE: &str = "kubernetes.io/tls";

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const BUNDLE: &str = "ca.crt";
const PREVIOUS: &str = "previous.crt";

const COMPONENT: &str = "tls";

pub(super) fn authority(plan: &Plan, tls: &Tls, config: &Config) -> Secret {
    let owner = &plan.owner;
    let Authority { current, previous } = &tls.authority;
    let mut data = pair(current);
    data.extend(
        previous
            .iter()
            .map(|previous| (PREVIOUS, previous.as_str())),
    );
    let metadata = owner.metadata(&config.operator_namespace, owner.ca_secret(), COMPONENT);
    secret(metadata, &data)
}

pub(super) fn serving(plan: &Plan, tls: &Tls) -> Secret {
    let owner = &plan.owner;
    let mut data = pair(&tls.serving);
    data.insert(BUNDLE, &tls.bundle);
    let metadata = owner.metadata(&owner.namespace, owner.serving_secret(), COMPONENT);
    secret(metadata, &data)
}

/// Reads an authority back; none if a part is missing.
pub(crate) fn read_authority(secret: &Secret) -> Option<Authority> {
    Some(Authority {
        current: read_pair(secret)?,
        previous: read(secret, PREVIOUS),
    })
}

/// Reads a certificate and its key back; none if a part is missing.
pub(crate) fn read_pair(secret: &Secret) -> Option<KeyPair> {
    Some(KeyPair {
        certificate: read(secret, CERTIFICATE)?,
        key: read(secret, KEY)?,
    })
}

/// Marks an object that a restored backup should not bring back: it names a certificate that is
/// made anew.
pub(super) fn exclude_from_backup(mut metadata: ObjectMeta) -> ObjectMeta {
    metadata.labels.get_or_insert_default().insert(
        "velero.io/exclude-from-backup".to_owned(),
        "true".to_owned(),
    );
    metadata
}

fn read(secret: &Secret, key: &str) -> Option<String> {
    String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok()
}

fn pair(pair: &KeyPair) -> BTreeMap<&'static str, &str> {
    BTreeMap::from([
        (CERTIFICATE, pair.certificate.as_str()),
        (KEY, pair.key.as_str()),
    ])
}

fn secret(metadata: ObjectMeta, data: &BTreeMap<&str, &str>) -> Secret {
    let data = data
        .iter()
        .map(|(key, text)| ((*key).to_owned(), ByteString(text.as_bytes().to_vec())))
        .collect();
    Secret {
        metadata: exclude_from_backup(metadata),
        type_: Some(TLS_TYPE.to_owned()),
        data: Some(data),
        ..Secret::default()
    }
}
