//! Whether the operator may act, and what it is to bring about. Pure.
//!
//! The API server has already refused most bad objects by the rules in the schema. What is left
//! needs the cluster to decide: whether the namespace is there, and whether something else holds
//! the group and version or a name that a child needs. The rules that protect the cluster are
//! checked here again, because a schema can be replaced.

use crds::{
    BundledStorage, ConnectionSecret, ExtensionAPI, ImageServer, PodTemplate, ServerKind,
    SqliteVolume, parse_duration_seconds, versions,
};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::ResourceExt;

use super::dereference::{NamespaceState, World};
use crate::{args::Config, certificates::Policy, names::Owner};

/// Marks an `APIService` that the API server makes for a group that it serves itself.
const AUTOMANAGED_LABEL: &str = "kube-aggregator.kubernetes.io/automanaged";

/// What the operator is to bring about.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    /// Whom children belong to.
    pub owner: Owner,
    /// The API group.
    pub group: String,
    /// The versions with their priorities.
    pub versions: Vec<PlannedVersion>,
    /// What runs.
    pub server: PlannedServer,
    /// How many of it.
    pub replicas: i32,
    /// The user's part of the pods.
    pub pod_template: PodTemplate,
    /// What the certificates are to be like.
    pub tls: Policy,
}

/// One version with its priorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlannedVersion {
    /// The version.
    pub name: String,
    /// The least priority of the group.
    pub group_priority_minimum: i32,
    /// The priority within the group.
    pub version_priority: i32,
}

/// What runs.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum PlannedServer {
    /// The server of this release.
    Bundled {
        /// Where it keeps its records.
        storage: PlannedStorage,
        /// Whether it starts with examples.
        seed_examples: bool,
    },
    /// The user's own.
    Image(ImageServer),
}

/// Where the bundled server keeps its records.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum PlannedStorage {
    /// In its own memory.
    Memory,
    /// In a file on a volume.
    Sqlite(SqliteVolume),
    /// In a database that a Secret names.
    Postgres(ConnectionSecret),
}

/// Why the operator does not act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The reason of the condition.
    pub reason: &'static str,
    /// What is wrong and what to do about it.
    pub message: String,
    /// Whether something else is in the way.
    pub is_conflict: bool,
}

/// Checks the object against the world.
pub(super) fn validate(
    api: &ExtensionAPI,
    owner: &Owner,
    world: &World,
    config: &Config,
) -> Result<Plan, Refusal> {
    let plan = plan(api, owner, config)?;
    check_namespace(owner, world.namespace)?;
    check_conflict(&plan, world)?;
    Ok(plan)
}

fn plan(api: &ExtensionAPI, owner: &Owner, config: &Config) -> Result<Plan, Refusal> {
    let spec = &api.spec;
    check_group(&spec.group)?;
    let server = match spec.server_kind() {
        Some(ServerKind::Bundled(bundled)) => PlannedServer::Bundled {
            storage: storage(&bundled.storage)?,
            seed_examples: bundled.seed_examples,
        },
        Some(ServerKind::Image(image)) => PlannedServer::Image(image.clone()),
        None => return Err(invalid("spec.server must name exactly one kind of server")),
    };
    if spec.versions.is_empty() {
        return Err(invalid("spec.versions must list at least one version"));
    }
    let priorities = versions::version_priorities(&spec.versions);
    let versions = spec
        .versions
        .iter()
        .zip(priorities)
        .map(|(version, version_priority)| PlannedVersion {
            name: version.name.clone(),
            group_priority_minimum: version.group_priority_minimum,
            version_priority,
        })
        .collect();
    let seconds = |text: &str, field: &str| {
        parse_duration_seconds(text)
            .ok_or_else(|| invalid(format!("{field} must be a duration such as 2160h")))
    };
    Ok(Plan {
        owner: owner.clone(),
        group: spec.group.clone(),
        versions,
        server,
        replicas: spec.replicas(),
        pod_template: spec.pod_template.clone(),
        tls: Policy {
            ca_seconds: seconds(&spec.tls.ca_duration, "spec.tls.caDuration")?,
            serving_seconds: seconds(&spec.tls.serving_duration, "spec.tls.servingDuration")?,
            dns_names: config.dns_names(owner),
        },
    })
}

