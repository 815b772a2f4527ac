//! One client's watch: a position in the ring.
//!
//! A watch holds no queue. It reads a few events at a time from the shared ring when the client has
//! taken the ones before; a client that falls off the ring is ended with 410 and starts anew.

use std::{collections::VecDeque, fmt, sync::Arc, vec};

use apimachinery::{ApiError, ListOptions};
use bytes::Bytes;
use futures::{Stream, stream};
use storage::Revision;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Cacher, Progress,
    entry::Entry,
    event::EventType,
    selection::Selection,
    view::{View, value_frame},
};

/// Events that one watch takes from the ring at a time.
const BATCH_MAX: usize = 64;

/// How a client wants to watch.
#[derive(Debug)]
pub struct WatchParameters {
    /// Keys under this prefix only.
    pub prefix: String,
    /// Which objects.
    pub selection: Selection,
    /// `BOOKMARK` events may be sent.
    pub bookmarks: bool,
    /// Where the watch begins.
    pub start: WatchStart,
    /// In which form objects are shown.
    pub view: View,
    /// When the watch ends by itself.
    pub deadline: Instant,
    /// Ends all watches when the server stops.
    pub shutdown: CancellationToken,
}

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchStart {
    /// Strictly after a revision.
    After(Revision),
    /// With the current objects as `ADDED`; then, when `mark_end`, a bookmark that says so.
    Current {
        /// Whether the end of the initial events is marked.
        mark_end: bool,
    },
    /// With what comes next.
    Now,
}

/// A running watch.
pub struct Watcher {
    cacher: Arc<Cacher>,
    parameters: WatchParameters,
    progress: watch::Receiver<Progress>,
    position: u64,
    seen: Progress,
    /// The objects that were there when the watch began, still to be sent.
    initial: vec::IntoIter<Arc<Entry>>,
    /// The revision of the bookmark that ends them.
    initial_end: Option<Revision>,
    /// Whether no frame was made yet: the first one may differ.
    is_first: bool,
    pending: VecDeque<Bytes>,
    ended: bool,
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl WatchStart {
    /// What the parameters of a watch ask for.
    pub fn from_options(options: &ListOptions) -> Self {
        match (options.send_initial_events, options.resource_version) {
            (Some(true), _) => Self::Current {
                mark_end: options.allow_watch_bookmarks,
            },
            (_, None | Some(0)) => Self::Now,
            (_, Some(revision)) => Self::After(Revision(revision)),
        }
    }
}

impl Watcher {
    /// Begins a watch; the caller has waited for the revision it needs.
    ///
    /// # Errors
    /// 410 when the cache no longer has what comes after the revision.
    pub fn start(cacher: &Arc<Cacher>, parameters: WatchParameters) -> Result<Self, ApiError> {
        let mut progress = cacher.progress.subscribe();
        let seen = *progress.borrow_and_update();
        let state = cacher.state.read();
        let next = state.first_sequence + state.ring.len() as u64;
        let (initial, position) = match parameters.start {
            WatchStart::Now => (Vec::new(), next),
            WatchStart::Current { .. } => {
                (state.list(&parameters.prefix, &parameters.selection), next)
            }
            WatchStart::After(revision) => match state.sequence_after(revision) {
                Some(position) => (Vec::new(), position),
                None => {
                    return Err(ApiError::expired(format!(
                        "too old resource version: {revision} ({})",
                        state.floor
                    )));
                }
            },
        };
        let initial_end = matches!(parameters.start, WatchStart::Current { mark_end: true })
            .then_some(state.revision);
        drop(state);
        let to_catch_up = initial.len() as u64 + (next - position);
        cacher.counts.initial.add(to_catch_up);
        Ok(Self {
            cacher: Arc::clone(cacher),
            parameters,
            progress,
            position,
            seen,
            initial: initial.into_iter(),
            initial_end,
            is_first: true,
            pending: VecDeque::new(),
            ended: false,
        })
    }

    /// The frames of the watch, until it ends.
    pub fn into_stream(self) -> impl Stream<Item = Bytes> + Send {
        stream::unfold(self, |mut watcher| async move {
            let frame = watcher.next_frame().await?;
            Some((frame, watcher))
        })
    }

    async fn next_frame(&mut self) -> Option<Bytes> {
        loop {
            if let Some(entry) = self.initial.next() {
                return Some(self.initial_frame(&entry));
            }
            if let Some(revision) = self.initial_end.take() {
                return Some(self.bookmark(revision, true));
            }
            if let Some(frame) = self.pending.pop_front() {
                return Some(frame);
            }
            if self.ended {
                return None;
            }
            if self.take_events() {
                continue;
            }
            let waited = tokio::select! {
                changed = self.progress.changed() => changed.is_ok(),
                () = tokio::time::sleep_until(self.parameters.deadline) => false,
                () = self.parameters.shutdown.cancelled() => false,
            };
            if !waited {
                return None;
            }
            let now = *self.progress.borrow_and_update();
            if now.bookmark_tick != self.seen.bookmark_tick && self.parameters.bookmarks {
                self.take_events();
                let bookmark = self.bookmark(self.position_revision(), false);
                self.pending.push_back(bookmark);
            }
            self.seen = now;
        }
    }

    /// Moves the next events into `pending`; says whether there was anything new.
    fn take_events(&mut self) -> bool {
        let state = self.cacher.state.read();
        let Some(skip) = self.position.checked_sub(state.first_sequence) else {
            drop(state);
            self.cacher.counts.terminated.inc();
            self.pending.push_back(expired_frame());
            self.ended = true;
            return true;
        };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let events: Vec<_> = state.events_from(skip).take(BATCH_MAX).collect();
        drop(state);
        self.position += events.len() as u64;
        for (event, frames) in &events {
            let frames = frames.as_deref();
            if !event.key().starts_with(&self.parameters.prefix) {
                continue;
            }
            let Some(event_type) = event.seen_by(&self.parameters.selection) else {
                continue;
            };
            let frame = if std::mem::take(&mut self.is_first) {
                event.first_frame(event_type, &self.parameters.view, frames)
            } else {
                event.frame(event_type, &self.parameters.view, frames)
            };
            self.pending.extend(frame);
        }
        !events.is_empty()
    }

    fn initial_frame(&mut self, entry: &Entry) -> Bytes {
        let (view, added) = (&self.parameters.view, EventType::Added.as_str());
        if std::mem::take(&mut self.is_first) {
            view.first_frame(added, entry)
        } else {
            view.frame(added, entry)
        }
    }

    fn bookmark(&mut self, revision: Revision, ends_initial: bool) -> Bytes {
        let is_first = std::mem::take(&mut self.is_first);
        let view = &self.parameters.view;
        view.bookmark(revision, ends_initial, is_first)
    }

    /// The newest revision such that every event up to it was taken.
    fn position_revision(&self) -> Revision {
        let state = self.cacher.state.read();
        let index = self.position.saturating_sub(state.first_sequence);
        match state.ring.get(usize::try_from(index).unwrap_or(usize::MAX)) {
            Some(next) => Revision(next.revision.0.saturating_sub(1)),
            None => state.revision,
        }
    }
}

/// The event that ends a watch for a reason.
pub fn error_frame(error: &ApiError) -> Bytes {
    value_frame("ERROR", &error.to_status())
}

fn expired_frame() -> Bytes {
    error_frame(&ApiError::expired(
        "the watch fell behind: list again and watch from there",
    ))
}
