//! Object count quotas such as `count/datarecords.data.kubedojo.io`: upstream's admission plugin
//! `ResourceQuota` (`k8s.io/apiserver/pkg/admission/plugin/resourcequota`), for counts of objects only.
//!
//! The quota controller counts what there is; between its counts, each create adds one to what is
//! used and is refused when that is too much. A create that fails afterwards stays counted until the
//! controller counts again, as upstream. A server that may not read quotas does not keep them, and
//! says so in its log: an API must not depend on a right that most servers do not have.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use apimachinery::{ApiError, GroupResource, StatusReason};
use futures::StreamExt;
use k8s_openapi::{
    api::core::v1::{ResourceQuota, ResourceQuotaStatus},
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, PostParams},
};
use kube_runtime::{
    WatchStreamExt,
    reflector::{self, Store},
    watcher::{self, watcher},
};

/// How often a quota that somebody else changes meanwhile is charged, as often as a patch is tried.
const ATTEMPTS: u32 = 5;

/// The quotas of the cluster.
pub(super) struct ClusterQuotas {
    client: Client,
    known: Store<ResourceQuota>,
    /// Whether the cluster does not let this server read quotas.
    is_unreadable: AtomicBool,
}

impl fmt::Debug for ClusterQuotas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterQuotas")
            .field("known", &self.known.len())
            .finish_non_exhaustive()
    }
}

impl ClusterQuotas {
    /// The quotas of the client's cluster, and what follows them; it never ends.
    pub(super) fn new(client: Client) -> (Arc<Self>, impl Future<Output = ()> + Send) {
        let (known, writer) = reflector::store();
        let quotas = Arc::new(Self {
            client: client.clone(),
            known,
            is_unreadable: AtomicBool::new(false),
        });
        let this = Arc::clone(&quotas);
        let follow = async move {
            let events = watcher(
                Api::<ResourceQuota>::all(client),
                watcher::Config::default(),
            );
            let mut events = std::pin::pin!(events.default_backoff().reflect(writer));
            while let Some(event) = events.next().await {
                this.note(event.err());
            }
        };
        (quotas, follow)
    }

    fn note(&self, error: Option<watcher::Error>) {
        let forbidden = error.as_ref().is_some_and(is_forbidden);
        let before = self.is_unreadable.swap(forbidden, Ordering::Relaxed);
        match error {
            Some(error) if forbidden && !before => {
                tracing::warn!(%error, "quotas are not kept: grant get, list and watch on resourcequotas");
            }
            Some(error) if !forbidden => tracing::warn!(%error, "cannot follow the quotas"),
            _ => {}
        }
    }

    /// Counts an object that is about to be created.
    pub(super) async fn charge(
        &self,
        namespace: &str,
        resource: &GroupResource,
        name: &str,
    ) -> Result<(), ApiError> {
        if self.is_unreadable.load(Ordering::Relaxed) {
            return Ok(());
        }
        let key = format!("count/{resource}");
        let api: Api<ResourceQuota> = Api::namespaced(self.client.clone(), namespace);
        let quotas = self.of(&api, namespace).await?;
        let limiting: Vec<_> = quotas.into_iter().filter(|q| limits(q, &key)).collect();
        for quota in &limiting {
            charged(quota, &key).map_err(|why| ApiError::forbidden(resource, name, &why))?;
        }
        for quota in limiting {
            let refused = |why: String| ApiError::forbidden(resource, name, &why);
            self.charge_one(&api, quota, &key, refused).await?;
        }
        Ok(())
    }

    /// The quotas of a namespace: those that are known, or those that the cluster names.
    async fn of(
        &self,
        api: &Api<ResourceQuota>,
        namespace: &str,
    ) -> Result<Vec<ResourceQuota>, ApiError> {
        let is_loaded = futures::poll!(std::pin::pin!(self.known.wait_until_ready())).is_ready();
        if is_loaded {
            let all = self.known.state();
            let own = all
                .iter()
                .filter(|q| q.namespace().as_deref() == Some(namespace));
            return Ok(own.map(|quota| (**quota).clone()).collect());
        }
        match api.list(&ListParams::default()).await {
            Ok(list) => Ok(list.items),
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(Vec::new()),
            Err(error) => Err(no_answer(error)),
        }
    }

