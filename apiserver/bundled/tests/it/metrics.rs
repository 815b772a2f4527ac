use std::{collections::BTreeMap, time::Duration};

use anyhow::Context;
use futures::StreamExt;
use http::{Method, Request};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{DEFAULT, Server, get, send, write};

/// Every series of `/metrics` with its value, its labels in the order of the alphabet.
async fn series(client: &Client) -> anyhow::Result<BTreeMap<String, String>> {
    let answer = get(client, "/metrics").await?;
    assert_eq!(answer.code, 200);
    let content_type = &answer.headers["content-type"];
    assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
    let text = String::from_utf8(answer.body)?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').context("a line has a value")?;
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let mut labels: Vec<_> = labels.trim_end_matches('}').split(',').collect();
            labels.sort_unstable();
            Ok((format!("{name}{{{}}}", labels.join(",")), value.to_owned()))
        })
        .collect()
}

fn total(code: u16, dry_run: &str, scope: &str, subresource: &str, verb: &str) -> String {
    format!(
        "apiserver_request_total{{code=\"{code}\",component=\"apiserver\",dry_run=\"{dry_run}\",\
         group=\"data.kubedojo.io\",resource=\"datarecords\",scope=\"{scope}\",\
         subresource=\"{subresource}\",verb=\"{verb}\",version=\"v1alpha1\"}}"
    )
}

async fn patch(client: &Client, target: &str, content_type: &str) -> anyhow::Result<u16> {
    let object = json!({"apiVersion": "data.kubedojo.io/v1alpha1", "kind": "DataRecord",
        "metadata": {"name": "a"}, "spec": {"query": content_type}});
    let request = Request::patch(target).header("content-type", content_type);
    let answer = send(client, request.body(object.to_string().into_bytes())?).await?;
    Ok(answer.code)
}

/// X11: requests of every kind are found again in `/metrics`, under the names of Kubernetes.
#[tokio::test]
async fn requests_of_every_kind_are_counted() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let admin = server.admin().await?;
    let nobody = server.nobody().await?;
    let one = format!("{DEFAULT}/a");
    let record = json!({"metadata": {"name": "a"}, "spec": {"source": "test"}});

    write(
        &admin,
        Method::POST,
        &format!("{DEFAULT}?dryRun=All"),
        &record,
    )
    .await?;
    write(&admin, Method::POST, DEFAULT, &record).await?;
    for target in [DEFAULT, "/apis/data.kubedojo.io/v1alpha1/datarecords", &one] {
        assert_eq!(get(&admin, target).await?.code, 200);
    }
    assert_eq!(
        patch(&admin, &one, "application/merge-patch+json").await?,
        200
    );
    let apply = format!("{one}?fieldManager=me&force=true");
    assert_eq!(
        patch(&admin, &apply, "application/apply-patch+yaml").await?,
        200
    );
    assert_eq!(get(&nobody, DEFAULT).await?.code, 403);
    let token = Request::get(DEFAULT).header("authorization", "Bearer x");
    assert_eq!(send(&nobody, token.body(Vec::new())?).await?.code, 401);
    assert_eq!(
        write(&admin, Method::PUT, &format!("{one}/status"), &json!({}))
            .await?
            .code,
        400
    );
    assert_eq!(
        write(&admin, Method::DELETE, &one, &json!({})).await?.code,
        200
    );
    // After a read of the newest state the cache, whose objects are counted, has seen the delete.
    assert_eq!(get(&admin, &format!("{DEFAULT}/none")).await?.code, 404);
    assert_eq!(get(&nobody, "/readyz").await?.code, 200);

    let found = series(&admin).await?;
    for (expected, count) in [
        (total(201, "All", "resource", "", "POST"), "1"),
        (total(201, "", "resource", "", "POST"), "1"),
        (total(200, "", "namespace", "", "LIST"), "1"),
        (total(200, "", "cluster", "", "LIST"), "1"),
        (total(200, "", "resource", "", "GET"), "1"),
        (total(404, "", "resource", "", "GET"), "1"),
        (total(200, "", "resource", "", "PATCH"), "1"),
        (total(200, "", "resource", "", "APPLY"), "1"),
        (total(403, "", "namespace", "", "LIST"), "1"),
        (total(401, "", "namespace", "", "LIST"), "1"),
        (total(400, "", "resource", "status", "PUT"), "1"),
        (total(200, "", "resource", "", "DELETE"), "1"),
    ] {
        assert_eq!(
            found.get(&expected).map(String::as_str),
            Some(count),
            "{expected}: {found:#?}"
        );
    }
    let resource = "{group=\"data.kubedojo.io\",resource=\"datarecords\"}";
    assert_eq!(found[&format!("apiserver_resource_objects{resource}")], "3");
    assert_eq!(
        found["apiserver_storage_objects{resource=\"datarecords.data.kubedojo.io\"}"],
        "3"
    );
    assert_eq!(found["authentication_attempts{result=\"error\"}"], "1");
    assert_eq!(
        found["authorization_attempts_total{result=\"no-opinion\"}"],
        "1"
    );
    for (name, least) in [
        ("process_resident_memory_bytes{}", 1e6),
        ("process_start_time_seconds{}", 1.7e9),
        ("process_open_fds{}", 3.0),
    ] {
        assert!(
            found[name].parse::<f64>()? >= least,
            "{name}: {}",
            found[name]
        );
    }
    Ok(())
}

