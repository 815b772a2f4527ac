//! What the registry should do, as plainly as it can be said: maps and numbers, no bytes and no clock.

use std::collections::BTreeMap;

use apimachinery::Object;
use serde_json::Value;

use crate::registry::PropagationPolicy;

/// Namespace and name.
pub(super) type Key = (&'static str, String);
pub(super) type Objects = BTreeMap<Key, State>;

/// What the tests look at in an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) uid: String,
    pub(super) revision: u64,
    pub(super) generation: i64,
    pub(super) terminating: bool,
    pub(super) phase: String,
    pub(super) content: Content,
}

/// What a client writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) size: i64,
    pub(super) label: String,
    pub(super) finalizers: Vec<String>,
}

/// What a write makes of an object, or the code of its refusal.
pub(super) type Outcome = Result<Change, u16>;

#[derive(Clone, Debug)]
pub(super) enum Change {
    Nothing,
    Put(State),
    Remove,
}

/// One write, with the object before and after it.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) revision: u64,
    pub(super) key: Key,
    pub(super) before: Option<State>,
    pub(super) after: Option<State>,
}

/// Every state that there was: the one after revision `n` is the `n`th.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) history: Vec<Objects>,
    pub(super) events: Vec<Event>,
}

/// How the version in a write relates to the object's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Current,
    Stale,
    Absent,
}

/// Which objects are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selector {
    Everything,
    Label,
    NotLabel,
    Name,
}

impl State {
    pub(super) fn of(object: &Object) -> Self {
        let text = |pointer: &str| {
            let value = object.fields().get(pointer)?;
            value.as_object()?.values().next()?.as_str()
        };
        let labels = object.string_map("labels").collect::<BTreeMap<_, _>>();
        let spec = object.get("spec").and_then(|spec| spec.get("size"));
        Self {
            uid: object.uid().to_owned(),
            revision: object.resource_version().parse().unwrap_or_default(),
            generation: object.generation(),
            terminating: object.is_terminating(),
            phase: text("status").unwrap_or_default().to_owned(),
            content: Content {
                size: spec.and_then(Value::as_i64).unwrap(),
                label: labels.get("l").copied().unwrap_or_default().to_owned(),
                finalizers: object.finalizers().map(str::to_owned).collect(),
            },
        }
    }
}

impl Selector {
    pub(super) fn query(self) -> Option<(String, String)> {
        let (parameter, selector) = match self {
            Self::Everything => return None,
            Self::Label => ("labelSelector", "l=x"),
            Self::NotLabel => ("labelSelector", "l!=x"),
            Self::Name => ("fieldSelector", "metadata.name=a"),
        };
        Some((parameter.to_owned(), selector.to_owned()))
    }

    pub(super) fn matches(self, key: &Key, state: &State) -> bool {
        match self {
            Self::Everything => true,
            Self::Label => state.content.label == "x",
            Self::NotLabel => state.content.label != "x",
            Self::Name => key.1 == "a",
        }
    }
}

