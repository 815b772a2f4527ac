//! What the harness keeps on disk about each cluster: enough to take it down after a crash.
//!
//! A cluster is one directory. The record in it is written before anything is started; every
//! process adds its own file under `pids` before it becomes the program (see [`crate::process`]).

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::process::ProcessId;

/// How much of a cluster is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// etcd, kube-apiserver and kube-controller-manager; no pods, no root.
    ControlPlane,
    /// A whole node as well: scheduler, kubelet, kube-proxy, containerd. Needs root.
    Node,
}

/// The facts about a cluster that its processes do not carry themselves.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The cluster's name, unique in one state directory.
    pub name: String,
    /// What was started.
    pub tier: Tier,
    /// When `up` began.
    pub created: jiff::Timestamp,
    /// The harness process that brings the cluster up, or runs a command on it.
    pub launcher: ProcessId,
    /// The directory's name in every cgroup hierarchy; node tier only.
    pub cgroup: Option<String>,
    /// Whether `up` came to its end.
    pub ready: bool,
}

/// The directory that holds all clusters of one user.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
}

/// The directory of one cluster, and the places in it.
#[derive(Clone, Debug)]
pub struct ClusterDir {
    path: PathBuf,
}

// === impl StateDir ===

impl StateDir {
    /// The directory named by `E2E_STATE_DIR`, or the default one.
    pub fn from_env() -> Result<Self> {
        let path = std::env::var_os("E2E_STATE_DIR").map_or_else(
            || std::env::temp_dir().join("extension-api-e2e"),
            PathBuf::from,
        );
        let state = Self::at(&path)?;
        refuse_foreign(&state.path)?;
        Ok(state)
    }

    /// A given directory, which is created when the first cluster is.
    pub fn at(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path)
            .with_context(|| format!("cannot make {} absolute", path.display()))?;
        refuse_covered(&path)?;
        Ok(Self { path })
    }

    /// The place of a cluster, whether or not it exists.
    pub fn cluster(&self, name: &str) -> Result<ClusterDir> {
        check_name(name)?;
        Ok(ClusterDir {
            path: self.path.join(name),
        })
    }

    /// Creates the place of a new cluster. Of two callers with the same name only one succeeds.
    pub fn create(&self, name: &str) -> Result<ClusterDir> {
        let dir = self.cluster(name)?;
        fs::create_dir_all(&self.path)
            .with_context(|| format!("cannot create {}", self.path.display()))?;
        // Private: keys of the cluster's administrator lie in it.
        match fs::DirBuilder::new().mode(0o700).create(&dir.path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => bail!(
                "a cluster named {name} exists already; take it down with `e2e down --name {name}`"
            ),
            result => result.with_context(|| format!("cannot create {}", dir.path.display()))?,
        }
        for sub in [
            dir.pki(),
            dir.conf(),
            dir.logs(),
            dir.pids(),
            dir.images(),
            dir.bin(),
        ] {
            fs::create_dir(&sub).with_context(|| format!("cannot create {}", sub.display()))?;
        }
        fs::write(dir.may_start(), "").context("cannot write to the cluster's directory")?;
        Ok(dir)
    }

    /// All clusters, running or left behind, by name.
    pub fn clusters(&self) -> Result<Vec<ClusterDir>> {
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            result => result.with_context(|| format!("cannot read {}", self.path.display()))?,
        };
        let mut clusters: Vec<_> = entries
            .filter_map(Result::ok)
            .filter(|entry| check_name(&entry.file_name().to_string_lossy()).is_ok())
            .map(|entry| ClusterDir { path: entry.path() })
            .collect();
        clusters.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(clusters)
    }

    /// Where the logs of a failed cluster stay after it is gone. Its leading dot is not allowed in
    /// names, so it is never mistaken for a cluster.
    pub fn kept_logs(&self, name: &str) -> PathBuf {
        self.path.join(".failed").join(name)
    }
}

// === impl ClusterDir ===

impl ClusterDir {
    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The cluster's name.
    pub fn name(&self) -> String {
        self.path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }

    /// Certificates and keys.
    pub fn pki(&self) -> PathBuf {
        self.path.join("pki")
    }

    /// Configuration files of the components.
    pub fn conf(&self) -> PathBuf {
        self.path.join("conf")
    }

    /// One log file for each component.
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// One file for each process that was started.
    pub fn pids(&self) -> PathBuf {
        self.path.join("pids")
    }

    /// Image archives, while they are imported.
    pub fn images(&self) -> PathBuf {
        self.path.join("images")
    }

    /// Links to programs for whoever uses the cluster.
    pub fn bin(&self) -> PathBuf {
        self.path.join("bin")
    }

    /// The built kubectl.
    pub fn kubectl(&self) -> PathBuf {
        self.bin().join("kubectl")
    }

    /// The administrator's kubeconfig, valid on the host.
    pub fn kubeconfig(&self) -> PathBuf {
        self.path.join("kubeconfig")
    }

    /// Only while this file exists may a process of the cluster start.
    pub fn may_start(&self) -> PathBuf {
        self.path.join("may-start")
    }

    fn record_file(&self) -> PathBuf {
        self.path.join("record.json")
    }

