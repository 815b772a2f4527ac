//! A server for things, and clients that say to it whatever they like.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use apimachinery::{
    ApiError, ResourceDefinition, ResourceNames, Scope, SubresourceDefinition, schema::Schema,
};
use apiserver::{
    Resource,
    registry::SchemaOnly,
    serving::{Server, Surroundings},
    subresource::{CustomSubresource, SubresourceAnswer, SubresourceRequest},
    transport::{CertificateSource, crypto_provider},
};
use futures::future::BoxFuture;
use http::StatusCode;
use rcgen::generate_simple_self_signed;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::json;
use storage::{MemoryStorage, Storage};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    authority::{Authority, Credential},
    cluster::Cluster,
};

pub(crate) const THINGS: &str = "/apis/test.io/v1/namespaces/default/things";
pub(crate) const PROXY: &str = "front-proxy-client";
/// Much longer than anything takes.
const SOON: Duration = Duration::from_secs(20);

/// A running server, the cluster it asks and the authorities that cluster publishes.
pub(crate) struct Rig {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) clients: Authority,
    pub(crate) proxies: Authority,
    /// Whether requests for the subresource `echo` are held up.
    pub(crate) held_up: watch::Sender<bool>,
    address: SocketAddr,
    certificate: CertificateDer<'static>,
    task: JoinHandle<Result<(), String>>,
    _files: tempfile::TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    /// Head and body as they came.
    pub(crate) text: String,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The ConfigMap as kube-apiserver writes it.
