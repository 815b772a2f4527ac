//! A server that is full: every place for reads and writes is taken by requests that do not end, and a
//! thousand watches run. How long its answers take then is measured in the benchmark `watches`.

use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn::http2::SendRequest};

use crate::server::{PROXY, Rig, THINGS, eventually};

/// The server's limits.
const READS: usize = 400;
const WRITES: usize = 200;
const WATCHES: usize = 1000;
/// A connection has at most a thousand streams.
const WATCHES_OF_CONNECTION: usize = 500;

type Client = SendRequest<Empty<Bytes>>;

async fn ask(mut client: Client, method: &str, target: &str) -> hyper::Result<Response<Incoming>> {
    let request = Request::builder().method(method);
    let request = request.uri(format!("https://localhost{target}"));
    client.ready().await?;
    let request = request.body(Empty::new()).expect("it is a request");
    client.send_request(request).await
}

async fn ask_and_read(client: &Client, target: &str) -> (Response<()>, String) {
    let answer = ask(client.clone(), "GET", target).await;
    let (head, body) = answer.expect("an answer").into_parts();
    let body = body.collect().await.expect("a whole answer").to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    (Response::from_parts(head, ()), text)
}

/// X4, W10, N13: a full server answers what comes from memory, tells others when to come again, counts
/// them, and goes on where it was when places are free.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_still_tells_what_it_is() {
    let rig = Rig::start().await;
    let jane = rig.clients.client("jane", &[]);
    let (client, _connection) = rig.http2(Some(&jane)).await;
    let in_memory = [
        "/apis",
        "/apis/test.io/v1",
        "/openapi/v2",
        "/openapi/v3",
        "/readyz",
        "/livez",
    ];

    let mut watches = Vec::new();
    for _ in 0..WATCHES / WATCHES_OF_CONNECTION {
        let (follower, _connection) = rig.http2(Some(&jane)).await;
        let target = format!("{THINGS}?watch=true");
        let begun = (0..WATCHES_OF_CONNECTION).map(|_| ask(follower.clone(), "GET", &target));
        watches.extend(try_join_all(begun).await.expect("a watch begins"));
    }
    assert!(watches.iter().all(|watch| watch.status() == StatusCode::OK));

    rig.held_up.send_replace(true);
    let (holder, _connection) = rig.http2(Some(&jane)).await;
    let echo = format!("{THINGS}/a/echo");
    let requests = [("GET", READS), ("POST", WRITES)]
        .into_iter()
        .flat_map(|(method, count)| vec![method; count])
        .map(|method| {
            let (holder, echo) = (holder.clone(), echo.clone());
            tokio::spawn(async move { ask(holder, method, &echo).await })
        });
    let held_up: Vec<_> = requests.collect();
    let full = async || {
        let read = ask(client.clone(), "GET", THINGS).await;
        let write = ask(client.clone(), "POST", THINGS).await;
        [read, write]
            .into_iter()
            .all(|answer| answer.is_ok_and(|a| a.status() == StatusCode::TOO_MANY_REQUESTS))
    };
    eventually("the server is full", full).await;

    for target in in_memory {
        let (answer, text) = ask_and_read(&client, target).await;
        assert_eq!(answer.status(), StatusCode::OK, "{target}: {text}");
    }
    let (refused, text) = ask_and_read(&client, THINGS).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS, "{text}");
    assert_eq!(refused.headers()["retry-after"], "1");
    let proxy = rig.proxies.client(PROXY, &[]);
    let master = [
        ("X-Remote-User", "admin"),
        ("X-Remote-Group", "system:masters"),
    ];
    assert_eq!(rig.get(Some(&proxy), THINGS, &master).await.code, 200);
    let (_, metrics) = ask_and_read(&client, "/metrics").await;
    for verb in ["LIST", "POST"] {
        let counted = metrics.lines().any(|line| {
            line.starts_with("apiserver_request_terminations_total{")
                && line.contains("code=\"429\"")
                && line.contains(&format!("verb=\"{verb}\""))
        });
        assert!(counted, "{verb}: {metrics}");
    }

    rig.held_up.send_replace(false);
    for answer in join_all(held_up).await {
        let answer = answer.expect("it does not panic").expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
    }
    let (answer, text) = ask_and_read(&client, THINGS).await;
    assert_eq!(answer.status(), StatusCode::OK, "{text}");
}
