//! How many requests may be in flight: `k8s.io/apiserver/pkg/server/filters/maxinflight.go`.
//!
//! Only resource requests count. Discovery, OpenAPI and health come from memory and are never
//! limited, so that load on the data cannot make the API look dead.

use std::sync::Arc;

use apimachinery::{ApiError, StatusReason};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    metrics::{Inflight, InflightRequest, RequestKind},
    request::RequestInfo,
};

/// Reads in flight, as upstream's default.
const READS_MAX: usize = 400;
/// Writes in flight, as upstream's default.
const WRITES_MAX: usize = 200;
/// Watches at a time; an idle one costs a few kilobytes.
const WATCHES_MAX: usize = 20_000;

/// The places for requests.
#[derive(Debug)]
pub(crate) struct Limits {
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
    watches: Arc<Semaphore>,
    inflight: Arc<Inflight>,
}

/// A place that is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: Option<OwnedSemaphorePermit>,
    _inflight: Option<InflightRequest>,
}

impl Limits {
    /// Places that are all free; who takes one is counted.
    pub(crate) fn new(inflight: Arc<Inflight>) -> Self {
        let places = |n| Arc::new(Semaphore::new(n));
        Self {
            reads: places(READS_MAX),
            writes: places(WRITES_MAX),
            watches: places(WATCHES_MAX),
            inflight,
        }
    }

    /// Takes a place for a request.
    ///
    /// # Errors
    /// 429 with Retry-After when all are taken.
    pub(crate) fn enter(&self, request: &RequestInfo) -> Result<Place, ApiError> {
        if request.resource.is_none() {
            return Ok(Place {
                _permit: None,
                _inflight: None,
            });
        }
        let (places, kind) = match request.verb.as_str() {
            "watch" => (&self.watches, None),
            "get" | "list" => (&self.reads, Some(RequestKind::ReadOnly)),
            _ => (&self.writes, Some(RequestKind::Mutating)),
        };
        let permit = Arc::clone(places).try_acquire_owned().map_err(|_| {
            ApiError::new(
                StatusReason::TooManyRequests,
                "Too many requests, please try again later.",
            )
            .with_retry_after(1)
        })?;
        Ok(Place {
            _permit: Some(permit),
            _inflight: kind.map(|kind| self.inflight.enter(kind)),
        })
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn request(method: &Method, path: &str) -> RequestInfo {
        RequestInfo::parse(method, path, None)
    }

    /// X4, N15: a full house is 429 with Retry-After, for writes and reads apart, and a place comes back.
    #[test]
    fn too_many_writes_are_429_and_reads_go_on() {
        let limits = Limits::new(Arc::default());
        let write = request(&Method::POST, "/apis/g/v/rs");
        let mut places: Vec<_> = (0..WRITES_MAX)
            .map(|_| limits.enter(&write).unwrap())
            .collect();
        let error = limits.enter(&write).unwrap_err();
        assert_eq!((error.code(), error.retry_after_seconds()), (429, Some(1)));
        assert!(limits.enter(&request(&Method::GET, "/apis/g/v/rs")).is_ok());
        places.pop();
        assert!(limits.enter(&write).is_ok());
    }

    /// N13: load on the data never limits discovery or health.
    #[test]
    fn discovery_and_health_are_never_limited() {
        let limits = Limits::new(Arc::default());
        let read = request(&Method::GET, "/apis/g/v/rs");
        let _places: Vec<_> = (0..READS_MAX)
            .map(|_| limits.enter(&read).unwrap())
            .collect();
        assert!(limits.enter(&read).is_err());
        for path in ["/apis", "/apis/g/v", "/readyz", "/openapi/v3", "/metrics"] {
            assert!(limits.enter(&request(&Method::GET, path)).is_ok(), "{path}");
        }
    }

    /// W10: watches take no place from reads and writes, however many there are.
    #[test]
    fn watches_take_no_place_from_other_requests() {
        let limits = Limits::new(Arc::default());
        let watch = RequestInfo::parse(&Method::GET, "/apis/g/v/rs", Some("watch=true"));
        let _places: Vec<_> = (0..10 * READS_MAX)
            .map(|_| limits.enter(&watch).unwrap())
            .collect();
        for method in [Method::GET, Method::POST] {
            assert!(limits.enter(&request(&method, "/apis/g/v/rs")).is_ok());
        }
    }
}
