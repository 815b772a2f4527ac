//! The server against kube-apiserver itself: the same requests go to a DataRecord of the server and
//! to a custom resource of the same schema, and the answers have to be equal.
//!
//! The cases are tables in `differential/cases`; the differences that are there on purpose stand in
//! `differential/differences.rs`; any other is a defect. `E2E_CASE=text` runs only the cases whose name
//! has that text, and `E2E_STORAGE` says where the server keeps its records: `memory` if it is not set,
//! `sqlite` or `postgres`. Run it with `make test`, or as the tests in `control_plane.rs`.
#![expect(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "what a test has built or seen before is there; tables have as many lines as cases"
)]

#[path = "differential/case.rs"]
mod case;
#[path = "differential/cases/mod.rs"]
mod cases;
#[path = "differential/compare.rs"]
mod compare;
#[path = "differential/differences.rs"]
mod differences;
#[path = "differential/exchange.rs"]
mod exchange;
#[expect(dead_code, reason = "other tests need what this one does not")]
#[path = "support/server.rs"]
mod local_server;
#[path = "differential/normalise.rs"]
mod normalise;
#[path = "support/program.rs"]
mod program;
#[path = "support/reference.rs"]
mod reference;
#[path = "support/texts.rs"]
mod texts;

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::testing::Cluster;
use futures::{StreamExt, TryStreamExt};
use kube::Client;
use serde_json::json;
use storage::postgres::testing::Cluster as Database;
use tokio::time::Instant;

use self::{
    case::Case,
    compare::Difference,
    exchange::{Run, Side},
    local_server::{GROUP, LocalServer},
    reference::REFERENCE_GROUP,
};

/// Cases that run side by side; more would only wait for two cores.
const CASES_AT_ONCE: usize = 12;
const ALL_WITHIN: Duration = Duration::from_mins(5);

#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn the_server_answers_as_kube_apiserver_does_for_a_custom_resource() -> Result<()> {
    let cluster = Cluster::from_env()?;
    let (storage, _database) = storage(&cluster)?;
    let environment = [("STORAGE", storage)];
    let kubeconfig = cluster.kubeconfig.clone();
    let server = LocalServer::start_with(&cluster, "differential", &kubeconfig, &environment)?;
    server.wait_ready().await?;
    server.register().await?;
    let client = exact_client(&cluster).await?;
    reference::create(&server, &client).await?;

    let filter = std::env::var("E2E_CASE").unwrap_or_default();
    let mut cases = cases::all();
    cases.retain(|case| case.name.contains(&filter));
    let (count, requests) = (cases.len(), cases.iter().map(Case::requests).sum::<usize>());
    let sides = [(REFERENCE_GROUP, 'r'), (GROUP, 'o')].map(|(group, letter)| Side {
        client: client.clone(),
        group,
        letter,
    });
    let start = Instant::now();
    let run = futures::stream::iter(cases.iter().enumerate())
        .map(async |(index, case)| {
            let start = Instant::now();
            let found = differences(&client, &sides, index, case).await?;
            anyhow::Ok((found, start.elapsed(), case.name))
        })
        .buffer_unordered(CASES_AT_ONCE)
        .try_collect::<Vec<_>>();
    let found = tokio::time::timeout(ALL_WITHIN, run).await;
    let ran = found.context("the cases take too long")??;
    let slowest = ran.iter().map(|(_, time, name)| (*time, *name)).max();
    let mut found: Vec<_> = ran.into_iter().flat_map(|(found, ..)| found).collect();
    found.sort_by(|one, other| one.place.cmp(&other.place));
    let seconds = start.elapsed().as_secs_f32();
    let slowest = slowest.map(|(time, name)| format!("{:.1} s, {name}", time.as_secs_f32()));
    println!("{count} cases, {requests} requests to each side, {seconds:.1} s");
    println!("slowest case: {}", slowest.unwrap_or_default());
    println!("{} differences", found.len());
    let wrong = compare::judge(&found, filter.is_empty());
    server.stop().await?;

    ensure!(
        wrong.is_empty(),
        "{}\n\n{} in all",
        wrong.join("\n\n"),
        wrong.len()
    );
    Ok(())
}

/// The storage that `E2E_STORAGE` names, and its database while it is needed.
fn storage(cluster: &Cluster) -> Result<(String, Option<Database>)> {
    let name = std::env::var("E2E_STORAGE").unwrap_or_else(|_| "memory".to_owned());
    println!("storage: {name}");
    match name.as_str() {
        "memory" => Ok((name, None)),
        "sqlite" => {
            let file = cluster.dir().join("differential.db");
            Ok((format!("sqlite:{}", file.display()), None))
        }
        "postgres" => {
            let database = Database::start()?;
            Ok((database.url("postgres", "postgres"), Some(database)))
        }
        other => bail!("E2E_STORAGE is {other}: use memory, sqlite or postgres"),
    }
}

/// Runs a case on both sides, in a namespace of its own.
async fn differences(
    client: &Client,
    [reference, ours]: &[Side; 2],
    index: usize,
    case: &Case,
) -> Result<Vec<Difference>> {
    let namespace = format!("differential-{}-{index}", std::process::id());
    let object = json!({ "metadata": { "name": namespace } });
    let request = http::Request::post("/api/v1/namespaces");
    let request = request.header("content-type", "application/json");
    let request = request.body(object.to_string().into_bytes().into())?;
    let response = client.send(request).await?;
    ensure!(
        response.status().is_success(),
        "no namespace: {}",
        response.status()
    );
    let run = async |side| {
        let outcomes = Run::new(side, &namespace).run(&case.steps).await;
        normalise::normalise(side, &namespace, outcomes)
    };
    let (reference, ours) = tokio::join!(run(reference), run(ours));
    Ok(compare::compare(case, &reference, &ours))
}

/// A client that sends each request once and as it is.
async fn exact_client(cluster: &Cluster) -> Result<Client> {
    let kubeconfig = std::fs::read_to_string(&cluster.kubeconfig)?;
    let kubeconfig = kube::config::Kubeconfig::from_yaml(&kubeconfig)?;
    let options = kube::config::KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}
