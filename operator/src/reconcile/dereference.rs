//! Reads all that a reconcile depends on. It decides nothing.
//!
//! Children are read live rather than from caches: that costs a dozen small requests for a
//! reconcile, of which there are few, and saves the memory and the staleness of whole-object
//! caches. Watches carry metadata only and say when to look.

use std::net::{IpAddr, SocketAddr};

use crds::ExtensionAPI;
use futures::try_join;
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Namespace, Pod, Secret, Service, ServiceAccount},
        discovery::v1::EndpointSlice,
        rbac::v1::{ClusterRoleBinding, RoleBinding},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};
use kube::{Api, Client, ResourceExt, api::ListParams};

use super::{build::PORT_NAME, error::DereferenceError};
use crate::{
    context::Context,
    names::{KUBE_SYSTEM, OWNER_UID_LABEL, Owner, api_service_name},
};

/// Pods looked at for what keeps them from starting. One message is shown, a few are enough.
const PODS_MAX: u32 = 20;

/// The namespace of the workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum NamespaceState {
    /// It is there.
    #[default]
    Present,
    /// It is not.
    Missing,
    /// It is on its way out; nothing can be created in it.
    Terminating,
    /// The operator has no rights in it.
    NotManaged,
}

impl NamespaceState {
    /// Whether a server in it is gone, or about to go, for good.
    pub(crate) fn is_lost(self) -> bool {
        match self {
            Self::Missing | Self::Terminating => true,
            Self::Present | Self::NotManaged => false,
        }
    }
}

/// A custom resource definition of the same group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Definition {
    /// Its name.
    pub name: String,
    /// The versions that it serves.
    pub versions: Vec<String>,
}

/// Another `ExtensionAPI`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// Its name.
    pub name: String,
    /// Whether it was created before the one that is reconciled.
    pub is_elder: bool,
    /// Its group.
    pub group: String,
    /// Its versions.
    pub versions: Vec<String>,
}

/// All that a reconcile depends on.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    /// The namespace of the workload.
    pub namespace: NamespaceState,
    /// The authority's Secret.
    pub ca_secret: Option<Secret>,
    /// The serving certificate's Secret.
    pub serving_secret: Option<Secret>,
    /// The server's account.
    pub service_account: Option<ServiceAccount>,
    /// The binding to `system:auth-delegator`.
    pub auth_delegator: Option<ClusterRoleBinding>,
    /// The binding that lets the server read namespaces.
    pub admission: Option<ClusterRoleBinding>,
    /// The binding in kube-system.
    pub auth_reader: Option<RoleBinding>,
    /// The server.
    pub deployment: Option<Deployment>,
    /// The way to it.
    pub service: Option<Service>,
    /// The `APIService` of each wanted version, whoever owns it, and all that are ours.
    pub api_services: Vec<APIService>,
    /// Custom resource definitions of the same group.
    pub definitions: Vec<Definition>,
    /// Other `ExtensionAPI` objects.
    pub peers: Vec<Peer>,
    /// Ready endpoints of the Service.
    pub endpoints: Vec<SocketAddr>,
    /// The server's pods.
    pub pods: Vec<Pod>,
}

impl World {
    /// The older `ExtensionAPI` that wants the same group and version.
    pub(super) fn elder_claims(&self, group: &str, version: &str) -> Option<&str> {
        self.peers
            .iter()
            .find(|peer| {
                peer.is_elder && peer.group == group && peer.versions.iter().any(|v| v == version)
            })
            .map(|peer| peer.name.as_str())
    }

