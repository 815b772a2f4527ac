//! What clients do, at random.

use proptest::{collection::vec, prelude::*, sample::select};

use super::reference::{Content, Key, Selector, Version};
use crate::registry::PropagationPolicy;

/// One step of a run. `replica` and the other numbers are taken modulo what there is.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) replica: usize,
    pub(super) dry_run: bool,
    pub(super) action: Action,
}

#[derive(Clone, Debug)]
pub(super) enum Action {
    Create(Key, Content, Version),
    CreateGenerated(Content),
    Update {
        key: Key,
        content: Content,
        version: Version,
        wrong_uid: bool,
    },
    UpdateStatus(Key, &'static str, Version),
    MergePatch(Key, Content, Version),
    /// Of the size alone.
    JsonPatch(Key, i64),
    Apply(Key, Content),
    Delete(Key, Precondition, Option<PropagationPolicy>),
    DeleteCollection(&'static str, Selector),
    Watch(Follow),
    /// Lists the state of an older revision, or the newest one, in pages.
    List {
        namespace: &'static str,
        selector: Selector,
        back: Option<u64>,
        limit: usize,
    },
    /// Takes the next page of the oldest list that has one.
    NextPage,
    /// Time for bookmarks.
    Tick,
    /// Another server over the same store, which knows nothing of the past.
    AddReplica,
}

/// What a delete asks for beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precondition {
    None,
    Uid,
    Revision,
    OtherUid,
    OtherRevision,
}

/// A watch to be started.
#[derive(Clone, Debug)]
pub(super) struct Follow {
    pub(super) namespace: &'static str,
    pub(super) selector: Selector,
    pub(super) bookmarks: bool,
    pub(super) from: From,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// Revisions before the newest one.
    Back(u64),
    /// The current objects first.
    Initial,
    /// What comes next.
    Now,
}

const NAMESPACES: [&str; 2] = ["n1", "n2"];

fn key() -> impl Strategy<Value = Key> {
    (select(&NAMESPACES[..]), select(&["a", "b", "c"][..]))
        .prop_map(|(namespace, name)| (namespace, name.to_owned()))
}

fn content() -> impl Strategy<Value = Content> {
    let size = prop_oneof![1 => Just(-1_i64), 12 => 0..3_i64];
    let label = select(&["", "x", "y"][..]);
    let finalizers = prop_oneof![
        4 => Just(vec![]),
        2 => Just(vec!["test.io/a"]),
        1 => Just(vec!["test.io/b"]),
        1 => Just(vec!["test.io/a", "test.io/b"]),
    ];
    (size, label, finalizers).prop_map(|(size, label, finalizers)| Content {
        size,
        label: label.to_owned(),
        finalizers: finalizers.into_iter().map(str::to_owned).collect(),
    })
}

/// Mostly `usual`.
fn version(usual: Version) -> impl Strategy<Value = Version> {
    let others = select(&[Version::Current, Version::Stale, Version::Absent][..]);
    prop_oneof![6 => Just(usual), 1 => others]
}

fn selector() -> impl Strategy<Value = Selector> {
    let all = [
        Selector::Everything,
        Selector::Label,
        Selector::NotLabel,
        Selector::Name,
    ];
    prop_oneof![Just(Selector::Everything), select(all.to_vec())]
}

fn namespace() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(""), select(&NAMESPACES[..])]
}

fn precondition() -> impl Strategy<Value = Precondition> {
    let held = [Precondition::Uid, Precondition::Revision];
    let failed = [Precondition::OtherUid, Precondition::OtherRevision];
    prop_oneof![
        4 => Just(Precondition::None),
        2 => select(held.to_vec()),
        1 => select(failed.to_vec()),
    ]
}

fn policy() -> impl Strategy<Value = Option<PropagationPolicy>> {
    let policies = [
        PropagationPolicy::Background,
        PropagationPolicy::Foreground,
        PropagationPolicy::Orphan,
    ];
    prop_oneof![4 => Just(None), 1 => select(policies.to_vec()).prop_map(Some)]
}

fn follow() -> impl Strategy<Value = Follow> {
    let from = prop_oneof![
        3 => (0..12_u64).prop_map(From::Back),
        2 => Just(From::Initial),
        1 => Just(From::Now),
    ];
    (namespace(), selector(), any::<bool>(), from).prop_map(
        |(namespace, selector, bookmarks, from)| Follow {
            namespace,
            selector,
            bookmarks,
            from,
        },
    )
}

fn action() -> impl Strategy<Value = Action> {
    let absent = || version(Version::Absent);
    let current = || version(Version::Current);
    let phase = select(&["", "ready", "done"][..]);
    let wrong = prop::bool::weighted(0.05);
    let update = (key(), content(), current(), wrong);
    let back = prop::option::of(0..12_u64);
    let list = (namespace(), selector(), back, 0..3_usize);
    prop_oneof![
        8 => (key(), content(), absent()).prop_map(|(k, c, v)| Action::Create(k, c, v)),
        1 => content().prop_map(Action::CreateGenerated),
        6 => update.prop_map(|(key, content, version, wrong_uid)| Action::Update {
            key, content, version, wrong_uid,
        }),
        4 => (key(), phase, current()).prop_map(|(k, p, v)| Action::UpdateStatus(k, p, v)),
        4 => (key(), content(), absent()).prop_map(|(k, c, v)| Action::MergePatch(k, c, v)),
        2 => (key(), -1..3_i64).prop_map(|(k, size)| Action::JsonPatch(k, size)),
        4 => (key(), content()).prop_map(|(k, c)| Action::Apply(k, c)),
        6 => (key(), precondition(), policy()).prop_map(|(k, p, o)| Action::Delete(k, p, o)),
        1 => (namespace(), selector()).prop_map(|(n, s)| Action::DeleteCollection(n, s)),
        5 => follow().prop_map(Action::Watch),
        4 => list.prop_map(|(namespace, selector, back, limit)| Action::List {
            namespace, selector, back, limit,
        }),
        4 => Just(Action::NextPage),
        1 => Just(Action::Tick),
        1 => Just(Action::AddReplica),
    ]
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (any::<usize>(), prop::bool::weighted(0.1), action());
    let step = step.prop_map(|(replica, dry_run, action)| Step {
        replica,
        dry_run,
        action,
    });
    vec(step, 1..60)
}
