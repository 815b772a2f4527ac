//! What happens to the product in the meantime, one thing after the other.

use std::{fmt, process::Stdio, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use base64::prelude::{BASE64_STANDARD, Engine};
use e2e::testing::Cluster;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::Instant,
};
use tokio_rustls::TlsConnector;

use super::installation::{API, NAMESPACE, kubectl};

const PATIENCE: Duration = Duration::from_mins(1);
/// The kubelet looks after mounted Secrets about once a minute, the server every five seconds.
const RENEWED_WITHIN: Duration = Duration::from_mins(3);
const OPERATOR: &str = "app.kubernetes.io/component=operator";

/// How often each of them happened.
#[derive(Debug, Default)]
pub(crate) struct Disturbances {
    operators: usize,
    certificates: usize,
    annotations: usize,
    /// The longest time from the Secret's deletion to the new certificate.
    renewal: Duration,
}

/// Disturbs until the time is over; what has begun is brought to its end.
pub(crate) async fn until(cluster: &Cluster, end: Instant) -> Result<Disturbances> {
    let mut done = Disturbances::default();
    while Instant::now() < end {
        annotate_service(cluster, done.annotations)
            .await
            .context("annotating the Service")?;
        done.annotations += 1;
        delete_operator(cluster)
            .await
            .context("deleting the operator's pod")?;
        done.operators += 1;
        if Instant::now() >= end {
            break;
        }
        let begin = Instant::now();
        delete_certificate(cluster)
            .await
            .context("deleting the serving certificate")?;
        done.certificates += 1;
        done.renewal = done.renewal.max(begin.elapsed());
    }
    Ok(done)
}

impl Disturbances {
    pub(crate) fn all(&self) -> usize {
        self.operators + self.certificates + self.annotations
    }
}

impl fmt::Display for Disturbances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            operators,
            certificates,
            annotations,
            renewal,
        } = self;
        write!(
            f,
            "{operators} operator pods deleted, {certificates} certificates replaced \
             (in use at most {renewal:.1?} later), {annotations} noisy annotations"
        )
    }
}

async fn annotate_service(cluster: &Cluster, round: usize) -> Result<()> {
    let noise = format!("soak.kubedojo.io/noise={round}");
    kubectl(
        cluster,
        &format!("annotate service {API} -n {NAMESPACE} --overwrite {noise}"),
    )
    .await?;
    Ok(())
}

/// The pod is gone, and another one leads.
async fn delete_operator(cluster: &Cluster) -> Result<()> {
    let holder =
        "get lease extension-api-operator -n kubedojo-system -o jsonpath={.spec.holderIdentity}";
    let before = kubectl(cluster, holder).await?;
    kubectl(
        cluster,
        &format!("delete pod -n {NAMESPACE} -l {OPERATOR} --timeout=60s"),
    )
    .await?;
    let leads = cluster.wait_for("another operator to lead", PATIENCE, async || {
        let now = kubectl(cluster, holder).await.ok()?;
        (!now.is_empty() && now != before).then_some(())
    });
    leads.await
}

/// The Secret is made anew, and the server shows the new leaf, which the same authority signed.
async fn delete_certificate(cluster: &Cluster) -> Result<()> {
    let secret = format!("{API}-serving-cert");
    let field = async |key: &str| -> Result<Vec<u8>> {
        let path = format!("jsonpath={{.data.{}}}", key.replace('.', "\\."));
        let args = ["get", "secret", &secret, "-n", NAMESPACE, "-o", &path];
        let text = cluster.kubectl(args).await?.success()?;
        anyhow::ensure!(!text.is_empty(), "{key} is empty");
        Ok(BASE64_STANDARD.decode(text)?)
    };
    let (authority, old) = (field("ca.crt").await?, field("tls.crt").await?);
    kubectl(cluster, &format!("delete secret {secret} -n {NAMESPACE}")).await?;
    let new = cluster.wait_for("another certificate in the Secret", PATIENCE, async || {
        field("tls.crt").await.ok().filter(|new| *new != old)
    });
    let new = CertificateDer::from_pem_slice(&new.await?)?.into_owned();
    let (_forward, port) = port_forward(cluster).await?;
    let shown = cluster.wait_for("the server to show it", RENEWED_WITHIN, async || {
        leaf(port, &authority)
            .await
            .ok()
            .filter(|leaf| *leaf == new)
    });
    shown.await.map(drop)
}

/// The certificate that the server shows, verified with the authority.
async fn leaf(port: u16, authority: &[u8]) -> Result<CertificateDer<'static>> {
    let mut roots = rustls::RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(authority) {
        roots.add(root?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from(format!("{API}.{NAMESPACE}.svc"))?;
    let tls = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    let chain = tls
        .get_ref()
        .1
        .peer_certificates()
        .context("no certificate")?;
    Ok(chain
        .first()
        .context("an empty chain")?
        .clone()
        .into_owned())
}

/// A port on loopback that leads to the server's pod for as long as the process lives.
pub(crate) async fn port_forward(cluster: &Cluster) -> Result<(Child, u16)> {
    let mut process = Command::new(&cluster.kubectl)
        .args([
            "port-forward",
            "-n",
            NAMESPACE,
            &format!("deploy/{API}"),
            ":8443",
        ])
        .env("KUBECONFIG", &cluster.kubeconfig)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(process.stdout.take().context("piped")?).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await??;
    let line = line.context("kubectl port-forward ended")?;
    let port = line
        .split("127.0.0.1:")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let port = port
        .with_context(|| format!("no port in {line:?}"))?
        .parse()?;
    // It writes a line for each connection, and ends if nobody reads them.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok((process, port))
}
