//! Reports what was found and done.
//!
//! What to report is decided by pure functions; only [`update_status`] holds a client, and it
//! writes only what differs.

use crds::{ApiStatus, ExtensionAPI, ExtensionApiStatus, TlsStatus, condition};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::Pod,
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    kube_aggregator::pkg::apis::apiregistration::v1::{APIService, APIServiceCondition},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{
    Outcome,
    apply::{Applied, Registration},
    dereference::World,
    error::ReconcileError,
    validate::Refusal,
};
use crate::{
    conditions::{self, Finding, Truth},
    names::{MANAGER, Owner},
};

/// Reasons of waiting containers that do not pass by themselves in a moment.
const STUCK: [&str; 7] = [
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImagePull",
    "ErrImageNeverPull",
    "ImagePullBackOff",
    "InvalidImageName",
];

/// Writes the status unless it is what it was, and says whether the API is available.
pub(super) async fn update_status(
    client: &Client,
    api: &ExtensionAPI,
    owner: &Owner,
    world: &World,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<Truth, ReconcileError> {
    let status = status(api, owner, world, outcome, now);
    let available = truth(&status, condition::AVAILABLE);
    if api.status.as_ref() == Some(&status) {
        return Ok(available);
    }
    let summary = find(&status, condition::READY);
    let kind = |condition: &Condition| (condition.status.clone(), condition.reason.clone());
    let before = api.status.as_ref();
    let before = before.and_then(|status| find(status, condition::READY));
    if before.map(kind) != summary.map(kind) {
        tracing::info!(
            extension_api = owner.name,
            ready = summary.map(|c| c.status.as_str()),
            reason = summary.map(|c| c.reason.as_str()),
            because = summary.map(|c| c.message.as_str()),
            "readiness changed"
        );
    }
    let patch = json!({
        "apiVersion": ExtensionAPI::api_version(&()),
        "kind": ExtensionAPI::kind(&()),
        "metadata": { "name": api.name_any() },
        "status": status,
    });
    Api::<ExtensionAPI>::all(client.clone())
        .patch_status(
            &api.name_any(),
            &PatchParams::apply(MANAGER).force(),
            &Patch::Apply(patch),
        )
        .await
        .map_err(ReconcileError::UpdateStatus)?;
    Ok(available)
}

/// The whole status.
fn status(
    api: &ExtensionAPI,
    owner: &Owner,
    world: &World,
    outcome: &Outcome,
    now: Timestamp,
) -> ExtensionApiStatus {
    let old = api.status.clone().unwrap_or_default();
    let mut findings = match outcome {
        Outcome::Refused(refusal) => refused(refusal, &registered_by(owner, world)),
        Outcome::Applied(applied) => found(applied, &world.pods),
    };
    findings.insert(0, conditions::ready(&findings));
    let replicas = world
        .deployment
        .as_ref()
        .and_then(|d| d.status.as_ref()?.replicas)
        .unwrap_or(0);
    let (apis, tls) = match outcome {
        Outcome::Refused(_) => (Vec::new(), old.tls),
        Outcome::Applied(applied) => (
            applied.api_services.iter().map(api_status).collect(),
            Some(TlsStatus {
                ca_not_after: Some(Time(applied.tls.ca_not_after)),
                serving_not_after: Some(Time(applied.tls.serving_not_after)),
            }),
        ),
    };
    ExtensionApiStatus {
        observed_generation: api.metadata.generation,
        conditions: conditions::merge(&old.conditions, findings, api.metadata.generation, now),
        apis,
        tls,
        replicas: Some(replicas),
        selector: Some(owner.selector_text()),
    }
}

/// The registrations that are ours, whether or not the operator acts.
fn registered_by(owner: &Owner, world: &World) -> Vec<APIService> {
    let ours = |live: &&APIService| owner.owns(&live.metadata);
    world.api_services.iter().filter(ours).cloned().collect()
}

/// Nothing is known of what the operator did not look at. An API that was registered before
/// something came into its way is still there, and may be available.
fn refused(refusal: &Refusal, api_services: &[APIService]) -> Vec<Finding> {
    let unknown = |type_| {
        Finding::new(
            type_,
            Truth::Unknown,
            refusal.reason,
            refusal.message.clone(),
        )
    };
    let conflict = if refusal.is_conflict {
        Finding::new(
            condition::CONFLICT,
            Truth::True,
            refusal.reason,
            refusal.message.clone(),
        )
    } else {
        no_conflict()
    };
    let available = if api_services.is_empty() {
        unknown(condition::AVAILABLE)
    } else {
        available(api_services, &Registration::Registered)
    };
    vec![
        available,
        unknown(condition::WORKLOAD_READY),
        unknown(condition::TLS_READY),
        unknown(condition::REGISTERED),
        conflict,
        Finding::new(
            condition::PROGRESSING,
            Truth::False,
            refusal.reason,
            refusal.message.clone(),
        ),
    ]
}

fn found(applied: &Applied, pods: &[Pod]) -> Vec<Finding> {
    let workload = workload(applied, pods);
    let registered = registered(&applied.registration);
    let available = available(&applied.api_services, &applied.registration);
    let progressing = progressing(applied, &workload, &registered, &available);
    let tls = Finding::new(
        condition::TLS_READY,
        Truth::True,
        "CertificatesValid",
        "the certificates are issued and valid",
    );
    vec![
        available,
        workload,
        tls,
        registered,
        no_conflict(),
        progressing,
    ]
}

fn no_conflict() -> Finding {
    Finding::new(
        condition::CONFLICT,
        Truth::False,
        "NoConflict",
        "nothing else holds what is needed",
    )
}

fn workload(applied: &Applied, pods: &[Pod]) -> Finding {
    let status = applied.deployment.status.clone().unwrap_or_default();
    let (ready, wanted) = (status.ready_replicas.unwrap_or(0), applied.replicas);
    if ready >= wanted {
        let message = format!("{ready} of {wanted} pods are ready");
        return Finding::new(condition::WORKLOAD_READY, Truth::True, "PodsReady", message);
    }
    let refused = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True");
    let (reason, cause) = match (refused, pods.iter().find_map(trouble)) {
        (Some(condition), _) => (
            condition
                .reason
                .clone()
                .unwrap_or_else(|| "ReplicaFailure".to_owned()),
            condition.message.clone().unwrap_or_default(),
        ),
        (None, Some(trouble)) => trouble,
        (None, None) => ("PodsNotReady".to_owned(), String::new()),
    };
    let mut message = format!("{ready} of {wanted} pods are ready");
    if !cause.is_empty() {
        message.push_str(": ");
        message.push_str(&cause);
    }
    Finding::new(condition::WORKLOAD_READY, Truth::False, reason, message)
}

/// What keeps a pod from starting, if it does not pass by itself.
fn trouble(pod: &Pod) -> Option<(String, String)> {
    let status = pod.status.as_ref()?;
    let unscheduled = status.conditions.iter().flatten().find(|condition| {
        condition.type_ == "PodScheduled" && condition.reason.as_deref() == Some("Unschedulable")
    });
    if let Some(condition) = unscheduled {
        return Some((
            "Unschedulable".to_owned(),
            condition.message.clone().unwrap_or_default(),
        ));
    }
    status
        .container_statuses
        .iter()
        .flatten()
        .find_map(|container| {
            let waiting = container.state.as_ref()?.waiting.as_ref()?;
            let reason = waiting
                .reason
                .as_deref()
                .filter(|reason| STUCK.contains(reason))?;
            Some((
                reason.to_owned(),
                waiting.message.clone().unwrap_or_default(),
            ))
        })
}

fn registered(registration: &Registration) -> Finding {
    let (status, reason, message) = match registration {
        Registration::Registered => (
            Truth::True,
            "Registered",
            "every version has its APIService".to_owned(),
        ),
        Registration::NoEndpoint => (
            Truth::False,
            "WaitingForEndpoint",
            "a version is registered once a ready endpoint answers for it".to_owned(),
        ),
        Registration::NoAnswer(why) => (Truth::False, "NoAnswer", why.clone()),
    };
    Finding::new(condition::REGISTERED, status, reason, message)
}

/// What the API server says. With several versions, the first that is not available speaks.
fn available(api_services: &[APIService], registration: &Registration) -> Finding {
    if *registration != Registration::Registered {
        return Finding::new(
            condition::AVAILABLE,
            Truth::False,
            "NotRegistered",
            "not every version has its APIService yet",
        );
    }
    let mut first_good = None;
    for api_service in api_services {
        let Some(condition) = availability(api_service) else {
            let message = format!(
                "the API server has not looked at {} yet",
                api_service.name_any()
            );
            return Finding::new(condition::AVAILABLE, Truth::Unknown, "Pending", message);
        };
        let finding = Finding::new(
            condition::AVAILABLE,
            Truth::parse(&condition.status),
            condition
                .reason
                .clone()
                .unwrap_or_else(|| "Unknown".to_owned()),
            condition.message.clone().unwrap_or_default(),
        );
        if finding.status != Truth::True {
            return finding;
        }
        first_good.get_or_insert(finding);
    }
    first_good.unwrap_or_else(|| {
        Finding::new(
            condition::AVAILABLE,
            Truth::Unknown,
            "Pending",
            "nothing is registered",
        )
    })
}

fn progressing(
    applied: &Applied,
    workload: &Finding,
    registered: &Finding,
    available: &Finding,
) -> Finding {
    let status = applied.deployment.status.clone().unwrap_or_default();
    let rolled_out = status.observed_generation >= applied.deployment.metadata.generation
        && status.updated_replicas.unwrap_or(0) >= applied.replicas
        && status.replicas.unwrap_or(0) <= applied.replicas;
    if let Some(waiting) = [workload, registered, available]
        .into_iter()
        .find(|finding| finding.status != Truth::True)
    {
        let (reason, message) = (waiting.reason.clone(), waiting.message.clone());
        return Finding::new(condition::PROGRESSING, Truth::True, reason, message);
    }
    if !rolled_out {
        let message = "pods of the previous template are being replaced";
        return Finding::new(
            condition::PROGRESSING,
            Truth::True,
            "RolloutInProgress",
            message,
        );
    }
    Finding::new(
        condition::PROGRESSING,
        Truth::False,
        "Settled",
        "everything is as it should be",
    )
}

fn api_status(api_service: &APIService) -> ApiStatus {
    let spec = api_service.spec.clone().unwrap_or_default();
    let condition = availability(api_service);
    ApiStatus {
        group_version: format!(
            "{}/{}",
            spec.group.unwrap_or_default(),
            spec.version.unwrap_or_default()
        ),
        available: condition.is_some_and(|condition| condition.status == "True"),
        reason: condition
            .and_then(|condition| condition.reason.clone())
            .unwrap_or_else(|| "Pending".to_owned()),
        since: condition.and_then(|condition| condition.last_transition_time.clone()),
    }
}

fn availability(api_service: &APIService) -> Option<&APIServiceCondition> {
    let conditions = api_service.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|condition| condition.type_ == "Available")
}

fn find<'a>(status: &'a ExtensionApiStatus, type_: &str) -> Option<&'a Condition> {
    let mut conditions = status.conditions.iter();
    conditions.find(|condition| condition.type_ == type_)
}

fn truth(status: &ExtensionApiStatus, type_: &str) -> Truth {
    find(status, type_).map_or(Truth::Unknown, |condition| Truth::parse(&condition.status))
}

#[cfg(test)]
mod tests;
