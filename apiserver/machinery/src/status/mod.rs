//! Errors as `metav1.Status`: every failure that a client sees is made here.
//!
//! An [`ApiError`] has an external message, which goes into the body, and may have an internal one,
//! which goes to the log only. Mirrors `k8s.io/apimachinery/pkg/api/errors`.

mod reason;
#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::{Value, json};

pub use self::reason::StatusReason;
use crate::{field::FieldError, go_format::quote};

/// Seconds after which a client may try again when the store could not answer, as upstream's
/// storage error interpreter says.
const STORAGE_RETRY_AFTER_SECONDS: u32 = 2;

/// The plural of a resource and its group, printed as `datarecords.data.kubedojo.io`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupResource {
    /// API group; empty for the core group.
    pub group: String,
    /// Plural name.
    pub resource: String,
}

/// A failed request: what the client is told, and what only the log is told.
#[derive(Clone, Debug)]
pub struct ApiError(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    reason: StatusReason,
    message: String,
    details: Details,
    continue_token: Option<String>,
    internal: Option<String>,
    warnings: Vec<String>,
}

#[derive(Clone, Debug, Default)]
struct Details {
    name: String,
    group: String,
    kind: String,
    causes: Vec<Cause>,
    retry_after_seconds: Option<u32>,
}

#[derive(Clone, Debug)]
struct Cause {
    reason: &'static str,
    message: String,
    field: String,
}

// === impl GroupResource ===

impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            f.write_str(&self.resource)
        } else {
            write!(f, "{}.{}", self.resource, self.group)
        }
    }
}

// === impl ApiError ===

