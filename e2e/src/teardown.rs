//! Takes a cluster down so that nothing of it is left, whatever state it is in.
//!
//! Only what is on record is touched: processes by id and start time, cgroups by their unique name,
//! and the cluster's directory. Mounts and network go away with the namespaces that they are in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::time::timeout;

use crate::namespaces::{Cgroups, HOLDER, Namespaces};
use crate::process::ProcessId;
use crate::state::{ClusterDir, Record, StateDir};
use crate::wait::wait_for;

/// A launcher that is told to stop takes its cluster down itself; then there is nothing left to do.
const LAUNCHER_TIMEOUT: Duration = Duration::from_secs(30);
/// The kernel needs seconds to take namespaces apart, more when the machine is busy.
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// Ends all processes of a cluster and removes its traces.
pub async fn down(dir: &ClusterDir) -> Result<()> {
    let record = dir.read_record()?;
    if let Some(record) = &record {
        end_launcher(record).await;
    }
    if !dir.path().exists() {
        return Ok(());
    }
    // Before the processes are listed, so that none can appear afterwards.
    match fs::remove_file(dir.may_start()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).context("cannot withdraw the permission to start");
        }
        _ => {}
    }
    end_processes(dir).await?;
    if let Some(cgroup) = record.and_then(|record| record.cgroup) {
        remove_cgroups(&Cgroups::named(&cgroup)).await?;
    }
    wait_for("the cluster's directory to go", END_TIMEOUT, async || {
        // Again on failure: a process that was just killed may have written a last file.
        let result = fs::remove_dir_all(dir.path());
        (result.is_ok() || !dir.path().exists()).then_some(())
    })
    .await
}

/// The launcher must not start further components, nor use the cluster, while it goes away.
async fn end_launcher(record: &Record) {
    let launcher = record.launcher;
    if ProcessId::current().is_ok_and(|own| own == launcher) || !launcher.is_alive() {
        return;
    }
    launcher.signal(Signal::SIGTERM);
    let ended = wait_for("the launcher", LAUNCHER_TIMEOUT, async || {
        (!launcher.is_alive()).then_some(())
    });
    if ended.await.is_err() {
        launcher.signal(Signal::SIGKILL);
    }
}

async fn end_processes(dir: &ClusterDir) -> Result<()> {
    let processes = dir.processes()?;
    for (name, process) in &processes {
        let children = if name == HOLDER {
            process.children()
        } else {
            Vec::new()
        };
        if children.is_empty() {
            process.signal(Signal::SIGKILL);
        }
        // Process 1 of the namespaces: the kernel kills all others in them, and `unshare`, which
        // waits for it, tells by its own end when the namespaces are gone.
        for child in children {
            child.signal(Signal::SIGKILL);
        }
    }
    wait_for("the cluster's processes to end", END_TIMEOUT, async || {
        processes
            .iter()
            .all(|(_, process)| !process.is_alive())
            .then_some(())
    })
    .await
}

async fn remove_cgroups(cgroups: &Cgroups) -> Result<()> {
    wait_for("the cluster's cgroups to go", END_TIMEOUT, async || {
        let tops: Vec<_> = cgroups
            .directories()
            .into_iter()
            .filter(|dir| dir.exists())
            .collect();
        for top in &tops {
            for dir in bottom_up(top) {
                kill_members(&dir);
                // Fails while a member is dying; the next round tries again.
                let _ = fs::remove_dir(dir);
            }
        }
        tops.iter().all(|top| !top.exists()).then_some(())
    })
    .await
}

