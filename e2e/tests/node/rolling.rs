//! Two replicas on one database, restarted one after the other while clients go on.

use std::time::Duration;

use ::storage::postgres::testing::Cluster as Database;
use anyhow::Result;
use e2e::network;
use futures::future::try_join_all;
use kube::{
    Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{
    installation::{NAMESPACE, exclusive, kubectl},
    storage::{back_to_memory, keep_in, restart},
    traffic::{client, record, records},
};

const PER_SECOND: u64 = 200;
/// So many that they keep the pace although each waits for its answers.
const CLIENTS: u64 = 40;
const SECRET: &str = "records-database";

/// What one client has done.
#[derive(Debug, Default)]
struct Done {
    requests: u64,
    failures: Vec<String>,
    /// The records that it made and did not delete.
    left: Vec<String>,
}

/// B9: the pods are replaced under 200 requests a second, and not one of them fails.
#[tokio::test]
#[ignore = "needs cluster: node tier"]
async fn a_rolling_restart_of_two_replicas_loses_no_request() -> Result<()> {
    let (cluster, _guard) = exclusive().await?;
    let namespace = cluster.namespace("rolling").await?;
    let database = Database::start_in(&cluster.node_network()?, network::NODE)?;
    let url = database.url("postgres", "postgres");
    let secret = format!("create secret generic {SECRET} -n {NAMESPACE} --from-literal=url={url}");
    kubectl(&cluster, &secret).await?;
    let secret = json!({ "connectionSecretRef": { "name": SECRET } });
    keep_in(&cluster, json!({ "memory": null, "postgres": secret }), 2).await?;

    let stop = CancellationToken::new();
    let clients = (0..CLIENTS).map(async |number| {
        let client = client(&cluster.kubeconfig).await?;
        anyhow::Ok(tokio::spawn(work(
            client,
            namespace.name.clone(),
            number,
            stop.clone(),
        )))
    });
    let clients = try_join_all(clients).await?;
    let begun = Instant::now();
    let restarted = restart(&cluster).await;
    stop.cancel();
    let took = begun.elapsed();
    let done = try_join_all(clients).await?;
    restarted?;

    let requests: u64 = done.iter().map(|done| done.requests).sum();
    let failures: Vec<&String> = done.iter().flat_map(|done| &done.failures).collect();
    println!(
        "rolling restart: {requests} requests in {took:.0?}, {} failed",
        failures.len()
    );
    assert!(failures.is_empty(), "{failures:#?}");

    let api = records(client(&cluster.kubeconfig).await?, &namespace.name);
    let mut found: Vec<String> = api
        .list(&ListParams::default())
        .await?
        .into_iter()
        .filter_map(|record| record.metadata.name)
        .collect();
    let mut left: Vec<String> = done.into_iter().flat_map(|done| done.left).collect();
    found.sort();
    left.sort();
    assert_eq!(
        found, left,
        "what was acknowledged is there, and nothing else"
    );
    back_to_memory(&cluster).await?;
    kubectl(&cluster, &format!("delete secret {SECRET} -n {NAMESPACE}")).await?;
    Ok(())
}

/// Makes, reads, changes and deletes records until it is told to stop, whatever happens.
async fn work(client: Client, namespace: String, number: u64, stop: CancellationToken) -> Done {
    let api = records(client, &namespace);
    let mut done = Done::default();
    let mut pace = interval(Duration::from_millis(1000 * CLIENTS / PER_SECOND));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for round in 0_u32.. {
        if stop.is_cancelled() {
            break;
        }
        let name = format!("r{number}-{round}");
        pace.tick().await;
        let made = record(&name, "created");
        let created = api.create(&PostParams::default(), &made).await;
        done.note("create", &name, created.map(drop));
        pace.tick().await;
        done.note("get", &name, api.get(&name).await.map(drop));
        pace.tick().await;
        let change = Patch::Merge(json!({ "spec": { "query": "changed" } }));
        let changed = api.patch(&name, &PatchParams::default(), &change).await;
        done.note("patch", &name, changed.map(drop));
        if round % 2 == 0 {
            done.left.push(name);
            continue;
        }
        pace.tick().await;
        let deleted = api.delete(&name, &DeleteParams::default()).await;
        done.note("delete", &name, deleted.map(drop));
    }
    done
}

impl Done {
    fn note(&mut self, verb: &str, name: &str, result: kube::Result<()>) {
        self.requests += 1;
        if let Err(error) = result {
            self.failures.push(format!("{verb} {name}: {error:?}"));
        }
    }
}
