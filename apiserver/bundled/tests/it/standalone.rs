use anyhow::Context;
use futures::StreamExt;
use http::{Method, Request};
use http_body_util::BodyExt;
use kube::client::Body;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use super::{DEFAULT, Server, get, send, write};

fn record(name: &str) -> Value {
    json!({"apiVersion": "data.kubedojo.io/v1alpha1", "kind": "DataRecord",
        "metadata": {"name": name}, "spec": {"source": "test"}})
}

#[tokio::test]
async fn a_standalone_server_shows_the_three_examples() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let admin = server.admin().await?;
    let all = get(&admin, "/apis/data.kubedojo.io/v1alpha1/datarecords")
        .await?
        .json();
    let names: Vec<_> = all["items"]
        .as_array()
        .context("a list has items")?
        .iter()
        .map(|item| item["metadata"]["name"].clone())
        .collect();
    assert_eq!(names, ["feature-flags", "user-config", "metrics-config"]);
    assert_eq!(all["items"][2]["status"]["syncStatus"], "Stale");
    assert_eq!(
        get(&admin, DEFAULT).await?.json()["items"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    Ok(())
}

#[tokio::test]
async fn nobody_gets_in_without_the_client_certificate() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let nobody = server.nobody().await?;
    assert_eq!(
        get(&nobody, DEFAULT).await?.error(),
        (403, "Forbidden".to_owned())
    );
    let forged = Request::get(DEFAULT)
        .header("x-remote-user", "admin")
        .header("x-remote-group", "system:masters")
        .body(Vec::new())?;
    assert_eq!(
        send(&nobody, forged).await?.error(),
        (403, "Forbidden".to_owned())
    );
    let token = Request::get(DEFAULT)
        .header("authorization", "Bearer x")
        .body(Vec::new())?;
    assert_eq!(
        send(&nobody, token).await?.error(),
        (401, "Unauthorized".to_owned())
    );
    assert_eq!(get(&nobody, "/readyz").await?.body, b"ok");
    assert_eq!(get(&nobody, "/version").await?.code, 403);
    Ok(())
}

/// X8: who may do everything may be anybody, with that user's rights and no others.
#[tokio::test]
async fn impersonation_gives_the_rights_of_the_other() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let as_jane = || Request::get(DEFAULT).header("impersonate-user", "jane");
    let refused = send(&server.admin().await?, as_jane().body(Vec::new())?).await?;
    assert_eq!(refused.error(), (403, "Forbidden".to_owned()));
    let message = refused.json()["message"].to_string();
    assert!(
        message.contains("User \\\"jane\\\" cannot list"),
        "{message}"
    );
    let as_master = as_jane().header("impersonate-group", "system:masters");
    let answer = send(&server.admin().await?, as_master.body(Vec::new())?).await?;
    assert_eq!(answer.code, 200);
    let nobody = send(&server.nobody().await?, as_jane().body(Vec::new())?).await?;
    let message = nobody.json()["message"].to_string();
    assert!(
        message.contains("cannot impersonate resource \\\"users\\\""),
        "{message}"
    );
    Ok(())
}

/// V1, X1: the codes of a life, with the headers that every answer has.
#[tokio::test]
async fn an_object_lives_and_dies() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let admin = server.admin().await?;
    let made = write(&admin, Method::POST, DEFAULT, &record("a")).await?;
    assert_eq!(made.code, 201);
    assert_eq!(made.headers["cache-control"], "no-cache, private");
    assert!(made.headers.contains_key("audit-id"));
    let one = format!("{DEFAULT}/a");
    let got = get(&admin, &one).await?;
    assert_eq!(got.body, made.body);
    let mut changed = got.json();
    changed["spec"]["query"] = json!("q");
    let updated = write(&admin, Method::PUT, &one, &changed).await?;
    assert_eq!(updated.code, 200);
    assert_eq!(
        write(&admin, Method::PUT, &one, &changed).await?.error().1,
        "Conflict"
    );
    let deleted = write(&admin, Method::DELETE, &one, &json!({})).await?;
    assert_eq!(
        (deleted.code, deleted.json()["status"].clone()),
        (200, json!("Success"))
    );
    assert_eq!(
        get(&admin, &one).await?.error(),
        (404, "NotFound".to_owned())
    );
    Ok(())
}

