use apimachinery::ListOptions;
use serde_json::{Value, json};
use storage::{MemoryStorage, Storage};

use super::*;
use crate::{admission::AnyNamespace, cacher::Selection, testing::thing_definition};

fn store() -> Arc<Store> {
    store_on(Arc::new(MemoryStorage::default()))
}

fn store_on(storage: Arc<MemoryStorage>) -> Arc<Store> {
    Store::start(
        thing_definition(),
        Arc::new(SchemaOnly),
        Arc::new(AnyNamespace),
        storage,
        CancellationToken::new(),
    )
    .unwrap()
    .0
}

fn thing(name: &str, size: i64) -> Object {
    let object = json!({"apiVersion": "test.io/v1", "kind": "Thing", "metadata": {"name": name},
        "spec": {"size": size}});
    Object::from_value(object).unwrap()
}

fn decoded(bytes: &Bytes) -> Object {
    Object::from_slice(bytes).unwrap()
}

async fn created(store: &Store, object: Object) -> Object {
    let options = &WriteOptions::default();
    let written = store.create("default", object, options).await.unwrap();
    decoded(&written.object)
}

async fn update(store: &Store, object: Object) -> Result<Object, ApiError> {
    let name = object.name().to_owned();
    let options = &WriteOptions::default();
    let updated = store
        .update("default", &name, object, Subresource::None, options)
        .await;
    updated.map(|written| decoded(&written.object))
}

async fn delete(store: &Store, name: &str) -> Result<Deleted, ApiError> {
    store
        .delete("default", name, &DeleteOptions::default())
        .await
}

fn with_finalizer(mut object: Object) -> Object {
    object.set_metadata_field("finalizers", Some(json!(["test.io/wait"])));
    object
}

fn with_size(mut object: Object, size: i64) -> Object {
    object.set("spec", Some(json!({ "size": size })));
    object
}

/// V1, V3, C3: the server sets what it owns and clears what a client may not set.
#[tokio::test]
async fn create_sets_the_servers_fields() {
    let mut object = thing("a", 1);
    object.set_metadata_field("uid", Some(json!("mine")));
    object.set_metadata_field("generation", Some(json!(9)));
    object.set("status", Some(json!({"phase": "mine"})));
    let made = created(&store(), object).await;
    assert_eq!((made.namespace(), made.generation()), ("default", 1));
    assert_eq!(made.uid().len(), 36);
    assert_eq!(made.api_version(), "test.io/v1");
    assert!(made.get("status").is_none());
    assert_ne!(made.resource_version(), "");
}

/// V3: a resource version on create is refused.
#[tokio::test]
async fn create_with_a_resource_version_is_refused() {
    let mut object = thing("a", 1);
    object.set_metadata_field("resourceVersion", Some(json!("5")));
    let error = store()
        .create("default", object, &WriteOptions::default())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "resourceVersion should not be set on objects to be created"
    );
}

/// V4: a generated name is unique each time.
#[tokio::test]
async fn create_generates_names() {
    let store = store();
    let mut object = thing("", 1);
    object.set_metadata_field("generateName", Some(json!("job-")));
    let (first, second) = (
        created(&store, object.clone()).await,
        created(&store, object).await,
    );
    assert!(first.name().starts_with("job-"));
    assert_ne!(first.name(), second.name());
}

/// V2: an object without any name is 422.
#[tokio::test]
async fn create_without_a_name_is_invalid() {
    let error = store()
        .create("default", thing("", 1), &WriteOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.code(), 422);
    assert!(
        error
            .to_string()
            .contains("name or generateName is required"),
        "{error}"
    );
}

#[tokio::test]
async fn create_of_a_taken_name_is_409_and_of_one_on_its_way_out_says_so() {
    let store = store();
    let made = created(&store, with_finalizer(thing("a", 1))).await;
    let again = store
        .create("default", thing("a", 1), &WriteOptions::default())
        .await
        .unwrap_err();
    assert_eq!(again.to_string(), "things.test.io \"a\" already exists");
    delete(&store, made.name()).await.unwrap();
    let again = store
        .create("default", thing("a", 1), &WriteOptions::default())
        .await
        .unwrap_err();
    assert_eq!(
        again.to_string(),
        "object is being deleted: things.test.io \"a\" already exists"
    );
}

/// V6, C1, N6: only a change of the spec counts as a generation; status writes and labels do not.
#[tokio::test]
async fn generation_counts_changes_of_the_spec() {
    let store = store();
    let mut made = created(&store, thing("a", 1)).await;
    made.set_metadata_field("labels", Some(json!({"l": "1"})));
    let labelled = update(&store, made).await.unwrap();
    assert_eq!(labelled.generation(), 1);
    let changed = update(&store, with_size(labelled, 2)).await.unwrap();
    assert_eq!(changed.generation(), 2);
    let mut status = changed;
    status.set("status", Some(json!({"phase": "done"})));
    status.set("spec", Some(json!({"size": 99})));
    let options = &WriteOptions::default();
    let written = store
        .update("default", "a", status, Subresource::Status, options)
        .await;
    let written = decoded(&written.unwrap().object);
    assert_eq!(written.generation(), 2);
    assert_eq!(written.get("spec"), Some(&json!({"size": 2})));
    assert_eq!(written.get("status"), Some(&json!({"phase": "done"})));
}

