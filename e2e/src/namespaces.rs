//! The private surroundings of a node: cgroups, network, mounts and processes of its own.
//!
//! Everything that a node does to a machine then happens inside, and goes away with one process:
//! the namespaces' process 1.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::network;
use crate::process::{self, Component, ProcessId};
use crate::state::ClusterDir;
use crate::wait::wait_for;

/// Names the process that holds the namespaces, in records and logs.
pub const HOLDER: &str = "namespaces";

const CGROUP_ROOT: &str = "/sys/fs/cgroup";
/// The hierarchies of cgroup v1 that a node uses, as far as the machine has them.
const HIERARCHIES: &[&str] = &[
    "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "systemd",
];

/// Settings that the kubelet wants and that hold for the whole machine. It finds them in files that
/// cover the true ones, and so changes nothing.
const SYSCTLS: &[(&str, &str)] = &[
    ("vm.overcommit_memory", "1"),
    ("vm.panic_on_oom", "0"),
    ("kernel.panic", "10"),
    ("kernel.panic_on_oops", "1"),
    ("kernel.keys.root_maxkeys", "1000000"),
    ("kernel.keys.root_maxbytes", "25000000"),
];

/// Arguments: the directory of the sysctl files, process 1, and the cgroup hierarchies.
///
/// - Fresh `/run`, `/var/lib` and `/var/log` take the files whose place no flag changes.
/// - The hierarchies are mounted again, because only a mount made in the cgroup namespace has the
///   cluster's own directory as its root; a kubelet removes pod cgroups that it does not know, and
///   so must not see another cluster's.
/// - The default route only has to exist: kubelet and kube-proxy look for one.
const SCRIPT: &str = r#"set -e
sysctls=$1; init=$2; shift 2
for dir in /run /var/lib /var/log; do mount -t tmpfs -o mode=755 tmpfs $dir; done
for hierarchy in "$@"; do
  case $hierarchy in systemd) options=none,name=systemd;; *) options=$hierarchy;; esac
  umount /sys/fs/cgroup/$hierarchy
  mount -t cgroup -o $options cgroup /sys/fs/cgroup/$hierarchy