/// A member is the cluster's, as the cgroup is. There is one only if a process was never recorded.
fn kill_members(cgroup: &Path) {
    let members = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    for pid in members.lines().filter_map(|line| line.parse().ok()) {
        // 0 stands for processes of another namespace, and as a target for our own group.
        if pid > 1 {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// A directory and all below it, the deepest first.
fn bottom_up(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
    {
        if entry.file_type().is_ok_and(|file_type| file_type.is_dir()) {
            all.extend(bottom_up(&entry.path()));
        }
    }
    all.push(dir.to_owned());
    all
}

/// Copies what helps to understand a failure to a place that stays, and gives that place.
pub async fn keep_logs(state: &StateDir, dir: &ClusterDir) -> Result<PathBuf> {
    let kept = state.kept_logs(&dir.name());
    if kept.exists() {
        fs::remove_dir_all(&kept).context("cannot remove the logs of the last failure")?;
    }
    write_overview(dir).await;
    copy_files(&dir.logs(), &kept)?;
    // Logs of pods lie in the node's own file system, and go away with it.
    if let Ok(namespaces) = Namespaces::find(dir) {
        copy_files(&namespaces.path("/var/log/pods"), &kept.join("pods"))?;
    }
    Ok(kept)
}

/// What the cluster says about itself, if it can still say anything.
async fn write_overview(dir: &ClusterDir) {
    let resources = "nodes,pods,services,deployments,apiservices,events";
    let kubectl = Command::new(dir.kubectl())
        .args([
            "get",
            resources,
            "--all-namespaces",
            "--output=wide",
            "--request-timeout=5s",
        ])
        .arg("--kubeconfig")
        .arg(dir.kubeconfig())
        .env("KUBECACHEDIR", dir.path().join("kubectl-cache"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    if let Ok(Ok(output)) = timeout(Duration::from_secs(15), kubectl).await {
        let text = [output.stdout, output.stderr].concat();
        if let Err(error) = fs::write(dir.logs().join("overview.txt"), text) {
            tracing::warn!(%error, "cannot write the overview");
        }
    }
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(from) else {
        return Ok(());
    };
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in entries.filter_map(Result::ok) {
        let target = to.join(entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => copy_files(&entry.path(), &target)?,
            Ok(kind) if kind.is_file() => {
                fs::copy(entry.path(), &target)
                    .with_context(|| format!("cannot copy to {}", target.display()))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Takes a cluster down after a failure, and says in the error where its logs are.
pub async fn down_after_failure(
    state: &StateDir,
    dir: &ClusterDir,
    error: anyhow::Error,
) -> anyhow::Error {
    let error = match keep_logs(state, dir).await {
        Ok(kept) => error.context(format!("failed; logs are in {}", kept.display())),
        Err(keeping) => error.context(format!("failed, and no logs were kept ({keeping:#})")),
    };
    match down(dir).await {
        Ok(()) => error,
        Err(teardown) => error.context(format!("taking the cluster down failed: {teardown:#}")),
    }
}

/// Takes down what is left of a cluster; an error if there is none of this name.
pub async fn down_by_name(state: &StateDir, name: &str) -> Result<()> {
    let dir = state.cluster(name)?;
    if !dir.path().exists() {
        bail!("there is no cluster named {name}");
    }
    down(&dir).await
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::process::{self, Component};
    use crate::state::Tier;

    fn state() -> (tempfile::TempDir, StateDir, ClusterDir) {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::at(root.path()).unwrap();
        let dir = state.create("one").unwrap();
        (root, state, dir)
    }

    #[test]
    fn directories_come_after_what_is_in_them() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a/b")).unwrap();
        let order = bottom_up(root.path());
        let expected = [
            root.path().join("a/b"),
            root.path().join("a"),
            root.path().into(),
        ];
        assert_eq!(order, expected);
    }

    #[tokio::test]
    async fn down_ends_recorded_processes_and_removes_the_directory() {
        let (_root, _state, dir) = state();
        let record = Record {
            name: "one".into(),
            tier: Tier::ControlPlane,
            created: jiff::Timestamp::UNIX_EPOCH,
            launcher: ProcessId::current().unwrap(),
            cgroup: None,
            ready: true,
        };
        dir.write_record(&record).unwrap();
        let command = ["sleep", "1000"].map(OsString::from).into();
        let component = Component {
            name: "thing".into(),
            command,
            cgroups: Vec::new(),
        };
        let process = process::start(&dir, &component).unwrap();
        let recorded = wait_for("the record", END_TIMEOUT, async || {
            dir.processes().unwrap().pop()
        });
        recorded.await.unwrap();
        down(&dir).await.unwrap();
        assert!(!process.is_alive());
        assert!(!dir.path().exists());
    }

    #[tokio::test]
    async fn a_directory_without_record_is_removed() {
        let (_root, state, dir) = state();
        down_by_name(&state, "one").await.unwrap();
        assert!(!dir.path().exists());
        let error = down_by_name(&state, "one").await.unwrap_err().to_string();
        assert_eq!(error, "there is no cluster named one");
    }

    #[tokio::test]
    async fn logs_survive_a_failure() {
        let (_root, state, dir) = state();
        fs::write(dir.logs().join("etcd.log"), "no space left").unwrap();
        let error = down_after_failure(&state, &dir, anyhow::anyhow!("etcd ended")).await;
        let kept = state.kept_logs("one");
        let message = format!("{error:#}");
        assert_eq!(
            message,
            format!("failed; logs are in {}: etcd ended", kept.display())
        );
        assert_eq!(
            fs::read_to_string(kept.join("etcd.log")).unwrap(),
            "no space left"
        );
        assert!(state.clusters().unwrap().is_empty());
    }
}
