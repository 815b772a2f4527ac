//! One structured line per request.

use std::{net::SocketAddr, time::Duration};

use apimachinery::ApiError;
use http::StatusCode;

use crate::request::{Caller, RequestInfo, ResourceRequest};

/// What is known of a request when it is answered.
#[derive(Debug)]
pub(crate) struct AccessLog<'a> {
    pub(crate) info: &'a RequestInfo,
    pub(crate) caller: &'a Caller,
    pub(crate) audit_id: &'a str,
    pub(crate) peer: SocketAddr,
}

impl AccessLog<'_> {
    /// Writes the line; a server's fault as an error with its internal cause.
    pub(crate) fn write(self, code: StatusCode, latency: Duration, failure: Option<&ApiError>) {
        let Self {
            info,
            caller,
            audit_id,
            peer,
        } = self;
        let nothing = ResourceRequest::default();
        let resource = info.resource.as_ref().unwrap_or(&nothing);
        let user = caller.user();
        let groups = user.groups.join(",");
        let impersonator = caller.impersonated.as_ref();
        let impersonator = impersonator.map(|_| &caller.authenticated.name);
        let latency_ms = latency.as_secs_f64() * 1000.0;
        let internal = failure
            .and_then(ApiError::internal_message)
            .unwrap_or_default();
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "access",
                    user = user.name,
                    groups,
                    impersonator,
                    verb = info.verb,
                    path = info.path,
                    resource = resource.resource,
                    subresource = resource.subresource,
                    namespace = resource.namespace,
                    name = resource.name,
                    code = code.as_u16(),
                    latency_ms,
                    audit_id,
                    %peer,
                    internal,
                    "request"
                )
            };
        }
        if code.is_server_error() {
            line!(error);
        } else {
            line!(info);
        }
    }
}