    async fn charge_one(
        &self,
        api: &Api<ResourceQuota>,
        mut quota: ResourceQuota,
        key: &str,
        refused: impl Fn(String) -> ApiError,
    ) -> Result<(), ApiError> {
        let (name, params) = (quota.name_any(), PostParams::default());
        for _ in 0..ATTEMPTS {
            let changed = charged(&quota, key).map_err(&refused)?;
            let written = api.replace_status(&name, &params, &changed);
            match written.await {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
                Err(kube::Error::Api(status)) if status.code == 403 => {
                    tracing::warn!(
                        quota = name,
                        "cannot charge a quota: grant update on resourcequotas/status"
                    );
                    return Ok(());
                }
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    quota = match api.get_opt(&name).await.map_err(no_answer)? {
                        Some(quota) => quota,
                        None => return Ok(()),
                    };
                }
                Err(error) => return Err(no_answer(error)),
            }
        }
        Err(no_answer("the quota changes all the time"))
    }
}

fn is_forbidden(error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(source)
    | watcher::Error::WatchStartFailed(source)
    | watcher::Error::WatchFailed(source)) = error
    else {
        return false;
    };
    matches!(source, kube::Error::Api(status) if status.code == 403)
}

fn no_answer(why: impl fmt::Display) -> ApiError {
    ApiError::new(
        StatusReason::ServiceUnavailable,
        "cannot count against the namespace's quotas; nothing is created without it",
    )
    .with_retry_after(1)
    .with_internal(why)
}

fn limits(quota: &ResourceQuota, key: &str) -> bool {
    let hard = quota.spec.as_ref().and_then(|spec| spec.hard.as_ref());
    hard.is_some_and(|hard| hard.contains_key(key))
}

/// The quota with one more object counted, or why there is no room.
fn charged(quota: &ResourceQuota, key: &str) -> Result<ResourceQuota, String> {
    let name = quota.name_any();
    let unknown = || format!("status unknown for quota: {name}, resources: {key}");
    let mut quota = quota.clone();
    let status: &mut ResourceQuotaStatus = quota.status.get_or_insert_default();
    let count = |of: &Option<std::collections::BTreeMap<String, Quantity>>| {
        of.as_ref().and_then(|of| number(of.get(key)?))
    };
    let (Some(hard), Some(used)) = (count(&status.hard), count(&status.used)) else {
        return Err(unknown());
    };
    if used >= hard {
        return Err(format!(
            "exceeded quota: {name}, requested: {key}=1, used: {key}={used}, limited: {key}={hard}"
        ));
    }
    let now = Quantity((used + 1).to_string());
    status
        .used
        .get_or_insert_default()
        .insert(key.to_owned(), now);
    Ok(quota)
}

/// A count; with the suffixes that a count can have.
fn number(quantity: &Quantity) -> Option<i64> {
    let text = quantity.0.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: i64 = match text.get(digits.len()..)? {
        "" => 1,
        "k" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEY: &str = "count/rs.g";

    fn quota(hard: &str, used: &str) -> ResourceQuota {
        serde_json::from_value(json!({
            "metadata": { "name": "q" }, "spec": { "hard": { KEY: hard } },
            "status": { "hard": { KEY: hard }, "used": { KEY: used } },
        }))
        .unwrap()
    }

    #[test]
    fn one_more_is_counted_until_the_quota_is_full() {
        let counted = charged(&quota("2", "1"), KEY).unwrap();
        assert_eq!(counted.status.unwrap().used.unwrap()[KEY].0, "2");
        assert_eq!(
            charged(&quota("2", "2"), KEY).unwrap_err(),
            "exceeded quota: q, requested: count/rs.g=1, used: count/rs.g=2, limited: count/rs.g=2"
        );
        assert!(charged(&quota("1k", "999"), KEY).is_ok());
        assert!(charged(&quota("1k", "1000"), KEY).is_err());
    }

    #[test]
    fn a_quota_that_was_never_counted_lets_nothing_in() {
        let mut fresh = quota("2", "1");
        fresh.status = None;
        assert!(limits(&fresh, KEY) && !limits(&fresh, "count/others.g"));
        assert_eq!(
            charged(&fresh, KEY).unwrap_err(),
            "status unknown for quota: q, resources: count/rs.g"
        );
    }
}
