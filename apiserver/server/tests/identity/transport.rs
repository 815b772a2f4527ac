//! Mistakes 9 and 11: what somebody without any right can do to the connection.

use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::server::{Rig, THINGS};

/// M9: no connection becomes another kind of connection, so none is left open behind.
#[rstest]
#[case("websocket")]
#[case("SPDY/3.1")]
#[case("h2c")]
#[case("TLS/1.3")]
#[tokio::test]
async fn nothing_is_upgraded(#[case] protocol: &str) {
    let rig = Rig::start().await;
    let headers = [
        ("connection", "Upgrade, close"),
        ("Upgrade", protocol),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
    ];
    let jane = rig.clients.client("jane", &[]);
    for credential in [None, Some(&jane)] {
        for target in [THINGS, &format!("{THINGS}?watch=true&timeoutSeconds=1")] {
            let reply = rig.get(credential, target, &headers).await;
            assert!(matches!(reply.code, 200 | 403), "{reply:?}");
        }
    }
}

/// M11: the head of a request is bounded before anybody is asked who sent it.
#[rstest]
#[case::a_long_header(format!("GET / HTTP/1.1\r\nhost: l\r\nx: {}\r\n\r\n", "a".repeat(2 << 20)))]
#[case::many_headers(format!("GET / HTTP/1.1\r\nhost: l\r\n{}\r\n", "x: a\r\n".repeat(100_000)))]
#[case::a_long_path(format!("GET /{} HTTP/1.1\r\nhost: l\r\n\r\n", "a".repeat(2 << 20)))]
#[case::no_http("\u{0}\u{1}\u{2}\r\n\r\n".to_owned())]
#[case::two_lengths("POST / HTTP/1.1\r\nhost: l\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n".to_owned())]
#[case::length_and_chunks("POST / HTTP/1.1\r\nhost: l\r\ncontent-length: 1\r\ntransfer-encoding: x\r\n\r\n".to_owned())]
#[tokio::test]
async fn a_head_that_is_too_much_ends_the_connection(#[case] request: String) {
    let rig = Rig::start().await;
    let reply = rig.raw(None, request.as_bytes()).await;
    assert!(matches!(reply.code, 0 | 400 | 414 | 431), "{reply:?}");
    assert!(rig.cluster.asked("user").is_empty());
    assert_eq!(rig.get(None, "/livez", &[]).await.code, 200);
}

/// M11: who may not write is told so without being heard out.
#[tokio::test]
async fn the_body_of_somebody_without_rights_is_not_read() {
    let rig = Rig::start().await;
    let mut stream = rig.connect(None).await.unwrap();
    let head = format!(
        "POST {THINGS} HTTP/1.1\r\nhost: l\r\ncontent-type: application/json\r\ncontent-length: 3000000\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 403");
}