/// X11: a watch that runs is open, and every event that it got is counted.
#[tokio::test]
async fn a_running_watch_is_counted() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let admin = server.admin().await?;
    let record = json!({"metadata": {"name": "a"}, "spec": {"source": "test"}});
    let watch = Request::get(format!("{DEFAULT}?watch=1")).body(Body::empty())?;
    let mut watch = admin.send(watch).await?.into_body().into_data_stream();
    write(&admin, Method::POST, DEFAULT, &record).await?;
    // Two examples, and the new record.
    let mut events = String::new();
    while !events.contains("\"name\":\"a\"") {
        let chunk = watch.next().await.context("the watch goes on")??;
        events.push_str(std::str::from_utf8(&chunk)?);
    }
    let open = series(&admin).await?;
    let resource = "{group=\"data.kubedojo.io\",resource=\"datarecords\"}";
    let longrunning = "apiserver_longrunning_requests{component=\"apiserver\",\
        group=\"data.kubedojo.io\",resource=\"datarecords\",scope=\"namespace\",subresource=\"\",\
        verb=\"WATCH\",version=\"v1alpha1\"}";
    let events = "apiserver_watch_events_total{group=\"data.kubedojo.io\",\
        resource=\"datarecords\",version=\"v1alpha1\"}";
    assert_eq!(open[longrunning], "1");
    assert_eq!(open[events], "3");
    assert_eq!(open[&format!("apiserver_resource_objects{resource}")], "4");
    Ok(())
}

/// The value of a series once it is there: what ends a connection is counted after the client sees it.
async fn eventually(client: &Client, name: &str, labels: &str) -> anyhow::Result<String> {
    let wanted = async {
        loop {
            let found = series(client).await?;
            let mut matching = found.iter().filter(|(series, value)| {
                series.starts_with(name) && series.contains(labels) && *value != "0"
            });
            if let Some((_, value)) = matching.next() {
                return Ok(value.clone());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wanted).await?
}

/// X11: what never becomes a request is counted too.
#[tokio::test]
async fn a_failed_handshake_is_counted() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let address = server.config().await?.cluster_url;
    let address = address.authority().context("it has an address")?.as_str();
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
    let admin = server.admin().await?;
    let counted = eventually(&admin, "apiserver_tls_handshake_errors_total", "").await?;
    assert_eq!(counted, "1");
    Ok(())
}

/// X11: a request whose time is over counts as ended by the server, with 504.
#[tokio::test]
async fn a_request_that_is_out_of_time_is_counted_as_terminated() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let admin = server.admin().await?;
    // It waits for a revision that does not come.
    let target = format!("{DEFAULT}?resourceVersion={}&timeout=50ms", u64::MAX);
    let answer = get(&admin, &target).await?;
    assert_eq!(answer.code, 504);
    let terminations = "apiserver_request_terminations_total{code=\"504\"";
    assert_eq!(
        eventually(&admin, terminations, "verb=\"LIST\"").await?,
        "1"
    );
    Ok(())
}

/// X11: how long a watch took to send what there was is observed when it has.
#[tokio::test]
async fn a_watch_that_begins_with_a_list_is_timed() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let admin = server.admin().await?;
    let options = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true\
        &resourceVersionMatch=NotOlderThan";
    let watch = Request::get(format!("{DEFAULT}?{options}")).body(Body::empty())?;
    let _watch = admin.send(watch).await?;
    let timed = "apiserver_watch_list_duration_seconds_count";
    assert_eq!(eventually(&admin, timed, "scope=\"namespace\"").await?, "1");
    Ok(())
}

/// P9, X11: metrics need a permission, as every path but health.
#[tokio::test]
async fn metrics_are_behind_authorization() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let refused = get(&server.nobody().await?, "/metrics").await?;
    assert_eq!(refused.error(), (403, "Forbidden".to_owned()));
    Ok(())
}

/// X11: clients cannot make series: not with paths, methods, groups, nor parameters.
#[tokio::test]
async fn a_thousand_strange_requests_make_no_series() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let admin = server.admin().await?;
    for target in ["/metrics", DEFAULT] {
        let request = Request::builder().method("BREW").uri(target);
        send(&admin, request.body(Vec::new())?).await?;
    }
    get(&admin, &format!("{DEFAULT}?dryRun=a")).await?;
    series(&admin).await?;
    let before: Vec<_> = series(&admin).await?.into_keys().collect();
    for number in 0..250 {
        for target in [
            format!("/p{number}"),
            format!("/apis/g{number}.io/v1/datarecords"),
            format!("/apis/data.kubedojo.io/v1alpha1/things{number}"),
            format!("{DEFAULT}/a/s{number}"),
        ] {
            let request = Request::builder().method(format!("M{number}").as_str());
            send(&admin, request.uri(target).body(Vec::new())?).await?;
        }
        let request = Request::builder().method(format!("M{number}").as_str());
        send(&admin, request.uri(DEFAULT).body(Vec::new())?).await?;
        get(&admin, &format!("{DEFAULT}?dryRun=d{number}")).await?;
    }
    let after: Vec<_> = series(&admin).await?.into_keys().collect();
    assert_eq!(after, before);
    Ok(())
}
