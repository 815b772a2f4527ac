//! Who did what, when and with which result: `audit.k8s.io/v1`.
//!
//! A [`Policy`] says what is recorded of which request; an [`Auditor`] hands the events on to a file
//! and to a webhook. Both have a queue of their own in front, so that no request ever waits for them:
//! an event that finds no room is dropped and counted. An event is encoded once, whoever gets it.
//!
//! Mirrors `k8s.io/apiserver/pkg/audit`, `pkg/endpoints/filters/audit.go` and `plugin/pkg/audit`.
//! Not here, on purpose: the modes in which a request waits until its event is written, the text format,
//! and annotations of admission. Requests that are refused because too many are in flight make no event:
//! they are refused before it is known who sends them.

mod event;
mod log;
mod objects;
mod policy;
mod queue;
mod recording;
mod source_ips;
mod webhook;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::join_all;
use tokio::time::Instant;

use queue::Queue;

use crate::metrics::Counter;

pub(crate) use recording::{Origin, Recording};

pub use log::LogOptions;
pub use policy::{Level, Policy, Stage, Stages, Verdict};
pub use webhook::WebhookOptions;

/// How long the last events may take when the server stops.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// Records requests as a policy says.
#[derive(Debug)]
pub struct Auditor {
    policy: Policy,
    queues: Vec<Queue>,
    events: Counter,
}

impl Auditor {
    /// An auditor with these backends; a runtime must be there.
    ///
    /// # Errors
    /// A sentence that names the file that cannot be used.
    pub async fn start(
        policy: Policy,
        log: Option<LogOptions>,
        webhook: Option<WebhookOptions>,
    ) -> Result<Arc<Self>, String> {
        let mut queues = Vec::new();
        if let Some(options) = log {
            queues.push(log::start(options)?);
        }
        if let Some(options) = webhook {
            queues.push(webhook::start(options).await?);
        }
        Ok(Arc::new(Self {
            policy,
            queues,
            events: Counter::default(),
        }))
    }

    /// How many events were made.
    pub(crate) fn events(&self) -> u64 {
        self.events.get()
    }

    /// How many events each backend lost, by its name.
    pub(crate) fn losses(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let queues = self.queues.iter();
        queues.map(|queue| (queue.backend(), queue.lost()))
    }

    /// How many events were lost, because a queue was full or a backend failed.
    pub fn lost(&self) -> u64 {
        self.queues.iter().map(Queue::lost).sum()
    }

    /// To be called when requests have come to their end: waits until all events are written, or for
    /// ten seconds. A batch that the webhook does not take now is given up.
    pub async fn stop(&self) {
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        join_all(self.queues.iter().map(|queue| queue.flush(deadline))).await;
    }

    fn record(&self, event: &Bytes) {
        self.events.inc();
        for queue in &self.queues {
            queue.offer(event.clone());
        }
    }
}

#[cfg(test)]
mod tests;
