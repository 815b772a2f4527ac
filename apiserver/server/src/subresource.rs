//! Subresources that a kind adds beside `status` and `scale`: an action on an object, such as
//! `pods/eviction`, or a view of it.
//!
//! Mirrors what `rest.NamedCreater` and `rest.Connecter` are for in
//! `k8s.io/apiserver/pkg/registry/rest/rest.go`. The request is authorised as `RESOURCE/SUBRESOURCE`
//! before the handler sees it. Not here: upgraded connections such as `WebSockets`.

use std::{fmt::Debug, sync::Arc};

use apimachinery::{ApiError, Object};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, Response, StatusCode};
use serde_json::Value;

use crate::{
    endpoints,
    registry::{Store, WriteOptions},
    request::UserInfo,
    response::{self, Body},
};

/// Answers the requests for one subresource of a kind.
pub trait CustomSubresource: Debug + Send + Sync + 'static {
    /// Answers one request.
    ///
    /// # Errors
    /// What the client is told instead.
    fn answer<'a>(
        &'a self,
        request: SubresourceRequest<'a>,
    ) -> BoxFuture<'a, Result<SubresourceAnswer, ApiError>>;
}

/// A request for a subresource of an object.
#[derive(Debug)]
pub struct SubresourceRequest<'a> {
    /// The kind's objects.
    pub store: &'a Arc<Store>,
    /// `get`, `create`, `update`, `patch` or `delete`.
    pub verb: &'a str,
    /// The object's namespace; empty for a cluster-scoped kind.
    pub namespace: &'a str,
    /// The object's name. Whether there is such an object is for the handler to find out.
    pub name: &'a str,
    /// What follows the subresource's name in the path, without the slash between.
    pub path_tail: &'a str,
    /// Decoded query parameters in their order.
    pub query: &'a [(String, String)],
    /// Who asks; may ask, too.
    pub user: &'a UserInfo,
    /// The headers, without credentials.
    pub headers: &'a HeaderMap,
    /// The whole body; at most 3 MiB.
    pub body: Bytes,
    /// How to write, as `dryRun` and `fieldManager` ask. A subresource without verbs has the query to
    /// itself, so these are the defaults there.
    pub options: WriteOptions,
}

/// What a subresource answers.
#[derive(Debug)]
pub enum SubresourceAnswer {
    /// An object of Kubernetes, written as the client wants it.
    Object(StatusCode, Value),
    /// Anything else.
    Response(Box<Response<Body>>),
}

impl SubresourceRequest<'_> {
    /// The body as an object of that kind, from JSON or YAML.
    ///
    /// # Errors
    /// 415 for another encoding, 400 for what is no such object.
    pub fn object(&self, kind: &str) -> Result<Object, ApiError> {
        endpoints::sent_object(self.headers, &self.body, kind)
    }
}

impl SubresourceAnswer {
    /// A plain text.
    pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Self {
        Self::Response(Box::new(response::text(status, text)))
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        match self {
            Self::Object(status, object) => response::json(status, &object),
            Self::Response(response) => *response,
        }
    }
}