/// V7, N5, N6: a stale version is 409, none at all is 422, and a change that is none is not written.
#[tokio::test]
async fn update_needs_the_newest_version_and_skips_what_changes_nothing() {
    let store = store();
    let first = created(&store, thing("a", 1)).await;
    let same = update(&store, first.clone()).await.unwrap();
    assert_eq!(same.resource_version(), first.resource_version());
    let second = update(&store, with_size(first.clone(), 2)).await.unwrap();
    assert_ne!(second.resource_version(), first.resource_version());
    assert_eq!(
        update(&store, with_size(first, 3))
            .await
            .unwrap_err()
            .code(),
        409
    );
    let mut bare = thing("a", 4);
    bare.set_metadata_field("uid", Some(json!(second.uid())));
    let error = update(&store, bare.clone()).await.unwrap_err();
    assert_eq!(error.code(), 422);
    assert!(
        error
            .to_string()
            .contains("must be specified for an update"),
        "{error}"
    );
    bare.set_metadata_field("uid", Some(json!("another")));
    assert_eq!(update(&store, bare).await.unwrap_err().code(), 409);
}

/// V8, N7: an object with finalizers waits; the last one gone, it goes.
#[tokio::test]
async fn finalizers_hold_a_deleted_object() {
    let store = store();
    created(&store, with_finalizer(thing("a", 1))).await;
    let Deleted::Waiting(bytes) = delete(&store, "a").await.unwrap() else {
        panic!("it must wait");
    };
    let waiting = decoded(&bytes);
    assert!(waiting.is_terminating());
    assert_eq!(waiting.generation(), 2);
    assert_eq!(
        waiting.metadata_field("deletionGracePeriodSeconds"),
        Some(&json!(0))
    );

    let mut more = waiting.clone();
    more.set_metadata_field("finalizers", Some(json!(["test.io/wait", "test.io/more"])));
    assert_eq!(update(&store, more).await.unwrap_err().code(), 422);

    let mut released = waiting;
    released.set_metadata_field("finalizers", None);
    update(&store, released).await.unwrap();
    assert_eq!(
        store.get("default", "a", None).await.unwrap_err().code(),
        404
    );
}

/// V8, N7: preconditions that do not hold are 409.
#[tokio::test]
async fn delete_preconditions_protect_an_object() {
    let store = store();
    let made = created(&store, thing("a", 1)).await;
    let other = DeleteOptions {
        uid: Some("other".to_owned()),
        ..DeleteOptions::default()
    };
    assert_eq!(
        store
            .delete("default", "a", &other)
            .await
            .unwrap_err()
            .code(),
        409
    );
    let right = DeleteOptions {
        uid: Some(made.uid().to_owned()),
        resource_version: Some(made.resource_version().to_owned()),
        ..DeleteOptions::default()
    };
    assert!(matches!(
        store.delete("default", "a", &right).await,
        Ok(Deleted::Gone { .. })
    ));
    assert_eq!(delete(&store, "a").await.unwrap_err().code(), 404);
}

/// V9: the policy becomes a finalizer for the garbage collector.
#[tokio::test]
async fn propagation_policies_become_finalizers() {
    for (policy, finalizer) in [
        (PropagationPolicy::Orphan, "orphan"),
        (PropagationPolicy::Foreground, "foregroundDeletion"),
    ] {
        let store = store();
        created(&store, thing("a", 1)).await;
        let options = DeleteOptions {
            propagation_policy: Some(policy),
            ..DeleteOptions::default()
        };
        let deleted = store.delete("default", "a", &options).await.unwrap();
        let Deleted::Waiting(bytes) = deleted else {
            panic!("it must wait")
        };
        assert_eq!(
            decoded(&bytes).finalizers().collect::<Vec<_>>(),
            [finalizer]
        );
    }
}

/// V11: deletecollection takes what is selected and leaves the rest.
#[tokio::test]
async fn deletecollection_honours_selectors() {
    let store = store();
    for (name, label) in [("a", "x"), ("b", "y"), ("c", "x")] {
        let mut object = thing(name, 1);
        object.set_metadata_field("labels", Some(json!({"l": label})));
        created(&store, object).await;
    }
    let query = [("labelSelector".to_owned(), "l=x".to_owned())];
    let selection = Selection::from_options(
        &ListOptions::from_query(&query).unwrap(),
        &thing_definition(),
    )
    .unwrap();
    let (list, options) = (ListOptions::default(), DeleteOptions::default());
    let gone = store
        .delete_collection("default", &selection, &list, &options)
        .await
        .unwrap();
    assert_eq!(gone.entries.len(), 2);
    assert_eq!(names(&store, "").await.0, ["b"]);
}

