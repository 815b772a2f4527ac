//! Several servers on one PostgreSQL database, and a database that is not there.

use anyhow::{Context, ensure};
use futures::StreamExt;
use http::{Method, Request};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::{Value, json};
use storage::postgres::testing::{Cluster, eventually};

use super::{DEFAULT, Server, get, send, write};

fn record(name: &str) -> Value {
    json!({"apiVersion": "data.kubedojo.io/v1alpha1", "kind": "DataRecord",
        "metadata": {"name": name}, "spec": {"source": "test"}})
}

/// A server on a database; the URL is in a file, as of a mounted Secret.
async fn server_on(cluster: &Cluster, database: &str) -> anyhow::Result<Server> {
    let url = cluster.url("postgres", database);
    let path = cluster.write_file(&format!("{database}.url"), &url)?;
    let flag = format!("--storage-secret-file={}", path.display());
    Server::start_with(&[flag]).await
}

/// The next events of a watch.
async fn events(
    frames: &mut (impl futures::Stream<Item = kube::Result<bytes::Bytes>> + Unpin),
    count: usize,
) -> anyhow::Result<Vec<(String, String, String)>> {
    let mut text = String::new();
    while text.lines().count() < count || !text.ends_with('\n') {
        let frame = frames.next().await.context("the watch goes on")??;
        text.push_str(std::str::from_utf8(&frame)?);
    }
    let told = text.lines().map(|line| {
        let event: Value = serde_json::from_str(line)?;
        let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &event["object"]["metadata"];
        let version = of(&metadata["resourceVersion"]);
        Ok((of(&event["type"]), of(&metadata["name"]), version))
    });
    told.collect()
}

async fn code(client: &Client, path: &str) -> Option<u16> {
    Some(get(client, path).await.ok()?.code)
}

/// W8, L2: a write on one server is in every later read of the other, and in its watches, under the
/// same version; a version of one server means the same to the other.
#[tokio::test]
async fn two_servers_on_one_database_serve_one_truth() -> anyhow::Result<()> {
    let cluster = Cluster::shared();
    let database = cluster.database().await?;
    let servers = [
        server_on(cluster, &database).await?,
        server_on(cluster, &database).await?,
    ];
    let (a, b) = (servers[0].admin().await?, servers[1].admin().await?);
    let begun = get(&a, DEFAULT).await?.json()["metadata"]["resourceVersion"].clone();
    let begun = begun.as_str().context("a list has a version")?.to_owned();
    let target = format!("{DEFAULT}?watch=true&resourceVersion={begun}");
    let mut watches = Vec::new();
    for client in [&a, &b] {
        let request = Request::get(&target).body(Body::empty())?;
        let response = client.send(request).await?;
        watches.push(response.into_body().into_data_stream());
    }
    let mut expected = Vec::new();
    let version = |answer: &Value| {
        answer["metadata"]["resourceVersion"]
            .as_str()
            .map(str::to_owned)
    };
    for number in 0..10 {
        let name = format!("r{number}");
        let path = format!("{DEFAULT}/{name}");
        let made = write(&a, Method::POST, DEFAULT, &record(&name)).await?;
        ensure!(made.code == 201, "{}", made.json());
        let read = get(&b, &path).await?;
        assert_eq!((read.code, &read.body), (200, &made.body));
        let listed = get(&b, DEFAULT).await?.json();
        let names = listed["items"].as_array().context("a list has items")?;
        assert!(names.iter().any(|item| item["metadata"]["name"] == *name));
        let mut changed = read.json();
        changed["spec"]["query"] = json!("q");
        let updated = write(&b, Method::PUT, &path, &changed).await?;
        ensure!(updated.code == 200, "{}", updated.json());
        let stale = write(&a, Method::PUT, &path, &changed).await?;
        assert_eq!(stale.error(), (409, "Conflict".to_owned()));
        assert_eq!(get(&a, &path).await?.body, updated.body);
        for (kind, answer) in [("ADDED", &made), ("MODIFIED", &updated)] {
            let version = version(&answer.json()).context("a version")?;
            expected.push((kind.to_owned(), name.clone(), version));
        }
    }
    for watch in &mut watches {
        assert_eq!(events(watch, expected.len()).await?, expected);
    }
    Ok(())
}

/// H2, H4, S2: a server whose database is not there answers, says that it is not ready and that
/// writes can be tried again, and needs no restart once the database is there.
#[tokio::test]
async fn a_server_waits_for_its_database_and_recovers() -> anyhow::Result<()> {
    let cluster = Cluster::start()?;
    let database = cluster.database().await?;
    cluster.stop()?;
    let server = server_on(&cluster, &database).await?;
    let admin = server.admin().await?;
    let is_ready = async || code(&admin, "/readyz").await == Some(200);
    for _ in 0..2 {
        let verbose = get(&admin, "/readyz").await?;
        let text = String::from_utf8_lossy(&verbose.body).into_owned();
        assert_eq!(verbose.code, 500, "{text}");
        assert!(
            text.contains("[-]storage failed: reason withheld"),
            "{text}"
        );
        assert_eq!(code(&admin, "/livez").await, Some(200));
        let group = get(&admin, "/apis/data.kubedojo.io/v1alpha1").await?;
        assert_eq!(group.json()["resources"][0]["name"], "datarecords");
        let refused = write(&admin, Method::POST, DEFAULT, &record("early")).await?;
        assert_eq!(refused.error(), (500, "ServerTimeout".to_owned()));
        assert_eq!(refused.json()["details"]["retryAfterSeconds"], 2);
        cluster.resume()?;
        eventually("the server is ready", is_ready).await?;
        let made = write(&admin, Method::POST, DEFAULT, &record("kept")).await?;
        assert!([201, 409].contains(&made.code), "{}", made.json());
        // The examples, which could not be written at the start, come too.
        let has_all = async || {
            let all = get(&admin, "/apis/data.kubedojo.io/v1alpha1/datarecords").await;
            all.is_ok_and(|all| all.json()["items"].as_array().map(Vec::len) == Some(4))
        };
        eventually("the examples are there", has_all).await?;
        cluster.stop()?;
        let is_unready = async || code(&admin, "/readyz").await == Some(500);
        eventually("the server is not ready", is_unready).await?;
        // What the cache has may be had by who does not ask for the newest.
        let cached = Request::get(format!("{DEFAULT}?resourceVersion=0")).body(Vec::new())?;
        assert_eq!(send(&admin, cached).await?.code, 200);
        let newest = get(&admin, DEFAULT).await?;
        assert_eq!(newest.error(), (500, "ServerTimeout".to_owned()));
    }
    Ok(())
}
