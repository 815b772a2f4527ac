//! Processes that outlive the harness, and how to end exactly those later.
//!
//! A process is known by its id and its start time, since ids are used again. Each one writes both
//! into its own file *before* it becomes the program: a shell does so and then replaces itself.
//! Hence no moment exists in which a killed harness leaves a process behind that nobody knows.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::state::ClusterDir;

/// Where components look for the machine's programs, whatever the caller's own path is.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Arguments: record file, permission file, cgroup files up to `--`, then the program with its arguments.
///
/// `/proc/self` is the shell itself, as builtins open their redirections in it; the id and the start
/// time stay the same through `exec`. The record is written before the permission is looked at, and
/// teardown withdraws the permission before it reads the records: it knows whoever still got it.
/// The shell is no group leader, so `setsid` does not fork.
const WRAPPER: &str = r#"set -e
read -r stat < /proc/self/stat
printf '%s\n' "$stat" > "$1"
[ -e "$2" ]
shift 2
while [ "$1" != -- ]; do echo 0 > "$1"; shift; done
shift
exec setsid "$@""#;

/// A process: its id, and its start time in clock ticks since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// Process id in the host's namespace.
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`.
    pub start_time: u64,
}

/// A program to start.
#[derive(Clone, Debug)]
pub struct Component {
    /// Names the record and the log file.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// The `cgroup.procs` files that the process joins first.
    pub cgroups: Vec<PathBuf>,
}

// === impl ProcessId ===

impl ProcessId {
    /// The process that runs this code.
    pub fn current() -> Result<Self> {
        Self::of(nix::unistd::getpid().as_raw()).context("cannot read /proc/self/stat")
    }

    /// The process that has this id now.
    pub fn of(pid: i32) -> Option<Self> {
        Self::from_stat(&stat(pid)?)
    }

    /// Reads the content of a `stat` file.
    pub fn from_stat(stat: &str) -> Option<Self> {
        let pid = stat.split_whitespace().next()?.parse().ok()?;
        // Field 22; the fields after the program's name begin with the third.
        let start_time = fields_after_name(stat)?.nth(19)?.parse().ok()?;
        Some(Self { pid, start_time })
    }

    /// Whether this very process runs. A dead one that nobody has collected does not.
    pub fn is_alive(self) -> bool {
        let Some(stat) = stat(self.pid) else {
            return false;
        };
        let state = fields_after_name(&stat).and_then(|mut fields| fields.next());
        Self::from_stat(&stat) == Some(self) && !matches!(state, Some("Z" | "X") | None)
    }

    /// Sends a signal, unless the process is gone or its id belongs to another one.
    pub fn signal(self, signal: Signal) {
        if self.is_alive() {
            // It may end just now, which is what the caller wants anyway.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// The direct children of the process's first thread.
    pub fn children(self) -> Vec<Self> {
        let pid = self.pid;
        if !self.is_alive() {
            return Vec::new();
        }
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
            .unwrap_or_default()
            .split_whitespace()
            .filter_map(|child| Self::of(child.parse().ok()?))
            .collect()
    }
}

/// Starts a component in a session of its own, with its output in `logs/NAME.log`.
pub fn start(dir: &ClusterDir, component: &Component) -> Result<ProcessId> {
    let Component {
        name,
        command,
        cgroups,
    } = component;
    let log_file = log_file(dir, name);
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log_file)
        .with_context(|| format!("cannot open {}", log_file.display()))?;
    let child = Command::new("/bin/sh")
        .args(["-c", WRAPPER, "start"])
        .arg(dir.pids().join(name))
        .arg(dir.may_start())
        .args(cgroups)
        .arg("--")
        .args(command)
        .current_dir("/")
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", dir.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    // Dropping the handle leaves the process alone; the runtime collects it when it ends.
    child
        .id()
        .and_then(|pid| ProcessId::of(i32::try_from(pid).ok()?))
        .with_context(|| format!("{name} ended at once; see {}", log_file.display()))
}

/// The log of a component.
pub fn log_file(dir: &ClusterDir, name: &str) -> PathBuf {
    dir.logs().join(format!("{name}.log"))
}

/// The last lines of a file, for messages.
pub fn tail(file: &Path, lines: usize) -> String {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

fn stat(pid: i32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok()
}

/// The fields from the third on. The second is the program's name in parentheses, and may itself
/// hold spaces and parentheses.
fn fields_after_name(stat: &str) -> Option<std::str::SplitWhitespace<'_>> {
    stat.rsplit_once(')')
        .map(|(_, fields)| fields.split_whitespace())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::state::StateDir;
    use crate::wait::wait_for;

    const STAT: &str = "42 (a (b) c) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 9876 2 3";

    fn cluster() -> (tempfile::TempDir, ClusterDir) {
        let root = tempfile::tempdir().unwrap();
        let dir = StateDir::at(root.path()).unwrap().create("one").unwrap();
        (root, dir)
    }

    fn component(command: &[&str]) -> Component {
        Component {
            name: "thing".into(),
            command: command.iter().map(OsString::from).collect(),
            cgroups: Vec::new(),
        }
    }

    #[test]
    fn a_program_name_with_parentheses_does_not_shift_the_fields() {
        assert_eq!(
            ProcessId::from_stat(STAT),
            Some(ProcessId {
                pid: 42,
                start_time: 9876
            })
        );
    }

    #[test]
    fn half_a_stat_line_is_no_process() {
        assert_eq!(ProcessId::from_stat("42 (a) S 1"), None);
        assert_eq!(ProcessId::from_stat(""), None);
    }

    #[test]
    fn the_same_id_with_another_start_time_is_another_process() {
        let own = ProcessId::current().unwrap();
        assert!(own.is_alive());
        let other = ProcessId {
            start_time: own.start_time + 1,
            ..own
        };
        assert!(!other.is_alive());
        // Would end this test, if the start time were not compared.
        other.signal(Signal::SIGKILL);
    }

    #[tokio::test]
    async fn a_started_process_is_on_record_and_can_be_ended() {
        let (_root, dir) = cluster();
        let id = start(&dir, &component(&["sleep", "1000"])).unwrap();
        let recorded = wait_for("the record", Duration::from_secs(5), async || {
            dir.processes().unwrap().pop()
        });
        assert_eq!(recorded.await.unwrap(), ("thing".to_owned(), id));
        id.signal(Signal::SIGKILL);
        wait_for("the end", Duration::from_secs(5), async || {
            (!id.is_alive()).then_some(())
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn nothing_starts_once_the_cluster_is_stopping() {
        let (_root, dir) = cluster();
        fs::remove_file(dir.may_start()).unwrap();
        if let Ok(id) = start(
            &dir,
            &component(&["touch", dir.path().join("ran").to_str().unwrap()]),
        ) {
            wait_for("the end", Duration::from_secs(5), async || {
                (!id.is_alive()).then_some(())
            })
            .await
            .unwrap();
        }
        assert!(!dir.path().join("ran").exists());
    }

    #[test]
    fn tail_gives_the_last_lines() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "a\nb\nc\n").unwrap();
        assert_eq!(tail(file.path(), 2), "b\nc");
        assert_eq!(tail(Path::new("/nonexistent"), 2), "");
    }
}
