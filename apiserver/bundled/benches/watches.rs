//! What ten thousand idle watches cost the server, and what others notice of them:
//! `cargo bench -p extension-apiserver`.
//!
//! The program itself serves, on a real socket, over a hundred connections of HTTP/2. What is told is its
//! resident memory, how long the answers from memory take meanwhile, and how long an event needs to reach
//! every watch. A bar that is missed is said and fails nothing.

use std::{path::Path, process::Stdio, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::Instant,
};
use tokio_rustls::TlsConnector;

const CONNECTIONS: usize = 100;
const WATCHES_OF_CONNECTION: usize = 100;
const MEMORY_BAR: u64 = 100_000_000;
const ANSWER_BAR: Duration = Duration::from_millis(50);
const ANSWERS: usize = 200;
const RECORDS: &str = "/apis/data.kubedojo.io/v1alpha1/namespaces/idle/datarecords";

type Client = SendRequest<Full<Bytes>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let kubeconfig = directory.path().join("kubeconfig");
    let mut server = start(&kubeconfig).await?;
    let reader = Reader::new(&kubeconfig)?;
    let pid = server.id().context("the server runs")?;
    let before = resident(pid)?;

    let connections = try_join_all((0..CONNECTIONS).map(|_| reader.connect())).await?;
    let connected = resident(pid)?;
    let watches = connections
        .iter()
        .flat_map(|connection| (0..WATCHES_OF_CONNECTION).map(move |_| watch(connection.clone())));
    let watches = try_join_all(watches).await?;
    let all = resident(pid)?;
    println!(
        "resident memory at the start              {:>10}",
        megabytes(before)
    );
    println!(
        "with {CONNECTIONS} connections                     {:>10}",
        megabytes(connected)
    );
    let verdict = if all < MEMORY_BAR { "" } else { " missed" };
    let (count, bar) = (watches.len(), megabytes(MEMORY_BAR));
    println!(
        "with {count} watches                       {:>10}   bar {bar}{verdict}",
        megabytes(all)
    );

    for path in ["/readyz", "/apis/data.kubedojo.io/v1alpha1", "/openapi/v3"] {
        let longest = longest_answer(&reader, path).await?;
        let verdict = if longest < ANSWER_BAR { "" } else { " missed" };
        println!(
            "longest of {ANSWERS} answers, {path:<32} {longest:>10.2?}   bar {ANSWER_BAR:?}{verdict}"
        );
    }

    let begun = Instant::now();
    let created = create(&mut connections[0].clone()).await?;
    ensure!(
        created == StatusCode::CREATED,
        "the record was not created: {created}"
    );
    let events = watches.into_iter().map(|mut body| async move {
        let frame = body.frame().await;
        frame.is_some_and(|frame| frame.is_ok())
    });
    let reached = join_all(events)
        .await
        .into_iter()
        .filter(|event| *event)
        .count();
    println!(
        "an event reached {reached} watches after      {:>10.2?}",
        begun.elapsed()
    );
    println!(
        "resident memory after it                  {:>10}",
        megabytes(resident(pid)?)
    );
    server.kill().await?;
    Ok(())
}

/// The server, once it serves.
async fn start(kubeconfig: &Path) -> Result<Child> {
    let mut server = Command::new(env!("CARGO_BIN_EXE_extension-apiserver"))
        .args(["--standalone", "--secure-port=0", "--standalone-kubeconfig"])
        .arg(kubeconfig)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = server.stdout.take().context("its output is piped")?;
    let first = BufReader::new(stdout).lines().next_line().await?;
    first.context("it ended before it served")?;
    Ok(server)
}

/// Whoever connects as the kubeconfig says.
struct Reader {
    address: String,
    tls: TlsConnector,
}

impl Reader {
    fn new(kubeconfig: &Path) -> Result<Self> {
        let kubeconfig: Value = serde_json::from_slice(&std::fs::read(kubeconfig)?)?;
        let cluster = &kubeconfig["clusters"][0]["cluster"];
        let user = &kubeconfig["users"][0]["user"];
        let pem = |value: &Value| -> Result<Vec<u8>> {
            Ok(STANDARD.decode(value.as_str().context("the kubeconfig has it")?)?)
        };
        let mut roots = RootCertStore::empty();
        let authority = pem(&cluster["certificate-authority-data"])?;
        roots.add(CertificateDer::from_pem_slice(&authority)?)?;
        let certificate = CertificateDer::from_pem_slice(&pem(&user["client-certificate-data"])?)?;
        let key = PrivateKeyDer::from_pem_slice(&pem(&user["client-key-data"])?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        let address = cluster["server"]
            .as_str()
            .context("the server has an address")?;
        Ok(Self {
            address: address.trim_start_matches("https://").to_owned(),
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    async fn connect(&self) -> Result<Client> {
        let stream = TcpStream::connect(&self.address).await?;
        let stream = self
            .tls
            .connect(ServerName::try_from("localhost")?, stream)
            .await?;
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (client, connection) = handshake.await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

/// A watch whose answer has begun.
async fn watch(mut client: Client) -> Result<Incoming> {
    let response = send(
        &mut client,
        Method::GET,
        &format!("{RECORDS}?watch=true"),
        "",
    )
    .await?;
    ensure!(response.status() == StatusCode::OK, "{}", response.status());
    Ok(response.into_body())
}

async fn longest_answer(reader: &Reader, path: &str) -> Result<Duration> {
    let mut client = reader.connect().await?;
    let mut longest = Duration::ZERO;
    for _ in 0..ANSWERS {
        let begun = Instant::now();
        let response = send(&mut client, Method::GET, path, "").await?;
        ensure!(
            response.status() == StatusCode::OK,
            "{path}: {}",
            response.status()
        );
        response.into_body().collect().await?;
        longest = longest.max(begun.elapsed());
    }
    Ok(longest)
}

async fn create(client: &mut Client) -> Result<StatusCode> {
    let record = json!({
        "apiVersion": "data.kubedojo.io/v1alpha1", "kind": "DataRecord",
        "metadata": { "name": "seen-by-all" }, "spec": { "source": "bench" },
    });
    let response = send(client, Method::POST, RECORDS, &record.to_string()).await?;
    Ok(response.status())
}

async fn send(
    client: &mut Client,
    method: Method,
    path: &str,
    body: &str,
) -> Result<http::Response<Incoming>> {
    let request = Request::builder()
        .method(method)
        .uri(format!("https://localhost{path}"))
        .header("content-type", "application/json")
        .body(Full::from(body.to_owned()))?;
    client.ready().await?;
    Ok(client.send_request(request).await?)
}

/// Resident memory of a process, in bytes.
fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kibibytes: u64 = kibibytes.context("the process has memory")?.parse()?;
    Ok(kibibytes * 1024)
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes / 1_000_000)
}
