//! The program itself, on a real socket, without any cluster.

mod audit;
mod bad_input;
mod metrics;
mod paths;
#[cfg(feature = "postgres")]
mod replicas;
#[cfg(feature = "sqlite")]
mod restarts;
mod standalone;

use std::{path::PathBuf, process::Stdio};

use anyhow::Context;
use http::{Method, Request};
use http_body_util::BodyExt;
use kube::{
    Client, Config,
    client::Body,
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

const DEFAULT: &str = "/apis/data.kubedojo.io/v1alpha1/namespaces/default/datarecords";

/// A running `extension-apiserver --standalone`.
struct Server {
    process: Child,
    _directory: tempfile::TempDir,
    kubeconfig: PathBuf,
}

/// Status, one header line per header, and the body.
struct Answer {
    code: u16,
    headers: http::HeaderMap,
    body: Vec<u8>,
}

impl Server {
    async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    async fn start_with(flags: &[String]) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let kubeconfig = directory.path().join("kubeconfig");
        let mut process = Command::new(env!("CARGO_BIN_EXE_extension-apiserver"))
            .args(["--standalone", "--secure-port=0", "--standalone-kubeconfig"])
            .arg(&kubeconfig)
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = process.stdout.take().context("its output is piped")?;
        let first = BufReader::new(stdout).lines().next_line().await?;
        first.context("it ended before it served")?;
        Ok(Self {
            process,
            _directory: directory,
            kubeconfig,
        })
    }

    async fn config(&self) -> anyhow::Result<Config> {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig)?;
        let mut config =
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        config.default_retry = false;
        Ok(config)
    }

    /// A client with the certificate of the kubeconfig.
    async fn admin(&self) -> anyhow::Result<Client> {
        Ok(Client::try_from(self.config().await?)?)
    }

    /// A client without any credential.
    async fn nobody(&self) -> anyhow::Result<Client> {
        let mut config = self.config().await?;
        config.auth_info = AuthInfo::default();
        Ok(Client::try_from(config)?)
    }
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Code and reason of an error.
    fn error(&self) -> (u16, String) {
        (
            self.code,
            self.json()["reason"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        )
    }
}

async fn send(client: &Client, request: Request<Vec<u8>>) -> anyhow::Result<Answer> {
    let (parts, body) = client.send(request.map(Body::from)).await?.into_parts();
    let body = body.collect().await?.to_bytes().to_vec();
    Ok(Answer {
        code: parts.status.as_u16(),
        headers: parts.headers,
        body,
    })
}

async fn get(client: &Client, target: &str) -> anyhow::Result<Answer> {
    send(client, Request::get(target).body(Vec::new())?).await
}

async fn write(
    client: &Client,
    method: Method,
    target: &str,
    body: &Value,
) -> anyhow::Result<Answer> {
    let request = Request::builder().method(method).uri(target);
    let request = request.header("content-type", "application/json");
    send(client, request.body(body.to_string().into_bytes())?).await
}
