//! The cluster's programs: built from Go modules in this crate's directory, once.
//!
//! A build of Kubernetes takes minutes of CPU, hence the cache. Its key covers all that decides the
//! outcome: Go's version, the platform, the flags, and every file of the module's directory.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use tokio::process::Command;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::state::refuse_covered;

/// A program that the harness can build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// The file's name in the cache.
    pub name: &'static str,
    /// The module's directory in this crate.
    module: &'static str,
    /// The main package, or that of the tests.
    package: &'static str,
    build: Build,
    /// Which version the program reports, and the variables that say it.
    stamp: Stamp,
    /// What a first build costs, for the progress line.
    cost: &'static str,
}

/// What the package holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Build {
    Program,
    /// Tests, whose binary runs them.
    Tests,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stamp {
    /// The variables that every Kubernetes program reads; unstamped ones report version 0.
    Kubernetes,
    /// One variable of Helm's module.
    Helm { module: &'static str },
    /// It reports none.
    None,
}

/// etcd, the Kubernetes components and kubectl in one.
pub const KUBE: Program =
    Program::kube("kube", ".", "5 to 10 minutes when built for the first time");
/// Process 1 of a node and of every pod.
pub const PAUSE: Program = Program::kube("pause", "./pause", "seconds");
/// Kubernetes' own example of an extension API server.
pub const SAMPLE_APISERVER: Program =
    Program::kube("sample-apiserver", "k8s.io/sample-apiserver", "seconds");
/// etcd alone, for pods.
pub const ETCD: Program = Program::kube("etcd", "go.etcd.io/etcd/server/v3", "seconds");
/// The helper of Kubernetes' own tests.
pub const AGNHOST: Program = Program::kube(
    "agnhost",
    "k8s.io/kubernetes/test/images/agnhost",
    "seconds",
);
/// Helm 4.
pub const HELM: Program = Program::helm("helm", "helm.sh/helm/v4", "helm.sh/helm/v4/cmd/helm");
/// Helm 3, which many installations still use.
pub const HELM3: Program = Program::helm("helm3", "helm.sh/helm/v3", "helm.sh/helm/v3/cmd/helm");

/// Kubernetes' own end-to-end tests of the API machinery. It shares most of its code with [`KUBE`].
pub const UPSTREAM: Program = Program {
    name: "upstream",
    module: "upstream",
    package: ".",
    build: Build::Tests,
    stamp: Stamp::Kubernetes,
    cost: "2 minutes when built for the first time",
};

/// Current client libraries, and what Kubernetes' own servers do with an OpenAPI document. It shares
/// much of its code with [`HELM`].
pub const CLIENTS: Program = Program {
    name: "clients",
    module: "clients",
    package: ".",
    build: Build::Program,
    stamp: Stamp::None,
    cost: "half a minute when built for the first time",
};

/// All of them, in an order in which each can use what the ones before it have compiled.
pub const ALL: &[Program] = &[
    KUBE,
    PAUSE,
    SAMPLE_APISERVER,
    ETCD,
    AGNHOST,
    UPSTREAM,
    HELM,
    HELM3,
    CLIENTS,
];

/// Those of [`ALL`] that are built only by name, as few tests need them.
pub const ON_DEMAND: &[Program] = &[UPSTREAM, CLIENTS];

/// Where programs come from.
#[derive(Clone, Debug)]
pub enum Programs {
    /// A cache that is filled by building.
    Cache {
        /// The directory that holds this crate's Go modules.
        source: PathBuf,
        /// The cache's own directory.
        cache: PathBuf,
    },
    /// A directory with ready programs; nothing is built.
    Prebuilt(PathBuf),
}

// === impl Program ===

impl Program {
    const fn kube(name: &'static str, package: &'static str, cost: &'static str) -> Self {
        Self {
            name,
            module: "kube",
            package,
            build: Build::Program,
            stamp: Stamp::Kubernetes,
            cost,
        }
    }

    const fn helm(name: &'static str, module: &'static str, package: &'static str) -> Self {
        let stamp = Stamp::Helm { module };
        Self {
            name,
            module: "tools",
            package,
            build: Build::Program,
            stamp,
            cost: "2 minutes when built for the first time",
        }
    }

    /// The linker's flags. Versions come from go.mod, so they are written down once.
    fn linker_flags(&self, go_mod: &str) -> Result<String> {
        let mut flags = "-s -w".to_owned();
        match self.stamp {
            Stamp::Kubernetes => {
                let version = required_version(go_mod, "k8s.io/kubernetes")?;
                let mut numbers = version.trim_start_matches('v').split('.');
                let major = numbers.next().unwrap_or_default();
                let minor = numbers.next().unwrap_or_default();
                for package in [
                    "k8s.io/component-base/version",
                    "k8s.io/client-go/pkg/version",
                ] {
                    write!(
                        flags,
                        " -X {package}.gitVersion={version} -X {package}.gitMajor={major} \
                         -X {package}.gitMinor={minor} -X {package}.gitTreeState=clean \
                         -X {package}.gitCommit=module"
                    )?;
                }
            }
            Stamp::Helm { module } => {
                let version = required_version(go_mod, module)?;
                write!(flags, " -X {module}/internal/version.version={version}")?;
            }
            Stamp::None => {}
        }
        Ok(flags)
    }
}

// === impl Programs ===

impl Programs {
    /// `E2E_PROGRAMS_DIR` names ready programs. Otherwise `E2E_CACHE_DIR` names the cache, whose
    /// default is `.cache/e2e` of the workspace if that exists, and else one that all clones of the
    /// project share.
    pub fn from_env() -> Result<Self> {
        if let Some(dir) = std::env::var_os("E2E_PROGRAMS_DIR") {
            return Ok(Self::Prebuilt(std::path::absolute(dir)?));
        }
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let in_workspace = source.join("../.cache/e2e");
        let cache = if let Some(dir) = std::env::var_os("E2E_CACHE_DIR") {
            PathBuf::from(dir)
        } else if let Ok(dir) = in_workspace.canonicalize() {
            dir
        } else if let Some(dir) = std::env::var_os("XDG_CACHE_HOME") {
            PathBuf::from(dir).join("extension-api-e2e")
        } else if let Some(dir) = std::env::var_os("HOME") {
            PathBuf::from(dir).join(".cache/extension-api-e2e")
        } else {
            bail!("set E2E_CACHE_DIR: neither XDG_CACHE_HOME nor HOME names a place for the cache");
        };
        let cache = std::path::absolute(cache)?;
        refuse_covered(&cache)?;
        Ok(Self::Cache { source, cache })
    }

    /// The program if it is there already.
    pub async fn find(&self, program: &Program) -> Result<Option<PathBuf>> {
        let file = match self {
            Self::Prebuilt(dir) => dir.join(program.name),
            Self::Cache { .. } => self.plan(program).await?.output,
        };
        Ok(file.is_file().then_some(file))
    }

    /// The program, built if need be.
    pub async fn ensure(&self, program: &Program) -> Result<PathBuf> {
        if let Self::Prebuilt(dir) = self {
            let file = dir.join(program.name);
            if !file.is_file() {
                bail!(
                    "{} is missing; E2E_PROGRAMS_DIR must hold all programs",
                    file.display()
                );
            }
            return Ok(file);
        }
        let plan = self.plan(program).await?;
        if !plan.output.is_file() {
            plan.build(program).await?;
        }
        Ok(plan.output)
    }

    async fn plan(&self, program: &Program) -> Result<Plan> {
        let Self::Cache { source, cache } = self else {
            bail!("prebuilt programs are never built");
        };
        let module = source.join(program.module);
        let go_mod = module.join("go.mod");
        let go_mod = fs::read_to_string(&go_mod)
            .with_context(|| format!("cannot read {}", go_mod.display()))?;
        let linker_flags = program.linker_flags(&go_mod)?;
        let key = cache_key(
            &module,
            program.package,
            &linker_flags,
            &go_version(&module).await?,
        )?;
        let output = cache
            .join(format!("{}-{key}", program.name))
            .join(program.name);
        Ok(Plan {
            module,
            linker_flags,
            output,
        })
    }
}

/// How a program is built.
struct Plan {
    module: PathBuf,
    linker_flags: String,
    output: PathBuf,
}

// === impl Plan ===

impl Plan {
    async fn build(&self, program: &Program) -> Result<()> {
        let dir = self
            .output
            .parent()
            .context("the output lies in a directory")?;
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        // One build at a time: a second harness waits, and then finds the first one's result.
        let lock = File::create(dir.join("lock"))?;
        let locking = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock));
        let _lock = progress(
            &format!("waiting for a build of {}", program.name),
            "",
            async { locking.await?.context("cannot lock the cache") },
        )
        .await?;
        if self.output.is_file() {
            return Ok(());
        }

        let temporary = self.output.with_extension("building");
        let log = dir.join("build.log");
        let verb: &[&str] = match program.build {
            Build::Program => &["build"],
            Build::Tests => &["test", "-c"],
        };
        let mut child = Command::new("go")
            .args(verb)
            .args([
                "-trimpath",
                "-buildvcs=false",
                "-ldflags",
                &self.linker_flags,
                "-o",
            ])
            .arg(&temporary)
            .arg(program.package)
            .current_dir(&self.module)
            .env("CGO_ENABLED", "0")
            .env("GOWORK", "off")
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?)
            .kill_on_drop(true)
            .spawn()
            .context("cannot run go")?;
        let what = format!("building {}", program.name);
        let status = progress(&what, program.cost, async { Ok(child.wait().await?) }).await?;
        if !status.success() {
            let last = crate::process::tail(&log, 20);
            bail!("{what} failed; the end of {}:\n{last}", log.display());
        }
        fs::rename(&temporary, &self.output)
            .with_context(|| format!("cannot create {}", self.output.display()))
    }
}

