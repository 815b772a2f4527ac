//! What every reconcile shares.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crds::ExtensionAPI;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Client, core::PartialObjectMeta};
use kube_runtime::reflector::Store;

use crate::{args::Config, metrics::Metrics};

/// The first wait after an error; it doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(1);

/// The longest wait after an error: an API server that came back is noticed within it.
const RETRY_MAX: Duration = Duration::from_mins(1);

/// What every reconcile shares.
pub struct Context {
    /// Talks to the API server. It does not retry on its own.
    pub client: Client,
    /// How the operator runs.
    pub config: Config,
    /// Counts.
    pub metrics: Metrics,
    /// Every `ExtensionAPI`.
    pub apis: Store<ExtensionAPI>,
    /// The names of all custom resource definitions.
    pub definitions: Store<PartialObjectMeta<CustomResourceDefinition>>,
    /// How often each object failed in a row; a std lock, never held over an await.
    failures: Mutex<HashMap<String, u32>>,
}

impl Context {
    /// A context without failures.
    pub fn new(
        client: Client,
        config: Config,
        metrics: Metrics,
        apis: Store<ExtensionAPI>,
        definitions: Store<PartialObjectMeta<CustomResourceDefinition>>,
    ) -> Self {
        Self {
            client,
            config,
            metrics,
            apis,
            definitions,
            failures: Mutex::default(),
        }
    }

    /// Notes a failure and tells how long to wait before the next try.
    pub fn failed(&self, name: &str) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(name.to_owned()).or_default();
        let wait = retry_after(*count);
        *count = count.saturating_add(1);
        wait
    }

    /// Forgets the failures of an object.
    pub fn succeeded(&self, name: &str) {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
    }
}

fn retry_after(failures: u32) -> Duration {
    RETRY_MIN
        .saturating_mul(1_u32.checked_shl(failures.min(16)).unwrap_or(u32::MAX))
        .min(RETRY_MAX)
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{RETRY_MAX, RETRY_MIN, retry_after};

    #[test]
    fn waits_double_up_to_a_minute() {
        assert_eq!(retry_after(0), RETRY_MIN);
        assert_eq!(retry_after(3), RETRY_MIN * 8);
        assert_eq!(retry_after(400), RETRY_MAX);
    }
}
