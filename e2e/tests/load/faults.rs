//! Clients that do not behave: each kind of fault again and again, all kinds at the same time.

use std::{collections::BTreeMap, fmt, time::Duration};

use anyhow::{Context, Result, ensure};
use futures::{
    FutureExt,
    future::{LocalBoxFuture, join_all, poll_immediate, try_join_all},
};
use http_body_util::BodyExt;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    time::{Instant, MissedTickBehavior, interval, timeout, timeout_at},
};

use super::{
    LocalServer,
    wire::{Target, code},
};

/// Connections or streams of one fault at a time.
const AT_ONCE: usize = 8;
/// How long a fault that is a way of doing nothing lasts.
const HOLD: Duration = Duration::from_secs(2);
/// How long the server may take to answer, or to hang up, where it has to.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Bytes per slow reader and second are a thousand divided by this.
const SLOW_BYTE: Duration = Duration::from_millis(20);
/// Time between two certificates.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(3);
/// Larger than any body or head may be.
const OVERSIZED: usize = 4 << 20;
/// Requests that are taken back before a connection has to be gone; the server allows fewer.
const RESETS_MAX: usize = 100_000;

/// How often each fault was made, and what the server did wrong.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    made: BTreeMap<&'static str, usize>,
    wrong: Vec<String>,
}

type Fault = for<'a> fn(&'a Target) -> LocalBoxFuture<'a, Result<usize>>;

/// All kinds but the certificates, each with how often it was made.
const FAULTS: [(&str, Fault); 8] = [
    ("silent connections", |target| silent(target).boxed_local()),
    ("slow readers", |target| slow_readers(target).boxed_local()),
    ("aborted streams", |target| {
        aborted_streams(target).boxed_local()
    }),
    ("dropped connections", |target| {
        dropped_connections(target).boxed_local()
    }),
    ("oversized bodies", |target| {
        oversized_bodies(target).boxed_local()
    }),
    ("oversized heads", |target| {
        oversized_heads(target).boxed_local()
    }),
    ("floods of resets", |target| {
        rapid_resets(target).boxed_local()
    }),
    ("greetings of no protocol", |target| {
        no_protocol(target).boxed_local()
    }),
];

/// Makes faults until the time is over.
pub(crate) async fn until(server: &LocalServer, target: &Target, end: Instant) -> Tally {
    let all = FAULTS.map(|(name, fault)| again(name, fault, target, end));
    let (all, mut tally) = tokio::join!(join_all(all), certificates(server, end));
    for Tally { made, wrong } in all {
        tally.made.extend(made);
        tally.wrong.extend(wrong);
    }
    tally
}

/// One kind of fault, again and again; what runs at the end is cut off.
async fn again(name: &'static str, fault: Fault, target: &Target, end: Instant) -> Tally {
    let mut tally = Tally::default();
    while let Ok(made) = timeout_at(end, fault(target)).await {
        match made {
            Ok(made) => *tally.made.entry(name).or_default() += made,
            Err(error) => tally.wrong.push(format!("{name}: {error:#}")),
        }
    }
    tally
}

