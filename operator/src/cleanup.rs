//! Deletes every `ExtensionAPI` and waits for the end, for the time before an uninstall.
//!
//! Helm deletes custom resources after the Deployment of the operator that would have to finish
//! them, which leaves them and their registrations behind for good. This runs before: the operator
//! is still there and takes everything away in order. If it does not, finalizers are stripped
//! after a while; garbage collection then clears up, out of order but completely.

use std::time::Duration;

use crds::ExtensionAPI;
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams},
};
use thiserror::Error;
use tokio::time::Instant;

use crate::reconcile::strip_finalizer;

/// How often to look.
const INTERVAL: Duration = Duration::from_secs(1);

/// Why the cleanup did not end.
#[derive(Debug, Error)]
pub enum CleanupError {
    /// The objects could not be listed.
    #[error("cannot list ExtensionAPIs")]
    List(#[source] kube::Error),
    /// One could not be deleted.
    #[error("cannot delete ExtensionAPI {0}")]
    Delete(String, #[source] kube::Error),
    /// A finalizer could not be stripped.
    #[error("cannot strip the finalizer of ExtensionAPI {0}")]
    Strip(String, #[source] kube::Error),
}

/// Deletes all, waits, and strips what is left.
pub async fn cleanup(client: &Client, timeout: Duration) -> Result<(), CleanupError> {
    let api = Api::<ExtensionAPI>::all(client.clone());
    for object in list(&api).await? {
        let name = object.name_any();
        match api.delete(&name, &DeleteParams::background()).await {
            Ok(_) => tracing::info!(extension_api = name, "deletion requested"),
            Err(error) if is_not_found(&error) => {}
            Err(error) => return Err(CleanupError::Delete(name, error)),
        }
    }
    let deadline = Instant::now() + timeout;
    loop {
        let left = list(&api).await?;
        if left.is_empty() {
            tracing::info!("no ExtensionAPI is left");
            return Ok(());
        }
        if Instant::now() >= deadline {
            return strip(client, &left).await;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn strip(client: &Client, left: &[ExtensionAPI]) -> Result<(), CleanupError> {
    for object in left {
        let name = object.name_any();
        tracing::warn!(
            extension_api = name,
            "not gone in time: stripping the finalizer"
        );
        match strip_finalizer(client, object).await {
            Ok(()) => {}
            Err(error) if is_not_found(&error) => {}
            Err(error) => return Err(CleanupError::Strip(name, error)),
        }
    }
    Ok(())
}

/// All objects; none if their definition is gone.
async fn list(api: &Api<ExtensionAPI>) -> Result<Vec<ExtensionAPI>, CleanupError> {
    match api.list(&ListParams::default()).await {
        Ok(list) => Ok(list.items),
        Err(error) if is_not_found(&error) => Ok(Vec::new()),
        Err(error) => Err(CleanupError::List(error)),
    }
}

fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_not_found())
}
