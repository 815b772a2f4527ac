//! How many requests may be in flight: `k8s.io/apiserver/pkg/server/filters/maxinflight.go`.
//!
//! Only resource requests count. Discovery, OpenAPI and health come from memory and are never
//! limited, so that load on the data cannot make the API look dead.

use std::{collections::HashMap, sync::Arc};

use apimachinery::{ApiError, StatusReason};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    metrics::{Inflight, InflightRequest, RequestKind},
    request::{RequestInfo, UserInfo, user::SYSTEM_MASTERS},
};

/// Reads in flight, as upstream's default.
const READS_MAX: usize = 400;
/// Writes in flight, as upstream's default.
const WRITES_MAX: usize = 200;
/// Watches at a time; an idle one costs a few kilobytes.
const WATCHES_MAX: usize = 20_000;
/// Watches of one user at a time, so that one alone cannot take them all.
const WATCHES_OF_USER_MAX: usize = 5_000;

/// The places for requests.
#[derive(Debug)]
pub(crate) struct Limits {
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
    watches: Arc<Semaphore>,
    watches_of_users: Arc<WatchesOfUsers>,
    inflight: Arc<Inflight>,
}

/// How many watches each user has.
type WatchesOfUsers = Mutex<HashMap<String, usize>>;

/// One of a user's watches until it is dropped.
#[derive(Debug)]
struct WatchOfUser {
    all: Arc<WatchesOfUsers>,
    user: String,
}

/// A place that is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: Option<OwnedSemaphorePermit>,
    _watch: Option<WatchOfUser>,
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
            watches_of_users: Arc::default(),
            inflight,
        }
    }

    /// Takes a place for a user's request. The group `system:masters` is let in beyond the limits,
    /// so that somebody can still look after a server that is full.
    ///
    /// # Errors
    /// 429 with Retry-After when all are taken.
    pub(crate) fn enter(&self, user: &UserInfo, request: &RequestInfo) -> Result<Place, ApiError> {
        let is_master = user.groups.iter().any(|group| group == SYSTEM_MASTERS);
        if request.resource.is_none() || is_master {
            return Ok(Place {
                _permit: None,
                _watch: None,
                _inflight: None,
            });
        }
        let (places, kind) = match request.verb.as_str() {
            "watch" => (&self.watches, None),
            "get" | "list" => (&self.reads, Some(RequestKind::ReadOnly)),
            _ => (&self.writes, Some(RequestKind::Mutating)),
        };
        let permit = Arc::clone(places).try_acquire_owned();
        let permit = permit.map_err(|_| too_many_requests())?;
        let is_watch = request.verb == "watch";
        let watch = is_watch.then(|| WatchOfUser::begin(&self.watches_of_users, &user.name));
        Ok(Place {
            _permit: Some(permit),
            _watch: watch.transpose()?,
            _inflight: kind.map(|kind| self.inflight.enter(kind)),
        })
    }
}

impl WatchOfUser {
    fn begin(all: &Arc<WatchesOfUsers>, user: &str) -> Result<Self, ApiError> {
        let mut counts = all.lock();
        let count = counts.entry(user.to_owned()).or_default();
        if *count >= WATCHES_OF_USER_MAX {
            return Err(too_many_requests());
        }
        *count += 1;
        drop(counts);
        Ok(Self {
            all: Arc::clone(all),
            user: user.to_owned(),
        })
    }
}

impl Drop for WatchOfUser {
    fn drop(&mut self) {
        let mut counts = self.all.lock();
        if let Some(count) = counts.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.user);
            }
        }
    }
}

fn too_many_requests() -> ApiError {
    let sentence = "Too many requests, please try again later.";
    ApiError::new(StatusReason::TooManyRequests, sentence).with_retry_after(1)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn request(method: &Method, path: &str) -> RequestInfo {
        RequestInfo::parse(method, path, None)
    }

    fn jane() -> UserInfo {
        UserInfo {
            name: "jane".to_owned(),
            ..UserInfo::default()
        }
    }

    /// X4, N15: a full house is 429 with Retry-After, for writes and reads apart, and a place comes back.
    #[test]
    fn too_many_writes_are_429_and_reads_go_on() {
        let limits = Limits::new(Arc::default());
        let write = request(&Method::POST, "/apis/g/v/rs");
        let mut places: Vec<_> = (0..WRITES_MAX)
            .map(|_| limits.enter(&jane(), &write).unwrap())
            .collect();
        let error = limits.enter(&jane(), &write).unwrap_err();
        assert_eq!((error.code(), error.retry_after_seconds()), (429, Some(1)));
        assert!(
            limits
                .enter(&jane(), &request(&Method::GET, "/apis/g/v/rs"))
                .is_ok()
        );
        places.pop();
        assert!(limits.enter(&jane(), &write).is_ok());
    }

    /// N13: load on the data never limits discovery or health.
    #[test]
    fn discovery_and_health_are_never_limited() {
        let limits = Limits::new(Arc::default());
        let read = request(&Method::GET, "/apis/g/v/rs");
        let _places: Vec<_> = (0..READS_MAX)
            .map(|_| limits.enter(&jane(), &read).unwrap())
            .collect();
        assert!(limits.enter(&jane(), &read).is_err());
        for path in ["/apis", "/apis/g/v", "/readyz", "/openapi/v3", "/metrics"] {
            let request = request(&Method::GET, path);
            assert!(limits.enter(&jane(), &request).is_ok(), "{path}");
        }
    }

    /// W10: watches take no place from reads and writes, however many there are.
    #[test]
    fn watches_take_no_place_from_other_requests() {
        let limits = Limits::new(Arc::default());
        let watch = RequestInfo::parse(&Method::GET, "/apis/g/v/rs", Some("watch=true"));
        let _places: Vec<_> = (0..10 * READS_MAX)
            .map(|_| limits.enter(&jane(), &watch).unwrap())
            .collect();
        for method in [Method::GET, Method::POST] {
            assert!(
                limits
                    .enter(&jane(), &request(&method, "/apis/g/v/rs"))
                    .is_ok()
            );
        }
    }

    /// X4: who looks after the server gets in when it is full.
    #[test]
    fn masters_are_let_in_beyond_the_limits() {
        let limits = Limits::new(Arc::default());
        let write = request(&Method::POST, "/apis/g/v/rs");
        let _places: Vec<_> = (0..WRITES_MAX)
            .map(|_| limits.enter(&jane(), &write).unwrap())
            .collect();
        let mut master = jane();
        assert!(limits.enter(&master, &write).is_err());
        master.groups.push(SYSTEM_MASTERS.to_owned());
        assert!(limits.enter(&master, &write).is_ok());
    }

    /// X4: one user cannot take the watches of all, and gets a place back when one ends.
    #[test]
    fn one_user_cannot_take_every_watch() {
        let limits = Limits::new(Arc::default());
        let watch = RequestInfo::parse(&Method::GET, "/apis/g/v/rs", Some("watch=true"));
        let mut places: Vec<_> = (0..WATCHES_OF_USER_MAX)
            .map(|_| limits.enter(&jane(), &watch).unwrap())
            .collect();
        assert_eq!(limits.enter(&jane(), &watch).unwrap_err().code(), 429);
        assert!(limits.enter(&UserInfo::anonymous(), &watch).is_ok());
        places.pop();
        assert!(limits.enter(&jane(), &watch).is_ok());
        drop(places);
        assert!(limits.watches_of_users.lock().is_empty());
    }
}
