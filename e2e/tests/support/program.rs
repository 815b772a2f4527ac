//! Programs of this workspace as local processes.

use std::{
    fs::File,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use e2e::testing::Cluster;

/// Runs a program until the input of this script ends, then sends it SIGTERM and passes its exit
/// code on. The input is a pipe from the test's process, so it ends with that in every case.
const GUARD: &str = r#""$@" & cat; kill -TERM $! 2>/dev/null; wait $!"#;

/// Longer than the longest orderly end.
const STOP_TIMEOUT: Duration = Duration::from_secs(40);

/// A process that ends with its owner, and with the test's process at the latest.
#[derive(Debug)]
pub(crate) struct Program {
    guard: Child,
    log: PathBuf,
}

impl Program {
    /// Starts a program of the package of that name, or an example as `examples/NAME`; what it logs
    /// is with the components' logs.
    pub(crate) fn start(
        cluster: &Cluster,
        (package, label): (&str, &str),
        args: &[String],
        environment: &[(&str, String)],
    ) -> Result<Self> {
        let name = package.rsplit('/').next().unwrap_or(package);
        let log = cluster.logs().join(format!("{name}-{label}.log"));
        let file = File::options().append(true).create(true).open(&log);
        let file = file.with_context(|| format!("cannot write {}", log.display()))?;
        let guard = Command::new("sh")
            .args(["-c", GUARD, "sh"])
            .arg(built(package)?)
            .args(args)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .context("cannot run sh")?;
        Ok(Self { guard, log })
    }

    /// Where it logs.
    pub(crate) fn log(&self) -> Result<String> {
        std::fs::read_to_string(&self.log)
            .with_context(|| format!("cannot read {}", self.log.display()))
    }

    /// Sends SIGTERM, waits for the end and gives the exit code.
    pub(crate) async fn stop(mut self, cluster: &Cluster) -> Result<Option<i32>> {
        drop(self.guard.stdin.take());
        let description = format!("the program that logs to {} to end", self.log.display());
        let ended = cluster.wait_for(&description, STOP_TIMEOUT, async || {
            self.guard.try_wait().ok().flatten()
        });
        Ok(ended.await?.code())
    }
}

/// The program that lies beside this test in the target directory.
fn built(package: &str) -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    let directory = this.parent().and_then(|deps| deps.parent());
    let path = directory
        .context("this test is in no directory")?
        .join(package);
    anyhow::ensure!(
        path.exists(),
        "{} is not built: run `cargo build --workspace --bins --examples` first",
        path.display()
    );
    Ok(path)
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).context("no port is free")?;
    Ok(listener.local_addr()?.port())
}
