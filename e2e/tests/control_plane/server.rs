//! The server that all tests share, and what they do with certificates.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::testing::Cluster;
use http::StatusCode;
use kube::Client;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde_json::Value;
use tokio::{net::TcpStream, sync::OnceCell};
use tokio_rustls::TlsConnector;

use super::local_server::{LocalServer, SERVER_NAME, files, get, write_certificate};

const LABEL: &str = "shared";

static SHARED: OnceCell<LocalServer> = OnceCell::const_new();

/// The server behind the aggregator. The group is one per cluster, so all tests share it.
pub(crate) async fn shared() -> Result<&'static LocalServer> {
    SHARED
        .get_or_try_init(async || {
            let cluster = Cluster::from_env()?;
            let server = LocalServer::start(&cluster, LABEL, &cluster.kubeconfig)?;
            server.wait_ready().await?;
            server.register().await?;
            Ok(server)
        })
        .await
}

impl LocalServer {
    /// Puts another certificate of the same authority in the place of the one that is there.
    pub(crate) fn renew_certificate(&self) -> Result<()> {
        write_certificate(&files(&self.cluster, LABEL), &self.authority)
    }

    /// The certificate that a new connection is shown, verified.
    pub(crate) async fn leaf(&self) -> Result<Vec<u8>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(
            self.authority.pem().as_bytes(),
        )?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let connector = TlsConnector::from(Arc::new(config));
        let tls = connector
            .connect(ServerName::try_from(SERVER_NAME)?, stream)
            .await?;
        let chain = tls
            .get_ref()
            .1
            .peer_certificates()
            .context("no certificate")?;
        Ok(chain.first().context("an empty chain")?.to_vec())
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> Result<String> {
        self.program.log()
    }
}

/// A GET whose answer has to be JSON with status 200.
pub(crate) async fn get_json(
    client: &Client,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Value> {
    let response = get(client, path, headers).await?;
    let status = response.status();
    let body = response.into_body().collect_bytes().await?;
    ensure!(
        status == StatusCode::OK,
        "{path}: {status}: {}",
        String::from_utf8_lossy(&body)
    );
    Ok(serde_json::from_slice(&body)?)
}