/// Says what goes on while `work` runs: one line that counts on a terminal, now and then a plain line
/// in a log. Work of less than a second is not mentioned at all.
async fn progress<T>(what: &str, cost: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let terminal = std::io::stderr().is_terminal();
    let start = Instant::now();
    let hint = if cost.is_empty() {
        String::new()
    } else {
        format!(" ({cost})")
    };
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut work = std::pin::pin!(work);
    let mut mentioned = false;
    loop {
        tokio::select! {
            result = &mut work => {
                if mentioned {
                    let outcome = if result.is_ok() { "done" } else { "failed" };
                    let begin = if terminal { "\r" } else { "" };
                    eprintln!("{begin}{what}{hint}: {outcome} after {:.1?}", start.elapsed());
                }
                return result;
            }
            _ = ticks.tick() => {
                let seconds = start.elapsed().as_secs();
                if terminal && seconds > 0 {
                    mentioned = true;
                    eprint!("\r{what}{hint}: {seconds} s");
                    let _ = std::io::stderr().flush();
                } else if !terminal && (seconds == 1 || (seconds > 0 && seconds.is_multiple_of(30))) {
                    mentioned = true;
                    eprintln!("{what}{hint}: {seconds} s");
                }
            }
        }
    }
}

/// Version and platform as Go itself says them; it may fetch a newer version that go.mod asks for.
async fn go_version(module: &Path) -> Result<String> {
    let output = Command::new("go")
        .args(["env", "GOVERSION", "GOOS", "GOARCH"])
        .current_dir(module)
        .output()
        .await;
    match output {
        Ok(output) if output.status.success() => Ok(String::from_utf8(output.stdout)?),
        Ok(output) => bail!(
            "`go env` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(
            "not found: go; the cluster's programs are built with Go 1.26 or newer: \
             install it from https://go.dev/dl and put it on the PATH"
        ),
        Err(error) => Err(error).context("cannot run go"),
    }
}

