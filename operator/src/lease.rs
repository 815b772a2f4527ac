//! Leader election over a `coordination.k8s.io` Lease.
//!
//! Only one process may mint authorities and write children. The rules are client-go's
//! (`tools/leaderelection`): a holder renews well within the Lease's duration and stops itself
//! before others may take over; others wait until they have seen no change for that long by their
//! own clock, so clocks need not agree. The decision is a pure function of what was observed.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::names::MANAGER;

/// How long a Lease lasts without renewal. This and the next two are controller-runtime's.
const DURATION: Duration = Duration::from_secs(15);

/// When the holder gives up if it cannot renew: before others may take over.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);

/// How often to try.
const RETRY: Duration = Duration::from_secs(2);

/// What to do about the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Take it: nobody holds it, or the holder is silent.
    Acquire,
    /// Renew it: it is ours.
    Renew,
    /// Somebody else holds it.
    Wait,
}

/// Whether the Lease was acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acquired {
    /// It is ours.
    Held,
    /// The process is to end first.
    Stopped,
}

/// Decides from the holder and from how long the Lease has not changed.
pub(crate) fn evaluate(holder: Option<&str>, identity: &str, unchanged_for: Duration) -> Decision {
    match holder {
        None | Some("") => Decision::Acquire,
        Some(holder) if holder == identity => Decision::Renew,
        Some(_) if unchanged_for > DURATION => Decision::Acquire,
        Some(_) => Decision::Wait,
    }
}

/// Holds the Lease, or waits for it.
#[derive(Clone)]
pub(crate) struct Elector {
    api: Api<Lease>,
    identity: String,
}

/// The Lease as it was last seen, and since when.
#[derive(Clone, Debug)]
struct Observed {
    version: Option<String>,
    since: Instant,
}

impl Elector {
    /// An elector that holds nothing.
    pub(crate) fn new(client: Client, namespace: &str, identity: String) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            identity,
        }
    }

    /// Waits until the Lease is ours.
    pub(crate) async fn acquire(&self, shutdown: &CancellationToken) -> Acquired {
        let mut observed = Observed {
            version: None,
            since: Instant::now(),
        };
        loop {
            match self.attempt(&mut observed).await {
                Ok(true) => {
                    tracing::info!(identity = self.identity, "lease acquired");
                    return Acquired::Held;
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot acquire the lease"
                    );
                }
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = shutdown.cancelled() => return Acquired::Stopped,
            }
        }
    }

    /// Renews the Lease until that fails for too long or somebody else has it. It goes on while the
    /// process ends, because reconciles that are under way still write.
    pub(crate) async fn hold(&self, shutdown: &CancellationToken) {
        let mut observed = Observed {
            version: None,
            since: Instant::now(),
        };
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(RETRY).await;
            let left = RENEW_DEADLINE.saturating_sub(renewed.elapsed());
            match tokio::time::timeout(left, self.attempt(&mut observed)).await {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) => return,
                Ok(Err(error)) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot renew the lease"
                    );
                }
                Err(_) => {}
            }
            if renewed.elapsed() >= RENEW_DEADLINE {
                tracing::error!(
                    stopping = shutdown.is_cancelled(),
                    "lease not renewed in time"
                );
                return;
            }
        }
    }

    /// Gives the Lease back, so that the next process need not wait.
    pub(crate) async fn release(&self) {
        let released = async {
            let mut lease = self.api.get(MANAGER).await?;
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() == Some(&self.identity) {
                spec.holder_identity = None;
                self.api
                    .replace(MANAGER, &PostParams::default(), &lease)
                    .await?;
            }
            Ok::<_, kube::Error>(())
        };
        if let Err(error) = released.await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot release the lease"
            );
        }
    }

    /// One try. An update with a stale version fails, so two processes never both succeed.
    async fn attempt(&self, observed: &mut Observed) -> kube::Result<bool> {
        let now = MicroTime(Timestamp::now());
        let Some(mut lease) = self.api.get_opt(MANAGER).await? else {
            return self.write(
                self.api
                    .create(&PostParams::default(), &self.first(now))
                    .await,
            );
        };
        if lease.metadata.resource_version != observed.version {
            *observed = Observed {
                version: lease.metadata.resource_version.clone(),
                since: Instant::now(),
            };
        }
        let holder = lease
            .spec
            .as_ref()
            .and_then(|spec| spec.holder_identity.as_deref());
        let decision = evaluate(holder, &self.identity, observed.since.elapsed());
        let spec = lease.spec.get_or_insert_default();
        match decision {
            Decision::Wait => return Ok(false),
            Decision::Renew => {}
            Decision::Acquire => {
                spec.holder_identity = Some(self.identity.clone());
                spec.acquire_time = Some(now.clone());
                spec.lease_transitions =
                    Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
            }
        }
        spec.lease_duration_seconds = i32::try_from(DURATION.as_secs()).ok();
        spec.renew_time = Some(now);
        self.write(
            self.api
                .replace(MANAGER, &PostParams::default(), &lease)
                .await,
        )
    }

    fn write(&self, result: kube::Result<Lease>) -> kube::Result<bool> {
        match result {
            Ok(_) => Ok(true),
            // Somebody else was faster; look again.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                tracing::debug!(identity = self.identity, "lease changed meanwhile");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn first(&self, now: MicroTime) -> Lease {
        Lease {
            metadata: ObjectMeta {
                name: Some(MANAGER.to_owned()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
                acquire_time: Some(now.clone()),
                renew_time: Some(now),
                lease_transitions: Some(0),
                ..LeaseSpec::default()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DURATION, Decision, RENEW_DEADLINE, RETRY, evaluate};

    #[test]
    fn a_free_lease_is_taken_and_an_own_one_renewed() {
        assert_eq!(evaluate(None, "a", Duration::ZERO), Decision::Acquire);
        assert_eq!(evaluate(Some(""), "a", Duration::ZERO), Decision::Acquire);
        assert_eq!(evaluate(Some("a"), "a", Duration::ZERO), Decision::Renew);
    }

    #[test]
    fn another_holder_keeps_the_lease_until_it_has_been_silent_for_its_duration() {
        assert_eq!(evaluate(Some("b"), "a", DURATION), Decision::Wait);
        assert_eq!(
            evaluate(Some("b"), "a", DURATION + Duration::from_secs(1)),
            Decision::Acquire
        );
    }

    #[test]
    fn a_holder_stops_before_another_may_start() {
        const { assert!(RENEW_DEADLINE.as_secs() + RETRY.as_secs() < DURATION.as_secs()) };
    }
}