fn storage(storage: &BundledStorage) -> Result<PlannedStorage, Refusal> {
    let BundledStorage {
        memory,
        sqlite,
        postgres,
    } = storage;
    match (memory, sqlite, postgres) {
        (Some(_), None, None) => Ok(PlannedStorage::Memory),
        (None, Some(sqlite), None) => Ok(PlannedStorage::Sqlite(sqlite.volume.clone())),
        (None, None, Some(postgres)) => Ok(PlannedStorage::Postgres(
            postgres.connection_secret_ref.clone(),
        )),
        _ => Err(invalid(
            "spec.server.bundled.storage must name exactly one kind of storage",
        )),
    }
}

/// An `APIService` for a group of Kubernetes itself would route core traffic to a Service.
fn check_group(group: &str) -> Result<(), Refusal> {
    let reserved = ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|domain| group == *domain || group.ends_with(&format!(".{domain}")));
    if reserved || !group.contains('.') {
        return Err(Refusal {
            reason: "GroupReserved",
            message: format!(
                "spec.group {group} belongs to Kubernetes: use a domain that you own, such as data.example.com"
            ),
            is_conflict: false,
        });
    }
    Ok(())
}

fn check_namespace(owner: &Owner, state: NamespaceState) -> Result<(), Refusal> {
    let namespace = &owner.namespace;
    let (reason, message) = match state {
        NamespaceState::Present => return Ok(()),
        NamespaceState::NotManaged => (
            "NamespaceNotManaged",
            format!(
                "the operator has no rights in namespace {namespace}: add it to the chart's operands.namespaces"
            ),
        ),
        NamespaceState::Missing => (
            "NamespaceNotFound",
            format!("namespace {namespace} does not exist: create it"),
        ),
        NamespaceState::Terminating => (
            "NamespaceTerminating",
            format!(
                "namespace {namespace} is being deleted: delete the ExtensionAPI, or create the namespace again"
            ),
        ),
    };
    Err(Refusal {
        reason,
        message,
        is_conflict: false,
    })
}

/// Something else may hold what is needed: a group and version, or the name of a child. Whoever
/// came first keeps it, and nothing is written.
fn check_conflict(plan: &Plan, world: &World) -> Result<(), Refusal> {
    for version in &plan.versions {
        let group_version = format!("{}/{}", plan.group, version.name);
        if let Some(definition) = world
            .definitions
            .iter()
            .find(|definition| definition.versions.contains(&version.name))
        {
            return Err(conflict(
                "CRDExists",
                format!(
                    "{group_version} is served by CustomResourceDefinition {}: choose another group or version",
                    definition.name
                ),
            ));
        }
        let registered = world.api_services.iter().find(|api_service| {
            api_service.spec.as_ref().is_some_and(|spec| {
                spec.group.as_deref() == Some(&plan.group)
                    && spec.version.as_deref() == Some(&version.name)
            })
        });
        if let Some(registered) = registered {
            if !plan.owner.owns(&registered.metadata) {
                return Err(foreign_registration(&group_version, registered));
            }
        } else if let Some(elder) = world.elder_claims(&plan.group, &version.name) {
            return Err(conflict(
                "ClaimedByOther",
                format!(
                    "{group_version} is claimed by ExtensionAPI {elder}, which is older: delete one of the two"
                ),
            ));
        }
    }
    let foreign = world
        .children_metadata()
        .into_iter()
        .find(|(_, metadata)| !plan.owner.owns(metadata));
    if let Some((kind, metadata)) = foreign {
        let name = metadata.name.as_deref().unwrap_or_default();
        return Err(conflict(
            "NameTaken",
            format!(
                "{kind} {name} exists and belongs to something else: delete it, or choose another metadata.name"
            ),
        ));
    }
    Ok(())
}

fn foreign_registration(group_version: &str, registered: &APIService) -> Refusal {
    let name = registered.name_any();
    let is_automatic = registered.labels().contains_key(AUTOMANAGED_LABEL);
    let is_local = registered
        .spec
        .as_ref()
        .is_none_or(|spec| spec.service.is_none());
    if is_automatic || is_local {
        return conflict(
            "ServedByAPIServer",
            format!(
                "{group_version} is served by the API server itself (APIService {name}): choose another group or version"
            ),
        );
    }
    conflict(
        "APIServiceExists",
        format!(
            "APIService {name} exists and belongs to something else: delete it, or choose another group or version"
        ),
    )
}

fn conflict(reason: &'static str, message: String) -> Refusal {
    Refusal {
        reason,
        message,
        is_conflict: true,
    }
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal {
        reason: "InvalidSpec",
        message: message.into(),
        is_conflict: false,
    }
}

#[cfg(test)]
mod tests;
