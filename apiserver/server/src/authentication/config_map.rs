//! Follows the ConfigMap in which kube-apiserver publishes its authorities.
//!
//! Every change counts at once. A value that cannot be read keeps the last good one, and so does a
//! ConfigMap that may not be read; a deleted ConfigMap drops the trust.
//!
//! Deviation: after errors upstream's reflector pauses for up to 30 seconds, here it is four, because
//! until then an authority that was taken back is believed.

use std::{ops::RangeInclusive, pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use kube_runtime::{WatchStreamExt, utils::Backoff, watcher};
use rand::RngExt;

use super::trust::{Trust, TrustStore};

const NAMESPACE: &str = "kube-system";
const NAME: &str = "extension-apiserver-authentication";
/// Milliseconds between an error and the next try; spread out, so that not all replicas come at once.
const PAUSE_MILLIS: RangeInclusive<u64> = 1000..=4000;

/// Keeps a store equal to the ConfigMap; never ends by itself.
pub async fn follow_authentication_config(client: Client, store: Arc<TrustStore>) {
    let api: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
    let mut changes = pin!(watcher::watch_object(api, NAME).backoff(Pauses));
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

/// Pauses that do not grow.
#[derive(Debug)]
struct Pauses;

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let millis = rand::rng().random_range(PAUSE_MILLIS);
        Some(Duration::from_millis(millis))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {}
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
