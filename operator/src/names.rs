//! The names, labels and owner references of everything that belongs to one `ExtensionAPI`.
//!
//! Ownership is the owner's UID, never its name: an object left behind by a deleted
//! `ExtensionAPI` of the same name is somebody else's.

use std::collections::BTreeMap;

use crds::ExtensionAPI;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};

/// The field manager of every write, and the value of the managed-by label.
pub(crate) const MANAGER: &str = "extension-api-operator";

/// Holds an `ExtensionAPI` back until its children are gone in the right order.
pub(crate) const FINALIZER: &str = "extensions.kubedojo.io/teardown";

/// Carries the UID of the `ExtensionAPI` on every child.
pub(crate) const OWNER_UID_LABEL: &str = "extensions.kubedojo.io/owner-uid";

/// Carries the hash of what was last applied, so that a field that is no longer wanted shows.
pub(crate) const HASH_ANNOTATION: &str = "extensions.kubedojo.io/applied-hash";

/// Where every extension API server reads its request-header configuration.
pub(crate) const KUBE_SYSTEM: &str = "kube-system";

const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// The identity that children are named after and owned by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The name of the `ExtensionAPI`.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The namespace that its workload lives in.
    pub namespace: String,
}

impl Owner {
    /// The identity of an object from the API server; none if it has no name or UID, as an object
    /// that was never stored.
    pub fn of(api: &ExtensionAPI) -> Option<Self> {
        Some(Self {
            name: api.metadata.name.clone()?,
            uid: api.uid()?,
            namespace: api.spec.namespace.clone(),
        })
    }

    /// The Secret that the server's pods mount.
    pub fn serving_secret(&self) -> String {
        format!("{}-serving-cert", self.name)
    }

    /// The Secret with the authority's key, in the operator's namespace.
    pub fn ca_secret(&self) -> String {
        format!("{}-ca", self.name)
    }

    /// The claim on the volume that a server keeps its records on.
    pub fn data_claim(&self) -> String {
        format!("{}-data", self.name)
    }

    /// The binding that lets the server ask who a caller is and what they may do. The prefix keeps
    /// it apart from bindings that a chart of the user's may have created.
    pub fn auth_delegator(&self) -> String {
        format!("extensionapi:{}:auth-delegator", self.name)
    }

    /// The binding that lets the server look at the namespaces that objects are created in, and at
    /// their quotas.
    pub fn admission(&self) -> String {
        format!("extensionapi:{}:admission", self.name)
    }

    /// The binding in kube-system that lets the server read whom to trust as front proxy.
    pub fn auth_reader(&self) -> String {
        format!("extensionapi:{}:auth-reader", self.name)
    }

    /// The name that the aggregator verifies: it dials an address but asks for this.
    pub fn server_name(&self) -> String {
        format!("{}.{}.svc", self.name, self.namespace)
    }

    /// What pods are selected by. A Deployment's selector cannot be changed, so nothing that a
    /// user can edit is in it.
    pub fn selector(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (INSTANCE_LABEL.to_owned(), self.name.clone()),
            (OWNER_UID_LABEL.to_owned(), self.uid.clone()),
        ])
    }

    /// The same as text, for lists and for the scale subresource.
    pub fn selector_text(&self) -> String {
        let pairs: Vec<_> = self
            .selector()
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        pairs.join(",")
    }

    /// The labels of every child.
    pub fn labels(&self, component: &str) -> BTreeMap<String, String> {
        let mut labels = self.selector();
        for (key, value) in [
            ("app.kubernetes.io/name", "extension-api"),
            (MANAGED_BY_LABEL, MANAGER),
            ("app.kubernetes.io/part-of", MANAGER),
            ("app.kubernetes.io/component", component),
        ] {
            labels.insert(key.to_owned(), value.to_owned());
        }
        labels
    }

    /// Metadata of a child in no namespace.
    pub fn cluster_metadata(&self, name: String, component: &str) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            labels: Some(self.labels(component)),
            owner_references: Some(vec![self.reference()]),
            ..ObjectMeta::default()
        }
    }

    /// Metadata of a child in a namespace.
    pub fn metadata(&self, namespace: &str, name: String, component: &str) -> ObjectMeta {
        ObjectMeta {
            namespace: Some(namespace.to_owned()),
            ..self.cluster_metadata(name, component)
        }
    }

    /// Whether an object is a child of this owner. Either mark is enough, so that a child that
    /// lost one is still known and mended.
    pub fn owns(&self, metadata: &ObjectMeta) -> bool {
        let labelled = metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(OWNER_UID_LABEL))
            == Some(&self.uid);
        labelled
            || metadata
                .owner_references
                .iter()
                .flatten()
                .any(|reference| reference.uid == self.uid)
    }

    /// A cluster-scoped owner may own objects in any namespace and in none, so garbage collection
    /// clears up when the operator is gone.
    fn reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: ExtensionAPI::api_version(&()).into_owned(),
            kind: ExtensionAPI::kind(&()).into_owned(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            controller: Some(true),
            block_owner_deletion: None,
        }
    }
}

/// Selects every child of every `ExtensionAPI`.
pub(crate) fn managed_selector() -> String {
    format!("{MANAGED_BY_LABEL}={MANAGER}")
}

/// The name that upstream prescribes for an `APIService`.
pub(crate) fn api_service_name(group: &str, version: &str) -> String {
    format!("{version}.{group}")
}

#[cfg(test)]
mod tests {
    use super::Owner;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    fn owner(uid: &str) -> Owner {
        Owner {
            name: "records".into(),
            uid: uid.into(),
            namespace: "apps".into(),
        }
    }

    #[test]
    fn a_child_is_known_by_its_label_or_by_its_owner_reference() {
        let mut child = owner("u1").metadata("apps", "records".into(), "server");
        assert!(owner("u1").owns(&child));
        child.labels = None;
        assert!(owner("u1").owns(&child));
        child.owner_references = None;
        assert!(!owner("u1").owns(&child));
    }

    #[test]
    fn a_child_of_a_deleted_namesake_is_foreign() {
        let child = owner("u1").metadata("apps", "records".into(), "server");
        assert!(!owner("u2").owns(&child));
        assert!(!owner("u2").owns(&ObjectMeta::default()));
    }

    /// F9: the pods' selector holds nothing that a user can edit.
    #[test]
    fn the_selector_is_name_and_uid() {
        assert_eq!(
            owner("u1").selector_text(),
            "app.kubernetes.io/instance=records,extensions.kubedojo.io/owner-uid=u1"
        );
    }
}
