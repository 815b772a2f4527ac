//! Says when to reconcile.
//!
//! Watches of children carry metadata only, and only of objects with the operator's label where
//! that is enough; nothing of them is kept. No event is filtered out: a deletion, and a label that
//! somebody removed, both have to wake the owner.
//!
//! Each watch backs off by itself. The controller would hold back all its triggers when one of
//! them fails, so errors of children's watches end here: a namespace that is gone, and with it the
//! operator's rights in it, must not slow the APIs in other namespaces.

use std::{fmt::Debug, future::Future, sync::Arc, time::Duration};

use crds::ExtensionAPI;
use futures::{Stream, StreamExt, future, stream};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Secret, Service, ServiceAccount},
        discovery::v1::EndpointSlice,
        rbac::v1::{ClusterRoleBinding, RoleBinding},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};
use kube::{Api, Client, Resource, ResourceExt, core::PartialObjectMeta};
use kube_runtime::{
    Controller, WatchStreamExt,
    controller::Config as ControllerConfig,
    reflector::{self, ObjectRef, Store},
    watcher,
};
use serde::de::DeserializeOwned;

use crate::{
    args::Config,
    names::{KUBE_SYSTEM, api_service_name, managed_selector},
};

/// Reconciles at once: each waits for the API server most of its time, and there are few objects.
const CONCURRENCY: u16 = 4;

/// Events of one write arrive together; one reconcile answers them all.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Objects per page of a list, so that a list of many does not decide the memory of the process.
const PAGE_SIZE: u32 = 50;

/// The controller with all its triggers.
pub(crate) fn controller(
    client: &Client,
    config: &Config,
    definition_changes: impl Stream<Item = ()> + Send + 'static,
    shutdown: impl Future<Output = ()> + Send + Sync + 'static,
) -> Controller<ExtensionAPI> {
    let everything = watcher::Config::default().page_size(PAGE_SIZE);
    let ours = everything.clone().labels(&managed_selector());
    let mut controller = Controller::new(Api::all(client.clone()), everything.clone())
        .with_config(
            ControllerConfig::default()
                .concurrency(CONCURRENCY)
                .debounce(DEBOUNCE),
        )
        .reconcile_all_on(definition_changes)
        .graceful_shutdown_on(shutdown);
    let apis = controller.store();
    let api_services = metadata::<APIService>(Api::all(client.clone()));
    controller = controller.reconcile_on(triggers(
        watcher(api_services, everything),
        move |api_service| claimants(&apis, &api_service),
    ));
    let bindings = metadata::<ClusterRoleBinding>(Api::all(client.clone()));
    controller = controller.reconcile_on(triggers(watcher(bindings, ours.clone()), owners));
    let bindings = metadata::<RoleBinding>(Api::namespaced(client.clone(), KUBE_SYSTEM));
    controller = controller.reconcile_on(triggers(watcher(bindings, ours.clone()), owners));
    let mut secret_namespaces = config.operand_namespaces.clone();
    secret_namespaces.push(config.operator_namespace.clone());
    secret_namespaces.sort();
    secret_namespaces.dedup();
    for namespace in &secret_namespaces {
        controller = watch::<Secret>(controller, client, namespace, &ours);
    }
    for namespace in &config.operand_namespaces {
        controller = watch::<ServiceAccount>(controller, client, namespace, &ours);
        controller = watch::<Deployment>(controller, client, namespace, &ours);
        controller = watch::<Service>(controller, client, namespace, &ours);
        controller = watch::<EndpointSlice>(controller, client, namespace, &ours);
    }
    controller
}

/// Keeps the names of all custom resource definitions, and yields when one of them changes.
///
/// The stream has to be polled for the store to fill.
pub(crate) fn definitions(
    client: &Client,
) -> (
    Store<PartialObjectMeta<CustomResourceDefinition>>,
    impl Stream<Item = ()> + Send + 'static + use<>,
) {
    let (reader, writer) = reflector::store();
    let api = metadata::<CustomResourceDefinition>(Api::all(client.clone()));
    let changes = watcher(api, watcher::Config::default().page_size(PAGE_SIZE))
        .default_backoff()
        .modify(|definition| {
            definition.metadata.managed_fields = None;
            definition.metadata.annotations = None;
            definition.metadata.labels = None;
        })
        .reflect(writer)
        .filter_map(|event| {
            future::ready(match event {
                Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => None,
                Ok(_) => Some(()),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot watch custom resource definitions"
                    );
                    None
                }
            })
        });
    (reader, changes)
}

