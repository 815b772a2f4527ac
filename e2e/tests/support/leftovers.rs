//! What a cluster could leave on a machine, and how to see that it did not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Settings that count or move by themselves.
const LIVE_SYSCTLS: &[&str] = &[
    "/proc/sys/fs/binfmt_misc",
    "/proc/sys/fs/aio-nr",
    "/proc/sys/fs/dentry-state",
    "/proc/sys/fs/file-nr",
    "/proc/sys/fs/inode-nr",
    "/proc/sys/fs/inode-state",
    "/proc/sys/fs/quota",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/kernel/pty/nr",
    "/proc/sys/kernel/random",
    "/proc/sys/net/netfilter/nf_conntrack_count",
];
/// Where a node's programs would put files if they were not kept from it, and how deep to look.
const PLACES: &[(&str, usize)] = &[
    ("/run", 3),
    ("/var/lib", 2),
    ("/var/log", 2),
    ("/etc/cni", 3),
    ("/opt", 2),
    ("/usr/libexec", 3),
];

/// The state of the machine, as lines of text by kind.
pub(crate) struct Snapshot {
    kinds: BTreeMap<&'static str, BTreeSet<String>>,
}

/// Namespaces, by kind and number.
pub(crate) struct HeldNamespaces {
    links: BTreeSet<String>,
}

impl Snapshot {
    pub(crate) fn take() -> Self {
        let kinds = BTreeMap::from([
            ("mounts", file_lines("/proc/self/mountinfo")),
            ("interfaces", list(Path::new("/sys/class/net"), 1)),
            (
                "routes",
                command_lines("ip", &["-4", "route", "show", "table", "all"]),
            ),
            ("rules", command_lines("ip", &["rule", "show"])),
            (
                "named network namespaces",
                command_lines("ip", &["netns", "list"]),
            ),
            (
                "nft rules",
                command_lines("nft", &["--stateless", "list", "ruleset"]),
            ),
            ("iptables rules", command_lines("iptables-save", &[])),
            ("cgroups", directories(Path::new("/sys/fs/cgroup"))),
            ("sysctls", sysctls()),
            (
                "files",
                PLACES
                    .iter()
                    .flat_map(|(dir, depth)| list(Path::new(dir), *depth))
                    .collect(),
            ),
        ]);
        Self { kinds }
    }

    pub(crate) fn assert_same(&self, after: &Self) {
        let mut differences = String::new();
        for (kind, before) in &self.kinds {
            let after = &after.kinds[kind];
            for line in before.difference(after) {
                writeln!(differences, "{kind}: - {line}").unwrap();
            }
            for line in after.difference(before) {
                // A kernel module that was loaded brings settings; it cannot be unloaded again.
                let name = line.split(" = ").next().unwrap();
                let is_new = !before
                    .iter()
                    .any(|old| old.starts_with(&format!("{name} = ")));
                if *kind != "sysctls" || !is_new {
                    writeln!(differences, "{kind}: + {line}").unwrap();
                }
            }
        }
        assert!(
            differences.is_empty(),
            "the machine differs:\n{differences}"
        );
    }
}

impl HeldNamespaces {
    pub(crate) fn of(pid: i32) -> Self {
        let links: BTreeSet<_> = namespace_links(pid).into_iter().collect();
        let own = namespace_links(std::process::id().cast_signed());
        let links: BTreeSet<_> = links
            .into_iter()
            .filter(|link| !own.contains(link))
            .collect();
        assert!(
            links.len() >= 4,
            "network, mount, process and cgroup namespaces: {links:?}"
        );
        Self { links }
    }

    pub(crate) fn assert_gone(&self) {
        for pid in pids() {
            let held: Vec<_> = namespace_links(pid)
                .into_iter()
                .filter(|link| self.links.contains(link))
                .collect();
            assert!(held.is_empty(), "process {pid} holds {held:?}");
        }
    }
}

/// Processes that belong to clusters of a state directory: it stands in their command line or their
/// environment, or they are in a cgroup of the harness. Dead ones that wait for their parent count
/// for nothing.
pub(crate) fn processes_of(state: &Path) -> Vec<String> {
    let state = state.as_os_str().as_encoded_bytes();
    let own = std::process::id().cast_signed();
    let mut found = Vec::new();
    for pid in pids().into_iter().filter(|pid| *pid != own) {
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let command = read("cmdline");
        let mentions = |content: &[u8]| content.windows(state.len()).any(|part| part == state);
        let cgroup = String::from_utf8_lossy(&read("cgroup")).contains("/extension-api-e2e-");
        if mentions(&command) || mentions(&read("environ")) || cgroup {
            found.push(format!(
                "{pid}: {}",
                String::from_utf8_lossy(&command).replace('\0', " ")
            ));
        }
    }
    found
}

fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap();
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

fn namespace_links(pid: i32) -> Vec<String> {
    ["net", "mnt", "pid", "cgroup"]
        .iter()
        .filter_map(|kind| fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok())
        .map(|link| link.to_string_lossy().into_owned())
        .collect()
}

fn file_lines(file: &str) -> BTreeSet<String> {
    fs::read_to_string(file)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

/// The output of a command, without comments and counters; empty if the program is not there.
fn command_lines(program: &str, args: &[&str]) -> BTreeSet<String> {
    let Some(program) = e2e::prerequisites::find(program) else {
        return BTreeSet::new();
    };
    let output = Command::new(program).args(args).output().unwrap();
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            line.split(" [")
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned()
        })
        .collect()
}

fn sysctls() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in list(Path::new("/proc/sys"), 8) {
        if LIVE_SYSCTLS.iter().any(|live| file.starts_with(live)) {
            continue;
        }
        if let Ok(value) = fs::read_to_string(&file) {
            found.insert(format!("{file} = {}", value.trim()));
        }
    }
    found
}

fn directories(dir: &Path) -> BTreeSet<String> {
    list(dir, 8)
        .into_iter()
        .filter(|path| Path::new(path).is_dir())
        .collect()
}

/// Paths below a directory, down to a depth.
fn list(dir: &Path, depth: usize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
    {
        found.insert(entry.path().to_string_lossy().into_owned());
        if depth > 1 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(list(&entry.path(), depth - 1));
        }
    }
    found
}
