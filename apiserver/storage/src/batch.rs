//! What a batch of writes does: preconditions, revisions and events, without any I/O.
//!
//! The writes are judged one after the other, each on what the ones before it have left, so that a
//! batch means the same as its writes one by one.

use std::collections::HashMap;

use bytes::Bytes;

use crate::{Revision, StorageError};

/// One write.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) key: String,
    /// The new value; `None` for a delete.
    pub(super) value: Option<Bytes>,
    /// The revision that the key has to be at; `None` for a create.
    pub(super) expected: Option<Revision>,
}

impl Change {
    pub(super) fn create(key: String, value: Bytes) -> Self {
        Self {
            key,
            value: Some(value),
            expected: None,
        }
    }

    pub(super) fn update(key: String, value: Bytes, expected: Revision) -> Self {
        Self {
            key,
            value: Some(value),
            expected: Some(expected),
        }
    }

    pub(super) fn delete(key: String, expected: Revision) -> Self {
        Self {
            key,
            value: None,
            expected: Some(expected),
        }
    }
}

/// What is to be written to the database.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The answer to each write, in order, once everything is committed.
    pub(super) results: Vec<Result<Revision, StorageError>>,
    pub(super) events: Vec<Entry>,
    /// The newest value of every key that was written; `None` for a key that is gone.
    pub(super) objects: HashMap<String, Option<(Bytes, Revision)>>,
    /// The newest revision afterwards.
    pub(super) revision: Revision,
}

/// One row for the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) revision: Revision,
    pub(super) key: String,
    pub(super) value: Option<Bytes>,
    pub(super) previous: Option<Previous>,
}

/// What stood there before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Previous {
    pub(super) revision: Revision,
    /// `None` where it stands in the database, which then copies it.
    pub(super) value: Option<Bytes>,
}

impl Plan {
    /// The plan for writes to a store at `revision`, where `found` has the keys that exist.
    pub(super) fn new(
        changes: &[Change],
        found: &HashMap<String, Revision>,
        revision: Revision,
    ) -> Self {
        let mut plan = Self {
            revision,
            ..Self::default()
        };
        for change in changes {
            let result = plan.judge(change, found);
            plan.results.push(result);
        }
        plan
    }

    fn judge(
        &mut self,
        change: &Change,
        found: &HashMap<String, Revision>,
    ) -> Result<Revision, StorageError> {
        let Change {
            key,
            value,
            expected,
        } = change;
        let standing = match self.objects.get(key) {
            Some(written) => written.clone().map(|(value, revision)| Previous {
                revision,
                value: Some(value),
            }),
            None => found.get(key).map(|revision| Previous {
                revision: *revision,
                value: None,
            }),
        };
        match (&standing, *expected) {
            (Some(_), None) => return Err(StorageError::AlreadyExists(key.clone())),
            (None, Some(_)) => return Err(StorageError::NotFound(key.clone())),
            (Some(previous), Some(expected)) if previous.revision != expected => {
                return Err(StorageError::Conflict {
                    key: key.clone(),
                    expected,
                    actual: previous.revision,
                });
            }
            _ => {}
        }
        self.revision = Revision(self.revision.0 + 1);
        self.events.push(Entry {
            revision: self.revision,
            key: key.clone(),
            value: value.clone(),
            previous: standing,
        });
        let written = value.clone().map(|value| (value, self.revision));
        self.objects.insert(key.clone(), written);
        Ok(self.revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: &str, value: Option<&'static str>, expected: Option<u64>) -> Change {
        Change {
            key: key.to_owned(),
            value: value.map(|text| Bytes::from_static(text.as_bytes())),
            expected: expected.map(Revision),
        }
    }

    #[test]
    fn writes_of_one_key_in_a_batch_see_each_other() {
        let found = HashMap::from([("b".to_owned(), Revision(3))]);
        let plan = Plan::new(
            &[
                change("a", Some("1"), None),
                change("a", Some("2"), None),
                change("a", Some("3"), Some(11)),
                change("a", None, Some(12)),
                change("a", Some("4"), Some(12)),
                change("b", None, Some(2)),
                change("b", None, Some(3)),
                change("b", Some("5"), None),
            ],
            &found,
            Revision(10),
        );
        let conflict = StorageError::Conflict {
            key: "b".to_owned(),
            expected: Revision(2),
            actual: Revision(3),
        };
        assert_eq!(
            plan.results,
            [
                Ok(Revision(11)),
                Err(StorageError::AlreadyExists("a".to_owned())),
                Ok(Revision(12)),
                Ok(Revision(13)),
                Err(StorageError::NotFound("a".to_owned())),
                Err(conflict),
                Ok(Revision(14)),
                Ok(Revision(15)),
            ]
        );
        assert_eq!(plan.revision, Revision(15));
        assert_eq!(plan.objects["a"], None);
        assert_eq!(
            plan.objects["b"],
            Some((Bytes::from_static(b"5"), Revision(15)))
        );
        let previous: Vec<_> = plan.events.iter().map(|e| e.previous.as_ref()).collect();
        let of = |revision, value: Option<&'static str>| Previous {
            revision: Revision(revision),
            value: value.map(|text| Bytes::from_static(text.as_bytes())),
        };
        assert_eq!(
            previous,
            [
                None,
                Some(&of(11, Some("1"))),
                Some(&of(12, Some("3"))),
                Some(&of(3, None)),
                None,
            ]
        );
    }
}
