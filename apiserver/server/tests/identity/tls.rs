//! X5: the handshake, and how a connection ends.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use rstest::rstest;
use rustls::{
    SignatureScheme, SupportedProtocolVersion, client::ResolvesClientCert, sign::CertifiedKey,
    version,
};
use tokio::task::JoinHandle;

use crate::{
    authority::{Authority, Credential},
    server::{Rig, THINGS, eventually, published},
};

/// X5: both protocols are spoken, in both versions of TLS, and no certificate is needed.
#[rstest]
#[case(&version::TLS12, &["h2", "http/1.1"], Some("h2"))]
#[case(&version::TLS13, &["h2", "http/1.1"], Some("h2"))]
#[case(&version::TLS12, &["http/1.1"], Some("http/1.1"))]
#[case(&version::TLS13, &["http/1.1", "h2"], Some("h2"))]
#[case(&version::TLS13, &[], None)]
#[tokio::test]
async fn the_client_chooses_of_what_the_server_speaks(
    #[case] version: &'static SupportedProtocolVersion,
    #[case] offered: &[&str],
    #[case] expected: Option<&str>,
) {
    let rig = Rig::start().await;
    let mut config = rig.client_config(None, &[version]);
    config.alpn_protocols = offered
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    let stream = rig.connect_with(config).await.unwrap();
    let (_, tls) = stream.get_ref();
    assert_eq!(tls.protocol_version(), Some(version.version));
    assert_eq!(tls.alpn_protocol(), expected.map(str::as_bytes));
}

/// X5: clients are told which authorities count, and those of a new ConfigMap at once.
#[tokio::test]
async fn the_handshake_names_the_authorities() {
    let rig = Rig::start().await;
    assert_eq!(rig.named_authorities().await, ["clients", "proxies"]);
    let (clients, proxies) = (Authority::new("clients 2"), Authority::new("proxies 2"));
    let data = published(&clients, &proxies, "[]");
    rig.cluster.config_map.send_replace(Some(data));
    let changed = async || rig.named_authorities().await == ["clients 2", "proxies 2"];
    eventually("the new authorities are named", changed).await;
}

/// X5, M11: who is not known and is turned away loses the connection; others keep it.
#[tokio::test]
async fn a_refusal_of_somebody_unknown_ends_the_connection() {
    let rig = Rig::start().await;
    let (mut wrong, ended) = rig.http2(None).await;
    let refused = ask(&mut wrong, Some("Bearer wrong")).await;
    assert_eq!(refused, StatusCode::UNAUTHORIZED);
    ended.await.unwrap();

    let eve = rig.clients.client("eve", &[]);
    let (mut eve, ended) = rig.http2(Some(&eve)).await;
    for _ in 0..3 {
        assert_eq!(ask(&mut eve, None).await, StatusCode::FORBIDDEN);
    }
    assert!(!ended.is_finished());
}

/// X5: connections end now and then, so that clients spread over the servers; no request fails.
#[tokio::test]
async fn a_goaway_ends_a_connection_after_its_requests() {
    let rig = Rig::with_goaway_chance(1.0).await;
    let jane = rig.clients.client("jane", &[]);
    let (mut client, ended) = rig.http2(Some(&jane)).await;
    assert_eq!(ask(&mut client, None).await, StatusCode::OK);
    ended.await.unwrap();
    assert!(client.ready().await.is_err());
}

/// M11: a client that takes back its requests as fast as it can is cut off.
#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let rig = Rig::start().await;
    let (mut client, ended) = rig.http2(None).await;
    let resets = async {
        while client.ready().await.is_ok() {
            // Sent once it was polled, taken back when it is dropped.
            let mut answer = Box::pin(client.send_request(request(None)));
            assert!(futures::poll!(answer.as_mut()).is_pending());
            tokio::task::yield_now().await;
        }
    };
    let cut_off = tokio::time::timeout(std::time::Duration::from_secs(20), resets).await;
    assert!(cut_off.is_ok(), "it may go on for ever");
    ended.await.unwrap();
    assert_eq!(rig.get(None, "/livez", &[]).await.code, 200);
}

fn request(authorization: Option<&str>) -> Request<Empty<Bytes>> {
    let mut request = Request::get(format!("https://localhost{THINGS}"));
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    request.body(Empty::new()).expect("it is a request")
}

async fn ask(client: &mut SendRequest<Empty<Bytes>>, authorization: Option<&str>) -> StatusCode {
    let response = client.send_request(request(authorization)).await;
    let response = response.expect("an answer");
    let status = response.status();
    response.collect().await.expect("a whole answer");
    status
}

impl Rig {
    /// A connection of HTTP/2, and the task that ends with it.
    pub(crate) async fn http2(
        &self,
        credential: Option<&Credential>,
    ) -> (SendRequest<Empty<Bytes>>, JoinHandle<()>) {
        let mut config = self.client_config(credential, rustls::ALL_VERSIONS);
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = self.connect_with(config).await.expect("a connection");
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (client, connection) = handshake.await.expect("it speaks HTTP/2");
        let task = tokio::spawn(async move {
            connection.await.ok();
        });
        (client, task)
    }

    /// The common names of the authorities that a handshake names.
    async fn named_authorities(&self) -> Vec<String> {
        let noted = Arc::new(Named::default());
        let mut config = self.client_config(None, rustls::ALL_VERSIONS);
        let resolver: Arc<dyn ResolvesClientCert> = noted.clone();
        config.client_auth_cert_resolver = resolver;
        self.connect_with(config).await.expect("a connection");
        let mut names = noted.0.lock().clone();
        names.sort();
        names
    }
}

/// Notes which authorities are named.
#[derive(Debug, Default)]
struct Named(Mutex<Vec<String>>);

impl ResolvesClientCert for Named {
    fn resolve(&self, hints: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        // A name in DER ends with its only part, the common name.
        let name = |der: &&[u8]| {
            let text = String::from_utf8_lossy(der).into_owned();
            let start = text.rfind(|c: char| !(c.is_ascii_graphic() || c == ' '));
            let start = start.map_or(0, |start| {
                start + text[start..].chars().next().map_or(0, char::len_utf8)
            });
            text[start..].to_owned()
        };
        *self.0.lock() = hints.iter().map(name).collect();
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}