/// A6: a dry run checks everything and writes nothing.
#[tokio::test]
async fn dry_run_writes_nothing() {
    let store = store();
    let dry = &WriteOptions {
        dry_run: true,
        ..WriteOptions::default()
    };
    let made = store.create("default", thing("a", 1), dry).await.unwrap();
    let made = decoded(&made.object);
    assert_eq!((made.uid().len(), made.resource_version()), (36, ""));
    assert_eq!(
        store.get("default", "a", None).await.unwrap_err().code(),
        404
    );
    let real = created(&store, thing("a", 1)).await;
    assert_eq!(
        store
            .create("default", thing("a", 1), dry)
            .await
            .unwrap_err()
            .code(),
        409
    );
    let change = with_size(real.clone(), 5);
    store
        .update("default", "a", change, Subresource::None, dry)
        .await
        .unwrap();
    let options = DeleteOptions {
        dry_run: true,
        ..DeleteOptions::default()
    };
    store.delete("default", "a", &options).await.unwrap();
    let now = store.get("default", "a", None).await.unwrap();
    assert_eq!(decoded(&now.served()), real);
}

async fn names(store: &Store, query: &str) -> (Vec<String>, Option<String>) {
    list(store, query).await.unwrap()
}

async fn list(store: &Store, query: &str) -> Result<(Vec<String>, Option<String>), ApiError> {
    let query: Vec<(String, String)> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let options = ListOptions::from_query(&query).unwrap();
    let selection = Selection::from_options(&options, &thing_definition()).unwrap();
    let found = store.list("default", &selection, &options).await?;
    let names = found
        .entries
        .iter()
        .map(|entry| entry.header.name.clone())
        .collect();
    Ok((names, found.continue_token))
}

/// L2, L4, L5: pages come in the order of names and all show the state of the first.
#[tokio::test]
async fn pages_show_one_state() {
    let store = store();
    for name in ["c", "a", "b", "d"] {
        created(&store, thing(name, 1)).await;
    }
    let (first, token) = names(&store, "limit=2").await;
    assert_eq!(first, ["a", "b"]);
    delete(&store, "c").await.unwrap();
    created(&store, thing("bb", 1)).await;
    let token = token.expect("there is a second page");
    let (second, end) = names(&store, &format!("limit=2&continue={token}")).await;
    assert_eq!((second, end), (vec!["c".to_owned(), "d".to_owned()], None));
    assert_eq!(names(&store, "").await.0, ["a", "b", "bb", "d"]);
}

/// L4: where the state of the first page is forgotten, the client is told so, and is given a token
/// with which it may go on at the newest state.
#[tokio::test]
async fn a_page_of_a_forgotten_state_is_410_with_a_token_that_goes_on() {
    let storage = Arc::new(MemoryStorage::default());
    let before = store_on(Arc::clone(&storage));
    for name in ["c", "a", "b", "d"] {
        created(&before, thing(name, 1)).await;
    }
    let (_, token) = names(&before, "limit=2").await;
    let token = token.expect("there is a second page");
    delete(&before, "c").await.unwrap();
    let now = storage.current_revision().await.unwrap();
    storage.compact(now).await.unwrap();

    let after = store_on(storage);
    let page = list(&after, &format!("limit=1&continue={token}")).await;
    let error = page.unwrap_err().to_status();
    assert_eq!(
        (&error["code"], &error["reason"]),
        (&json!(410), &json!("Expired"))
    );
    let text = error["message"].as_str().unwrap();
    assert!(
        text.starts_with("The provided continue parameter is too old"),
        "{text}"
    );
    let token = error["metadata"]["continue"].as_str().expect("a token");
    created(&after, thing("e", 1)).await;
    let (page, token) = names(&after, &format!("limit=1&continue={token}")).await;
    assert_eq!(page, ["d"]);
    // From here on the pages show one state again.
    let token = token.expect("there is a page after it");
    delete(&after, "e").await.unwrap();
    let (page, end) = names(&after, &format!("limit=1&continue={token}")).await;
    assert_eq!((page, end), (vec!["e".to_owned()], None));
}

/// N10: LIST and GET give the same bytes.
#[tokio::test]
async fn get_and_list_agree_to_the_byte() {
    let store = store();
    created(&store, thing("a", 1)).await;
    let got = store.get("default", "a", None).await.unwrap();
    let all = ListOptions::default();
    let listed = store
        .list("default", &Selection::default(), &all)
        .await
        .unwrap();
    assert_eq!(listed.entries[0].served(), got.served());
}

