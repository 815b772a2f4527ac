//! For tests that run on a cluster: they find it in the environment that `e2e run` sets.
//!
//! Every failure says which command failed, what it printed, and where the components' logs are.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::cluster;
use crate::image::Image;
use crate::namespaces::Namespaces;
use crate::state::{ClusterDir, StateDir};
use crate::wait;

/// The cluster under test.
#[derive(Clone, Debug)]
pub struct Cluster {
    dir: ClusterDir,
    /// A kubeconfig with all rights.
    pub kubeconfig: PathBuf,
    /// The kubectl of the cluster's version.
    pub kubectl: PathBuf,
}

/// What a finished command left behind.
#[derive(Clone, Debug)]
pub struct Output {
    /// The command line, for messages.
    pub command: String,
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    logs: PathBuf,
}

/// A namespace for one test. Its deletion begins when the value is dropped; nobody waits for it.
#[derive(Debug)]
pub struct TestNamespace {
    /// The namespace's name, which no other test has.
    pub name: String,
    cluster: Cluster,
}

// === impl Cluster ===

impl Cluster {
    /// The cluster of `e2e run`; an error that says how to get one when there is none.
    pub fn from_env() -> Result<Self> {
        let variable = |name: &str| {
            std::env::var_os(name).map(PathBuf::from).with_context(|| {
                format!("{name} is not set; run this test under `e2e run --tier ... -- COMMAND`")
            })
        };
        let dir = variable("E2E_CLUSTER_DIR")?;
        let parent = dir
            .parent()
            .context("E2E_CLUSTER_DIR has no parent directory")?;
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        Ok(Self {
            dir: StateDir::at(parent)?.cluster(&name)?,
            kubeconfig: variable("KUBECONFIG")?,
            kubectl: variable("E2E_KUBECTL")?,
        })
    }

    /// A client with all rights.
    pub async fn client(&self) -> Result<kube::Client> {
        cluster::client(&self.kubeconfig).await
    }

    /// The cluster's directory: certificates are in `pki`, for instance.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where the components' logs are.
    pub fn logs(&self) -> PathBuf {
        self.dir.logs()
    }

    /// Runs kubectl to its end, whatever that is.
    pub async fn kubectl<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Output> {
        self.kubectl_with_input(args, "").await
    }

    /// Runs kubectl with text on its standard input, as for `apply -f -`.
    pub async fn kubectl_with_input<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        input: &str,
    ) -> Result<Output> {
        let mut command = Command::new(&self.kubectl);
        command.args(args);
        self.run(command, input).await
    }

    /// Applies manifests, which must succeed.
    pub async fn apply(&self, manifests: &str) -> Result<String> {
        self.kubectl_with_input(["apply", "-f", "-"], manifests)
            .await?
            .success()
    }

    /// Runs any program to its end, with the environment that leads to this cluster.
    pub async fn run(&self, mut command: Command, input: &str) -> Result<Output> {
        let shown = shown(command.as_std());
        let mut child = command
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBECACHEDIR", self.dir().join("kubectl-cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run `{shown}`"))?;
        let stdin = child.stdin.take();
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A program that does not read its input has decided without it.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        let ((), output) = tokio::join!(feed, child.wait_with_output());
        let output = output.with_context(|| format!("cannot run `{shown}`"))?;
        Ok(Output {
            command: shown,
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            logs: self.logs(),
        })
    }

    /// Waits until `check` gives a value; the error names what was waited for and the logs.
    pub async fn wait_for<T>(
        &self,
        description: &str,
        timeout: Duration,
        check: impl AsyncFnMut() -> Option<T>,
    ) -> Result<T> {
        wait::wait_for(description, timeout, check)
            .await
            .with_context(|| format!("component logs: {}", self.logs().display()))
    }

    /// The file of the node's network namespace; node tier only.
    pub fn node_network(&self) -> Result<PathBuf> {
        let init = Namespaces::find(&self.dir)?.init;
        Ok(PathBuf::from(format!("/proc/{}/ns/net", init.pid)))
    }

    /// Loads a static program as an image; node tier only.
    pub async fn load_image(&self, image: &Image, program: &Path) -> Result<()> {
        cluster::load_image(&self.dir, image, program).await
    }

    /// Creates a namespace whose name begins with `prefix`, and waits until pods can use it.
    pub async fn namespace(&self, prefix: &str) -> Result<TestNamespace> {
        let name = format!("{prefix}-{}", unique_suffix());
        self.kubectl(["create", "namespace", &name])
            .await?
            .success()?;
        let namespace = TestNamespace {
            name,
            cluster: self.clone(),
        };
        let args = ["get", "serviceaccount", "default", "-n", &namespace.name];
        self.wait_for(
            "the namespace's ServiceAccount",
            Duration::from_secs(30),
            async || self.kubectl(args).await.ok()?.success().ok(),
        )
        .await?;
        Ok(namespace)
    }
}

