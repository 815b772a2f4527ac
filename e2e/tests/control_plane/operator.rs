//! The operator as a local process, with the rights of its chart and no others.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use e2e::testing::Cluster;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use super::{
    account::account_kubeconfig,
    extension_api::unique,
    program::{Program, free_port},
};

/// The operator's namespace, where authorities are.
pub(crate) const NAMESPACE: &str = "kubedojo-system";
/// Where servers run.
pub(crate) const OPERANDS: &str = "operands";
/// The chart's name for everything.
const NAME: &str = "extension-api-operator";
const STARTED_WITHIN: Duration = Duration::from_mins(1);

/// The process that runs, and its port for health and metrics.
#[derive(Debug)]
pub(crate) struct Operator {
    program: Program,
    port: u16,
}

static PREPARED: OnceCell<(Cluster, PathBuf)> = OnceCell::const_new();
/// Readers have their objects reconciled; a writer may stop the process.
static RUNNING: RwLock<Option<Operator>> = RwLock::const_new(None);

/// The operator, in use by this test together with others.
pub(crate) async fn shared() -> Result<(Cluster, RwLockReadGuard<'static, Option<Operator>>)> {
    let (cluster, _) = PREPARED.get_or_try_init(prepare).await?;
    let running = RUNNING.read().await;
    if running.is_some() {
        return Ok((cluster.clone(), running));
    }
    drop(running);
    let (cluster, running) = exclusive().await?;
    Ok((cluster, running.downgrade()))
}

/// The operator, for this test alone, which has to leave it running.
pub(crate) async fn exclusive() -> Result<(Cluster, RwLockWriteGuard<'static, Option<Operator>>)> {
    let (cluster, kubeconfig) = PREPARED.get_or_try_init(prepare).await?;
    let mut running = RUNNING.write().await;
    if running.is_none() {
        *running = Some(Operator::start(cluster, kubeconfig).await?);
    }
    Ok((cluster.clone(), running))
}

/// A namespace that the operator has been told of, and that is gone.
pub(crate) fn absent() -> String {
    unique("absent")
}

/// Everything of the chart but its pods; gives a kubeconfig of the operator's account.
async fn prepare() -> Result<(Cluster, PathBuf)> {
    // On a cluster that is used again the API of the run before answers no more, and no namespace
    // can go before it does.
    let cluster = super::server::shared().await?.cluster.clone();
    for namespace in [NAMESPACE, OPERANDS, &absent()] {
        let text = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}");
        cluster.apply(&text).await?;
    }
    cluster.apply(&chart(&cluster).await?).await?;
    let established = [
        "wait",
        "--for=condition=Established",
        "crd/extensionapis.extensions.kubedojo.io",
    ];
    cluster.kubectl(established).await?.success()?;
    let absent = ["delete", "namespace", &absent(), "--timeout=60s"];
    cluster.kubectl(absent).await?.success()?;
    let kubeconfig = account_kubeconfig(&cluster, NAMESPACE, NAME).await?;
    Ok((cluster, kubeconfig))
}

async fn chart(cluster: &Cluster) -> Result<String> {
    let program = std::env::var_os("E2E_HELM").context("E2E_HELM is not set: helm is not built")?;
    let mut command = Command::new(program);
    command
        .args([
            "template",
            NAME,
            concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../charts/extension-api-operator"
            ),
        ])
        .args(["--namespace", NAMESPACE])
        .args([
            "--set",
            &format!("operands.namespaces={{{OPERANDS},{}}}", absent()),
        ])
        .args([
            "--show-only",
            "templates/crd.yaml",
            "--show-only",
            "templates/rbac.yaml",
        ])
        .args(["--show-only", "templates/serviceaccount.yaml"]);
    cluster.run(command, "").await?.success()
}

impl Operator {
    async fn start(cluster: &Cluster, kubeconfig: &std::path::Path) -> Result<Self> {
        let port = free_port()?;
        let args = [
            format!("--operator-namespace={NAMESPACE}"),
            format!("--operand-namespaces={OPERANDS},{}", absent()),
            format!("--health-bind-address=127.0.0.1:{port}"),
            "--leader-elect".to_owned(),
            "--identity=control-plane-tests".to_owned(),
        ];
        let environment = [("KUBECONFIG", kubeconfig.display().to_string())];
        let program = Program::start(cluster, ("operator", "shared"), &args, &environment)?;
        let operator = Self { program, port };
        cluster
            .wait_for("the operator to lead", STARTED_WITHIN, async || {
                (operator.metric("leader").await.ok()? == 1).then_some(())
            })
            .await
            .with_context(|| format!("its log: {}", operator.program.log().unwrap_or_default()))?;
        Ok(operator)
    }

    /// The sum of a metric over its labels.
    pub(crate) async fn metric(&self, name: &str) -> Result<u64> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let name = format!("extension_api_operator_{name}");
        let values = answer.lines().filter_map(|line| {
            let rest = line.strip_prefix(&name)?;
            let value = rest
                .strip_prefix('{')
                .and_then(|r| r.split_once('}'))
                .map_or(rest, |r| r.1);
            value.strip_prefix(' ')?.parse::<u64>().ok()
        });
        let values: Vec<u64> = values.collect();
        anyhow::ensure!(!values.is_empty(), "no metric {name} in {answer}");
        Ok(values.iter().sum())
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> Result<String> {
        self.program.log()
    }

    /// Ends it as Kubernetes would, and gives the exit code.
    pub(crate) async fn stop(self, cluster: &Cluster) -> Result<Option<i32>> {
        self.program.stop(cluster).await
    }
}
