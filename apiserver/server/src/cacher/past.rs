//! An older state of the cache: the current one with the events since then undone.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use storage::Revision;

use super::{Cacher, State, entry::Entry, selection::Selection};

/// Which part of an older state is asked for.
#[derive(Clone, Copy, Debug)]
pub struct PastRange<'a> {
    /// Keys under this prefix only.
    pub prefix: &'a str,
    /// Only keys after this one; for the next page.
    pub start_after: Option<&'a str>,
    /// Most objects.
    pub limit: Option<usize>,
    /// The revision whose state is asked for.
    pub at: Revision,
}

/// A part of an older state.
#[derive(Debug)]
pub struct PastPage {
    /// The objects in the order of their keys.
    pub entries: Vec<Arc<Entry>>,
    /// How many selected objects follow.
    pub remaining: usize,
    /// Whether all that follow were counted; else there are more.
    pub is_counted: bool,
}

impl Cacher {
    /// The selected objects of an older state, or of the current one; `None` when the ring does not
    /// reach back to it.
    pub fn list_past(&self, range: PastRange<'_>, selection: &Selection) -> Option<PastPage> {
        let state = self.state.read();
        if range.at < state.floor || range.at > state.revision {
            return None;
        }
        let mut selected = state.past(range).filter(|entry| selection.matches(entry));
        let limit = range.limit.unwrap_or(usize::MAX);
        let entries = selected.by_ref().take(limit).cloned().collect();
        let remaining = selected.count();
        Some(PastPage {
            entries,
            remaining,
            is_counted: true,
        })
    }
}

impl State {
    /// The entries of a range as of its revision, in the order of their keys.
    fn past<'a>(&'a self, range: PastRange<'a>) -> impl Iterator<Item = &'a Arc<Entry>> {
        let is_after = |key: &str| range.start_after.is_none_or(|start| key > start);
        let mut undone: BTreeMap<&str, Option<&Arc<Entry>>> = BTreeMap::new();
        // From the newest event back, so that the oldest one has the last word.
        for event in self.ring.iter().rev() {
            if event.revision <= range.at {
                break;
            }
            let key = event.key();
            if key.starts_with(range.prefix) && is_after(key) {
                undone.insert(key, event.previous.as_ref());
            }
        }
        let start = match range.start_after {
            Some(key) => Bound::Excluded(key),
            None => Bound::Included(range.prefix),
        };
        let current = self
            .objects
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(range.prefix))
            .map(|(key, entry)| (&**key, Some(entry)));
        merge(current, undone.into_iter()).filter_map(|(_, entry)| entry)
    }
}

/// Two sequences in the order of their keys as one; of equal keys the second sequence's counts.
fn merge<'a, T>(
    first: impl Iterator<Item = (&'a str, T)>,
    second: impl Iterator<Item = (&'a str, T)>,
) -> impl Iterator<Item = (&'a str, T)> {
    let (mut first, mut second) = (first.peekable(), second.peekable());
    std::iter::from_fn(move || match (first.peek(), second.peek()) {
        (Some((a, _)), Some((b, _))) if a < b => first.next(),
        (Some((a, _)), Some((b, _))) if a == b => {
            first.next();
            second.next()
        }
        (_, Some(_)) => second.next(),
        (_, None) => first.next(),
    })
}