fn watch<K>(
    controller: Controller<ExtensionAPI>,
    client: &Client,
    namespace: &str,
    config: &watcher::Config,
) -> Controller<ExtensionAPI>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let api = metadata::<K>(Api::namespaced(client.clone(), namespace));
    controller.reconcile_on(triggers(watcher(api, config.clone()), owners))
}

/// What a watch of children wakes. It never ends and never fails.
fn triggers<K>(
    events: impl Stream<Item = watcher::Result<watcher::Event<PartialObjectMeta<K>>>> + Send + 'static,
    woken: impl Fn(PartialObjectMeta<K>) -> Vec<ObjectRef<ExtensionAPI>> + Send + 'static,
) -> impl Stream<Item = ObjectRef<ExtensionAPI>> + Send + 'static
where
    K: Resource<DynamicType = ()> + Send + 'static,
{
    let touched = events.default_backoff().touched_objects();
    touched.flat_map(move |object| {
        let woken = match object {
            Ok(object) => woken(object),
            Err(error) => {
                tracing::warn!(
                    kind = %K::kind(&()),
                    error = &error as &dyn std::error::Error,
                    "cannot watch children"
                );
                Vec::new()
            }
        };
        stream::iter(woken)
    })
}

/// The same API with metadata only.
fn metadata<K>(api: Api<PartialObjectMeta<K>>) -> Api<PartialObjectMeta<K>> {
    api
}

/// The owners that an object names. An `EndpointSlice` has the Service for an owner but carries
/// the Service's labels, so the instance label counts as well.
fn owners<K: Resource>(object: PartialObjectMeta<K>) -> Vec<ObjectRef<ExtensionAPI>> {
    let metadata = object.metadata;
    let kind = ExtensionAPI::kind(&());
    let mut names: Vec<String> = metadata
        .owner_references
        .into_iter()
        .flatten()
        .filter(|reference| reference.kind == kind)
        .map(|reference| reference.name)
        .collect();
    names.extend(
        metadata
            .labels
            .and_then(|mut labels| labels.remove("app.kubernetes.io/instance")),
    );
    names.sort();
    names.dedup();
    names.iter().map(|name| ObjectRef::new(name)).collect()
}

/// Everyone who wants this `APIService`: its owner, and those who wait for it to go.
fn claimants(
    apis: &Store<ExtensionAPI>,
    api_service: &PartialObjectMeta<APIService>,
) -> Vec<ObjectRef<ExtensionAPI>> {
    let name = api_service.name_any();
    let wants = |api: &Arc<ExtensionAPI>| {
        api.spec
            .versions
            .iter()
            .any(|v| api_service_name(&api.spec.group, &v.name) == name)
    };
    let mut found: Vec<_> = apis
        .state()
        .iter()
        .filter(|api| wants(api))
        .map(|api| ObjectRef::from_obj(api.as_ref()))
        .collect();
    // A version that was removed from the spec is found by its owner.
    found.extend(owners(api_service.clone()));
    found
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt, stream};
    use k8s_openapi::api::core::v1::Secret;
    use kube::core::PartialObjectMeta;
    use kube_runtime::{reflector::ObjectRef, watcher};

    use super::{owners, triggers};

    fn secret(instance: &str) -> PartialObjectMeta<Secret> {
        let mut secret = PartialObjectMeta::<Secret>::default();
        let label = ("app.kubernetes.io/instance".to_owned(), instance.to_owned());
        secret.metadata.labels = Some([label].into());
        secret
    }

    /// The namespace that is watched is gone, and the rights in it; all others go on.
    #[tokio::test]
    async fn a_watch_that_fails_holds_back_no_other() {
        let failing = stream::repeat_with(|| Err(watcher::Error::NoResourceVersion));
        let healthy = stream::iter(["a", "b"].map(|name| Ok(watcher::Event::Apply(secret(name)))));
        let failing = triggers::<Secret>(failing, owners);
        let mut both = stream::select(failing, triggers(healthy, owners)).boxed();
        for name in ["a", "b"] {
            let woken = both.next().now_or_never();
            assert_eq!(woken, Some(Some(ObjectRef::new(name))));
        }
    }
}
