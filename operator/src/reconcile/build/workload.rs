//! The Deployment and the Service of the server.
//!
//! The pods satisfy the restricted Pod Security Standard. The certificate is replaced while the
//! pod runs, so nothing about it is in the template.

use std::collections::BTreeMap;

use crds::{ConnectionSecret, PodResources, PodTemplate};
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::{
            Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, HTTPGetAction,
            LocalObjectReference, PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec,
            PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, SecretVolumeSource,
            SecurityContext, Service, ServicePort, ServiceSpec, Toleration, Volume, VolumeMount,
        },
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use super::{CERTIFICATE_DIRECTORY, PORT_NAME, SERVICE_PORT, volume};
use crate::{
    args::Config,
    names::Owner,
    reconcile::validate::{Plan, PlannedServer, PlannedStorage},
};

const COMPONENT: &str = "server";

/// The conventional user of images without users.
const USER: i64 = 65532;

/// Readable by the owner and the group of the volume.
const SECRET_MODE: i32 = 0o440;

/// Endpoints are withdrawn late and clients hold connections: time to serve on while they leave.
const TERMINATION_GRACE_SECONDS: i64 = 60;

/// A pod that crashes at once never counts as rolled out.
const MIN_READY_SECONDS: i32 = 5;

/// What `/tmp` may take; servers are not meant to keep anything there.
const TMP_SIZE: &str = "64Mi";

const CERTIFICATE_VOLUME: &str = "certs";
const TMP_VOLUME: &str = "tmp";
const STORAGE_VOLUME: &str = "storage";

/// Where the server finds the Secret that names its database.
const STORAGE_DIRECTORY: &str = "/etc/apiserver/storage";

/// Where the server keeps its file.
const DATA_DIRECTORY: &str = "/var/lib/extension-apiserver";

/// How long the bundled server goes on after SIGTERM: the aggregator learns within it that the pod
/// leaves, and the drain has the rest of the grace period.
const SHUTDOWN_DELAY_SECONDS: i64 = 10;

/// With several replicas, how likely a request makes its connection end, so that clients spread:
/// upstream's advice.
const GOAWAY_CHANCE: &str = "0.001";