done
umount /sys/fs/cgroup/unified 2>/dev/null || true
for file in "$sysctls"/*; do
  mount --bind "$file" /proc/sys/$(basename "$file" | tr . /)
done
mount --make-rshared /
ip link set lo up
ip link add node0 type veth peer name node0p
ip addr add NODE/24 dev node0
ip link set node0 up
ip link set node0p up
ip route add default via 198.18.0.254 dev node0
echo 1 > /proc/sys/net/ipv4/ip_forward
bridge=/proc/sys/net/bridge/bridge-nf-call-iptables
[ ! -e $bridge ] || echo 1 > $bridge
exec "$init""#;

/// The cgroup directories of one cluster, one in each hierarchy.
#[derive(Clone, Debug)]
pub struct Cgroups {
    name: String,
}

/// Namespaces that exist, held by their process 1.
#[derive(Clone, Debug)]
pub struct Namespaces {
    /// Process 1, by its id on the host.
    pub init: ProcessId,
}

// === impl Cgroups ===

impl Cgroups {
    /// The cgroups of this name, whether or not they exist.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
        }
    }

    /// Creates the directories.
    pub fn create(&self) -> Result<()> {
        for hierarchy in hierarchies() {
            let parent = Path::new(CGROUP_ROOT).join(hierarchy);
            let dir = parent.join(&self.name);
            fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
            if hierarchy == "cpuset" {
                // Without them no process may join.
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    fs::copy(parent.join(file), dir.join(file))
                        .with_context(|| format!("cannot set {file} in {}", dir.display()))?;
                }
            }
        }
        Ok(())
    }

    /// The files that a process writes to in order to join.
    pub fn join_files(&self) -> Vec<PathBuf> {
        self.directories()
            .into_iter()
            .map(|dir| dir.join("cgroup.procs"))
            .collect()
    }

    /// The top directories, of all hierarchies that the machine has.
    pub fn directories(&self) -> Vec<PathBuf> {
        let dir = |hierarchy| Path::new(CGROUP_ROOT).join(hierarchy).join(&self.name);
        hierarchies().into_iter().map(dir).collect()
    }
}

// === impl Namespaces ===

impl Namespaces {
    /// Makes cgroups and namespaces, and waits until the network in them is set up.
    pub async fn create(dir: &ClusterDir, cgroups: &Cgroups, pause: &Path) -> Result<Self> {
        let sysctls = dir.conf().join("sysctl");
        fs::create_dir(&sysctls)?;
        for (name, value) in SYSCTLS {
            fs::write(sysctls.join(name), format!("{value}\n"))?;
        }
        cgroups.create()?;

        let mut command: Vec<OsString> = ["unshare", "--net", "--mount", "--pid", "--cgroup"]
            .into_iter()
            .chain([
                "--fork",
                "--kill-child",
                "--mount-proc",
                "--propagation",
                "private",
            ])
            .chain(["/bin/sh", "-c"])
            .map(OsString::from)
            .collect();
        command.push(SCRIPT.replace("NODE", &network::NODE.to_string()).into());
        command.push(HOLDER.into());
        command.push(sysctls.into());
        command.push(pause.into());
        command.extend(hierarchies().into_iter().map(OsString::from));
        let component = Component {
            name: HOLDER.into(),
            command,
            cgroups: cgroups.join_files(),
        };
        let holder = process::start(dir, &component)?;

        let found = wait_for("the namespaces", Duration::from_secs(30), async || {
            if !holder.is_alive() {
                return Some(None);
            }
            // Until then it is the shell that runs the script.
            holder
                .children()
                .into_iter()
                .find(|child| runs(*child, pause))
                .map(Some)
        })
        .await?;
        let Some(init) = found else {
            let log = process::log_file(dir, HOLDER);
            bail!("cannot set up the namespaces: {}", process::tail(&log, 5));
        };
        Ok(Self { init })
    }

    /// The namespaces of a cluster that runs.
    pub fn find(dir: &ClusterDir) -> Result<Self> {
        let (_, holder) = dir
            .processes()?
            .into_iter()
            .find(|(name, _)| name == HOLDER)
            .context("the cluster has no node")?;
        let init = holder
            .children()
            .into_iter()
            .next()
            .context("the node does not run")?;
        Ok(Self { init })
    }

    /// A command that runs inside.
    pub fn enter(&self, command: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
        let pid = self.init.pid.to_string();
        let mut entering: Vec<OsString> = ["nsenter", "-t", &pid, "-n", "-m", "-p", "-C", "--"]
            .map(OsString::from)
            .into();
        entering.extend(command);
        entering
    }

    /// Where a path of the node's own file system is reached from the host.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.init.pid))
    }
}

fn hierarchies() -> Vec<&'static str> {
    let exists = |hierarchy: &&&str| {
        Path::new(CGROUP_ROOT)
            .join(hierarchy)
            .join("cgroup.procs")
            .exists()
    };
    HIERARCHIES.iter().filter(exists).copied().collect()
}

fn runs(process: ProcessId, program: &Path) -> bool {
    let exe = fs::read_link(format!("/proc/{}/exe", process.pid));
    exe.is_ok_and(|exe| exe.file_name() == program.file_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_entered_through_process_1() {
        let namespaces = Namespaces {
            init: ProcessId {
                pid: 7,
                start_time: 1,
            },
        };
        let command = namespaces.enter(["ctr".into(), "version".into()]);
        assert_eq!(
            command.join(&OsString::from(" ")),
            "nsenter -t 7 -n -m -p -C -- ctr version"
        );
        assert_eq!(namespaces.path("/run/x"), Path::new("/proc/7/root/run/x"));
    }

    #[test]
    fn every_hierarchy_has_a_directory_and_a_join_file_of_the_cluster() {
        let cgroups = Cgroups::named("unique");
        assert!(
            cgroups
                .directories()
                .iter()
                .all(|dir| dir.ends_with("unique"))
        );
        assert!(
            cgroups
                .join_files()
                .iter()
                .all(|file| file.ends_with("unique/cgroup.procs"))
        );
    }
}
