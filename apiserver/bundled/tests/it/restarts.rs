//! One server after the other on one file.

use std::{path::Path, process::Command};

use anyhow::{Context, ensure};
use futures::StreamExt;
use http::{Method, Request};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

use super::{DEFAULT, Server, get, write};

fn record(name: &str) -> Value {
    json!({"apiVersion": "data.kubedojo.io/v1alpha1", "kind": "DataRecord",
        "metadata": {"name": name}, "spec": {"source": "test"}})
}

fn storage(path: &Path) -> String {
    format!("--storage=sqlite:{}", path.display())
}

/// L2, W8: a server that was killed has lost nothing: the next one gives the same bytes under the
/// same version, and a watch from that version goes on.
#[tokio::test]
async fn a_server_that_is_killed_goes_on_where_it_was() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let flag = storage(&directory.path().join("records.db"));
    let mut server = Server::start_with(std::slice::from_ref(&flag)).await?;
    let admin = server.admin().await?;
    for name in ["a", "b"] {
        let made = write(&admin, Method::POST, DEFAULT, &record(name)).await?;
        ensure!(made.code == 201, "{}", made.json());
    }
    let before = get(&admin, DEFAULT).await?;
    server.process.kill().await?;

    let server = Server::start_with(&[flag]).await?;
    let admin = server.admin().await?;
    let after = get(&admin, DEFAULT).await?;
    assert_eq!((after.code, after.json()), (200, before.json()));
    let version = before.json()["metadata"]["resourceVersion"].clone();
    let version = version.as_str().context("a list has a version")?.to_owned();
    let target = format!("{DEFAULT}?watch=true&resourceVersion={version}");
    let watch = admin
        .send(Request::get(target).body(Body::empty())?)
        .await?;
    let mut frames = watch.into_body().into_data_stream();
    let made = write(&admin, Method::POST, DEFAULT, &record("c")).await?;
    ensure!(made.code == 201, "{}", made.json());
    let frame = frames.next().await.context("the watch goes on")??;
    let event: Value = serde_json::from_slice(&frame)?;
    assert_eq!(event["type"], "ADDED");
    assert_eq!(event["object"], made.json());
    Ok(())
}

#[tokio::test]
async fn a_second_server_on_the_file_ends_with_a_sentence() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("records.db");
    let _server = Server::start_with(&[storage(&path)]).await?;
    let second = Command::new(env!("CARGO_BIN_EXE_extension-apiserver"))
        .args(["--standalone", "--secure-port=0", &storage(&path)])
        .current_dir(&directory)
        .output()?;
    let said = String::from_utf8(second.stderr)?;
    assert!(!second.status.success(), "{said}");
    let expected = format!("another process has {} open: end it", path.display());
    assert!(said.contains(&expected), "{said}");
    Ok(())
}