pub(super) fn deployment(plan: &Plan, config: &Config) -> Deployment {
    let owner = &plan.owner;
    Deployment {
        metadata: owner.metadata(&owner.namespace, owner.name.clone(), COMPONENT),
        spec: Some(DeploymentSpec {
            replicas: Some(plan.replicas),
            min_ready_seconds: Some(MIN_READY_SECONDS),
            revision_history_limit: Some(3),
            selector: LabelSelector {
                match_labels: Some(owner.selector()),
                ..LabelSelector::default()
            },
            strategy: Some(strategy(plan)),
            template: PodTemplateSpec {
                metadata: Some(pod_metadata(owner)),
                spec: Some(pod(plan, config)),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

/// A new pod is ready before an old one goes, unless both would need the same file.
fn strategy(plan: &Plan) -> DeploymentStrategy {
    if volume::planned(plan).is_some() {
        return DeploymentStrategy {
            type_: Some("Recreate".to_owned()),
            rolling_update: None,
        };
    }
    DeploymentStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(RollingUpdateDeployment {
            max_surge: Some(IntOrString::Int(1)),
            max_unavailable: Some(IntOrString::Int(0)),
        }),
    }
}

pub(super) fn service(owner: &Owner) -> Service {
    Service {
        metadata: owner.metadata(&owner.namespace, owner.name.clone(), COMPONENT),
        spec: Some(ServiceSpec {
            selector: Some(owner.selector()),
            ports: Some(vec![ServicePort {
                name: Some(PORT_NAME.to_owned()),
                port: SERVICE_PORT,
                protocol: Some("TCP".to_owned()),
                target_port: Some(IntOrString::String(PORT_NAME.to_owned())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// Service meshes stay out: the aggregator has no part in their mutual TLS, and the server
/// verifies its callers itself.
fn pod_metadata(owner: &Owner) -> ObjectMeta {
    let mut labels = owner.labels(COMPONENT);
    labels.insert("sidecar.istio.io/inject".to_owned(), "false".to_owned());
    ObjectMeta {
        labels: Some(labels),
        annotations: Some(BTreeMap::from([(
            "linkerd.io/inject".to_owned(),
            "disabled".to_owned(),
        )])),
        ..ObjectMeta::default()
    }
}

fn pod(plan: &Plan, config: &Config) -> PodSpec {
    // Without `..`, so that a field that is added to the overlay is not forgotten here.
    let PodTemplate {
        resources,
        node_selector,
        tolerations,
        image_pull_secrets,
    } = &plan.pod_template;
    PodSpec {
        service_account_name: Some(plan.owner.name.clone()),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(TERMINATION_GRACE_SECONDS),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                ..SeccompProfile::default()
            }),
            ..PodSecurityContext::default()
        }),
        containers: vec![container(plan, config, resources.as_ref())],
        volumes: Some(volumes(plan)),
        node_selector: (!node_selector.is_empty()).then(|| node_selector.clone()),
        tolerations: some(tolerations.iter().map(|toleration| Toleration {
            key: toleration.key.clone(),
            operator: toleration.operator.clone(),
            value: toleration.value.clone(),
            effect: toleration.effect.clone(),
            toleration_seconds: toleration.toleration_seconds,
        })),
        image_pull_secrets: some(
            image_pull_secrets
                .iter()
                .map(|secret| LocalObjectReference {
                    name: secret.name.clone(),
                }),
        ),
        ..PodSpec::default()
    }
}

fn volumes(plan: &Plan) -> Vec<Volume> {
    let secret = |volume: &str, name: String| Volume {
        name: volume.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(name),
            default_mode: Some(SECRET_MODE),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    };
    let mut volumes = vec![
        secret(CERTIFICATE_VOLUME, plan.owner.serving_secret()),
        Volume {
            name: TMP_VOLUME.to_owned(),
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: Some(Quantity(TMP_SIZE.to_owned())),
                ..EmptyDirVolumeSource::default()
            }),
            ..Volume::default()
        },
    ];
    volumes.extend(connection_secret(plan).map(|s| secret(STORAGE_VOLUME, s.name.clone())));
    volumes.extend(volume::planned(plan).map(|_| Volume {
        name: STORAGE_VOLUME.to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: plan.owner.data_claim(),
            read_only: None,
        }),
        ..Volume::default()
    }));
    volumes
}

fn volume_mounts(plan: &Plan) -> Vec<VolumeMount> {
    let mount = |volume: &str, path: &str, read_only: Option<bool>| VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only,
        ..VolumeMount::default()
    };
    let mut mounts = vec![
        mount(CERTIFICATE_VOLUME, CERTIFICATE_DIRECTORY, Some(true)),
        mount(TMP_VOLUME, "/tmp", None),
    ];
    mounts.extend(
        connection_secret(plan).map(|_| mount(STORAGE_VOLUME, STORAGE_DIRECTORY, Some(true))),
    );
    mounts.extend(volume::planned(plan).map(|_| mount(STORAGE_VOLUME, DATA_DIRECTORY, None)));
    mounts
}

/// The Secret that names the database, if there is one.
fn connection_secret(plan: &Plan) -> Option<&ConnectionSecret> {
    match &plan.server {
        PlannedServer::Bundled {
            storage: PlannedStorage::Postgres(secret),
            ..
        } => Some(secret),
        _ => None,
    }
}

fn container(plan: &Plan, config: &Config, resources: Option<&PodResources>) -> Container {
    let server = Server::of(plan, config);
    Container {
        name: "apiserver".to_owned(),
        image: Some(server.image),
        image_pull_policy: server.pull_policy,
        command: some(server.command),
        args: some(server.args),
        env: some(server.env),
        ports: Some(vec![ContainerPort {
            name: Some(PORT_NAME.to_owned()),
            container_port: server.port,
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        readiness_probe: Some(Probe {
            http_get: Some(https(&server.ready_path)),
            period_seconds: Some(5),
            timeout_seconds: Some(5),
            failure_threshold: Some(3),
            ..Probe::default()
        }),
        liveness_probe: Some(Probe {
            http_get: Some(https(&server.live_path)),
            initial_delay_seconds: Some(10),
            period_seconds: Some(10),
            timeout_seconds: Some(5),
            failure_threshold: Some(6),
            ..Probe::default()
        }),
        resources: Some(requirements(resources)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(volume_mounts(plan)),
        ..Container::default()
    }
}

/// What differs between the kinds of server.
struct Server {
    image: String,
    pull_policy: Option<String>,
    command: Vec<String>,
    args: Vec<String>,
    env: Vec<EnvVar>,
    port: i32,
    live_path: String,
    ready_path: String,
}

impl Server {
    fn of(plan: &Plan, config: &Config) -> Self {
        match &plan.server {
            PlannedServer::Bundled {
                storage,
                seed_examples,
            } => {
                let mut args = vec![
                    format!("--secure-port={BUNDLED_PORT}"),
                    format!("--tls-cert-file={CERTIFICATE_DIRECTORY}/tls.crt"),
                    format!("--tls-private-key-file={CERTIFICATE_DIRECTORY}/tls.key"),
                    match storage {
                        PlannedStorage::Memory => "--storage=memory".to_owned(),
                        PlannedStorage::Sqlite(_) => {
                            format!("--storage=sqlite:{DATA_DIRECTORY}/records.db")
                        }
                        PlannedStorage::Postgres(ConnectionSecret { key, .. }) => {
                            format!("--storage-secret-file={STORAGE_DIRECTORY}/{key}")
                        }
                    },
                ];
                // Where no other pod can take over, a delay would only make the gap longer.
                if volume::planned(plan).is_none() {
                    args.push(format!(
                        "--shutdown-delay-duration={SHUTDOWN_DELAY_SECONDS}s"
                    ));
                }
                if plan.replicas > 1 {
                    args.push(format!("--goaway-chance={GOAWAY_CHANCE}"));
                }
                if *seed_examples {
                    args.push("--seed-examples".to_owned());
                }
                Self {
                    image: config.server_image.clone(),
                    pull_policy: Some(config.server_image_pull_policy.clone()),
                    command: Vec::new(),
                    args,
                    env: Vec::new(),
                    port: BUNDLED_PORT,
                    live_path: "/livez".to_owned(),
                    ready_path: "/readyz".to_owned(),
                }
            }
            PlannedServer::Image(server) => {
                let crds::ImageServer {
                    image,
                    command,
                    args,
                    env,
                    port,
                    health_path,
                } = server;
                let path =
                    |default: &str| health_path.clone().unwrap_or_else(|| default.to_owned());
                Self {
                    image: image.clone(),
                    pull_policy: None,
                    command: command.clone(),
                    args: args.clone(),
                    env: env
                        .iter()
                        .map(|variable| EnvVar {
                            name: variable.name.clone(),
                            value: Some(variable.value.clone()),
                            value_from: None,
                        })
                        .collect(),
                    port: *port,
                    live_path: path("/livez"),
                    ready_path: path("/readyz"),
                }
            }
        }
    }
}

/// The port of the bundled server.
const BUNDLED_PORT: i32 = 8443;

fn https(path: &str) -> HTTPGetAction {
    HTTPGetAction {
        path: Some(path.to_owned()),
        port: IntOrString::String(PORT_NAME.to_owned()),
        scheme: Some("HTTPS".to_owned()),
        ..HTTPGetAction::default()
    }
}

/// Small requests so that a server fits anywhere, and a limit on memory so that one that leaks
/// hurts itself alone. What the user sets replaces the list it is in.
fn requirements(resources: Option<&PodResources>) -> ResourceRequirements {
    let default = |list: &[(&str, &str)]| {
        list.iter()
            .map(|(k, v)| ((*k).to_owned(), Quantity((*v).to_owned())))
            .collect()
    };
    let own = |list: Option<&BTreeMap<String, Quantity>>, otherwise: &[(&str, &str)]| {
        list.filter(|list| !list.is_empty())
            .cloned()
            .or_else(|| Some(default(otherwise)))
    };
    ResourceRequirements {
        requests: own(
            resources.map(|r| &r.requests),
            &[("cpu", "10m"), ("memory", "32Mi")],
        ),
        limits: own(resources.map(|r| &r.limits), &[("memory", "256Mi")]),
        claims: None,
    }
}

fn some<T>(items: impl IntoIterator<Item = T>) -> Option<Vec<T>> {
    let items: Vec<T> = items.into_iter().collect();
    (!items.is_empty()).then_some(items)
}
