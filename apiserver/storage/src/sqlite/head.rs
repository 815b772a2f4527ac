//! How far the store is and how far back it knows, and the newest events.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{Event, Revision, StorageError};

/// Events that watches get without the file.
const RECENT_MAX: usize = 4096;
/// Bytes of their values, which the watch cache mostly shares.
const RECENT_BYTES: usize = 16 * 1024 * 1024;
/// Events that one watch takes at a time, so that nobody holds the lock for long.
const BATCH_MAX: usize = 512;

/// The newest revision, and the oldest after which everything is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) revision: Revision,
    pub(super) floor: Revision,
}

/// The newest events, one per revision without gaps.
#[derive(Debug)]
pub(super) struct Recent {
    /// The revision before the first event.
    floor: Revision,
    events: VecDeque<Event>,
    bytes: usize,
}

impl Head {
    pub(super) fn new(revision: Revision, compacted: Revision, log_capacity: u64) -> Self {
        let oldest = Revision(revision.0.saturating_sub(log_capacity));
        Self {
            revision,
            floor: compacted.max(oldest),
        }
    }

    /// That a revision is neither forgotten nor to come.
    pub(super) fn check(self, wanted: Revision) -> Result<(), StorageError> {
        if wanted > self.revision {
            Err(StorageError::FutureRevision {
                wanted,
                current: self.revision,
            })
        } else if wanted < self.floor {
            Err(StorageError::Compacted {
                wanted,
                known: self.floor..=self.revision,
            })
        } else {
            Ok(())
        }
    }
}

impl Recent {
    pub(super) fn since(floor: Revision) -> Self {
        Self {
            floor,
            events: VecDeque::new(),
            bytes: 0,
        }
    }

    pub(super) fn extend(&mut self, events: Vec<Event>) {
        for event in events {
            self.bytes += size(&event);
            self.events.push_back(event);
        }
        while self.events.len() > RECENT_MAX || self.bytes > RECENT_BYTES {
            let Some(oldest) = self.events.pop_front() else {
                break;
            };
            self.bytes -= size(&oldest);
            self.floor = oldest.revision;
        }
    }

    /// Some events after a revision, those under a prefix, and up to where they are all; `None` when
    /// only the file has them.
    pub(super) fn after(&self, position: Revision, prefix: &str) -> Option<(Vec<Event>, Revision)> {
        let behind = position.0.checked_sub(self.floor.0)?;
        let skip = usize::try_from(behind).ok()?;
        let batch = || self.events.iter().skip(skip).take(BATCH_MAX);
        let last = batch().next_back()?.revision;
        let wanted = batch().filter(|event| event.key.starts_with(prefix));
        Some((wanted.cloned().collect(), last))
    }
}

fn size(event: &Event) -> usize {
    let length = |value: Option<&Bytes>| value.map_or(0, Bytes::len);
    length(event.value.as_ref()) + length(event.previous.as_ref().map(|record| &record.value))
}
