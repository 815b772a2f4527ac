//! The `APIService` objects. The operator owns each of them whole, so nobody else has to write a
//! CA bundle into one.

use k8s_openapi::{
    ByteString,
    kube_aggregator::pkg::apis::apiregistration::v1::{
        APIService, APIServiceSpec, ServiceReference,
    },
};

use super::{SERVICE_PORT, secrets::exclude_from_backup};
use crate::{certificates::Tls, names, reconcile::validate::Plan};

pub(super) fn api_services(plan: &Plan, tls: &Tls) -> Vec<APIService> {
    let owner = &plan.owner;
    plan.versions
        .iter()
        .map(|version| APIService {
            metadata: exclude_from_backup(owner.cluster_metadata(
                names::api_service_name(&plan.group, &version.name),
                "registration",
            )),
            spec: Some(APIServiceSpec {
                group: Some(plan.group.clone()),
                version: Some(version.name.clone()),
                group_priority_minimum: version.group_priority_minimum,
                version_priority: version.version_priority,
                service: Some(ServiceReference {
                    namespace: Some(owner.namespace.clone()),
                    name: Some(owner.name.clone()),
                    port: Some(SERVICE_PORT),
                }),
                ca_bundle: Some(ByteString(tls.bundle.clone().into_bytes())),
                insecure_skip_tls_verify: None,
            }),
            status: None,
        })
        .collect()
}
