//! The one installation that the tests share.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use e2e::{
    image::Image,
    testing::{Cluster, Output},
};
use tokio::{
    process::Command,
    sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

pub(crate) const NAMESPACE: &str = "kubedojo-system";
pub(crate) const API: &str = "datarecords";
pub(crate) const API_SERVICE: &str = "v1alpha1.data.kubedojo.io";
const RELEASE: &str = "extension-api-operator";
/// What the acceptance list allows from `kubectl apply` to `Available`.
const AVAILABLE_WITHIN: Duration = Duration::from_secs(30);

static INSTALLED: OnceCell<Cluster> = OnceCell::const_new();
/// Readers use the API; a writer takes it apart.
static IN_USE: RwLock<()> = RwLock::const_new(());

/// The API, in use by this test together with others.
pub(crate) async fn shared() -> Result<(Cluster, RwLockReadGuard<'static, ()>)> {
    let guard = IN_USE.read().await;
    Ok((installed().await?, guard))
}

/// The API, for this test alone, which has to leave it as it was.
pub(crate) async fn exclusive() -> Result<(Cluster, RwLockWriteGuard<'static, ()>)> {
    let guard = IN_USE.write().await;
    Ok((installed().await?, guard))
}

async fn installed() -> Result<Cluster> {
    let install = async || {
        let cluster = Cluster::from_env()?;
        for program in ["operator", "extension-apiserver"] {
            let image = Image {
                name: format!("cluster.test/{program}:dev"),
                entrypoint: format!("/{program}"),
                user: Some("65532:65532".to_owned()),
                env: Vec::new(),
            };
            cluster
                .load_image(&image, &static_program(program)?)
                .await?;
        }
        // The binaries of one run share the cluster, and the first has installed it.
        let status = helm(&cluster, "E2E_HELM", &["status", RELEASE, "-n", NAMESPACE]).await?;
        if status.code != Some(0) {
            helm_install(&cluster, "E2E_HELM").await?;
        }
        apply_api(&cluster).await?;
        anyhow::Ok(cluster)
    };
    INSTALLED.get_or_try_init(install).await.cloned()
}

/// A program as `make test` has built it for the images.
pub(crate) fn static_program(name: &str) -> Result<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../target/x86_64-unknown-linux-gnu/release")
        .join(name);
    path.canonicalize().with_context(|| {
        format!(
            "{} is not built: run `make static-programs` first",
            path.display()
        )
    })
}

/// Runs Helm, in the version that the variable names: `E2E_HELM` or `E2E_HELM3`.
pub(crate) async fn helm(cluster: &Cluster, variable: &str, args: &[&str]) -> Result<Output> {
    let program = std::env::var_os(variable).with_context(|| format!("{variable} is not set"))?;
    let mut command = Command::new(program);
    command.args(args);
    cluster.run(command, "").await
}

/// Installs the chart with the images of this build.
pub(crate) async fn helm_install(cluster: &Cluster, variable: &str) -> Result<String> {
    let chart = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../charts/extension-api-operator"
    );
    let values = "image.repository=cluster.test/operator,image.tag=dev,image.pullPolicy=Never,\
                  serverImage.repository=cluster.test/extension-apiserver,serverImage.tag=dev,\
                  serverImage.pullPolicy=Never";
    let args = [
        "install",
        RELEASE,
        chart,
        "--namespace",
        NAMESPACE,
        "--create-namespace",
        "--set",
        values,
        "--wait",
        "--timeout",
        "2m",
    ];
    helm(cluster, variable, &args).await?.success()
}

/// Uninstalls the chart.
pub(crate) async fn helm_uninstall(cluster: &Cluster, variable: &str) -> Result<String> {
    let args = [
        "uninstall",
        RELEASE,
        "--namespace",
        NAMESPACE,
        "--wait",
        "--timeout",
        "2m",
    ];
    helm(cluster, variable, &args).await?.success()
}

/// Applies the example and waits until it is available; gives the time that it took.
pub(crate) async fn apply_api(cluster: &Cluster) -> Result<Duration> {
    let start = tokio::time::Instant::now();
    let example = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/examples/datarecords.yaml"
    );
    cluster.kubectl(["apply", "-f", example]).await?.success()?;
    wait_available(cluster).await?;
    Ok(start.elapsed())
}

/// Waits as a user would.
pub(crate) async fn wait_available(cluster: &Cluster) -> Result<()> {
    let timeout = format!("--timeout={}s", AVAILABLE_WITHIN.as_secs());
    let args = [
        "wait",
        "--for=condition=Available",
        "extensionapi/datarecords",
        &timeout,
    ];
    cluster.kubectl(args).await?.success()?;
    Ok(())
}

/// What kubectl prints, which must succeed; the arguments are split at blanks.
pub(crate) async fn kubectl(cluster: &Cluster, args: &str) -> Result<String> {
    cluster.kubectl(args.split_whitespace()).await?.success()
}

/// A record as a manifest.
pub(crate) fn record(namespace: &str, name: &str) -> String {
    format!(
        "{{apiVersion: data.kubedojo.io/v1alpha1, kind: DataRecord, \
         metadata: {{name: {name}, namespace: {namespace}}}, spec: {{source: test, query: q}}}}"
    )
}
