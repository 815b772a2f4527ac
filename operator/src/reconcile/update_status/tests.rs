//! What users read.

use crds::{ExtensionAPI, ExtensionApiSpec, ExtensionApiStatus, condition};
use jiff::Timestamp;
use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Pod},
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};
use serde_json::{Value, json};

use super::status;
use crate::{
    certificates::{Policy, Stored, renew},
    names::Owner,
    reconcile::{
        Outcome,
        apply::{Applied, Registration},
        dereference::World,
        validate::Refusal,
    },
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
    api.metadata.generation = Some(4);
    api
}

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn applied(ready: i32, registration: Registration, availability: Value) -> Outcome {
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": { "generation": 1 },
        "status": { "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": ready },
    }))
    .unwrap();
    let api_service: APIService = serde_json::from_value(json!({
        "metadata": { "name": "v1alpha1.data.kubedojo.io" },
        "spec": {
            "group": "data.kubedojo.io", "version": "v1alpha1",
            "groupPriorityMinimum": 1, "versionPriority": 1,
        },
        "status": { "conditions": availability },
    }))
    .unwrap();
    let policy = Policy {
        ca_seconds: 36_000,
        serving_seconds: 3_600,
        dns_names: vec!["a.b.svc".into()],
    };
    Outcome::Applied(Box::new(Applied {
        deployment,
        api_services: vec![api_service],
        registration,
        tls: renew(now(), &Stored::default(), &policy).unwrap(),
        replicas: 1,
    }))
}

fn passed() -> Value {
    json!([{ "type": "Available", "status": "True", "reason": "Passed", "message": "all checks passed" }])
}

fn report(outcome: &Outcome, world: &World) -> ExtensionApiStatus {
    let api = api();
    status(&api, &Owner::of(&api).unwrap(), world, outcome, now())
}

fn of(status: &ExtensionApiStatus, type_: &str) -> (String, String, String) {
    let condition = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_)
        .unwrap();
    assert_eq!(condition.observed_generation, Some(4));
    (
        condition.status.clone(),
        condition.reason.clone(),
        condition.message.clone(),
    )
}

#[test]
fn a_served_api_is_ready_and_available_in_the_api_servers_words() {
    let status = report(
        &applied(1, Registration::Registered, passed()),
        &World::default(),
    );
    assert_eq!(of(&status, condition::READY).0, "True");
    assert_eq!(
        of(&status, condition::AVAILABLE),
        ("True".into(), "Passed".into(), "all checks passed".into())
    );
    assert_eq!(of(&status, condition::CONFLICT).0, "False");
    assert_eq!(of(&status, condition::PROGRESSING).0, "False");
    assert!(status.apis[0].available);
    assert_eq!(status.apis[0].group_version, "data.kubedojo.io/v1alpha1");
    assert_eq!(status.observed_generation, Some(4));
}

#[test]
fn an_unavailable_api_repeats_the_api_servers_reason() {
    let failed = json!([{
        "type": "Available", "status": "False", "reason": "FailedDiscoveryCheck", "message": "no route",
    }]);
    let status = report(
        &applied(1, Registration::Registered, failed),
        &World::default(),
    );
    assert_eq!(
        of(&status, condition::READY),
        (
            "False".into(),
            "FailedDiscoveryCheck".into(),
            "no route".into()
        )
    );
    assert_eq!(of(&status, condition::PROGRESSING).0, "True");
}

/// B9: what keeps pods from starting is told at once.
#[test]
fn a_pod_that_cannot_start_gives_its_reason() {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {},
        "status": { "containerStatuses": [{
            "name": "apiserver", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": "ImagePullBackOff", "message": "not found" } },
        }] },
    }))
    .unwrap();
    let world = World {
        pods: vec![pod],
        ..World::default()
    };
    let status = report(&applied(0, Registration::NoEndpoint, json!([])), &world);
    assert_eq!(
        of(&status, condition::WORKLOAD_READY),
        (
            "False".into(),
            "ImagePullBackOff".into(),
            "0 of 1 pods are ready: not found".into()
        )
    );
    assert_eq!(of(&status, condition::READY).1, "ImagePullBackOff");
    assert_eq!(of(&status, condition::REGISTERED).1, "WaitingForEndpoint");
}

#[test]
fn a_refusal_is_the_reason_of_everything() {
    let refusal = Refusal {
        reason: "APIServiceExists",
        message: "delete it".into(),
        is_conflict: true,
    };
    let status = report(&Outcome::Refused(refusal), &World::default());
    assert_eq!(of(&status, condition::CONFLICT).0, "True");
    assert_eq!(
        of(&status, condition::READY),
        (
            "False".into(),
            "APIServiceExists".into(),
            "delete it".into()
        )
    );
    assert_eq!(of(&status, condition::AVAILABLE).0, "Unknown");

    let refusal = Refusal {
        reason: "NamespaceNotFound",
        message: "create it".into(),
        is_conflict: false,
    };
    let status = report(&Outcome::Refused(refusal), &World::default());
    assert_eq!(of(&status, condition::CONFLICT).0, "False");
    assert_eq!(of(&status, condition::READY).1, "NamespaceNotFound");
}

/// Invariant: nothing is written while nothing changes, so the same world gives the same status.
#[test]
fn the_same_world_gives_the_same_status() {
    let outcome = applied(1, Registration::Registered, passed());
    let mut api = api();
    let owner = Owner::of(&api).unwrap();
    let first = status(&api, &owner, &World::default(), &outcome, now());
    api.status = Some(serde_json::from_value(serde_json::to_value(&first).unwrap()).unwrap());
    let later = Timestamp::from_second(1_700_009_999).unwrap();
    assert_eq!(
        status(&api, &owner, &World::default(), &outcome, later),
        first
    );
}