    /// The metadata of every child that is there, apart from `APIService` objects.
    pub(super) fn children_metadata(&self) -> Vec<(&'static str, &ObjectMeta)> {
        let Self {
            namespace: _,
            ca_secret,
            serving_secret,
            service_account,
            auth_delegator,
            admission,
            auth_reader,
            deployment,
            service,
            api_services: _,
            definitions: _,
            peers: _,
            endpoints: _,
            pods: _,
        } = self;
        [
            ca_secret
                .as_ref()
                .map(|object| ("Secret", &object.metadata)),
            serving_secret
                .as_ref()
                .map(|object| ("Secret", &object.metadata)),
            service_account
                .as_ref()
                .map(|object| ("ServiceAccount", &object.metadata)),
            auth_delegator
                .as_ref()
                .map(|object| ("ClusterRoleBinding", &object.metadata)),
            admission
                .as_ref()
                .map(|object| ("ClusterRoleBinding", &object.metadata)),
            auth_reader
                .as_ref()
                .map(|object| ("RoleBinding", &object.metadata)),
            deployment
                .as_ref()
                .map(|object| ("Deployment", &object.metadata)),
            service.as_ref().map(|object| ("Service", &object.metadata)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Reads the world around one `ExtensionAPI`.
pub(super) async fn dereference(
    context: &Context,
    api: &ExtensionAPI,
    owner: &Owner,
) -> Result<World, DereferenceError> {
    let client = &context.client;
    let mut world = World {
        namespace: namespace(context, &owner.namespace).await?,
        peers: peers(context, api),
        definitions: definitions(context, &api.spec.group).await?,
        ..World::default()
    };
    let cluster_wide = async {
        try_join!(
            read(
                Api::<Secret>::namespaced(client.clone(), &context.config.operator_namespace),
                owner.ca_secret()
            ),
            read(
                Api::<ClusterRoleBinding>::all(client.clone()),
                owner.auth_delegator()
            ),
            read(
                Api::<ClusterRoleBinding>::all(client.clone()),
                owner.admission()
            ),
            read(
                Api::<RoleBinding>::namespaced(client.clone(), KUBE_SYSTEM),
                owner.auth_reader()
            ),
            api_services(client, api, owner),
        )
    };
    (
        world.ca_secret,
        world.auth_delegator,
        world.admission,
        world.auth_reader,
        world.api_services,
    ) = cluster_wide.await?;
    if matches!(
        world.namespace,
        NamespaceState::Present | NamespaceState::Terminating
    ) {
        workload(client, owner, &mut world).await?;
    }
    Ok(world)
}

/// The object as it is now; the cache may be behind what this operator itself has written.
pub(super) async fn current(
    client: &Client,
    name: &str,
) -> Result<Option<ExtensionAPI>, DereferenceError> {
    read(Api::all(client.clone()), name.to_owned()).await
}

async fn workload(
    client: &Client,
    owner: &Owner,
    world: &mut World,
) -> Result<(), DereferenceError> {
    let namespace = &owner.namespace;
    let slices =
        ListParams::default().labels(&format!("kubernetes.io/service-name={}", owner.name));
    let pods = ListParams::default()
        .labels(&owner.selector_text())
        .limit(PODS_MAX);
    let (slices_api, pods_api) = (
        Api::<EndpointSlice>::namespaced(client.clone(), namespace),
        Api::<Pod>::namespaced(client.clone(), namespace),
    );
    let list = |kind: &'static str| move |source| DereferenceError::List { kind, source };
    let (serving_secret, service_account, deployment, service, slices, pods) = try_join!(
        read(
            Api::namespaced(client.clone(), namespace),
            owner.serving_secret()
        ),
        read(
            Api::namespaced(client.clone(), namespace),
            owner.name.clone()
        ),
        read(
            Api::namespaced(client.clone(), namespace),
            owner.name.clone()
        ),
        read(
            Api::namespaced(client.clone(), namespace),
            owner.name.clone()
        ),
        async {
            slices_api
                .list(&slices)
                .await
                .map_err(list("EndpointSlice"))
        },
        async { pods_api.list(&pods).await.map_err(list("Pod")) },
    )?;
    world.serving_secret = serving_secret;
    world.service_account = service_account;
    world.deployment = deployment;
    world.service = service;
    world.endpoints = slices.items.iter().flat_map(ready_endpoints).collect();
    world.pods = pods.items;
    Ok(())
}

async fn read<K>(api: Api<K>, name: String) -> Result<Option<K>, DereferenceError>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    api.get_opt(&name)
        .await
        .map_err(|source| DereferenceError::Get {
            kind: K::kind(&()).into_owned(),
            name,
            source,
        })
}

async fn namespace(context: &Context, name: &str) -> Result<NamespaceState, DereferenceError> {
    if !context.config.manages(name) {
        return Ok(NamespaceState::NotManaged);
    }
    let namespace: Option<Namespace> =
        read(Api::all(context.client.clone()), name.to_owned()).await?;
    Ok(match namespace {
        None => NamespaceState::Missing,
        Some(namespace) if namespace.metadata.deletion_timestamp.is_some() => {
            NamespaceState::Terminating
        }
        Some(_) => NamespaceState::Present,
    })
}

async fn api_services(
    client: &Client,
    api: &ExtensionAPI,
    owner: &Owner,
) -> Result<Vec<APIService>, DereferenceError> {
    let all = Api::<APIService>::all(client.clone());
    let ours = ListParams::default().labels(&format!("{OWNER_UID_LABEL}={}", owner.uid));
    let mut found = all
        .list(&ours)
        .await
        .map_err(|source| DereferenceError::List {
            kind: "APIService",
            source,
        })?
        .items;
    for version in &api.spec.versions {
        let name = api_service_name(&api.spec.group, &version.name);
        if !found.iter().any(|known| known.name_any() == name) {
            found.extend(read(all.clone(), name).await?);
        }
    }
    Ok(found)
}

/// Definitions are named after their group, so the names tell which few are worth reading.
async fn definitions(context: &Context, group: &str) -> Result<Vec<Definition>, DereferenceError> {
    context
        .definitions
        .wait_until_ready()
        .await
        .map_err(|_| DereferenceError::Stopping)?;
    let suffix = format!(".{group}");
    let names: Vec<String> = context
        .definitions
        .state_filter(|definition| {
            // Only a plural stands before the group: `a.b.example.com` is not of `example.com`.
            definition.metadata.name.as_ref().is_some_and(|name| {
                name.strip_suffix(&suffix)
                    .is_some_and(|plural| !plural.contains('.'))
            })
        })
        .iter()
        .map(|definition| definition.name_any())
        .collect();
    let mut definitions = Vec::new();
    for name in names {
        let api = Api::<CustomResourceDefinition>::all(context.client.clone());
        if let Some(definition) = read(api, name).await? {
            definitions.push(Definition {
                name: definition.name_any(),
                versions: definition
                    .spec
                    .versions
                    .into_iter()
                    .filter(|version| version.served)
                    .map(|version| version.name)
                    .collect(),
            });
        }
    }
    Ok(definitions)
}

fn peers(context: &Context, api: &ExtensionAPI) -> Vec<Peer> {
    let age = |api: &ExtensionAPI| {
        (
            api.metadata.creation_timestamp.clone().map(|t| t.0),
            api.uid(),
        )
    };
    context
        .apis
        .state()
        .iter()
        .filter(|peer| peer.uid() != api.uid())
        .map(|peer| Peer {
            name: peer.name_any(),
            is_elder: age(peer) < age(api),
            group: peer.spec.group.clone(),
            versions: peer
                .spec
                .versions
                .iter()
                .map(|version| version.name.clone())
                .collect(),
        })
        .collect()
}

fn ready_endpoints(slice: &EndpointSlice) -> Vec<SocketAddr> {
    let port = slice
        .ports
        .iter()
        .flatten()
        .find(|port| port.name.as_deref() == Some(PORT_NAME))
        .and_then(|port| u16::try_from(port.port?).ok());
    let Some(port) = port else { return Vec::new() };
    slice
        .endpoints
        .iter()
        .filter(|endpoint| {
            // An unset condition counts as ready, as upstream documents.
            endpoint
                .conditions
                .as_ref()
                .is_none_or(|conditions| conditions.ready != Some(false))
        })
        .flat_map(|endpoint| &endpoint.addresses)
        .filter_map(|address| address.parse::<IpAddr>().ok())
        .map(|address| SocketAddr::new(address, port))
        .collect()
}

/// The time, in whole seconds as Kubernetes writes it.
pub(super) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
