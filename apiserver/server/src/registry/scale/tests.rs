use std::sync::Arc;

use storage::MemoryStorage;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{admission::AnyNamespace, registry::SchemaOnly, testing::thing_definition};

async fn store() -> Arc<Store> {
    let (store, _feed) = Store::start(
        ResourceDefinition {
            scale: Some(ScalePaths {
                spec_replicas: ".spec.size".to_owned(),
                status_replicas: ".status.size".to_owned(),
                label_selector: Some(".status.phase".to_owned()),
            }),
            ..thing_definition()
        },
        Arc::new(SchemaOnly),
        Arc::new(AnyNamespace),
        Arc::new(MemoryStorage::default()),
        CancellationToken::new(),
    )
    .unwrap();
    let object = json!({ "apiVersion": "test.io/v1", "kind": "Thing",
        "metadata": { "name": "a" }, "spec": { "size": 1, "colour": "red" } });
    let object = Object::from_value(object).unwrap();
    let options = WriteOptions::default();
    store.create("default", object, &options).await.unwrap();
    store
}

fn scale(replicas: Value, version: &str) -> Object {
    Object::from_value(json!({ "apiVersion": API_VERSION, "kind": KIND,
        "metadata": { "name": "a", "resourceVersion": version },
        "spec": { "replicas": replicas } }))
    .unwrap()
}

async fn replace(store: &Store, scale: &Object) -> Result<Value, ApiError> {
    let options = WriteOptions {
        manager: "scaler".to_owned(),
        ..WriteOptions::default()
    };
    let change = ScaleChange::Replace(scale);
    let written = store.update_scale("default", "a", change, &options).await?;
    Ok(serde_json::from_slice(&written.object).unwrap())
}

/// C4: a scale shows and changes the replicas and nothing else.
#[tokio::test]
async fn a_scale_is_a_window_on_the_object() {
    let store = store().await;
    let shown = store.scale("default", "a", None).await.unwrap();
    assert_eq!(shown["spec"], json!({ "replicas": 1 }));
    assert_eq!(shown["status"], json!({ "replicas": 0 }));
    let scaled = replace(&store, &scale(json!(5), "")).await.unwrap();
    assert_eq!(scaled["spec"]["replicas"], 5);
    let object = store.get("default", "a", None).await.unwrap();
    let object = Object::from_slice(&object.served()).unwrap();
    assert_eq!(
        object.get("spec"),
        Some(&json!({ "size": 5, "colour": "red" }))
    );
    assert_eq!(object.generation(), 2);
    let owners = object.metadata_field("managedFields").unwrap();
    let entry = owners
        .as_array()
        .unwrap()
        .iter()
        .find(|o| o["manager"] == "scaler");
    assert_eq!(entry.unwrap()["subresource"], "scale");
}

/// C4: two that scale at once do not overwrite each other: the object's version counts.
#[tokio::test]
async fn a_scale_of_an_older_version_conflicts() {
    let store = store().await;
    let before = store.scale("default", "a", None).await.unwrap();
    let version = before["metadata"]["resourceVersion"].as_str().unwrap();
    replace(&store, &scale(json!(2), version)).await.unwrap();
    let error = replace(&store, &scale(json!(3), version))
        .await
        .unwrap_err();
    assert_eq!(error.code(), 409);
}

#[tokio::test]
async fn what_is_no_number_of_replicas_is_refused() {
    let store = store().await;
    for (replicas, code) in [
        (json!(-1), 422),
        (json!("x"), 422),
        (json!(i64::MAX), 422),
        (Value::Null, 400),
    ] {
        let error = replace(&store, &scale(replicas, "")).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
}

/// C4, A2: a patch and an apply change it too; an apply conflicts with another owner.
#[tokio::test]
async fn a_scale_can_be_patched_and_applied() {
    let store = store().await;
    let options = |manager: &str| WriteOptions {
        manager: manager.to_owned(),
        ..WriteOptions::default()
    };
    let patch = Patch::merge(json!({ "spec": { "replicas": 7 } })).unwrap();
    let change = ScaleChange::Patch(&patch);
    let patched = store
        .update_scale("default", "a", change, &options("one"))
        .await;
    let patched: Value = serde_json::from_slice(&patched.unwrap().object).unwrap();
    assert_eq!(patched["spec"]["replicas"], 7);
    let mut apply = Apply {
        object: scale(json!(9), ""),
        force: false,
    };
    let change = ScaleChange::Apply(&apply);
    let refused = store
        .update_scale("default", "a", change, &options("two"))
        .await;
    assert_eq!(refused.unwrap_err().code(), 409);
    apply.force = true;
    let change = ScaleChange::Apply(&apply);
    let applied = store
        .update_scale("default", "a", change, &options("two"))
        .await;
    let applied: Value = serde_json::from_slice(&applied.unwrap().object).unwrap();
    assert_eq!(applied["spec"]["replicas"], 9);
}