/// V2, V14, V16, S1: bad requests are refused with the right code and a Status.
#[tokio::test]
async fn bad_requests_are_told_what_is_wrong() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let admin = server.admin().await?;
    let post = async |body: Value| write(&admin, Method::POST, DEFAULT, &body).await;
    let mut other = record("a");
    other["kind"] = json!("Pod");
    assert_eq!(post(other).await?.error().0, 422);
    let mut other = record("a");
    other["apiVersion"] = json!("v1");
    assert_eq!(post(other).await?.error(), (400, "BadRequest".to_owned()));
    let mut other = record("a");
    other["metadata"]["namespace"] = json!("elsewhere");
    assert_eq!(post(other).await?.error(), (400, "BadRequest".to_owned()));
    assert_eq!(
        post(record("Upper")).await?.error(),
        (422, "Invalid".to_owned())
    );
    let mut huge = record("a");
    huge["spec"]["query"] = json!("x".repeat(3 * 1024 * 1024));
    assert_eq!(
        post(huge).await?.error(),
        (413, "RequestEntityTooLarge".to_owned())
    );

    let broken = Request::post(DEFAULT).body(b"{".to_vec())?;
    let broken = send(&admin, broken).await?;
    assert_eq!(broken.error(), (400, "BadRequest".to_owned()));
    assert!(
        broken.json()["message"]
            .to_string()
            .contains("line 1 column 1"),
        "{}",
        broken.json()
    );
    let deep = Request::post(DEFAULT).body("[".repeat(100_000).into_bytes())?;
    assert_eq!(
        send(&admin, deep).await?.error(),
        (400, "BadRequest".to_owned())
    );
    let yaml = Request::post(DEFAULT)
        .header("content-type", "text/csv")
        .body(b"a".to_vec())?;
    assert_eq!(
        send(&admin, yaml).await?.error(),
        (415, "UnsupportedMediaType".to_owned())
    );
    let html = Request::get(DEFAULT)
        .header("accept", "text/html")
        .body(Vec::new())?;
    assert_eq!(
        send(&admin, html).await?.error(),
        (406, "NotAcceptable".to_owned())
    );
    let post_status = format!("{DEFAULT}/user-config/status");
    let answer = write(&admin, Method::POST, &post_status, &record("a")).await?;
    assert_eq!(answer.error(), (405, "MethodNotAllowed".to_owned()));
    let unknown = get(&admin, "/apis/data.kubedojo.io/v1alpha1/nothings").await?;
    assert_eq!(
        unknown.json()["message"],
        "the server could not find the requested resource"
    );
    Ok(())
}

/// W1, W2: events come as lines, from the list's version on.
#[tokio::test]
async fn a_watch_goes_on_where_the_list_ended() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let admin = server.admin().await?;
    let version = get(&admin, DEFAULT).await?.json()["metadata"]["resourceVersion"].clone();
    let version = version.as_str().context("a list has a version")?.to_owned();
    let target = format!("{DEFAULT}?watch=true&resourceVersion={version}");
    let response = admin
        .send(Request::get(target).body(Body::empty())?)
        .await?;
    write(&admin, Method::POST, DEFAULT, &record("a")).await?;
    let mut frames = response.into_body().into_data_stream();
    let line = frames.next().await.context("an event comes")??;
    let event: Value = serde_json::from_slice(&line)?;
    assert_eq!(
        (&event["type"], &event["object"]["metadata"]["name"]),
        (&json!("ADDED"), &json!("a"))
    );
    Ok(())
}

/// V2: clients of typed servers leave out what the path says already.
#[tokio::test]
async fn a_body_without_its_type_is_of_the_type_of_the_path() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut sent = record("untyped");
    sent["kind"] = json!("");
    sent["apiVersion"] = Value::Null;
    let created = write(&server.admin().await?, Method::POST, DEFAULT, &sent).await?;
    assert_eq!(created.code, 201);
    assert_eq!(created.json()["kind"], "DataRecord");
    assert_eq!(created.json()["apiVersion"], "data.kubedojo.io/v1alpha1");
    Ok(())
}

/// W2: an answer of 410 would leave kube's watchers asking for the same version for ever.
#[tokio::test]
async fn a_watch_from_a_forgotten_version_is_one_event_with_410() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let target = format!("{DEFAULT}?watch=true&resourceVersion=1");
    let answer = get(&server.admin().await?, &target).await?;
    assert_eq!(answer.code, 200);
    let event = answer.json();
    assert_eq!(
        (&event["type"], &event["object"]["code"]),
        (&json!("ERROR"), &json!(410))
    );
    Ok(())
}

/// W7: a timeout beyond all reason is a long watch, not a failure.
#[tokio::test]
async fn a_watch_with_an_absurd_timeout_begins() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let target = format!("{DEFAULT}?watch=true&timeoutSeconds={}", i64::MAX);
    let response = server
        .admin()
        .await?
        .send(Request::get(target).body(Body::empty())?)
        .await?;
    assert_eq!(response.status(), 200);
    Ok(())
}

/// R1: kubectl's columns.
#[tokio::test]
async fn a_table_has_the_columns_of_a_datarecord() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let request = Request::get(DEFAULT)
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())?;
    let table = send(&server.admin().await?, request).await?.json();
    let columns: Vec<_> = table["columnDefinitions"]
        .as_array()
        .context("a table has columns")?
        .iter()
        .map(|column| column["name"].clone())
        .collect();
    assert_eq!(columns, ["Name", "Source", "Status", "Last Sync", "Age"]);
    let cells = &table["rows"][0]["cells"];
    assert_eq!(
        (&cells[0], &cells[1], &cells[2]),
        (&json!("feature-flags"), &json!("redis"), &json!("Current"))
    );
    Ok(())
}

/// X6: on SIGTERM watches end without an error and the process with success.
#[tokio::test]
async fn sigterm_ends_watches_cleanly() -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let admin = server.admin().await?;
    let target = format!("{DEFAULT}?watch=true&resourceVersion=0&timeoutSeconds=600");
    let watch = admin
        .send(Request::get(target).body(Body::empty())?)
        .await?;
    let pid = server.process.id().context("it runs")?;
    kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
    let body = watch
        .into_body()
        .collect()
        .await
        .context("the watch ends without an error")?;
    assert_eq!(
        body.to_bytes()
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
            .count(),
        2
    );
    assert!(server.process.wait().await?.success());
    Ok(())
}
