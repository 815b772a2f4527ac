//! Who the server runs as, and the three rights that every extension API server needs: to ask the
//! API server about callers, to read whom to trust as front proxy, and to read namespaces, because
//! nothing may be created in one that is not there or on its way out.

use k8s_openapi::api::{
    core::v1::ServiceAccount,
    rbac::v1::{ClusterRoleBinding, RoleBinding, RoleRef, Subject},
};

use crate::{
    args::Config,
    names::{KUBE_SYSTEM, Owner},
};

const COMPONENT: &str = "access";

pub(super) fn service_account(owner: &Owner) -> ServiceAccount {
    ServiceAccount {
        metadata: owner.metadata(&owner.namespace, owner.name.clone(), COMPONENT),
        ..ServiceAccount::default()
    }
}

pub(super) fn auth_delegator(owner: &Owner) -> ClusterRoleBinding {
    ClusterRoleBinding {
        metadata: owner.cluster_metadata(owner.auth_delegator(), COMPONENT),
        role_ref: role("ClusterRole", "system:auth-delegator"),
        subjects: Some(vec![subject(owner)]),
    }
}

/// Kubernetes has no role of its own for this one, so the chart brings it.
pub(super) fn admission(owner: &Owner, config: &Config) -> ClusterRoleBinding {
    ClusterRoleBinding {
        metadata: owner.cluster_metadata(owner.admission(), COMPONENT),
        role_ref: role("ClusterRole", &config.admission_role),
        subjects: Some(vec![subject(owner)]),
    }
}

pub(super) fn auth_reader(owner: &Owner) -> RoleBinding {
    RoleBinding {
        metadata: owner.metadata(KUBE_SYSTEM, owner.auth_reader(), COMPONENT),
        role_ref: role("Role", "extension-apiserver-authentication-reader"),
        subjects: Some(vec![subject(owner)]),
    }
}

fn role(kind: &str, name: &str) -> RoleRef {
    RoleRef {
        api_group: "rbac.authorization.k8s.io".to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

fn subject(owner: &Owner) -> Subject {
    Subject {
        kind: "ServiceAccount".to_owned(),
        name: owner.name.clone(),
        namespace: Some(owner.namespace.clone()),
        api_group: None,
    }
}