/// A1, A4: patches merge, say what they cannot do, and only fail on a version that they carry.
#[tokio::test]
async fn patches_change_what_they_name() {
    let store = store();
    created(&store, thing("a", 1)).await;
    let patch = async |patch: Result<Patch, ApiError>| {
        let patch = patch?;
        let (validation, options) = (FieldValidation::Warn, &WriteOptions::default());
        let patched = store
            .patch(
                "default",
                "a",
                &patch,
                Subresource::None,
                validation,
                options,
            )
            .await;
        patched.map(|written| (decoded(&written.object), written.warnings))
    };
    let unknown = Patch::merge(json!({"spec": {"colour": "red", "x": 1}}));
    let (merged, warnings) = patch(unknown).await.unwrap();
    assert_eq!(
        merged.get("spec"),
        Some(&json!({"size": 1, "colour": "red"}))
    );
    assert_eq!(warnings, ["unknown field \"spec.x\""]);
    let operations = json!([{"op": "replace", "path": "/spec/size", "value": 7}]);
    let json_patch = |operations: &Value| Patch::json(operations.to_string().as_bytes());
    let (replaced, _) = patch(json_patch(&operations)).await.unwrap();
    assert_eq!(
        replaced.get("spec"),
        Some(&json!({"size": 7, "colour": "red"}))
    );
    let failing = json!([{"op": "test", "path": "/spec/size", "value": 8}]);
    assert_eq!(patch(json_patch(&failing)).await.unwrap_err().code(), 422);
    let stale = json!({"metadata": {"resourceVersion": "1"}, "spec": {"size": 3}});
    assert_eq!(patch(Patch::merge(stale)).await.unwrap_err().code(), 409);
    assert_eq!(
        patch(Patch::merge(json!([]))).await.unwrap_err().code(),
        400
    );
    let invalid = Patch::merge(json!({"spec": {"size": "x", "y": 1}}));
    let error = patch(invalid).await.unwrap_err();
    assert_eq!(error.warnings(), ["unknown field \"spec.y\""]);
    for (patch_of, missing) in [
        (json!({"kind": null}), "Kind"),
        (json!({"kind": "", "apiVersion": null}), "Kind"),
        (json!({"apiVersion": null}), "apiVersion"),
    ] {
        let error = patch(Patch::merge(patch_of)).await.unwrap_err();
        let status = error.to_status();
        assert_eq!(
            (error.code(), &status["details"]["causes"][0]["field"]),
            (422, &json!("patch"))
        );
        let why = format!("Object '{missing}' is missing in the patched object");
        assert!(error.to_string().ends_with(&why), "{error}");
    }
}

/// V14: copies of copies and objects that grow patch by patch are bounded.
#[tokio::test]
async fn a_patch_cannot_fill_the_memory() {
    let store = store();
    let mut object = thing("a", 1);
    object.set("spec", Some(json!({"size": 1, "colour": "x".repeat(1024)})));
    created(&store, object).await;
    let send = async |patch: Result<Patch, ApiError>| {
        let patch = patch?;
        let (validation, options) = (FieldValidation::Ignore, &WriteOptions::default());
        store
            .patch(
                "default",
                "a",
                &patch,
                Subresource::None,
                validation,
                options,
            )
            .await
    };
    let doubling: Vec<Value> = (0..40)
        .map(|i| json!({"op": "copy", "from": "/spec", "path": format!("/spec/c{i}")}))
        .collect();
    let doubling = Patch::json(json!(doubling).to_string().as_bytes());
    let error = send(doubling).await.unwrap_err();
    assert!(error.to_string().contains("copy operations"), "{error}");
    let huge = json!({"spec": {"colour": "x".repeat(3 * 1024 * 1024)}});
    let error = send(Patch::merge(huge)).await.unwrap_err();
    assert_eq!(error.code(), 413);
}

/// A5: strict validation refuses what warn only reports.
#[test]
fn strict_validation_names_every_unknown_field() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _guard = runtime.enter();
    let store = store();
    let with_unknown = || {
        Object::from_value(json!({"metadata": {"name": "a"}, "spec": {"size": 1, "x": 1}, "y": 2}))
            .unwrap()
    };
    let warnings = store
        .check_fields(&mut with_unknown(), &[], &[], FieldValidation::Warn)
        .unwrap();
    assert_eq!(
        warnings,
        ["unknown field \"spec.x\"", "unknown field \"y\""]
    );
    let error = store
        .check_fields(&mut with_unknown(), &[], &[], FieldValidation::Strict)
        .unwrap_err();
    assert_eq!(error.code(), 400);
    assert!(
        error
            .to_string()
            .ends_with("strict decoding error: unknown field \"spec.x\", unknown field \"y\"")
    );
}
