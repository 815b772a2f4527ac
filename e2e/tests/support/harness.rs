//! Calls the program `e2e` with a state directory of the test's own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use e2e::namespaces::Namespaces;
use e2e::programs::{self, Programs};
use e2e::state::StateDir;
use e2e::wait::wait_for;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, MutexGuard};

use crate::support::leftovers::HeldNamespaces;

/// Whoever is `nobody` owns nothing and may do nothing.
const NOBODY: u32 = 65534;
/// Builds included, if the programs are not there yet.
const UP_TIMEOUT: Duration = Duration::from_mins(20);

static ALONE: Mutex<()> = Mutex::const_new(());

/// One test at a time: they compare the whole machine before and after.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().await
}

/// The program under test, and a directory for its clusters.
pub(crate) struct Harness {
    root: tempfile::TempDir,
    program: PathBuf,
    programs: Option<PathBuf>,
    user: Option<u32>,
}

#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A harness that runs beside the test.
pub(crate) struct Launcher {
    child: Child,
}

impl Harness {
    pub(crate) fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            program: env!("CARGO_BIN_EXE_e2e").into(),
            programs: None,
            user: None,
        }
    }

    /// As `nobody` if the test runs as root. Programs are linked or copied to where nobody can read
    /// them, since the cache may lie in root's own directory.
    pub(crate) async fn without_root(mut self) -> Self {
        let bin = self.root.path().join("programs");
        fs::create_dir_all(&bin).unwrap();
        for name in ["kube", "pause"] {
            fs::copy(self.program(name).await, bin.join(name)).unwrap();
        }
        let program = self.root.path().join("e2e");
        fs::copy(&self.program, &program).unwrap();
        self.program = program;
        self.programs = Some(bin);
        fs::create_dir_all(self.state()).unwrap();
        if nix::unistd::geteuid().is_root() {
            fs::set_permissions(self.root.path(), fs::Permissions::from_mode(0o755)).unwrap();
            std::os::unix::fs::chown(self.state(), Some(NOBODY), Some(NOBODY)).unwrap();
            self.user = Some(NOBODY);
        }
        self
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.path().join("state")
    }

    /// A built program.
    pub(crate) async fn program(&self, name: &str) -> PathBuf {
        let program = programs::ALL
            .iter()
            .find(|program| program.name == name)
            .unwrap();
        Programs::from_env().unwrap().ensure(program).await.unwrap()
    }

    pub(crate) async fn up(&self, tier: &str, name: &str) {
        let args = ["up", "--tier", tier, "--name", name];
        let output = tokio::time::timeout(UP_TIMEOUT, self.e2e(&args))
            .await
            .unwrap();
        println!("{}", output.stderr.trim_end());
        let kubeconfig = self.state().join(name).join("kubeconfig");
        let line = format!("export KUBECONFIG='{}'", kubeconfig.display());
        assert!(output.success().contains(&line));
    }

    pub(crate) async fn down(&self, name: &str) {
        self.e2e(&["down", "--name", name]).await.success();
    }

    pub(crate) async fn e2e(&self, args: &[&str]) -> Output {
        output(self.command().args(args)).await
    }

    pub(crate) fn spawn(&self, args: &[&str]) -> Launcher {
        let mut command = self.command();
        command
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        Launcher {
            child: command.spawn().unwrap(),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("E2E_STATE_DIR", self.state())
            .current_dir("/")
            .stdin(Stdio::null());
        if let Some(programs) = &self.programs {
            command.env("E2E_PROGRAMS_DIR", programs);
        }
        if let Some(user) = self.user {
            command.uid(user).gid(user).env("HOME", self.state());
        }
        command
    }

    /// What kubectl prints; it must succeed.
    pub(crate) async fn kubectl(&self, name: &str, args: &[&str]) -> String {
        self.kubectl_output(name, args).await.success()
    }

    pub(crate) async fn kubectl_output(&self, name: &str, args: &[&str]) -> Output {
        let dir = self.state().join(name);
        let mut command = Command::new(dir.join("bin/kubectl"));
        command
            .args(args)
            .env("KUBECONFIG", dir.join("kubeconfig"))
            .env("KUBECACHEDIR", dir.join("kubectl-cache"));
        output(&mut command).await
    }

    /// Waits until a process of the cluster is on record.
    pub(crate) async fn wait_for_process(&self, name: &str, process: &str) {
        let state = StateDir::at(&self.state()).unwrap();
        let dir = state.cluster(name).unwrap();
        wait_for(process, UP_TIMEOUT, async || {
            let processes = dir.processes().ok()?;
            processes
                .iter()
                .any(|(found, _)| found == process)
                .then_some(())
        })
        .await
        .unwrap();
    }

    /// The namespaces that a node's process 1 holds.
    pub(crate) fn namespaces(&self, name: &str) -> HeldNamespaces {
        let dir = StateDir::at(&self.state()).unwrap().cluster(name).unwrap();
        HeldNamespaces::of(Namespaces::find(&dir).unwrap().init.pid)
    }
}

impl Drop for Harness {
    /// A test that fails must not leave its clusters to the next one.
    fn drop(&mut self) {
        let mut command = self.command();
        let _ = command.as_std_mut().args(["down", "--all"]).output();
    }
}

impl Output {
    pub(crate) fn success(self) -> String {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
        self.stdout
    }

    pub(crate) fn failure(self) -> String {
        assert!(self.code.is_some_and(|code| code != 0), "{self:?}");
        self.stderr
    }
}

impl Launcher {
    pub(crate) fn signal(&self, name: &str) {
        let signal: Signal = format!("SIG{name}").parse().unwrap();
        let pid = self.child.id().unwrap();
        kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
    }

    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        let status = tokio::time::timeout(Duration::from_mins(1), self.child.wait()).await;
        status.unwrap().unwrap().code()
    }
}

async fn output(command: &mut Command) -> Output {
    let output = command.kill_on_drop(true).output().await.unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
