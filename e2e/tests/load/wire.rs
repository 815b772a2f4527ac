//! Connections to the server below any client: bytes and streams, as faulty clients make them.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use e2e::testing::{Cluster, TestNamespace};
use http::Request;
use http_body_util::Full;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::{
    Client,
    api::{ListParams, PostParams},
};
use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, net::TcpStream, task::JoinHandle};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    LocalServer,
    account::account_kubeconfig,
    local_server::{GROUP, SERVER_NAME, files, write_certificate},
    traffic::{record, records},
};

/// Longer than the server keeps an answer about a permission.
const PERMITTED_WITHIN: Duration = Duration::from_secs(30);
/// The server looks at its files every five seconds.
const RENEWED_WITHIN: Duration = Duration::from_secs(30);
/// Records that make a list too large for the buffers on its way, and the size of each.
const LARGE: (usize, usize) = (48, 100_000);
const LABEL: &str = "load";

pub(crate) type Http2 = SendRequest<Full<Bytes>>;

/// The server as a faulty client sees it.
pub(crate) struct Target {
    pub(crate) kubeconfig: PathBuf,
    /// Where faulty clients write, and where a list is large.
    pub(crate) other_namespace: String,
    pub(crate) token: String,
    address: (&'static str, u16),
    http1: TlsConnector,
    http2: TlsConnector,
    account: String,
    _namespace: TestNamespace,
}

impl Target {
    /// An account without any right but to records, and the large list.
    pub(crate) async fn prepare(server: &LocalServer) -> Result<Self> {
        let cluster = &server.cluster;
        let namespace = cluster.namespace("load-other").await?;
        let name = namespace.name.clone();
        let kubeconfig = account_kubeconfig(cluster, &name, "default").await?;
        let users: Value = serde_json::from_slice(&std::fs::read(&kubeconfig)?)?;
        let token = users["users"][0]["user"]["token"].as_str();
        let tls = |protocols: &[&[u8]]| tls(server, protocols);
        let target = Self {
            kubeconfig,
            token: token.context("a token")?.to_owned(),
            address: ("127.0.0.1", server.port),
            http1: tls(&[b"http/1.1"])?,
            http2: tls(&[b"h2"])?,
            account: format!("--serviceaccount={name}:default"),
            other_namespace: name.clone(),
            _namespace: namespace,
        };
        target.allow_in(cluster, &name).await?;
        let api = records(server.direct_as_admin().await?, &name);
        for index in 0..LARGE.0 {
            let large = record(&format!("large-{index}"), &"x".repeat(LARGE.1));
            api.create(&PostParams::default(), &large).await?;
        }
        target
            .wait_permitted([&target.direct(server).await?], &name)
            .await?;
        Ok(target)
    }

    /// Lets the account do everything with the records of a namespace.
    pub(crate) async fn allow_in(&self, cluster: &Cluster, namespace: &str) -> Result<()> {
        let resource = format!("--resource=datarecords.{GROUP}");
        let role = [
            "create", "role", LABEL, "--verb=*", &resource, "-n", namespace,
        ];
        cluster.kubectl(role).await?.success()?;
        let role = format!("--role={LABEL}");
        let binding = [
            "create",
            "rolebinding",
            LABEL,
            &role,
            &self.account,
            "-n",
            namespace,
        ];
        cluster.kubectl(binding).await?.success()?;
        Ok(())
    }

    /// Waits until all of the clients may list and watch: refusals are remembered for a while.
    pub(crate) async fn wait_permitted<const N: usize>(
        &self,
        clients: [&Client; N],
        namespace: &str,
    ) -> Result<()> {
        for client in clients {
            let api = records(client.clone(), namespace);
            let list = async || api.list(&ListParams::default()).await.ok();
            e2e::testing::wait_for("the permission to count", PERMITTED_WITHIN, list).await?;
        }
        Ok(())
    }

    /// A client that behaves, straight to the server.
    pub(crate) async fn direct(&self, server: &LocalServer) -> Result<Client> {
        server.direct(json!({ "token": self.token })).await
    }

    pub(crate) async fn tcp(&self) -> Result<TcpStream> {
        Ok(TcpStream::connect(self.address).await?)
    }

    pub(crate) async fn http1(&self) -> Result<TlsStream<TcpStream>> {
        secure(&self.http1, self.tcp().await?).await
    }

    /// TLS with HTTP/2 agreed, and nothing of it said.
    pub(crate) async fn http2_silent(&self) -> Result<TlsStream<TcpStream>> {
        secure(&self.http2, self.tcp().await?).await
    }

    /// HTTP/2, and a task that ends with the connection.
    pub(crate) async fn http2(&self) -> Result<(Http2, JoinHandle<()>)> {
        let stream = self.http2_silent().await?;
        let (client, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        let task = tokio::spawn(async move {
            // However it ends, that is what the server did.
            connection.await.ok();
        });
        Ok((client, task))
    }

    /// The collection that faulty clients use, with a query.
    pub(crate) fn path(&self, query: &str) -> String {
        let namespace = &self.other_namespace;
        format!("/apis/{GROUP}/v1alpha1/namespaces/{namespace}/datarecords{query}")
    }

    /// A request of the account.
    pub(crate) fn request(
        &self,
        method: &str,
        query: &str,
        body: String,
    ) -> Result<Request<Full<Bytes>>> {
        let request = Request::builder()
            .method(method)
            .uri(format!("https://{SERVER_NAME}{}", self.path(query)))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json");
        Ok(request.body(Full::from(body))?)
    }

    /// The head of a request of the account, in HTTP/1; more header lines end with a line break.
    pub(crate) fn head(&self, method: &str, query: &str, more: &str) -> String {
        let (path, token) = (self.path(query), &self.token);
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {SERVER_NAME}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\n{more}\r\n"
        )
    }

    /// Puts another certificate of the same authority where the server looks.
    pub(crate) fn renew_certificate(server: &LocalServer) -> Result<()> {
        write_certificate(&files(&server.cluster, LABEL), &server.authority)
    }

    /// Waits until a new connection is shown the certificate that was written last.
    pub(crate) async fn server_shows_newest_certificate(&self, server: &LocalServer) -> Result<()> {
        let path = files(&server.cluster, LABEL).join("tls.crt");
        let written = CertificateDer::from_pem_file(path)?;
        let shown = async || {
            let stream = self.http1().await.ok()?;
            let leaf = stream.get_ref().1.peer_certificates()?.first()?.clone();
            (leaf == written).then_some(())
        };
        e2e::testing::wait_for("the newest certificate", RENEWED_WITHIN, shown).await
    }
}

async fn secure(tls: &TlsConnector, stream: TcpStream) -> Result<TlsStream<TcpStream>> {
    Ok(tls
        .connect(ServerName::try_from(SERVER_NAME)?, stream)
        .await?)
}

fn tls(server: &LocalServer, protocols: &[&[u8]]) -> Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(
        server.authority.pem().as_bytes(),
    )?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The code of an answer in HTTP/1, of which the first line is read.
pub(crate) async fn code(stream: &mut TlsStream<TcpStream>) -> Result<u16> {
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.context("no answer")?;
    ensure!(start.starts_with(b"HTTP/1.1 "), "no answer of HTTP/1");
    Ok(std::str::from_utf8(&start[9..])?.parse()?)
}
