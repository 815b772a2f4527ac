//! Follows the ConfigMap in which kube-apiserver publishes its authorities.
//!
//! Every change counts at once. A value that cannot be read keeps the last good one; a deleted
//! ConfigMap drops the trust.

use std::{pin::pin, sync::Arc};

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use kube_runtime::{WatchStreamExt, watcher};

use super::trust::{Trust, TrustStore};

const NAMESPACE: &str = "kube-system";
const NAME: &str = "extension-apiserver-authentication";

/// Keeps a store equal to the ConfigMap; never ends by itself.
pub async fn follow_authentication_config(client: Client, store: Arc<TrustStore>) {
    let api: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
    let mut changes = pin!(watcher::watch_object(api, NAME).default_backoff());
    while let Some(change) = changes.next().await {
        match change {
            Ok(Some(config_map)) => apply(&store, config_map),
            Ok(None) => {
                if store.swap(Trust::default()) {
                    tracing::error!("ConfigMap {NAMESPACE}/{NAME} is gone: nobody is trusted");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot watch ConfigMap {NAMESPACE}/{NAME}; bind the \
                    Role extension-apiserver-authentication-reader to this ServiceAccount");
            }
        }
    }
}

fn apply(store: &TrustStore, config_map: ConfigMap) {
    match Trust::from_config_map(&config_map.data.unwrap_or_default()) {
        Ok(trust) => {
            let warning = trust.warnings();
            if store.swap(trust) {
                tracing::info!("client authorities loaded from ConfigMap {NAMESPACE}/{NAME}");
                if let Some(warning) = warning {
                    tracing::warn!("{warning}");
                }
            }
        }
        Err(error) => {
            tracing::error!(
                error,
                "ConfigMap {NAMESPACE}/{NAME} is broken; the last good value stays"
            );
        }
    }
}
