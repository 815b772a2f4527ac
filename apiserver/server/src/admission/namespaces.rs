//! Whether a namespace takes new objects: upstream's admission plugin `NamespaceLifecycle`
//! (`k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle`).
//!
//! A cache follows the cluster's namespaces; what it does not know is looked up, so that an object
//! can be created right after its namespace. Without an answer nothing is created.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use apimachinery::{ApiError, GroupResource, StatusReason};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt, core::PartialObjectMeta};
use kube_runtime::{
    WatchStreamExt,
    watcher::{self, watcher},
};
use parking_lot::RwLock;

/// How long a look-up may take.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// The namespaces of the cluster.
pub(super) struct ClusterNamespaces {
    api: Api<PartialObjectMeta<Namespace>>,
    /// By name; held only to look one up or to note a change.
    known: RwLock<HashMap<String, State>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Active,
    Terminating,
}

impl fmt::Debug for ClusterNamespaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterNamespaces")
            .field("known", &self.known.read().len())
            .finish_non_exhaustive()
    }
}

impl ClusterNamespaces {
    /// The namespaces of the client's cluster; [`follow`](Self::follow) keeps them up to date.
    pub(super) fn new(client: Client) -> Arc<Self> {
        Arc::new(Self {
            api: Api::all(client),
            known: RwLock::default(),
        })
    }

    /// Follows the cluster's namespaces; never ends.
    pub(super) async fn follow(self: Arc<Self>) {
        let events = watcher(self.api.clone(), watcher::Config::default());
        let mut events = std::pin::pin!(events.default_backoff());
        let mut fresh = HashMap::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Init) => fresh.clear(),
                Ok(watcher::Event::InitApply(found)) => {
                    fresh.insert(
                        found.name_any(),
                        state(found.metadata.deletion_timestamp.is_some()),
                    );
                }
                Ok(watcher::Event::InitDone) => *self.known.write() = std::mem::take(&mut fresh),
                Ok(watcher::Event::Apply(found)) => {
                    let state = state(found.metadata.deletion_timestamp.is_some());
                    self.known.write().insert(found.name_any(), state);
                }
                Ok(watcher::Event::Delete(found)) => {
                    self.known.write().remove(&found.name_any());
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot follow the namespaces; each create looks one up");
                    self.known.write().clear();
                }
            }
        }
    }

    /// Whether an object may be created in a namespace.
    pub(super) async fn check(
        &self,
        namespace: &str,
        resource: &GroupResource,
        name: &str,
    ) -> Result<(), ApiError> {
        let known = self.known.read().get(namespace).copied();
        let state = match known {
            Some(state) => Some(state),
            None => self.look_up(namespace).await?,
        };
        decide(state, namespace, resource, name)
    }

    async fn look_up(&self, name: &str) -> Result<Option<State>, ApiError> {
        let no_answer = |why: String| {
            ApiError::new(
                StatusReason::ServiceUnavailable,
                format!("cannot look up the namespace {name:?}; nothing is created without it"),
            )
            .with_retry_after(1)
            .with_internal(why)
        };
        match tokio::time::timeout(LOOK_UP_TIMEOUT, self.api.get_metadata_opt(name)).await {
            Ok(Ok(found)) => {
                Ok(found.map(|found| state(found.metadata.deletion_timestamp.is_some())))
            }
            Ok(Err(error)) => Err(no_answer(error.to_string())),
            Err(_) => Err(no_answer(format!("no answer within {LOOK_UP_TIMEOUT:?}"))),
        }
    }
}

fn state(is_terminating: bool) -> State {
    if is_terminating {
        State::Terminating
    } else {
        State::Active
    }
}

fn decide(
    state: Option<State>,
    namespace: &str,
    resource: &GroupResource,
    name: &str,
) -> Result<(), ApiError> {
    match state {
        Some(State::Active) => Ok(()),
        Some(State::Terminating) => Err(ApiError::namespace_terminating(resource, name, namespace)),
        None => {
            let namespaces = GroupResource {
                group: String::new(),
                resource: "namespaces".to_owned(),
            };
            Err(ApiError::not_found(&namespaces, namespace))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// V13: a missing namespace is 404, one on its way out 403 with the cause that clients look for.
    #[test]
    fn only_an_active_namespace_takes_objects() {
        let resource = GroupResource {
            group: "g".to_owned(),
            resource: "rs".to_owned(),
        };
        let decide = |state| decide(state, "n", &resource, "a");
        assert!(decide(Some(State::Active)).is_ok());
        let missing = decide(None).unwrap_err();
        assert_eq!(missing.code(), 404);
        assert_eq!(missing.to_string(), "namespaces \"n\" not found");
        let terminating = decide(Some(State::Terminating)).unwrap_err().to_status();
        assert_eq!(terminating["code"], 403);
        assert_eq!(
            terminating["message"],
            "rs.g \"a\" is forbidden: unable to create new content in namespace n because it is \
             being terminated"
        );
        assert_eq!(
            terminating["details"]["causes"][0]["reason"],
            "NamespaceTerminating"
        );
    }
}