async fn certificates(server: &LocalServer, end: Instant) -> Tally {
    let mut tally = Tally::default();
    let mut pace = interval(CERTIFICATE_EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while timeout_at(end, pace.tick()).await.is_ok() {
        match Target::renew_certificate(server) {
            Ok(()) => *tally.made.entry("new certificates").or_default() += 1,
            Err(error) => tally.wrong.push(format!("certificate: {error:#}")),
        }
    }
    tally
}

/// Stays connected until the server hangs up or the time of a fault is over.
async fn hold(mut stream: impl AsyncRead + Unpin) {
    let mut rest = Vec::new();
    let _ = timeout(HOLD, stream.read_to_end(&mut rest)).await;
}

/// Connections that say nothing, or not all: at every stage that a connection has.
async fn silent(target: &Target) -> Result<usize> {
    let one = async || {
        let mut hello = target.tcp().await?;
        // The beginning of a ClientHello, of which 200 bytes are announced.
        hello
            .write_all(&[22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3])
            .await?;
        let mut head = target.http1().await?;
        let unfinished = target.head("GET", "", "");
        head.write_all(unfinished.trim_end().as_bytes()).await?;
        let mut preface = target.http2_silent().await?;
        preface.write_all(b"PRI * HTTP/2.0\r\n").await?;
        let (tcp, http1, http2) = (
            target.tcp().await?,
            target.http1().await?,
            target.http2_silent().await?,
        );
        tokio::join!(
            hold(tcp),
            hold(hello),
            hold(http1),
            hold(http2),
            hold(head),
            hold(preface)
        );
        anyhow::Ok(6)
    };
    Ok(try_join_all((0..AT_ONCE).map(|_| one()))
        .await?
        .iter()
        .sum())
}

/// A large list that is read byte by byte or not at all, and watches that nobody reads.
async fn slow_readers(target: &Target) -> Result<usize> {
    let byte_by_byte = async {
        let mut list = target.http1().await?;
        list.write_all(target.head("GET", "", "").as_bytes())
            .await?;
        ensure!(code(&mut list).await? == 200, "a list failed");
        let mut pace = interval(SLOW_BYTE);
        let reading = async {
            while list.read_u8().await.is_ok() {
                pace.tick().await;
            }
        };
        let _ = timeout(HOLD, reading).await;
        anyhow::Ok(())
    };
    let not_at_all = async {
        let mut list = target.http1().await?;
        list.write_all(target.head("GET", "", "").as_bytes())
            .await?;
        let (mut client, ended) = target.http2().await?;
        let mut streams = Vec::new();
        for query in [
            "",
            "?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
        ] {
            client.ready().await?;
            let answer = client
                .send_request(target.request("GET", query, String::new())?)
                .await?;
            ensure!(answer.status() == 200, "{query}: {}", answer.status());
            streams.push(answer);
        }
        let _ = timeout(HOLD, ended).await;
        drop((list, streams));
        anyhow::Ok(())
    };
    let (first, second) = tokio::join!(byte_by_byte, not_at_all);
    first?;
    second?;
    Ok(4)
}

/// Streams of HTTP/2 that are reset: before an answer, and in the middle of one.
async fn aborted_streams(target: &Target) -> Result<usize> {
    let (client, _ended) = target.http2().await?;
    let one = async |index: usize| {
        let mut client = client.clone();
        client.ready().await?;
        let body = object(&format!("aborted-{index}"));
        // Polled once, so that it is on its way, and then dropped.
        poll_immediate(client.send_request(target.request("POST", "", body)?)).await;
        client.ready().await?;
        let mut list = client
            .send_request(target.request("GET", "", String::new())?)
            .await?;
        list.body_mut().frame().await.context("no data")??;
        drop(list);
        client.ready().await?;
        let watch = target.request("GET", "?watch=true", String::new())?;
        let watch = client.send_request(watch).await?;
        ensure!(watch.status() == 200, "the watch: {}", watch.status());
        drop(watch);
        anyhow::Ok(3)
    };
    let made: usize = try_join_all((0..AT_ONCE).map(one)).await?.iter().sum();
    // Some were created after all.
    let mut client = client;
    for index in 0..AT_ONCE {
        client.ready().await?;
        let delete = target.request("DELETE", &format!("/aborted-{index}"), String::new())?;
        let answer = client.send_request(delete).await?;
        ensure!(
            matches!(answer.status().as_u16(), 200 | 404),
            "{}",
            answer.status()
        );
    }
    Ok(made)
}

/// Connections that break in the middle of a body: of the request's, and of the answer's.
async fn dropped_connections(target: &Target) -> Result<usize> {
    let one = async || {
        let body = object("dropped");
        let length = format!("content-length: {}\r\n", body.len());
        let mut stream = target.http1().await?;
        stream
            .write_all(target.head("POST", "", &length).as_bytes())
            .await?;
        stream.write_all(&body.as_bytes()[..body.len() / 2]).await?;
        stream.get_ref().0.set_zero_linger()?;
        drop(stream);
        let mut stream = target.http1().await?;
        stream
            .write_all(target.head("GET", "", "").as_bytes())
            .await?;
        ensure!(code(&mut stream).await? == 200, "a list failed");
        stream.get_ref().0.set_zero_linger()?;
        drop(stream);
        anyhow::Ok(2)
    };
    Ok(try_join_all((0..AT_ONCE).map(|_| one()))
        .await?
        .iter()
        .sum())
}

/// Bodies over the limit are 413, in both protocols.
async fn oversized_bodies(target: &Target) -> Result<usize> {
    let body = "x".repeat(OVERSIZED);
    let (mut client, _ended) = target.http2().await?;
    client.ready().await?;
    let send = client.send_request(target.request("POST", "", body.clone())?);
    let answer = timeout(ANSWER_WITHIN, send).await.context("no answer")??;
    ensure!(answer.status() == 413, "{} instead of 413", answer.status());

    let length = format!("content-length: {OVERSIZED}\r\n");
    let mut stream = target.http1().await?;
    stream
        .write_all(target.head("POST", "", &length).as_bytes())
        .await?;
    let (mut read, mut write) = tokio::io::split(stream);
    let mut start = [0; 12];
    let sending = async {
        // The server does not have to hear all of it.
        let _ = write.write_all(body.as_bytes()).await;
        futures::future::pending::<()>().await;
    };
    tokio::select! {
        answer = timeout(ANSWER_WITHIN, read.read_exact(&mut start)) => {
            answer.context("no answer")??;
        }
        () = sending => {}
    }
    ensure!(
        start.ends_with(b"413"),
        "{}",
        String::from_utf8_lossy(&start)
    );
    Ok(2)
}

/// Heads over the limit are refused or end the connection.
async fn oversized_heads(target: &Target) -> Result<usize> {
    let more = format!("x-large: {}\r\n", "x".repeat(OVERSIZED));
    let stream = target.http1().await?;
    let (mut read, mut write) = tokio::io::split(stream);
    let head = target.head("GET", "", &more);
    let mut answer = Vec::new();
    let exchange = async {
        // Both may fail: the server hangs up before it has heard all.
        let _ = tokio::join!(
            write.write_all(head.as_bytes()),
            read.read_to_end(&mut answer)
        );
    };
    timeout(ANSWER_WITHIN, exchange)
        .await
        .context("it was heard out")?;
    let start = String::from_utf8_lossy(&answer[..answer.len().min(12)]).into_owned();
    ensure!(start.is_empty() || start.ends_with("431"), "{start}");
    Ok(1)
}

/// Somebody unknown who takes back what they ask for as fast as they can is cut off.
async fn rapid_resets(target: &Target) -> Result<usize> {
    let (mut client, ended) = target.http2().await?;
    let mut made = 0;
    while client.ready().await.is_ok() {
        ensure!(made < RESETS_MAX, "{made} requests were taken back");
        let request = target.request("GET", "", String::new())?;
        poll_immediate(client.send_request(request)).await;
        made += 1;
        tokio::task::yield_now().await;
    }
    timeout(ANSWER_WITHIN, ended)
        .await
        .context("the connection stays")??;
    Ok(1)
}

/// Bytes that are no TLS, and a line in TLS that is no request.
async fn no_protocol(target: &Target) -> Result<usize> {
    let mut plain = target.tcp().await?;
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
    let mut secure = target.http1().await?;
    secure.write_all(b"\0\x01\x02\r\n\r\n").await?;
    let mut rest = [Vec::new(), Vec::new()];
    let [first, second] = &mut rest;
    let reading = async {
        let _ = tokio::join!(plain.read_to_end(first), secure.read_to_end(second));
    };
    timeout(ANSWER_WITHIN, reading)
        .await
        .context("a connection stays")?;
    Ok(2)
}

fn object(name: &str) -> String {
    let object = json!({
        "apiVersion": "data.kubedojo.io/v1alpha1", "kind": "DataRecord",
        "metadata": { "name": name }, "spec": { "source": "fault", "query": "q" },
    });
    object.to_string()
}

impl Tally {
    pub(crate) fn verdict(&self) -> Result<()> {
        ensure!(
            self.wrong.is_empty(),
            "the server did wrong: {:#?}",
            self.wrong
        );
        ensure!(
            self.made.len() == FAULTS.len() + 1,
            "some faults were never made: {:?}",
            self.made
        );
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faults:")?;
        for (index, (name, count)) in self.made.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma} {count} {name}")?;
        }
        Ok(())
    }
}