    /// Writes the record in one step, so that a reader never sees half of it.
    pub fn write_record(&self, record: &Record) -> Result<()> {
        write_atomically(&self.record_file(), &serde_json::to_vec_pretty(record)?)
    }

    /// The record; `None` when the launcher died before it wrote one, and thus started nothing.
    pub fn read_record(&self) -> Result<Option<Record>> {
        let file = self.record_file();
        match fs::read(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            result => {
                let text = result.with_context(|| format!("cannot read {}", file.display()))?;
                serde_json::from_slice(&text)
                    .with_context(|| format!("{} is not a record", file.display()))
                    .map(Some)
            }
        }
    }

    /// Every process that was started, by name.
    pub fn processes(&self) -> Result<Vec<(String, ProcessId)>> {
        let entries = match fs::read_dir(self.pids()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            result => result.with_context(|| format!("cannot read {}", self.pids().display()))?,
        };
        let mut processes = Vec::new();
        for entry in entries.filter_map(Result::ok) {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            // An empty file: the process died, or has not got to the point where it asks whether it
            // may start.
            if let Some(id) = ProcessId::from_stat(&text) {
                processes.push((entry.file_name().to_string_lossy().into_owned(), id));
            }
        }
        processes.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(processes)
    }
}

/// Writes a file under another name first.
pub fn write_atomically(file: &Path, content: &[u8]) -> Result<()> {
    let temporary = file.with_extension("tmp");
    fs::write(&temporary, content)
        .and_then(|()| fs::rename(&temporary, file))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// Refuses a place that the node tier covers with a file system of its own.
pub fn refuse_covered(path: &Path) -> Result<()> {
    for covered in ["/run", "/var/run", "/var/lib", "/var/log"] {
        if path.starts_with(covered) {
            bail!(
                "{} cannot be used: a cluster of the node tier does not see {covered}; \
                 choose a directory elsewhere",
                path.display()
            );
        }
    }
    Ok(())
}

/// Refuses a directory of another user: its records say which processes `down` ends.
fn refuse_foreign(path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.uid() != nix::unistd::geteuid().as_raw() => bail!(
            "{} belongs to another user; set E2E_STATE_DIR to a directory of your own",
            path.display()
        ),
        _ => Ok(()),
    }
}

/// Names become directory, cgroup and log names, so they are kept plain and short.
fn check_name(name: &str) -> Result<()> {
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !plain || name.is_empty() || name.len() > 40 || name.starts_with('-') {
        bail!(
            "{name:?} is no cluster name: at most 40 lower-case letters, digits and hyphens, \
             and no hyphen first"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> (tempfile::TempDir, StateDir) {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::at(&root.path().join("state")).unwrap();
        (root, state)
    }

    #[test]
    fn a_name_is_given_out_once() {
        let (_root, state) = state();
        state.create("one").unwrap();
        let error = state.create("one").unwrap_err().to_string();
        assert!(error.contains("e2e down --name one"), "{error}");
        assert_eq!(state.clusters().unwrap().len(), 1);
    }

    #[test]
    fn names_that_leave_the_directory_are_refused() {
        let (_root, state) = state();
        for name in ["", "..", "a/b", "-a", "Upper", ".failed", &"a".repeat(41)] {
            assert!(state.cluster(name).is_err(), "{name}");
        }
    }

    #[test]
    fn places_that_the_node_covers_are_refused() {
        assert!(StateDir::at(Path::new("/run/clusters")).is_err());
        assert!(StateDir::at(Path::new("/var/lib/clusters")).is_err());
        assert!(StateDir::at(Path::new("/var/tmp/clusters")).is_ok());
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        let (root, _state) = state();
        refuse_foreign(root.path()).unwrap();
        refuse_foreign(&root.path().join("absent")).unwrap();
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(root.path(), Some(65534), None).unwrap();
            let error = refuse_foreign(root.path()).unwrap_err().to_string();
            assert!(error.contains("another user"), "{error}");
        }
    }

    #[test]
    fn a_record_reads_as_it_was_written() {
        let (_root, state) = state();
        let dir = state.create("one").unwrap();
        assert!(dir.read_record().unwrap().is_none());
        let record = Record {
            name: "one".into(),
            tier: Tier::Node,
            created: jiff::Timestamp::UNIX_EPOCH,
            launcher: ProcessId::current().unwrap(),
            cgroup: Some("unique".into()),
            ready: false,
        };
        dir.write_record(&record).unwrap();
        let read = dir.read_record().unwrap().unwrap();
        assert_eq!((read.tier, read.launcher), (Tier::Node, record.launcher));
    }

    #[test]
    fn a_process_file_that_is_still_empty_is_no_process() {
        let (_root, state) = state();
        let dir = state.create("one").unwrap();
        fs::write(dir.pids().join("etcd"), "").unwrap();
        let own = fs::read_to_string("/proc/self/stat").unwrap();
        fs::write(dir.pids().join("own"), own).unwrap();
        let expected = vec![("own".to_owned(), ProcessId::current().unwrap())];
        assert_eq!(dir.processes().unwrap(), expected);
    }
}
