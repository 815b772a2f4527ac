//! How many requests may be in flight: `k8s.io/apiserver/pkg/server/filters/maxinflight.go`.
//!
//! Only resource requests count. Discovery, OpenAPI and health come from memory and are never
//! limited, so that load on the data cannot make the API look dead.

use std::sync::Arc;

use apimachinery::{ApiError, StatusReason};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::request::RequestInfo;

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
}

/// A place that is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Default for Limits {
    fn default() -> Self {
        let places = |n| Arc::new(Semaphore::new(n));
        Self {
            reads: places(READS_MAX),
            writes: places(WRITES_MAX),
            watches: places(WATCHES_MAX),
        }
    }
}

impl Limits {
    /// Takes a place for a request.
    ///
    /// # Errors
    /// 429 with Retry-After when all are taken.
    pub(crate) fn enter(&self, request: &RequestInfo) -> Result<Place, ApiError> {
        if request.resource.is_none() {
            return Ok(Place { _permit: None });
        }
        let places = match request.verb.as_str() {
            "watch" => &self.watches,
            "get" | "list" => &self.reads,
            _ => &self.writes,
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
        })
    }
}