// === impl Output ===

impl Output {
    /// What the command wrote to standard output, if it succeeded.
    pub fn success(self) -> Result<String> {
        if self.code == Some(0) {
            return Ok(self.stdout);
        }
        bail!("{}", self.describe("failed"))
    }

    /// What the command wrote to standard error, if it failed as it should.
    pub fn failure(self) -> Result<String> {
        if self.code.is_some_and(|code| code != 0) {
            return Ok(self.stderr);
        }
        bail!("{}", self.describe("should have failed"))
    }

    fn describe(&self, what: &str) -> String {
        let Self {
            command,
            code,
            stdout,
            stderr,
            logs,
        } = self;
        let code = code.map_or_else(
            || "ended by a signal".to_owned(),
            |c| format!("exit code {c}"),
        );
        format!(
            "`{command}` {what} ({code})\nstdout: {}\nstderr: {}\ncomponent logs: {}",
            stdout.trim_end(),
            stderr.trim_end(),
            logs.display()
        )
    }
}

// === impl TestNamespace ===

impl Drop for TestNamespace {
    fn drop(&mut self) {
        // Without the runtime, which may be about to end. Failure is no matter: the cluster ends too.
        let _ = std::process::Command::new(&self.cluster.kubectl)
            .args([
                "delete",
                "namespace",
                &self.name,
                "--wait=false",
                "--request-timeout=5s",
            ])
            .env("KUBECONFIG", &self.cluster.kubeconfig)
            .env("KUBECACHEDIR", self.cluster.dir().join("kubectl-cache"))
            .stdin(Stdio::null())
            .output();
    }
}

/// Waits until `check` gives a value, polling; see [`Cluster::wait_for`], whose errors say more.
pub use crate::wait::wait_for;

/// Process id and a counter: unique among the tests of one cluster, however they are run.
fn unique_suffix() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

fn shown(command: &std::process::Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(root: &Path) -> Cluster {
        Cluster {
            dir: StateDir::at(root).unwrap().create("one").unwrap(),
            kubeconfig: "/nonexistent".into(),
            kubectl: "/bin/sh".into(),
        }
    }

    #[tokio::test]
    async fn a_failure_names_command_code_output_and_logs() {
        let root = tempfile::tempdir().unwrap();
        let cluster = cluster(root.path());
        let output = cluster
            .kubectl(["-c", "echo out; echo err >&2; exit 3"])
            .await
            .unwrap();
        assert_eq!(output.code, Some(3));
        let message = output.clone().success().unwrap_err().to_string();
        for part in [
            "exit 3",
            "exit code 3",
            "stdout: out",
            "stderr: err",
            "/one/logs",
        ] {
            assert!(message.contains(part), "{part} not in {message}");
        }
        assert_eq!(output.failure().unwrap(), "err\n");
    }

    #[tokio::test]
    async fn input_reaches_the_command() {
        let root = tempfile::tempdir().unwrap();
        let cluster = cluster(root.path());
        let output = cluster
            .kubectl_with_input(["-c", "cat"], "text")
            .await
            .unwrap();
        assert!(output.clone().failure().is_err());
        assert_eq!(output.success().unwrap(), "text");
    }

    #[test]
    fn suffixes_differ() {
        assert_ne!(unique_suffix(), unique_suffix());
    }
}
