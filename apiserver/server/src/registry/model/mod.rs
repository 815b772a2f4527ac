//! The registry and its cache against a model: random writes, by several servers over one store,
//! and after each of them reads, lists, pages and watches that show what the model says.
//!
//! `MODEL_CASES` sets how many runs there are.

mod actions;
mod follower;
mod reads;
mod reference;
mod writes;

use apimachinery::ListOptions;
use proptest::{prelude::*, test_runner::Config};
use serde_json::json;
use storage::{MemoryStorage, Range};
use tokio::time::Instant;

use self::{
    actions::{Action, Follow, From, Precondition, Step, steps},
    follower::Follower,
    reads::selected,
    reference::{Change, Content, Key, Model, Outcome, Selector, State, Version},
    writes::send_patch,
};
use super::*;
use crate::{
    admission::AnyNamespace,
    cacher::{PastRange, Selection, View, WatchParameters, WatchStart, Watcher},
    testing::thing_definition,
};

/// Runs of a usual test: about four seconds.
const CASES: u32 = 48;
const NO_VERSION: Option<&str> = None;
/// Long enough for a bookmark.
const BOOKMARK_TIME: std::time::Duration = std::time::Duration::from_secs(61);

struct Run {
    storage: Arc<MemoryStorage>,
    /// Servers with the revision that each began with.
    replicas: Vec<(Arc<Store>, u64)>,
    model: Model,
    followers: Vec<Follower>,
    pages: Vec<Pages>,
}

/// A list of which pages are still to come.
struct Pages {
    namespace: &'static str,
    query: Vec<(String, String)>,
    rest: Vec<(Key, State)>,
    is_everything: bool,
    revision: u64,
}

fn config() -> Config {
    let cases = std::env::var("MODEL_CASES").ok();
    Config {
        cases: cases.and_then(|n| n.parse().ok()).unwrap_or(CASES),
        failure_persistence: None,
        ..Config::default()
    }
}

proptest! {
    #![proptest_config(config())]

    /// V6, V7, V8, V9, V11, A6, L2, L4, L5, L6, W2, W3, W4, W5, W6, W8, C1, C2, C3,
    /// N1, N2, N3, N5, N6, N7, N9, N10: whatever clients do, answers, lists and watches of every
    /// server are those of the model.
    #[test]
    fn the_registry_does_what_the_model_says(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut run = Run::new().await;
            for step in steps {
                run.step(step).await;
            }
            run.compare_the_past().await;
        });
    }
}

/// The object that a client sends.
fn sent((namespace, name): &Key, content: &Content, version: Option<&str>) -> Object {
    let mut object = json!({
        "apiVersion": "test.io/v1", "kind": "Thing",
        "metadata": {"name": name, "namespace": namespace, "finalizers": content.finalizers},
        "spec": {"size": content.size},
    });
    if !content.label.is_empty() {
        object["metadata"]["labels"] = json!({"l": content.label});
    }
    if let Some(version) = version {
        object["metadata"]["resourceVersion"] = json!(version);
    }
    Object::from_value(object).unwrap()
}

fn read(bytes: &Bytes) -> State {
    State::of(&Object::from_slice(bytes).unwrap())
}

impl Run {
    async fn new() -> Self {
        let mut run = Self {
            storage: Arc::new(MemoryStorage::default()),
            replicas: Vec::new(),
            model: Model::new(),
            followers: Vec::new(),
            pages: Vec::new(),
        };
        run.add_replica().await;
        run
    }

    async fn add_replica(&mut self) {
        let (store, _feed) = Store::start(
            thing_definition(),
            Arc::new(SchemaOnly),
            Arc::new(AnyNamespace),
            Arc::<MemoryStorage>::clone(&self.storage),
            CancellationToken::new(),
        )
        .unwrap();
        store.wait_for(None, "list").await.unwrap();
        self.replicas.push((store, self.model.revision()));
    }

    fn version(&self, key: &Key, version: Version) -> Option<String> {
        let current = self.model.objects().get(key);
        let current = current.map_or_else(|| self.model.revision() + 1, |state| state.revision);
        match version {
            Version::Current => Some(current.to_string()),
            Version::Stale => Some((if current > 1 { current - 1 } else { 1000 }).to_string()),
            Version::Absent => None,
        }
    }

