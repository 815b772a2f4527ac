//! Writes of the store beside those of the model.

use super::*;

pub(super) async fn send_patch(
    store: &Store,
    (namespace, name): &Key,
    patch: Result<Patch, ApiError>,
    options: &WriteOptions,
) -> Result<Written, ApiError> {
    let (patch, part) = (patch?, Subresource::None);
    let patched = store.patch(
        namespace,
        name,
        &patch,
        part,
        FieldValidation::Warn,
        options,
    );
    patched.await
}

impl Run {
    /// Compares an answer with what the model expects, and remembers the write.
    pub(super) fn settle(
        &mut self,
        key: &Key,
        outcome: Outcome,
        answer: Result<Written, ApiError>,
        dry_run: bool,
    ) {
        let (change, written) = match (outcome, answer) {
            (Err(code), Err(error)) => {
                assert_eq!(code, error.code(), "{error}");
                return;
            }
            (Ok(change), Ok(written)) => (change, written),
            (outcome, answer) => panic!("{outcome:?}, but {answer:?}"),
        };
        let answered = read(&written.object);
        let before = self.model.objects().get(key).cloned();
        assert_eq!(written.created, before.is_none());
        let old = before.unwrap_or_default();
        match change {
            Change::Nothing => assert_eq!(answered, old),
            Change::Remove => {
                assert_eq!(answered.revision, old.revision);
                self.remember(key, Change::Remove, dry_run);
            }
            Change::Put(mut state) => {
                if written.created {
                    assert_eq!(answered.uid.len(), 36);
                    state.uid.clone_from(&answered.uid);
                }
                let wanted = self.remember(key, Change::Put(state.clone()), dry_run);
                let tried = State {
                    revision: old.revision,
                    ..state
                };
                assert_eq!(answered, wanted.unwrap_or(tried));
            }
        }
    }

    /// The object after a write; `None` for one that was only tried.
    fn remember(&mut self, key: &Key, change: Change, dry_run: bool) -> Option<State> {
        if dry_run {
            return None;
        }
        self.model.settle(key, change)
    }

    pub(super) async fn apply(
        &mut self,
        store: &Store,
        key: Key,
        mut content: Content,
        options: &WriteOptions,
    ) {
        // A label that one apply leaves out after another had it would be another test.
        if content.label.is_empty() {
            "y".clone_into(&mut content.label);
        }
        let old = self.model.objects().get(&key).cloned();
        content.finalizers = old.clone().unwrap_or_default().content.finalizers;
        let mut outcome = match &old {
            None => self.model.create(&key, &content, Version::Absent),
            Some(_) => self.model.patch(&key, &content, Version::Absent),
        };
        let answer = send_apply(store, &key, &content, options).await;
        if let (Ok(Change::Nothing), Ok(written), Some(old)) = (&outcome, &answer, old)
            && read(&written.object).revision != old.revision
        {
            // The values stay, but they have one owner more.
            outcome = Ok(Change::Put(old));
        }
        let again = outcome.is_ok() && !options.dry_run;
        self.settle(&key, outcome, answer, options.dry_run);
        if again {
            let answer = send_apply(store, &key, &content, options).await;
            self.settle(&key, Ok(Change::Nothing), answer, false);
        }
    }

    pub(super) async fn delete(
        &mut self,
        store: &Store,
        key: &Key,
        precondition: Precondition,
        policy: Option<PropagationPolicy>,
        dry_run: bool,
    ) {
        let old = self.model.objects().get(key).cloned().unwrap_or_default();
        let (uid, resource_version) = match precondition {
            Precondition::None => (None, None),
            Precondition::Uid => (Some(old.uid), None),
            Precondition::Revision => (None, Some(old.revision.to_string())),
            Precondition::OtherUid => (Some("other".to_owned()), None),
            Precondition::OtherRevision => (None, Some((old.revision + 1).to_string())),
        };
        let held = !matches!(
            precondition,
            Precondition::OtherUid | Precondition::OtherRevision
        );
        let outcome = self.model.delete(key, held, policy);
        let options = DeleteOptions {
            uid,
            resource_version,
            propagation_policy: policy,
            dry_run,
        };
        let answer = store.delete(key.0, &key.1, &options).await;
        match (outcome, answer) {
            (Err(code), Err(error)) => assert_eq!(code, error.code(), "{error}"),
            (Ok(Change::Remove), Ok(Deleted::Gone { uid })) => {
                assert_eq!(uid, self.model.objects()[key].uid);
                self.remember(key, Change::Remove, dry_run);
            }
            (Ok(change), Ok(Deleted::Waiting(object))) => {
                let written = Written {
                    object,
                    created: false,
                    warnings: Vec::new(),
                };
                self.settle(key, Ok(change), Ok(written), dry_run);
            }
            (outcome, answer) => panic!("{outcome:?}, but {answer:?}"),
        }
    }

    pub(super) async fn delete_collection(
        &mut self,
        store: &Store,
        namespace: &str,
        selector: Selector,
        dry_run: bool,
    ) {
        let (list, selection) = selected(selector.query().as_slice());
        let options = DeleteOptions {
            dry_run,
            ..DeleteOptions::default()
        };
        let gone = store.delete_collection(namespace, &selection, &list, &options);
        let gone = gone.await.unwrap().entries;
        let wanted = self
            .model
            .selected(self.model.revision(), namespace, selector);
        let gone: Vec<State> = gone.iter().map(|entry| read(&entry.served())).collect();
        let states = wanted.iter().map(|(_, state)| state.clone());
        assert_eq!(gone, states.collect::<Vec<_>>());
        for (key, _) in wanted {
            let change = self.model.delete(&key, true, None).unwrap();
            self.remember(&key, change, dry_run);
        }
    }
}

async fn send_apply(
    store: &Store,
    key: &Key,
    content: &Content,
    options: &WriteOptions,
) -> Result<Written, ApiError> {
    let object = json!({
        "apiVersion": "test.io/v1", "kind": "Thing",
        "metadata": {"name": key.1, "labels": {"l": content.label}},
        "spec": {"size": content.size},
    });
    let object = Object::as_sent(object).unwrap();
    let apply = Apply {
        object,
        force: true,
    };
    match store
        .apply(key.0, &key.1, &apply, Subresource::None, options)
        .await?
    {
        Applied::Written(written) => Ok(written),
        Applied::Absent(merged) => store.create_applied(key.0, merged, options).await,
    }
}