impl ApiError {
    /// An error with nothing but a reason and a message.
    pub fn new(reason: StatusReason, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            reason,
            message: message.into(),
            details: Details::default(),
            continue_token: None,
            internal: None,
            warnings: Vec::new(),
        }))
    }

    /// 400 with a sentence that says what is wrong.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusReason::BadRequest, message)
    }

    /// 400 for a body that is no object of the kind; `why` is the decoder's sentence.
    pub fn cannot_be_handled(kind: &str, version: &str, why: &str) -> Self {
        Self::bad_request(format!(
            "{kind} in version {} cannot be handled as a {kind}: {why}",
            quote(version)
        ))
    }

    /// 401: the credential is missing or wrong; which one is not told.
    pub fn unauthorized() -> Self {
        Self::new(StatusReason::Unauthorized, "Unauthorized")
    }

    /// 403 about one object or a collection; `why` comes after "is forbidden: ".
    pub fn forbidden(resource: &GroupResource, name: &str, why: &str) -> Self {
        let message = match (resource.resource.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {why}"),
            (false, true) => format!("{resource} is forbidden: {why}"),
            (false, false) => format!("{resource} \"{name}\" is forbidden: {why}"),
        };
        Self::new(StatusReason::Forbidden, message).about(resource, name)
    }

    /// 403 for an object in a namespace that is being deleted, with the cause that clients look for.
    pub fn namespace_terminating(resource: &GroupResource, name: &str, namespace: &str) -> Self {
        let why = format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        );
        let mut error = Self::forbidden(resource, name, &why);
        error.0.details.causes.push(Cause {
            reason: "NamespaceTerminating",
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".to_owned(),
        });
        error
    }

    /// 404 for an object that does not exist.
    pub fn not_found(resource: &GroupResource, name: &str) -> Self {
        Self::new(
            StatusReason::NotFound,
            format!("{resource} \"{name}\" not found"),
        )
        .about(resource, name)
    }

    /// 404 for a path that no resource answers, in the words that clients match on.
    pub fn path_not_found() -> Self {
        Self::new(
            StatusReason::NotFound,
            "the server could not find the requested resource",
        )
    }

    /// 405 for a verb that the resource does not have.
    pub fn method_not_supported(resource: &GroupResource, verb: &str) -> Self {
        let message = format!("{verb} is not supported on resources of kind \"{resource}\"");
        Self::new(StatusReason::MethodNotAllowed, message).about(resource, "")
    }

    /// 409 for a name that is taken.
    pub fn already_exists(resource: &GroupResource, name: &str) -> Self {
        Self::new(
            StatusReason::AlreadyExists,
            format!("{resource} \"{name}\" already exists"),
        )
        .about(resource, name)
    }

    /// 409 for a lost race or a failed precondition; `why` ends the sentence.
    pub fn conflict(resource: &GroupResource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
        Self::new(StatusReason::Conflict, message).about(resource, name)
    }

    /// 409 for a generated name that was taken every time.
    pub fn generate_name_conflict(resource: &GroupResource, name: &str) -> Self {
        let message = format!(
            "{resource} {} already exists, the server was not able to generate a unique name for the object",
            quote(name)
        );
        Self::new(StatusReason::AlreadyExists, message)
            .about(resource, name)
            .with_retry_after(1)
    }

    /// 409 with the sentence that every Kubernetes client knows.
    pub fn object_modified(resource: &GroupResource, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 409 for an apply to fields that others own; `causes` are pairs of a message and a field.
    pub(crate) fn apply_conflict(
        message: String,
        causes: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let mut error = Self::new(StatusReason::Conflict, message);
        let causes = causes.into_iter().map(|(message, field)| Cause {
            reason: "FieldManagerConflict",
            message,
            field,
        });
        error.0.details.causes = causes.collect();
        error
    }

    /// 410 for a resource version that the server no longer has.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusReason::Expired, message)
    }

    /// 413 for a body over `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        let message = format!("limit is {limit}");
        Self::new(
            StatusReason::RequestEntityTooLarge,
            format!("Request entity too large: {message}"),
        )
    }

    /// 422 with one cause per broken rule. `kind` is the Kind, not the plural.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let qualified = if group.is_empty() {
            kind.to_owned()
        } else {
            format!("{kind}.{group}")
        };
        // A message that several fields have stands there once, as in upstream's aggregate.
        let mut texts: Vec<String> = Vec::new();
        for error in errors {
            let text = error.to_string();
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let list = match texts.as_slice() {
            [] => String::new(),
            [one] => format!(": {one}"),
            many => format!(": [{}]", many.join(", ")),
        };
        let mut error = Self::new(
            StatusReason::Invalid,
            format!("{qualified} {} is invalid{list}", quote(name)),
        );
        error.0.details = Details {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            causes: errors
                .iter()
                .map(|e| Cause {
                    reason: e.kind.reason(),
                    message: e.body(),
                    field: e.field.clone(),
                })
                .collect(),
            retry_after_seconds: None,
        };
        error
    }

    /// 500 for a fault of the server; `internal` goes to the log only.
    pub fn internal(internal: impl fmt::Display) -> Self {
        Self::new(
            StatusReason::InternalError,
            "Internal error occurred: the server's log says more under this request's audit ID",
        )
        .with_internal(internal)
    }

    /// 500 `ServerTimeout` for a store that did not answer; never 404, never an empty list.
    pub fn store_unavailable(
        resource: &GroupResource,
        verb: &str,
        internal: impl fmt::Display,
    ) -> Self {
        let message = format!(
            "The {verb} operation against {resource} could not be completed at this time, please try again."
        );
        let mut error = Self::new(StatusReason::ServerTimeout, message)
            .about(resource, "")
            .with_internal(internal);
        verb.clone_into(&mut error.0.details.name);
        error.with_retry_after(STORAGE_RETRY_AFTER_SECONDS)
    }

    /// 415 for a body of another media type; `types` are those that are read.
    pub fn unsupported_media_type(types: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            types.join(", ")
        );
        Self::new(StatusReason::UnsupportedMediaType, message)
    }

    /// 429 for a server that has enough to do.
    pub fn too_many_requests(message: &str, retry_after_seconds: u32) -> Self {
        Self::new(StatusReason::TooManyRequests, message).with_retry_after(retry_after_seconds)
    }

    /// 503 for a server that cannot answer now.
    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusReason::ServiceUnavailable, message)
    }

    /// 504 for a request that took too long.
    pub fn timeout(message: &str, retry_after_seconds: u32) -> Self {
        Self::new(StatusReason::Timeout, format!("Timeout: {message}"))
            .with_retry_after(retry_after_seconds)
    }

    /// 504 for a resource version that the store has not reached yet.
    pub fn resource_version_too_large(wanted: u64, current: u64) -> Self {
        let mut error = Self::new(
            StatusReason::Timeout,
            format!("Timeout: Too large resource version: {wanted}, current: {current}"),
        );
        error.0.details.causes.push(Cause {
            reason: "ResourceVersionTooLarge",
            message: "Too large resource version".to_owned(),
            field: String::new(),
        });
        error.with_retry_after(1)
    }

    /// Adds seconds after which the client may try again: details and the `Retry-After` header.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.0.details.retry_after_seconds = Some(seconds);
        self
    }

    /// Puts words before the message.
    #[must_use]
    pub fn with_message_prefix(mut self, prefix: &str) -> Self {
        self.0.message.insert_str(0, prefix);
        self
    }

    /// Adds the token with which the client may go on with its list, in `metadata.continue`.
    #[must_use]
    pub fn with_continue(mut self, token: String) -> Self {
        self.0.continue_token = Some(token);
        self
    }

    /// Adds what only the log may know.
    #[must_use]
    pub fn with_internal(mut self, internal: impl fmt::Display) -> Self {
        self.0.internal = Some(internal.to_string());
        self
    }

    /// Adds what the client should know beside the error, before what it has of it.
    #[must_use]
    pub fn with_warnings(mut self, warnings: impl IntoIterator<Item = String>) -> Self {
        self.0.warnings.splice(0..0, warnings);
        self
    }

    fn about(mut self, resource: &GroupResource, name: &str) -> Self {
        name.clone_into(&mut self.0.details.name);
        self.0.details.group.clone_from(&resource.group);
        self.0.details.kind.clone_from(&resource.resource);
        self
    }

    /// What the client should know beside the error.
    pub fn warnings(&self) -> &[String] {
        &self.0.warnings
    }

    /// The reason.
    pub fn reason(&self) -> StatusReason {
        self.0.reason
    }

    /// The HTTP status code.
    pub fn code(&self) -> u16 {
        self.0.reason.code()
    }

    /// What the log is told beyond the message.
    pub fn internal_message(&self) -> Option<&str> {
        self.0.internal.as_deref()
    }

    /// Seconds after which the client may try again.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        self.0.details.retry_after_seconds
    }

    /// The body: a `metav1.Status`.
    pub fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.0.message,
            "reason": self.0.reason.as_str(),
            "code": self.code(),
        });
        if let Some(token) = &self.0.continue_token {
            status["metadata"]["continue"] = json!(token);
        }
        let details = self.0.details.to_json();
        if details.as_object().is_some_and(|d| !d.is_empty()) {
            status["details"] = details;
        }
        status
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for ApiError {}

// === impl Details ===

impl Details {
    fn to_json(&self) -> Value {
        let mut json = serde_json::Map::new();
        for (key, value) in [
            ("name", &self.name),
            ("group", &self.group),
            ("kind", &self.kind),
        ] {
            if !value.is_empty() {
                json.insert(key.to_owned(), Value::from(value.as_str()));
            }
        }
        if !self.causes.is_empty() {
            json.insert(
                "causes".to_owned(),
                self.causes.iter().map(Cause::to_json).collect(),
            );
        }
        if let Some(seconds) = self.retry_after_seconds {
            json.insert("retryAfterSeconds".to_owned(), seconds.into());
        }
        Value::Object(json)
    }
}

// === impl Cause ===

impl Cause {
    fn to_json(&self) -> Value {
        let mut json = json!({ "reason": self.reason, "message": self.message });
        if !self.field.is_empty() {
            json["field"] = Value::from(self.field.as_str());
        }
        json
    }
}
