//! The finalizer exists for order alone: without it garbage collection would take the server
//! away before the registration that points at it.

use crds::ExtensionAPI;
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::error::ReconcileError;
use crate::names::FINALIZER;

/// Sets the finalizer unless it is there.
pub(super) async fn ensure(client: &Client, api: &ExtensionAPI) -> Result<(), ReconcileError> {
    if api
        .finalizers()
        .iter()
        .any(|finalizer| finalizer == FINALIZER)
    {
        return Ok(());
    }
    let mut finalizers = api.finalizers().to_vec();
    finalizers.push(FINALIZER.to_owned());
    write(client, api, &finalizers)
        .await
        .map_err(ReconcileError::Finalizer)
}

/// Removes the finalizer if it is there.
pub(super) async fn remove(client: &Client, api: &ExtensionAPI) -> Result<(), ReconcileError> {
    match strip(client, api).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        result => result.map_err(ReconcileError::Finalizer),
    }
}

/// Removes the finalizer if it is there, for whoever clears up.
pub(crate) async fn strip(client: &Client, api: &ExtensionAPI) -> kube::Result<()> {
    if !api
        .finalizers()
        .iter()
        .any(|finalizer| finalizer == FINALIZER)
    {
        return Ok(());
    }
    let finalizers: Vec<String> = api
        .finalizers()
        .iter()
        .filter(|finalizer| *finalizer != FINALIZER)
        .cloned()
        .collect();
    write(client, api, &finalizers).await
}

/// The resource version makes the API server refuse if somebody else changed the list meanwhile.
async fn write(client: &Client, api: &ExtensionAPI, finalizers: &[String]) -> kube::Result<()> {
    let patch = json!({
        "metadata": { "finalizers": finalizers, "resourceVersion": api.resource_version() },
    });
    Api::<ExtensionAPI>::all(client.clone())
        .patch(
            &api.name_any(),
            &PatchParams::default(),
            &Patch::Merge(patch),
        )
        .await
        .map(drop)
}
