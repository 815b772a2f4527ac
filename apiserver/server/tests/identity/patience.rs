//! Connections that only take a place: those that say nothing, and those that do not listen.
//!
//! The clock stands still and jumps to the next timer whenever nothing else is to be done.

use std::time::Duration;

use rstest::rstest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, pause, timeout},
};

use crate::server::{Rig, THINGS};

/// The timeouts of the server are at most a minute; a bit more, because it looks at the clock in turn.
const WITHIN: Duration = Duration::from_secs(70);
/// When it is clear that nothing will happen.
const NEVER: Duration = Duration::from_hours(2);

/// How long a connection may be without requests, less a bit for the same reason.
const IDLE: Duration = Duration::from_secs(80);

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";
/// The preface of HTTP/2 and empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const ACKNOWLEDGED: u8 = 1;
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0for echo";

/// X5, M11: who has not said what they want in time loses the connection, at every stage of it.
#[rstest]
#[case::nothing(HTTP1, b"")]
#[case::a_part_of_a_line(HTTP1, b"GET /li")]
#[case::a_part_of_the_head(HTTP1, b"GET /livez HTTP/1.1\r\nhost: localhost\r\n")]
#[case::one_request_and_no_more(HTTP1, b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")]
#[case::the_other_protocol(HTTP1, b"PRI * HTTP/2.0\r\n")]
#[case::nothing_of_http2(HTTP2, b"")]
#[case::a_part_of_the_preface(HTTP2, b"PRI * HTTP/2.0\r\n")]
#[case::the_preface_and_no_more(HTTP2, PREFACE)]
#[tokio::test]
async fn a_silent_connection_ends(#[case] protocol: &[u8], #[case] said: &[u8]) {
    let rig = Rig::start().await;
    let mut stream = rig.speaking(protocol).await;
    stream.write_all(said).await.unwrap();
    pause();
    let begun = Instant::now();
    let mut answer = Vec::new();
    let ended = timeout(NEVER, stream.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "it stays for ever");
    assert!(begun.elapsed() < WITHIN, "{:?}", begun.elapsed());
    assert_eq!(rig.get(None, "/livez", &[]).await.code, 200);
}

/// X5, M11: who says again and again that they live, and never asks for anything, loses the connection.
#[tokio::test]
async fn a_connection_without_requests_ends() {
    let rig = Rig::start().await;
    let mut stream = rig.speaking(HTTP2).await;
    stream.write_all(PREFACE).await.unwrap();
    pause();
    let begun = Instant::now();
    let mut pings = 0;
    let alive = async {
        let mut head = [0; 9];
        while stream.read_exact(&mut head).await.is_ok() {
            let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
            if stream.read_exact(&mut payload).await.is_err() {
                return;
            }
            let (kind, flags) = (head[3], &mut head[4]);
            if (kind, *flags) == (PING[3], 0) {
                *flags = ACKNOWLEDGED;
                pings += 1;
                let _ = stream.write_all(&[&head[..], &payload].concat()).await;
            }
        }
    };
    assert!(timeout(NEVER, alive).await.is_ok(), "it stays for ever");
    let lasted = begun.elapsed();
    assert!((IDLE..2 * IDLE).contains(&lasted), "{lasted:?}");
    assert!(pings > 0, "it was never asked whether it lives");
    assert_eq!(rig.get(None, "/livez", &[]).await.code, 200);
}

/// W7, M11: who asks and does not take the answers loses the connection.
#[rstest]
#[case::http1(HTTP1, b"", format!("GET {THINGS} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes())]
#[case::http2(HTTP2, PREFACE, PING.to_vec())]
#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off(
    #[case] protocol: &[u8],
    #[case] greeting: &[u8],
    #[case] question: Vec<u8>,
) {
    let rig = Rig::start().await;
    let mut stream = rig.speaking(protocol).await;
    stream.write_all(greeting).await.unwrap();
    pause();
    let begun = Instant::now();
    let questions = question.repeat(1000);
    let asking = async { while stream.write_all(&questions).await.is_ok() {} };
    assert!(timeout(NEVER, asking).await.is_ok(), "it stays for ever");
    assert!(begun.elapsed() < 2 * WITHIN, "{:?}", begun.elapsed());
    assert_eq!(rig.get(None, "/livez", &[]).await.code, 200);
}

/// W7: a watch to which nothing happens is no silence: it lasts as long as was asked for.
#[tokio::test]
async fn a_quiet_watch_stays() {
    let rig = Rig::start().await;
    let jane = rig.clients.client("jane", &[]);
    let mut stream = rig.connect(Some(&jane)).await.unwrap();
    let head = format!("GET {THINGS}?watch=true&timeoutSeconds=600 HTTP/1.1\r\nhost: l\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    pause();
    let begun = Instant::now();
    let mut rest = Vec::new();
    let ended = timeout(NEVER, stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "it stays for ever");
    let lasted = begun.elapsed();
    assert!(lasted >= Duration::from_secs(590), "{lasted:?}");
}