/// Whether an object is in a namespace; the empty one is all of them.
pub(super) fn is_in(key: &Key, namespace: &str) -> bool {
    namespace.is_empty() || key.0 == namespace
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            history: vec![Objects::new()],
            events: Vec::new(),
        }
    }

    pub(super) fn revision(&self) -> u64 {
        self.history.len() as u64 - 1
    }

    pub(super) fn at(&self, revision: u64) -> &Objects {
        &self.history[usize::try_from(revision).unwrap()]
    }

    pub(super) fn objects(&self) -> &Objects {
        self.at(self.revision())
    }

    pub(super) fn selected(
        &self,
        revision: u64,
        namespace: &str,
        selector: Selector,
    ) -> Vec<(Key, State)> {
        let all = self.at(revision).iter();
        let selected =
            all.filter(|(key, state)| is_in(key, namespace) && selector.matches(key, state));
        selected
            .map(|(key, state)| (key.clone(), state.clone()))
            .collect()
    }

    /// Remembers what a write has done, and gives the object as it is then.
    pub(super) fn settle(&mut self, key: &Key, change: Change) -> Option<State> {
        let mut objects = self.objects().clone();
        let before = objects.get(key).cloned();
        let revision = self.revision() + 1;
        let after = match change {
            Change::Nothing => return before,
            Change::Put(state) => Some(State { revision, ..state }),
            Change::Remove => None,
        };
        match &after {
            Some(state) => objects.insert(key.clone(), state.clone()),
            None => objects.remove(key),
        };
        self.history.push(objects);
        let key = key.clone();
        self.events.push(Event {
            revision,
            key,
            before,
            after: after.clone(),
        });
        after
    }

    pub(super) fn create(&self, key: &Key, content: &Content, version: Version) -> Outcome {
        if version != Version::Absent {
            return Err(400);
        }
        if content.size < 0 {
            return Err(422);
        }
        if self.objects().contains_key(key) {
            return Err(409);
        }
        Ok(Change::Put(State {
            generation: 1,
            content: content.clone(),
            ..State::default()
        }))
    }

    /// An update by PUT, with the uid that it carries.
    pub(super) fn update(
        &self,
        key: &Key,
        content: &Content,
        version: Version,
        wrong_uid: bool,
    ) -> Outcome {
        let old = self.objects().get(key).ok_or(404_u16)?;
        match version {
            _ if wrong_uid => Err(409),
            Version::Absent => Err(422),
            Version::Stale => Err(409),
            Version::Current => Self::replace(old, content),
        }
    }

    /// A patch, which needs no version but fails on a stale one.
    pub(super) fn patch(&self, key: &Key, content: &Content, version: Version) -> Outcome {
        let old = self.objects().get(key).ok_or(404_u16)?;
        if version == Version::Stale {
            return Err(409);
        }
        Self::replace(old, content)
    }

    fn replace(old: &State, content: &Content) -> Outcome {
        let is_new = |finalizer| !old.content.finalizers.contains(finalizer);
        if content.size < 0 || (old.terminating && content.finalizers.iter().any(is_new)) {
            return Err(422);
        }
        if old.content == *content {
            return Ok(Change::Nothing);
        }
        if old.terminating && content.finalizers.is_empty() {
            return Ok(Change::Remove);
        }
        Ok(Change::Put(State {
            generation: old.generation + i64::from(old.content.size != content.size),
            content: content.clone(),
            ..old.clone()
        }))
    }

    pub(super) fn update_status(&self, key: &Key, phase: &str, version: Version) -> Outcome {
        let old = self.objects().get(key).ok_or(404_u16)?;
        match version {
            Version::Absent => Err(422),
            Version::Stale => Err(409),
            Version::Current if old.phase == phase => Ok(Change::Nothing),
            Version::Current => Ok(Change::Put(State {
                phase: phase.to_owned(),
                ..old.clone()
            })),
        }
    }

    pub(super) fn delete(
        &self,
        key: &Key,
        preconditions_hold: bool,
        policy: Option<PropagationPolicy>,
    ) -> Outcome {
        let old = self.objects().get(key).ok_or(404_u16)?;
        if !preconditions_hold {
            return Err(409);
        }
        let mut new = old.clone();
        if let Some(policy) = policy {
            let collected = |finalizer: &String| finalizer.contains('/');
            new.content.finalizers.retain(collected);
            new.content.finalizers.extend(match policy {
                PropagationPolicy::Orphan => Some("orphan".to_owned()),
                PropagationPolicy::Foreground => Some("foregroundDeletion".to_owned()),
                PropagationPolicy::Background => None,
            });
        }
        if new.content.finalizers.is_empty() {
            return Ok(Change::Remove);
        }
        if !old.terminating {
            new.terminating = true;
            new.generation += 1;
        }
        Ok(if new == *old {
            Change::Nothing
        } else {
            Change::Put(new)
        })
    }
}
