//! Delete of an object and of a collection.

use apimachinery::{ApiError, FieldError, ListOptions};
use http::{Response, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;

use super::{Call, decode, dry_run};
use crate::{
    cacher::Selection,
    registry::{DeleteOptions, Deleted, PropagationPolicy, WriteOptions},
    response::{self, Body},
};

/// `metav1.DeleteOptions` as a client sends it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SentOptions {
    kind: String,
    preconditions: Option<Preconditions>,
    propagation_policy: Option<String>,
    orphan_dependents: Option<bool>,
    dry_run: Vec<String>,
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
        let namespace = &self.resource.namespace;
        let (objects, revision) = self
            .store
            .delete_collection(namespace, &selection, &options)
            .await?;
        let metadata = json!({ "resourceVersion": revision.to_string() });
        let mut list = self.list_head(&metadata).into_bytes();
        list.extend(objects.join(&b','));
        list.extend_from_slice(b"]}");
        Ok(response::bytes(StatusCode::OK, response::JSON, list.into()))
    }

    /// The options of a delete: the body's where there is one, else the query's.
    async fn delete_options(&self, body: Incoming) -> Result<DeleteOptions, ApiError> {
        let body = decode::read(body).await?;
        let sent = if body.is_empty() {
            self.query_options()
        } else {
            decode::require_json(self.headers)?;
            serde_json::from_slice(&body)
                .map_err(|e| ApiError::bad_request(format!("cannot decode DeleteOptions: {e}")))?
        };
        let SentOptions {
            kind,
            preconditions,
            propagation_policy,
            orphan_dependents,
            dry_run: dry,
        } = sent;
        if !matches!(kind.as_str(), "" | "DeleteOptions") {
            return Err(ApiError::bad_request(format!(
                "the body of a delete must be DeleteOptions, not {kind}"
            )));
        }
        let dry: Vec<&str> = dry.iter().map(String::as_str).collect();
        let Preconditions {
            uid,
            resource_version,
        } = preconditions.unwrap_or_default();
        Ok(DeleteOptions {
            uid,
            resource_version,
            propagation_policy: policy(propagation_policy.as_deref(), orphan_dependents)?,
            write: WriteOptions {
                dry_run: dry_run(&dry)?,
            },
        })
    }

    fn query_options(&self) -> SentOptions {
        let text = |key: &str| {
            self.info
                .parameter(key)
                .filter(|v| !v.is_empty())
                .map(str::to_owned)
        };
        let all = self.info.query.iter().filter(|(key, _)| key == "dryRun");
        SentOptions {
            kind: String::new(),
            preconditions: None,
            propagation_policy: text("propagationPolicy"),
            orphan_dependents: text("orphanDependents").map(|v| v == "true"),
            dry_run: all.map(|(_, value)| value.clone()).collect(),
        }
    }
}

fn policy(
    policy: Option<&str>,
    orphan_dependents: Option<bool>,
) -> Result<Option<PropagationPolicy>, ApiError> {
    let invalid = |error| Err(ApiError::invalid("", "DeleteOptions", "", &[error]));
    match (policy, orphan_dependents) {
        (Some(policy), Some(_)) => invalid(FieldError::invalid(
            "propagationPolicy",
            &json!(policy),
            "orphanDependents and deletionPropagation cannot be both set",
        )),
        (None, Some(true)) | (Some("Orphan"), None) => Ok(Some(PropagationPolicy::Orphan)),
        (None, Some(false)) | (Some("Background"), None) => Ok(Some(PropagationPolicy::Background)),
        (Some("Foreground"), None) => Ok(Some(PropagationPolicy::Foreground)),
        (None, None) => Ok(None),
        (Some(other), None) => invalid(FieldError::not_supported(
            "propagationPolicy",
            &json!(other),
            &["Foreground", "Background", "Orphan", ""],
        )),
    }
}
