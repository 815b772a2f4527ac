//! What can be done with a fleet beside reading and writing it.

use apimachinery::{ApiError, Object, SubresourceDefinition};
use apiserver::{
    registry::{FieldValidation, Patch, Subresource},
    subresource::{CustomSubresource, SubresourceAnswer, SubresourceRequest},
};
use futures::{FutureExt, future::BoxFuture};
use http::StatusCode;
use serde_json::json;

pub(crate) fn definitions(version: &str) -> Vec<SubresourceDefinition> {
    let kind = |kind: &str| (crate::GROUP.to_owned(), version.to_owned(), kind.to_owned());
    vec![
        SubresourceDefinition {
            name: "recall".to_owned(),
            group_version_kind: kind("Recall"),
            verbs: vec!["create".to_owned()],
        },
        SubresourceDefinition {
            name: "log".to_owned(),
            group_version_kind: kind("Fleet"),
            verbs: Vec::new(),
        },
    ]
}

/// An action, as `pods/eviction` is one: calls all ships back.
#[derive(Debug)]
pub(crate) struct Recall;

impl CustomSubresource for Recall {
    fn answer<'a>(
        &'a self,
        request: SubresourceRequest<'a>,
    ) -> BoxFuture<'a, Result<SubresourceAnswer, ApiError>> {
        recall(request).boxed()
    }
}

async fn recall(request: SubresourceRequest<'_>) -> Result<SubresourceAnswer, ApiError> {
    let mut recall = request.object("Recall")?;
    let docked = Patch::merge(json!({ "spec": { "docked": true, "replicas": 0 } }))?;
    let (namespace, name, part) = (request.namespace, request.name, Subresource::None);
    let (validation, options) = (FieldValidation::Strict, &request.options);
    let fleets = request.store;
    fleets
        .patch(namespace, name, &docked, part, validation, options)
        .await?;
    recall.set("status", Some(json!({ "recalledBy": request.user.name })));
    Ok(SubresourceAnswer::Object(
        StatusCode::CREATED,
        recall.into_value(),
    ))
}

/// A view, as `pods/log` is one: answers every method and all that is below its path.
#[derive(Debug)]
pub(crate) struct Log;

impl CustomSubresource for Log {
    fn answer<'a>(
        &'a self,
        request: SubresourceRequest<'a>,
    ) -> BoxFuture<'a, Result<SubresourceAnswer, ApiError>> {
        log(request).boxed()
    }
}

async fn log(request: SubresourceRequest<'_>) -> Result<SubresourceAnswer, ApiError> {
    let (store, name) = (request.store, request.name);
    if request.verb != "get" {
        let resource = store.resource();
        return Err(ApiError::method_not_supported(resource, request.verb));
    }
    let entry = store.get(request.namespace, name, None).await?;
    let fleet = Object::from_slice(&entry.served()).map_err(ApiError::internal)?;
    let ship = match request.path_tail {
        "" => "the flagship",
        ship => ship,
    };
    let changes = fleet.generation();
    let text = format!("{ship} of {name}: {changes} orders received\n");
    Ok(SubresourceAnswer::text(StatusCode::OK, text))
}
