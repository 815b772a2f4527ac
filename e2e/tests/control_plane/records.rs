//! DataRecords as tests make them.

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::json;

use super::local_server::GROUP;

/// The kind, as kube needs it.
pub(crate) fn resource() -> ApiResource {
    let kind = GroupVersionKind::gvk(GROUP, "v1alpha1", "DataRecord");
    ApiResource::from_gvk_with_plural(&kind, "datarecords")
}

/// The records of a namespace.
pub(crate) fn records(client: Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client, namespace, &resource())
}

/// A record.
pub(crate) fn record(name: &str) -> DynamicObject {
    let spec = json!({ "spec": { "source": "test", "query": "0" } });
    DynamicObject::new(name, &resource()).data(spec)
}

/// The path of the records of a namespace.
pub(crate) fn path(namespace: &str) -> String {
    format!("/apis/{GROUP}/v1alpha1/namespaces/{namespace}/datarecords")
}
