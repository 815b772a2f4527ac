//! Who may act, and who holds what.

use crds::{ExtensionAPI, ExtensionApiSpec};
use k8s_openapi::{
    api::{core::v1::Service, rbac::v1::ClusterRoleBinding},
    kube_aggregator::pkg::apis::apiregistration::v1::{
        APIService, APIServiceSpec, ServiceReference,
    },
};
use rstest::rstest;
use serde_json::json;

use super::{PlannedServer, Refusal, validate};
use crate::{
    args::Config,
    names::Owner,
    reconcile::dereference::{Definition, NamespaceState, Peer, World},
};

fn api() -> ExtensionAPI {
    let spec: ExtensionApiSpec = serde_json::from_value(json!({
        "group": "data.kubedojo.io",
        "versions": [{ "name": "v1alpha1" }],
        "namespace": "apps",
        "server": { "bundled": { "storage": { "memory": {} } } },
    }))
    .unwrap();
    let mut api = ExtensionAPI::new("records", spec);
    api.metadata.uid = Some("u1".into());
    api
}

fn check(api: &ExtensionAPI, world: &World) -> Result<super::Plan, Refusal> {
    let config = Config {
        server_image: "s".into(),
        server_image_pull_policy: "Never".into(),
        operator_namespace: "operators".into(),
        operand_namespaces: vec!["apps".into()],
        admission_role: "r".into(),
        cluster_domain: "example.org".into(),
    };
    validate(api, &Owner::of(api).unwrap(), world, &config)
}

fn registration(owner: &Owner, service: bool) -> APIService {
    APIService {
        metadata: owner.cluster_metadata("v1alpha1.data.kubedojo.io".into(), "registration"),
        spec: Some(APIServiceSpec {
            group: Some("data.kubedojo.io".into()),
            version: Some("v1alpha1".into()),
            service: service.then(ServiceReference::default),
            ..APIServiceSpec::default()
        }),
        status: None,
    }
}

fn owner(uid: &str) -> Owner {
    Owner {
        name: "records".into(),
        uid: uid.into(),
        namespace: "apps".into(),
    }
}

#[test]
fn an_empty_world_is_free() {
    let plan = check(&api(), &World::default()).unwrap();
    assert_eq!(plan.replicas, 1);
    assert_eq!(plan.versions[0].version_priority, 15);
    assert_eq!(plan.versions[0].group_priority_minimum, 1000);
    assert_eq!(plan.tls.dns_names[0], "records.apps.svc");
    assert_eq!(plan.tls.dns_names[1], "records.apps.svc.example.org");
    assert!(matches!(plan.server, PlannedServer::Bundled { .. }));
}

#[rstest]
#[case(NamespaceState::Missing, "NamespaceNotFound")]
#[case(NamespaceState::Terminating, "NamespaceTerminating")]
#[case(NamespaceState::NotManaged, "NamespaceNotManaged")]
fn the_namespace_has_to_be_there(#[case] namespace: NamespaceState, #[case] reason: &str) {
    let refusal = check(
        &api(),
        &World {
            namespace,
            ..World::default()
        },
    )
    .unwrap_err();
    assert_eq!((refusal.reason, refusal.is_conflict), (reason, false));
}

/// F5: checked in code too, because a schema can be replaced.
#[rstest]
#[case("apps")]
#[case("metrics.k8s.io")]
#[case("kubernetes.io")]
fn a_group_of_kubernetes_is_refused(#[case] group: &str) {
    let mut api = api();
    api.spec.group = group.into();
    assert_eq!(
        check(&api, &World::default()).unwrap_err().reason,
        "GroupReserved"
    );
}

/// B4, F7: a registration of somebody else is left alone; our own is not in the way.
#[test]
fn a_foreign_registration_is_a_conflict() {
    let world = |owner: &Owner| World {
        api_services: vec![registration(owner, true)],
        ..World::default()
    };
    check(&api(), &world(&owner("u1"))).unwrap();
    let refusal = check(&api(), &world(&owner("u2"))).unwrap_err();
    assert_eq!(
        (refusal.reason, refusal.is_conflict),
        ("APIServiceExists", true)
    );
    assert!(refusal.message.contains("v1alpha1.data.kubedojo.io"));
}

/// F5: what the API server serves itself is never taken.
#[test]
fn a_local_registration_is_a_conflict() {
    let world = World {
        api_services: vec![registration(&owner("u2"), false)],
        ..World::default()
    };
    assert_eq!(
        check(&api(), &world).unwrap_err().reason,
        "ServedByAPIServer"
    );
}

/// F6: also for a definition that came after the registration.
#[test]
fn a_definition_that_serves_the_version_is_a_conflict() {
    let definition = |version: &str| Definition {
        name: "things.data.kubedojo.io".into(),
        versions: vec![version.into()],
    };
    let world = |version: &str| World {
        definitions: vec![definition(version)],
        api_services: vec![registration(&owner("u1"), true)],
        ..World::default()
    };
    assert_eq!(
        check(&api(), &world("v1alpha1")).unwrap_err().reason,
        "CRDExists"
    );
    check(&api(), &world("v2")).unwrap();
}

/// F7: before either has registered, the older one is first.
#[test]
fn the_older_of_two_claims_wins() {
    let peer = |is_elder| Peer {
        name: "other".into(),
        is_elder,
        group: "data.kubedojo.io".into(),
        versions: vec!["v1alpha1".into()],
    };
    let world = |is_elder| World {
        peers: vec![peer(is_elder)],
        ..World::default()
    };
    check(&api(), &world(false)).unwrap();
    assert_eq!(
        check(&api(), &world(true)).unwrap_err().reason,
        "ClaimedByOther"
    );
    let registered = World {
        api_services: vec![registration(&owner("u1"), true)],
        ..world(true)
    };
    check(&api(), &registered).unwrap();
}

#[test]
fn a_child_name_that_is_taken_is_a_conflict() {
    let service = Service {
        metadata: owner("u2").metadata("apps", "records".into(), "server"),
        ..Service::default()
    };
    let world = World {
        service: Some(service),
        ..World::default()
    };
    let refusal = check(&api(), &world).unwrap_err();
    assert_eq!((refusal.reason, refusal.is_conflict), ("NameTaken", true));
    assert!(refusal.message.contains("Service records"));
}

/// A deleted namesake's binding would give its account the right, not this one's.
#[test]
fn a_binding_of_a_namesake_is_a_conflict() {
    let (name, component) = (owner("u2").admission(), "access");
    let binding = ClusterRoleBinding {
        metadata: owner("u2").cluster_metadata(name, component),
        ..ClusterRoleBinding::default()
    };
    let world = World {
        admission: Some(binding),
        ..World::default()
    };
    let refusal = check(&api(), &world).unwrap_err();
    assert_eq!((refusal.reason, refusal.is_conflict), ("NameTaken", true));
    let named = "ClusterRoleBinding extensionapi:records:admission";
    assert!(refusal.message.contains(named), "{}", refusal.message);
}
