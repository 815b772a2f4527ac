//! The children as they should be. Pure: the same inputs give the same objects, and no client is
//! in sight, so the golden files in `snapshots/` are the whole story.
//!
//! Only fields that the operator means are set. Empty lists and defaults that the API server would
//! fill in are left out, because sending them is what makes an unchanged world look changed.

mod access;
mod registration;
mod secrets;
mod volume;
mod workload;

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{PersistentVolumeClaim, Secret, Service, ServiceAccount},
        rbac::v1::{ClusterRoleBinding, RoleBinding},
    },
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};
use kube::Resource;
use serde::Serialize;
use sha2::{Digest, Sha256};

pub(super) use secrets::{TLS_TYPE, read_authority, read_pair};

use super::validate::Plan;
use crate::{args::Config, certificates::Tls, names::HASH_ANNOTATION, text::hex};

/// Where the serving certificate is mounted. The directory, not the files: a file mounted by
/// itself is never updated.
pub(super) const CERTIFICATE_DIRECTORY: &str = "/etc/apiserver/certs";

/// The one port that counts; Service, container and endpoints use the same name.
pub(super) const PORT_NAME: &str = "https";

/// The port of the Service, which upstream's documentation asks for.
pub(super) const SERVICE_PORT: i32 = 443;

/// Everything that belongs to one `ExtensionAPI`, in the order of creation.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Children {
    /// Whom the server's pods run as.
    pub service_account: ServiceAccount,
    /// Lets the server delegate authentication and authorization.
    pub auth_delegator: ClusterRoleBinding,
    /// Lets the server read namespaces.
    pub admission: ClusterRoleBinding,
    /// Lets the server read whom to trust as front proxy.
    pub auth_reader: RoleBinding,
    /// The authority, in the operator's namespace.
    pub ca_secret: Secret,
    /// The serving certificate, mounted by the pods.
    pub serving_secret: Secret,
    /// The claim on the volume with the server's records, if it keeps them on one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_claim: Option<PersistentVolumeClaim>,
    /// The server.
    pub deployment: Deployment,
    /// The way to the server.
    pub service: Service,
    /// One per version, in the order of the spec.
    pub api_services: Vec<APIService>,
}

/// Builds all children.
pub(super) fn build(plan: &Plan, tls: &Tls, config: &Config) -> Children {
    Children {
        service_account: stamped(access::service_account(&plan.owner)),
        auth_delegator: stamped(access::auth_delegator(&plan.owner)),
        admission: stamped(access::admission(&plan.owner, config)),
        auth_reader: stamped(access::auth_reader(&plan.owner)),
        ca_secret: secrets::authority(plan, tls, config),
        serving_secret: secrets::serving(plan, tls),
        data_claim: volume::data_claim(plan),
        deployment: stamped(workload::deployment(plan, config)),
        service: stamped(workload::service(&plan.owner)),
        api_services: registration::api_services(plan, tls)
            .into_iter()
            .map(stamped)
            .collect(),
    }
}

/// Notes the hash of an object on it. A field that was wanted once and no longer is cannot be seen
/// by comparing what is wanted with what is there; the hash shows it.
fn stamped<K: Resource + Serialize>(mut object: K) -> K {
    let digest = Sha256::digest(serde_json::to_vec(&object).unwrap_or_default());
    let hash = hex(&digest[..8]);
    object
        .meta_mut()
        .annotations
        .get_or_insert_default()
        .insert(HASH_ANNOTATION.to_owned(), hash);
    object
}

#[cfg(test)]
mod tests;