/// The key's first 16 hexadecimal digits; two contents that share them will not occur.
fn cache_key(module: &Path, package: &str, flags: &str, go_version: &str) -> Result<String> {
    let mut hash = Sha256::new();
    for part in [go_version, package, flags] {
        hash_part(&mut hash, part.as_bytes());
    }
    let mut files = Vec::new();
    list_files(module, &mut files)?;
    files.sort();
    for file in files {
        let content = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        hash_part(
            &mut hash,
            file.strip_prefix(module)?.as_os_str().as_encoded_bytes(),
        );
        hash_part(&mut hash, &content);
    }
    Ok(hash
        .finalize()
        .iter()
        .take(8)
        .fold(String::new(), |key, byte| key + &format!("{byte:02x}")))
}

/// The length goes in too, so that no two lists of parts give the same bytes.
fn hash_part(hash: &mut Sha256, part: &[u8]) {
    hash.update((part.len() as u64).to_le_bytes());
    hash.update(part);
}

fn list_files(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list_files(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// The version of a module in go.mod.
fn required_version<'a>(go_mod: &'a str, module: &str) -> Result<&'a str> {
    go_mod
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("require ").split_once(' '))
        .find(|(name, _)| *name == module)
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .with_context(|| format!("go.mod requires no {module}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GO_MOD: &str = "module x\n\nrequire (\n\thelm.sh/helm/v4 v4.3.1\n\
                          \tk8s.io/kubernetes v1.36.3 // indirect\n)\n\
                          replace k8s.io/api => k8s.io/api v0.36.3\n";

    #[test]
    fn programs_are_stamped_with_the_versions_of_go_mod() {
        let flags = KUBE.linker_flags(GO_MOD).unwrap();
        assert!(
            flags.contains("k8s.io/client-go/pkg/version.gitVersion=v1.36.3"),
            "{flags}"
        );
        assert!(
            flags.contains("k8s.io/component-base/version.gitMinor=36"),
            "{flags}"
        );
        let flags = HELM.linker_flags(GO_MOD).unwrap();
        assert_eq!(
            flags,
            "-s -w -X helm.sh/helm/v4/internal/version.version=v4.3.1"
        );
        assert!(HELM3.linker_flags(GO_MOD).is_err());
    }

    #[test]
    fn the_modules_in_this_crate_have_every_version() {
        for program in ALL {
            let module = Path::new(env!("CARGO_MANIFEST_DIR")).join(program.module);
            let go_mod = fs::read_to_string(module.join("go.mod")).unwrap();
            program.linker_flags(&go_mod).unwrap();
        }
    }

    #[test]
    fn the_key_changes_with_every_input() {
        let module = tempfile::tempdir().unwrap();
        fs::create_dir(module.path().join("sub")).unwrap();
        fs::write(module.path().join("go.mod"), "module x").unwrap();
        fs::write(module.path().join("sub/a.go"), "package a").unwrap();
        let key =
            |package, flags, version| cache_key(module.path(), package, flags, version).unwrap();
        let first = key("p", "f", "v");
        assert_eq!(first, key("p", "f", "v"));
        assert_eq!(first.len(), 16);
        for other in [
            key("q", "f", "v"),
            key("p", "g", "v"),
            key("p", "f", "w"),
            key("pf", "", "v"),
        ] {
            assert_ne!(first, other);
        }

        fs::write(module.path().join("sub/a.go"), "package b").unwrap();
        let content = key("p", "f", "v");
        assert_ne!(first, content);
        fs::rename(
            module.path().join("sub/a.go"),
            module.path().join("sub/b.go"),
        )
        .unwrap();
        assert_ne!(content, key("p", "f", "v"));
    }

    #[tokio::test]
    async fn a_prebuilt_program_that_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let programs = Programs::Prebuilt(dir.path().into());
        let error = programs.ensure(&KUBE).await.unwrap_err().to_string();
        assert!(error.contains("kube is missing"), "{error}");
        fs::write(dir.path().join("kube"), "").unwrap();
        assert_eq!(
            programs.ensure(&KUBE).await.unwrap(),
            dir.path().join("kube")
        );
    }
}
