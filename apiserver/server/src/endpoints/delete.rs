//! Delete of an object and of a collection.

use apimachinery::{ApiError, ListOptions, list_options::is_true, options::DeleteOptions as Rules};
use http::{HeaderMap, Response, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;

use super::{Call, decode};
use crate::{
    cacher::Selection,
    registry::{DeleteOptions, Deleted, PropagationPolicy},
    response::{self, Body},
};

/// `metav1.DeleteOptions` as a client sends it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SentOptions {
    kind: String,
    preconditions: Option<Preconditions>,
    propagation_policy: Option<String>,
    orphan_dependents: Option<bool>,
    dry_run: Vec<String>,
    /// Read so that a wrong type is told; objects here go at once.
    grace_period_seconds: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Preconditions {
    uid: Option<String>,
    resource_version: Option<String>,
}

impl Call<'_> {
    pub(super) async fn delete(&self, body: Incoming) -> Result<Response<Body>, ApiError> {
        let options = self.delete_options(body).await?;
        let (namespace, name) = (&self.resource.namespace, &self.resource.name);
        match self.store.delete(namespace, name, &options).await? {
            Deleted::Waiting(object) => self.object(StatusCode::OK, object),
            Deleted::Gone { uid } => {
                let status = Deleted::status(self.store, name, &uid);
                Ok(response::json(StatusCode::OK, &status))
            }
        }
    }

    pub(super) async fn delete_collection(
        &self,
        body: Incoming,
    ) -> Result<Response<Body>, ApiError> {
        let list_options = ListOptions::from_query(&self.info.query)?;
        let selection = Selection::from_options(&list_options, self.store.definition())?;
        let options = self.delete_options(body).await?;
        let (store, namespace) = (self.store, &self.resource.namespace);
        let deleted = store.delete_collection(namespace, &selection, &list_options, &options);
        self.listed(deleted.await?)
    }

    /// The options of a delete: the body's where there is one, else the query's.
    async fn delete_options(&self, body: Incoming) -> Result<DeleteOptions, ApiError> {
        let body = self.read(body).await?;
        let sent = if body.is_empty() {
            self.query_options()
        } else {
            sent_options(self.headers, &body)?
        };
        let SentOptions {
            kind,
            preconditions,
            propagation_policy,
            orphan_dependents,
            dry_run,
            grace_period_seconds: _,
        } = sent;
        if !matches!(kind.as_str(), "" | "DeleteOptions") {
            return Err(ApiError::bad_request(format!(
                "the body of a delete must be DeleteOptions, not {kind}"
            )));
        }
        let rules = Rules {
            orphan_dependents,
            propagation_policy,
            dry_run,
        };
        let errors = rules.validate();
        if !errors.is_empty() {
            return Err(ApiError::invalid(
                "meta.k8s.io",
                "DeleteOptions",
                "",
                &errors,
            ));
        }
        let Preconditions {
            uid,
            resource_version,
        } = preconditions.unwrap_or_default();
        Ok(DeleteOptions {
            uid,
            resource_version,
            propagation_policy: policy(&rules),
            dry_run: !rules.dry_run.is_empty(),
        })
    }

    fn query_options(&self) -> SentOptions {
        let text = |key: &str| self.info.parameter(key).map(str::to_owned);
        let given = |key: &str| text(key).filter(|v| !v.is_empty());
        SentOptions {
            preconditions: Some(Preconditions {
                uid: text("uid"),
                resource_version: text("resourceVersion"),
            }),
            propagation_policy: given("propagationPolicy"),
            orphan_dependents: given("orphanDependents").map(|v| is_true(&v)),
            dry_run: self
                .info
                .parameters("dryRun")
                .into_iter()
                .map(str::to_owned)
                .collect(),
            ..SentOptions::default()
        }
    }
}

pub(crate) fn sent_options(headers: &HeaderMap, body: &[u8]) -> Result<SentOptions, ApiError> {
    let value = decode::body(headers, body, "DeleteOptions")?.value;
    if !value.is_object() {
        let why = "the body must be an object of the kind DeleteOptions";
        return Err(ApiError::bad_request(why));
    }
    serde_json::from_value(value)
        .map_err(|e| ApiError::bad_request(format!("cannot decode DeleteOptions: {e}")))
}

fn policy(options: &Rules) -> Option<PropagationPolicy> {
    match (
        options.propagation_policy.as_deref(),
        options.orphan_dependents,
    ) {
        (Some("Orphan"), _) | (None, Some(true)) => Some(PropagationPolicy::Orphan),
        (Some("Foreground"), _) => Some(PropagationPolicy::Foreground),
        (Some(_), _) | (None, Some(false)) => Some(PropagationPolicy::Background),
        (None, None) => None,
    }
}
