//! What the machine must have, checked before anything is started.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::process::PATH;
use crate::state::Tier;

/// Where Debian's `containernetworking-plugins` puts its programs.
pub const CNI_PLUGINS: &str = "/usr/lib/cni";

/// A program or file that a tier needs, and the Debian package that brings it.
#[derive(Clone, Copy, Debug)]
struct Need {
    /// A program's name, or an absolute path.
    file: &'static str,
    package: &'static str,
}

const ALWAYS: &[Need] = &[need("setsid", "util-linux")];

const NODE: &[Need] = &[
    need("unshare", "util-linux"),
    need("nsenter", "util-linux"),
    need("containerd", "containerd"),
    need("ctr", "containerd"),
    need("runc", "runc"),
    need("/usr/lib/cni/bridge", "containernetworking-plugins"),
    need("/usr/lib/cni/portmap", "containernetworking-plugins"),
    need("ip", "iproute2"),
    need("nft", "nftables"),
    need("iptables", "iptables"),
];

const fn need(file: &'static str, package: &'static str) -> Need {
    Need { file, package }
}

/// Fails with one sentence that names all that is missing and how to get it.
pub fn check(tier: Tier) -> Result<()> {
    let is_root = nix::unistd::geteuid().is_root();
    let cgroup_v1 = Path::new("/sys/fs/cgroup/memory/cgroup.procs").exists();
    check_with(tier, is_root, cgroup_v1, &|file| find(file).is_some())
}

/// Finds a program where components look for it, and in the caller's own path.
pub fn find(file: &str) -> Option<PathBuf> {
    if file.starts_with('/') {
        return Some(PathBuf::from(file)).filter(|path| path.exists());
    }
    let own = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(PATH)
        .chain(std::env::split_paths(&own))
        .map(|dir| dir.join(file))
        .find(|path| path.is_file())
}

fn check_with(
    tier: Tier,
    is_root: bool,
    cgroup_v1: bool,
    exists: &dyn Fn(&str) -> bool,
) -> Result<()> {
    let needs = match tier {
        Tier::ControlPlane => ALWAYS.to_vec(),
        Tier::Node => [ALWAYS, NODE].concat(),
    };
    let missing: Vec<_> = needs.iter().filter(|need| !exists(need.file)).collect();
    if !missing.is_empty() {
        let files: Vec<_> = missing.iter().map(|need| need.file).collect();
        let mut packages: Vec<_> = missing.iter().map(|need| need.package).collect();
        packages.sort_unstable();
        packages.dedup();
        bail!(
            "not found: {}; install with `apt-get install -y {}`",
            files.join(", "),
            packages.join(" ")
        );
    }
    if tier == Tier::Node && !is_root {
        bail!("the node tier needs root; run it as root, or use `--tier control-plane`");
    }
    if tier == Tier::Node && !cgroup_v1 {
        bail!(
            "the node tier needs cgroup v1 hierarchies under /sys/fs/cgroup, and this machine has \
             none; boot it with `systemd.unified_cgroup_hierarchy=0`, or use `--tier control-plane`"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tier: Tier, is_root: bool, cgroup_v1: bool, absent: &[&str]) -> Option<String> {
        let exists = |file: &str| !absent.contains(&file);
        check_with(tier, is_root, cgroup_v1, &exists)
            .err()
            .map(|error| error.to_string())
    }

    #[test]
    fn the_message_names_programs_and_the_command_that_installs_them() {
        let absent = ["containerd", "ctr", "nft"];
        assert_eq!(
            message(Tier::Node, true, true, &absent).unwrap(),
            "not found: containerd, ctr, nft; \
             install with `apt-get install -y containerd nftables`"
        );
    }

    #[test]
    fn the_control_plane_needs_neither_root_nor_a_container_runtime() {
        assert_eq!(
            message(Tier::ControlPlane, false, false, &["containerd", "unshare"]),
            None
        );
    }

    #[test]
    fn the_node_needs_root_and_cgroups() {
        assert!(
            message(Tier::Node, false, true, &[])
                .unwrap()
                .contains("needs root")
        );
        assert!(
            message(Tier::Node, true, false, &[])
                .unwrap()
                .contains("cgroup v1")
        );
        assert_eq!(message(Tier::Node, true, true, &[]), None);
    }
}