    async fn step(&mut self, step: Step) {
        let replica = step.replica % self.replicas.len();
        let (store, since) = self.replicas[replica].clone();
        let ticked = matches!(step.action, Action::Tick);
        match step.action {
            Action::Watch(what) => self.watch(&store, since, what).await,
            Action::List {
                namespace,
                selector,
                back,
                limit,
            } => {
                self.begin_list(&store, namespace, selector, back, limit)
                    .await;
            }
            Action::NextPage if self.pages.is_empty() => {}
            Action::NextPage => {
                let pages = self.pages.remove(0);
                self.next_page(&store, pages).await;
            }
            Action::Tick => tokio::time::advance(BOOKMARK_TIME).await,
            Action::AddReplica => self.add_replica().await,
            action => self.write(&store, action, step.dry_run).await,
        }
        self.compare(ticked).await;
    }

    async fn write(&mut self, store: &Store, action: Action, dry_run: bool) {
        let manager = if matches!(action, Action::Apply(..)) {
            "applier"
        } else {
            "writer"
        };
        let options = &WriteOptions {
            dry_run,
            manager: manager.to_owned(),
        };
        let (key, outcome, answer) = match action {
            Action::Create(key, content, version) => {
                let outcome = self.model.create(&key, &content, version);
                let version = self.version(&key, version);
                let mut object = sent(&key, &content, version.as_deref());
                // What a client may not set is cleared.
                object.set("status", Some(json!({"phase": "mine"})));
                object.set_metadata_field("uid", Some(json!("mine")));
                object.set_metadata_field("generation", Some(json!(9)));
                let answer = store.create(key.0, object, options).await;
                (key, outcome, answer)
            }
            Action::CreateGenerated(content) => {
                let mut key = ("n1", String::new());
                let mut object = sent(&key, &content, NO_VERSION);
                object.set_metadata_field("generateName", Some(json!("made-")));
                let outcome = self.model.create(&key, &content, Version::Absent);
                let answer = store.create(key.0, object, options).await;
                if let Ok(written) = &answer {
                    let made = Object::from_slice(&written.object).unwrap();
                    made.name().clone_into(&mut key.1);
                }
                (key, outcome, answer)
            }
            Action::Update {
                key,
                content,
                version,
                wrong_uid,
            } => {
                let outcome = self.model.update(&key, &content, version, wrong_uid);
                let version = self.version(&key, version);
                let mut object = sent(&key, &content, version.as_deref());
                object.set("status", Some(json!({"phase": "mine"})));
                if wrong_uid {
                    object.set_metadata_field("uid", Some(json!("other")));
                }
                let updated = store.update(key.0, &key.1, object, Subresource::None, options);
                let answer = updated.await;
                (key, outcome, answer)
            }
            Action::UpdateStatus(key, phase, version) => {
                let outcome = self.model.update_status(&key, phase, version);
                let version = self.version(&key, version);
                let other = Content {
                    size: 99,
                    label: "other".to_owned(),
                    finalizers: Vec::new(),
                };
                let mut object = sent(&key, &other, version.as_deref());
                let status = (!phase.is_empty()).then(|| json!({"phase": phase}));
                object.set("status", status);
                let updated = store.update(key.0, &key.1, object, Subresource::Status, options);
                let answer = updated.await;
                (key, outcome, answer)
            }
            Action::MergePatch(key, content, version) => {
                let outcome = self.model.patch(&key, &content, version);
                let patch = merge_patch(&content, self.version(&key, version));
                let answer = send_patch(store, &key, patch, options).await;
                (key, outcome, answer)
            }
            Action::JsonPatch(key, size) => {
                let old = self.model.objects().get(&key);
                let content = old.map(|old| Content {
                    size,
                    ..old.content.clone()
                });
                let content = content.unwrap_or_default();
                let outcome = self.model.patch(&key, &content, Version::Absent);
                let patch = json!([{"op": "replace", "path": "/spec/size", "value": size}]);
                let patch = Patch::json(patch.to_string().as_bytes());
                let answer = send_patch(store, &key, patch, options).await;
                (key, outcome, answer)
            }
            Action::Apply(key, content) => return self.apply(store, key, content, options).await,
            Action::Delete(key, precondition, policy) => {
                return self
                    .delete(store, &key, precondition, policy, dry_run)
                    .await;
            }
            Action::DeleteCollection(namespace, selector) => {
                return self
                    .delete_collection(store, namespace, selector, dry_run)
                    .await;
            }
            _ => return,
        };
        self.settle(&key, outcome, answer, dry_run);
    }
}

fn merge_patch(content: &Content, version: Option<String>) -> Result<Patch, ApiError> {
    let mut patch = json!({
        "metadata": {"finalizers": content.finalizers, "labels": {"l": null}},
        "spec": {"size": content.size}, "status": {"phase": "mine"},
    });
    if !content.label.is_empty() {
        patch["metadata"]["labels"]["l"] = json!(content.label);
    }
    if let Some(version) = version {
        patch["metadata"]["resourceVersion"] = json!(version);
    }
    Patch::merge(patch)
}