pub(crate) fn published(
    clients: &Authority,
    proxies: &Authority,
    allowed_names: &str,
) -> BTreeMap<String, String> {
    let entries = [
        ("client-ca-file", clients.pem.as_str()),
        ("requestheader-client-ca-file", &proxies.pem),
        ("requestheader-allowed-names", allowed_names),
        ("requestheader-username-headers", r#"["X-Remote-User"]"#),
        ("requestheader-uid-headers", r#"["X-Remote-Uid"]"#),
        ("requestheader-group-headers", r#"["X-Remote-Group"]"#),
        (
            "requestheader-extra-headers-prefix",
            r#"["X-Remote-Extra-"]"#,
        ),
    ];
    let entries = entries.into_iter();
    entries
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

impl Rig {
    /// A server that is ready, for a cluster that publishes two authorities.
    pub(crate) async fn start() -> Self {
        let (clients, proxies) = (Authority::new("clients"), Authority::new("proxies"));
        let data = published(&clients, &proxies, &json!([PROXY]).to_string());
        Self::start_with(clients, proxies, data).await
    }

    /// A server whose connections of HTTP/2 end by chance.
    pub(crate) async fn with_goaway_chance(chance: f64) -> Self {
        let (clients, proxies) = (Authority::new("clients"), Authority::new("proxies"));
        let data = published(&clients, &proxies, "[]");
        Self::launch(clients, proxies, data, |surroundings| surroundings, chance).await
    }

    /// A server that differs in what surrounds it.
    pub(crate) async fn prepared(prepare: impl FnOnce(Surroundings) -> Surroundings) -> Self {
        let (clients, proxies) = (Authority::new("clients"), Authority::new("proxies"));
        let data = published(&clients, &proxies, "[]");
        Self::launch(clients, proxies, data, prepare, 0.0).await
    }

    /// A server that is ready, for a cluster that publishes this.
    pub(crate) async fn start_with(
        clients: Authority,
        proxies: Authority,
        data: BTreeMap<String, String>,
    ) -> Self {
        Self::launch(clients, proxies, data, |surroundings| surroundings, 0.0).await
    }

    async fn launch(
        clients: Authority,
        proxies: Authority,
        data: BTreeMap<String, String>,
        prepare: impl FnOnce(Surroundings) -> Surroundings,
        goaway_chance: f64,
    ) -> Self {
        let files = tempfile::tempdir().expect("everything is local");
        let serving =
            generate_simple_self_signed(["localhost".to_owned()]).expect("everything is local");
        let source = CertificateSource {
            certificate: files.path().join("tls.crt"),
            key: files.path().join("tls.key"),
        };
        std::fs::write(&source.certificate, serving.cert.pem()).expect("everything is local");
        std::fs::write(&source.key, serving.signing_key.serialize_pem())
            .expect("everything is local");
        let cluster = Cluster::new(data);
        let surroundings =
            Surroundings::in_cluster(cluster.client(), source).expect("everything is local");
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        let localhost = SocketAddr::from(([127, 0, 0, 1], 0));
        let held_up = watch::Sender::new(false);
        let things = things(held_up.subscribe());
        let server = Server::bind(localhost, vec![things], &storage, prepare(surroundings));
        let server = server.await.expect("everything is local");
        let server = server.with_goaway_chance(goaway_chance);
        let rig = Self {
            cluster,
            clients,
            proxies,
            held_up,
            address: server.address(),
            certificate: serving.cert.der().clone(),
            task: tokio::spawn(server.run(Duration::ZERO)),
            _files: files,
        };
        let ready = async || rig.get(None, "/readyz", &[]).await.code == 200;
        eventually("the server is ready", ready).await;
        rig
    }

    /// A request without a body, of a client that shows this.
    pub(crate) async fn ask(
        &self,
        credential: Option<&Credential>,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Reply {
        self.send(credential, method, target, headers, "").await
    }

    pub(crate) async fn get(
        &self,
        credential: Option<&Credential>,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Reply {
        self.ask(credential, "GET", target, headers).await
    }

    pub(crate) async fn send(
        &self,
        credential: Option<&Credential>,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let mut text = format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\n");
        if !headers.iter().any(|(name, _)| *name == "connection") {
            text.push_str("connection: close\r\n");
        }
        for (name, value) in headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        let length = body.len();
        let text = format!("{text}content-length: {length}\r\n\r\n{body}");
        self.raw(credential, text.as_bytes()).await
    }

    /// Sends these bytes and reads to the end; code 0 when nothing came back.
    pub(crate) async fn raw(&self, credential: Option<&Credential>, request: &[u8]) -> Reply {
        let exchange = async {
            let mut stream = self.connect(credential).await?;
            stream.write_all(request).await?;
            let mut answer = Vec::new();
            let mut part = [0; 4096];
            // A peer that ends without a farewell is no failure: what came counts.
            while let Ok(length @ 1..) = stream.read(&mut part).await {
                answer.extend_from_slice(&part[..length]);
            }
            std::io::Result::Ok(answer)
        };
        let answer = tokio::time::timeout(SOON, exchange).await;
        let answer = answer.expect("an answer in time").unwrap_or_default();
        let text = String::from_utf8_lossy(&answer).into_owned();
        let code = text.split(' ').nth(1).and_then(|code| code.parse().ok());
        Reply {
            code: code.unwrap_or_default(),
            text,
        }
    }

    pub(crate) async fn connect(
        &self,
        credential: Option<&Credential>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_with(self.client_config(credential, rustls::ALL_VERSIONS))
            .await
    }

    pub(crate) async fn connect_with(
        &self,
        config: ClientConfig,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").expect("it is a name");
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }

    /// A connection of somebody unknown that has agreed on a protocol.
    pub(crate) async fn speaking(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        let mut config = self.client_config(None, rustls::ALL_VERSIONS);
        config.alpn_protocols = vec![protocol.to_vec()];
        self.connect_with(config).await.expect("a connection")
    }

    /// A client that trusts the server and shows a credential.
    pub(crate) fn client_config(
        &self,
        credential: Option<&Credential>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let added = roots.add(self.certificate.clone());
        added.expect("the server's certificate is one");
        let config = ClientConfig::builder_with_provider(crypto_provider())
            .with_protocol_versions(versions)
            .expect("these are supported")
            .with_root_certificates(roots);
        match credential {
            None => config.with_no_client_auth(),
            Some(Credential { chain, key }) => config
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .expect("the key belongs to the certificate"),
        }
    }

    /// The user of the last question about permissions.
    pub(crate) fn last_user(&self) -> String {
        let asked = self.cluster.asked("user");
        let user = asked.last().and_then(|spec| spec["user"].as_str());
        user.unwrap_or_default().to_owned()
    }
}

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(SOON, waiting).await;
    assert!(waited.is_ok(), "in vain: {what}");
}

/// A kind whose subresource `echo` shows the headers that a handler sees.
fn things(held_up: watch::Receiver<bool>) -> Resource {
    let definition = ResourceDefinition {
        group: "test.io".to_owned(),
        version: "v1".to_owned(),
        names: ResourceNames {
            kind: "Thing".to_owned(),
            list_kind: "ThingList".to_owned(),
            plural: "things".to_owned(),
            singular: "thing".to_owned(),
            short_names: Vec::new(),
            categories: Vec::new(),
        },
        scope: Scope::Namespaced,
        schema: Schema::parse(json!({"type": "object"})).expect("everything is local"),
        status_subresource: false,
        scale: None,
        subresources: vec![SubresourceDefinition {
            name: "echo".to_owned(),
            group_version_kind: ("test.io".to_owned(), "v1".to_owned(), "Thing".to_owned()),
            verbs: Vec::new(),
        }],
        selectable_fields: Vec::new(),
        columns: Vec::new(),
    };
    let echo: Arc<dyn CustomSubresource> = Arc::new(Echo { held_up });
    Resource {
        definition,
        strategy: Arc::new(SchemaOnly),
        subresources: BTreeMap::from([("echo".to_owned(), echo)]),
    }
}

#[derive(Debug)]
struct Echo {
    held_up: watch::Receiver<bool>,
}

impl CustomSubresource for Echo {
    fn answer<'a>(
        &'a self,
        request: SubresourceRequest<'a>,
    ) -> BoxFuture<'a, Result<SubresourceAnswer, ApiError>> {
        let text = format!("for {:?}: {:?}", request.user.name, request.headers);
        let mut held_up = self.held_up.clone();
        Box::pin(async move {
            let freed = held_up.wait_for(|held_up| !held_up).await;
            freed.map_err(ApiError::internal)?;
            Ok(SubresourceAnswer::text(StatusCode::OK, text))
        })
    }
}
