//! What informers do: lists and watches in all their forms come to the same state.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use futures::{Stream, StreamExt};
use kube::{
    Api, Resource, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::PartialObjectMeta,
};
use kube_runtime::{
    WatchStreamExt,
    reflector::{Store, store::Writer},
    watcher,
};
use serde_json::json;
use tokio::task::JoinSet;

use super::{
    records::{path, record, records, resource},
    server::{get_json, shared},
};

const EQUAL_WITHIN: Duration = Duration::from_secs(20);
const NAMES: u64 = 17;
const CHANGES: u64 = 150;

/// Names and versions.
type State = BTreeMap<String, String>;

/// Follows a watcher into a store, for as long as the set of tasks lives.
pub(crate) fn follow<K>(
    tasks: &mut JoinSet<()>,
    resource: &ApiResource,
    events: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
) -> Store<K>
where
    K: Resource<DynamicType = ApiResource> + Clone + Send + Sync + 'static,
{
    let writer = Writer::new(resource.clone());
    let store = writer.as_reader();
    let events = events.default_backoff().reflect(writer);
    tasks.spawn(events.for_each(|_| std::future::ready(())));
    store
}

fn state<K>(store: &Store<K>) -> State
where
    K: Resource<DynamicType = ApiResource> + Clone + 'static,
{
    let entry = |object: &K| {
        (
            object.name_any(),
            object.resource_version().unwrap_or_default(),
        )
    };
    store.state().iter().map(|object| entry(object)).collect()
}

/// Creates, changes and deletes as a fixed sequence of numbers says.
async fn churn(api: &Api<DynamicObject>, seed: u64) -> Result<()> {
    let mut number = seed;
    for step in 0..CHANGES {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let name = format!("r{}", (number >> 33) % NAMES);
        if api.get_metadata_opt(&name).await?.is_none() {
            api.create(&PostParams::default(), &record(&name)).await?;
        } else if (number >> 40).is_multiple_of(3) {
            api.delete(&name, &DeleteParams::default()).await?;
        } else {
            let patch = json!({ "spec": { "query": step.to_string() } });
            api.patch(&name, &PatchParams::default(), &Patch::Merge(patch))
                .await?;
        }
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn informers_of_every_form_come_to_the_same_state() -> Result<()> {
    let server = shared().await?;
    let namespace = server.cluster.namespace("informers").await?;
    let client = server.cluster.client().await?;
    let api = records(client.clone(), &namespace.name);
    let metadata: Api<PartialObjectMeta<DynamicObject>> =
        Api::namespaced_with(client, &namespace.name, &resource());
    churn(&api, 1).await?;

    let listing = || watcher::Config::default().page_size(5);
    let streaming = || watcher::Config::default().streaming_lists();
    let mut tasks = JoinSet::new();
    let whole = [
        follow(&mut tasks, &resource(), watcher(api.clone(), listing())),
        follow(&mut tasks, &resource(), watcher(api.clone(), streaming())),
    ];
    let partial = [
        follow(
            &mut tasks,
            &resource(),
            watcher(metadata.clone(), listing()),
        ),
        follow(&mut tasks, &resource(), watcher(metadata, streaming())),
    ];
    churn(&api, 2).await?;

    let list = api.list(&ListParams::default()).await?;
    let wanted: State = list
        .iter()
        .map(|object| {
            (
                object.name_any(),
                object.resource_version().unwrap_or_default(),
            )
        })
        .collect();
    assert!(wanted.len() > 3, "too little is left: {wanted:?}");
    let states = || {
        let whole = whole.iter().map(state);
        whole.chain(partial.iter().map(state)).collect::<Vec<_>>()
    };
    let equal = server
        .cluster
        .wait_for("equal states", EQUAL_WITHIN, async || {
            states().iter().all(|state| *state == wanted).then_some(())
        });
    equal
        .await
        .map_err(|error| error.context(format!("{:#?} is not {wanted:#?}", states())))?;
    for object in &list {
        for store in &whole {
            let reference = kube_runtime::reflector::ObjectRef::from_obj_with(object, resource());
            let held = store.get(&reference).map(|held| held.data["spec"].clone());
            assert_eq!(held.as_ref(), Some(&object.data["spec"]));
        }
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_metadata_list_has_metadata_and_nothing_else() -> Result<()> {
    let server = shared().await?;
    let namespace = server.cluster.namespace("informers").await?;
    let client = server.cluster.client().await?;
    let api = records(client.clone(), &namespace.name);
    api.create(&PostParams::default(), &record("one")).await?;
    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = get_json(&client, &path(&namespace.name), &[("Accept", accept)]).await?;
    assert_eq!(
        (&list["kind"], &list["apiVersion"]),
        (
            &json!("PartialObjectMetadataList"),
            &json!("meta.k8s.io/v1")
        )
    );
    let item = &list["items"][0];
    assert_eq!(item["metadata"]["name"], "one");
    assert!(item.get("spec").is_none(), "{item}");
    Ok(())
}
