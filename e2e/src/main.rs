//! The program `e2e`: test clusters from the command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};
use e2e::cluster::{self, Config, Steps};
use e2e::image::Image;
use e2e::process::ProcessId;
use e2e::programs::{self, Programs};
use e2e::state::{ClusterDir, StateDir, Tier};
use e2e::{forwarder, prerequisites, teardown};
use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

const ENVIRONMENT: &str = "\
Environment:
  E2E_STATE_DIR     where clusters are kept [default: extension-api-e2e in the temporary directory]
  E2E_CACHE_DIR     where built programs are kept [default: .cache/e2e of the workspace if it is
                    there, else extension-api-e2e in the user's cache directory]
  E2E_PROGRAMS_DIR  a directory with ready programs; nothing is built then";

/// While a cluster comes up its API server refuses requests, and the client would log each.
const DEFAULT_LOG: &str = "warn,kube_client::client=off";

/// Starts and stops Kubernetes clusters for tests, on this machine alone.
#[derive(Debug, Parser)]
#[command(version, after_help = ENVIRONMENT)]
struct Cli {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Start a cluster, wait until it is ready, and leave it running.
    ///
    /// Prints the variables that lead to it: eval "$(e2e up --tier control-plane)".
    Up {
        #[command(flatten)]
        kind: Kind,
        /// The cluster's name.
        #[arg(long, default_value = "default")]
        name: String,
    },
    /// Start a cluster, run a command on it, and always take it down again.
    ///
    /// The command finds `KUBECONFIG`, `E2E_KUBECTL`, `E2E_CLUSTER_DIR`, and `E2E_HELM` and
    /// `E2E_HELM3` if they are built; kubectl and helm are on its PATH. Its exit code is passed on.
    Run {
        #[command(flatten)]
        kind: Kind,
        /// The cluster's name [default: one of its own].
        #[arg(long)]
        name: Option<String>,
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// List the clusters.
    Status,
    /// Take a cluster down, also one whose harness was killed.
    Down {
        /// The cluster's name.
        #[arg(long, default_value = "default", conflicts_with = "all")]
        name: String,
        /// Take all of them down.
        #[arg(long)]
        all: bool,
    },
    /// Make an image of a static program and load it into a cluster of the node tier.
    LoadImage(LoadImage),
    /// List the programs, and where they are.
    Programs {
        /// Build those that are missing, except for those that only some tests need.
        #[arg(long)]
        build: bool,
        /// Build this one too; may be given several times.
        #[arg(long, requires = "build", value_name = "PROGRAM", value_parser = on_demand())]
        with: Vec<String>,
    },
    /// The process that leads into a node's network; started by `up`.
    #[command(hide = true)]
    Forward(forwarder::Config),
}

#[derive(Debug, Args)]
struct Kind {
    /// How much of a cluster: `node` runs pods and needs root.
    #[arg(long, value_enum)]
    tier: Tier,
    /// Show the features and APIs of an older Kubernetes, such as 1.35.
    #[arg(long)]
    emulated_version: Option<String>,
}

#[derive(Debug, Args)]
struct LoadImage {
    /// The cluster's name.
    #[arg(long, default_value = "default")]
    cluster: String,
    /// The image's full name, such as cluster.test/server:1.
    #[arg(long)]
    name: String,
    /// The static program.
    #[arg(long)]
    program: PathBuf,
    /// The program's path in the image [default: its file name in the root directory].
    #[arg(long)]
    entrypoint: Option<String>,
    /// User and group of the process, such as 65532:65532 [default: root].
    #[arg(long)]
    user: Option<String>,
    /// A variable of the process's environment, NAME=VALUE; may be given several times.
    #[arg(long)]
    env: Vec<String>,
}

fn main() -> ExitCode {
    let log_level = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(DEFAULT_LOG));
    tracing_subscriber::fmt()
        .with_env_filter(log_level)
        .with_writer(std::io::stderr)
        .init();
    match execute(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Subcommands) -> Result<ExitCode> {
    if let Subcommands::Forward(config) = command {
        // Before any thread exists: a thread enters a namespace alone.
        return forwarder::run(&config).map(|()| ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let state = StateDir::from_env()?;
        match command {
            Subcommands::Up { kind, name } => up(&state, kind, &name).await,
            Subcommands::Run {
                kind,
                name,
                command,
            } => run(&state, kind, name, &command).await,
            Subcommands::Status => status(&state),
            Subcommands::Down { all: true, .. } => down_all(&state).await,
            Subcommands::Down { name, .. } => down(&state, &name).await,
            Subcommands::LoadImage(arguments) => load_image(&state, arguments).await,
            Subcommands::Programs { build, with } => list_programs(build, &with).await,
            Subcommands::Forward(_) => bail!("the forwarder runs without a runtime"),
        }
    })
}

async fn up(state: &StateDir, kind: Kind, name: &str) -> Result<ExitCode> {
    let mut interrupts = Interrupts::listen()?;
    let programs = Programs::from_env()?;
    let dir = match bring_up(state, kind, name, &programs, &mut interrupts).await? {
        Outcome::Interrupted(signal) => return Ok(signal_code(signal)),
        Outcome::Up(dir) => dir,
    };
    for (variable, value) in cluster::environment(&dir, &programs).await? {
        println!(
            "export {variable}='{}'",
            value.to_string_lossy().replace('\'', r"'\''")
        );
    }
    Ok(ExitCode::SUCCESS)
}

async fn run(
    state: &StateDir,
    kind: Kind,
    name: Option<String>,
    command: &[OsString],
) -> Result<ExitCode> {
    let mut interrupts = Interrupts::listen()?;
    let programs = Programs::from_env()?;
    let name = name.unwrap_or_else(|| format!("run-{}", std::process::id()));
    let dir = match bring_up(state, kind, &name, &programs, &mut interrupts).await? {
        Outcome::Interrupted(signal) => return Ok(signal_code(signal)),
        Outcome::Up(dir) => dir,
    };
    let result = run_command(&dir, &programs, command, &mut interrupts).await;
    match result {
        Err(error) => Err(teardown::down_after_failure(state, &dir, error).await),
        Ok(code) => {
            if code != 0 {
                match teardown::keep_logs(state, &dir).await {
                    Ok(kept) => eprintln!("exit code {code}; logs are in {}", kept.display()),
                    Err(error) => eprintln!("exit code {code}; no logs were kept: {error:#}"),
                }
            }
            teardown::down(&dir).await?;
            Ok(ExitCode::from(code))
        }
    }
}

enum Outcome {
    Up(ClusterDir),
    Interrupted(Signal),
}

/// A cluster that is up, or none at all.
async fn bring_up(
    state: &StateDir,
    kind: Kind,
    name: &str,
    programs: &Programs,
    interrupts: &mut Interrupts,
) -> Result<Outcome> {
    prerequisites::check(kind.tier)?;
    let prepared = tokio::select! {
        prepared = Config::prepare(kind.tier, kind.emulated_version, programs) => prepared?,
        signal = interrupts.next() => return Ok(Outcome::Interrupted(signal)),
    };
    let dir = state.create(name)?;
    let result = tokio::select! {
        result = cluster::start(&dir, &prepared) => result,
        signal = interrupts.next() => {
            eprintln!("interrupted; taking {name} down");
            teardown::down(&dir).await?;
            return Ok(Outcome::Interrupted(signal));
        }
    };
    match result {
        Ok(()) => Ok(Outcome::Up(dir)),
        Err(error) => Err(teardown::down_after_failure(state, &dir, error).await),
    }
}

/// Runs the command in the caller's own process group, so that it may use the terminal.
async fn run_command(
    dir: &ClusterDir,
    programs: &Programs,
    command: &[OsString],
    interrupts: &mut Interrupts,
) -> Result<u8> {
    let (program, arguments) = command.split_first().context("there is no command")?;
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .envs(cluster::environment(dir, programs).await?)
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    // On record, so that `down` finds it when this process is killed.
    if let Some(pid) = child.id() {
        let stat = std::fs::read(format!("/proc/{pid}/stat"))?;
        std::fs::write(dir.pids().join("command"), stat)?;
    }
    let signal = tokio::select! {
        status = child.wait() => return Ok(exit_code(status?)),
        signal = interrupts.next() => signal,
    };
    // Ctrl-C in a terminal has reached the command too, but a signal to this process alone has not.
    if let Some(process) = child.id().and_then(|pid| ProcessId::of(pid.cast_signed())) {
        process.signal(signal);
    }
    if timeout(Duration::from_secs(10), child.wait())
        .await
        .is_err()
    {
        child.kill().await?;
    }
    Ok(signal_number(signal))
}

fn status(state: &StateDir) -> Result<ExitCode> {
    let clusters = state.clusters()?;
    if clusters.is_empty() {
        eprintln!("no clusters");
    }
    for dir in clusters {
        let Some(record) = dir.read_record()? else {
            println!("{}: left behind before anything was started", dir.name());
            continue;
        };
        let processes = dir.processes()?;
        let dead: Vec<_> = processes
            .iter()
            .filter(|(_, process)| !process.is_alive())
            .map(|(name, _)| name.as_str())
            .collect();
        let state = match (record.ready, record.launcher.is_alive(), dead.is_empty()) {
            (true, _, true) => "ready".to_owned(),
            (true, _, false) => format!("broken, ended: {}", dead.join(", ")),
            (false, true, _) => "starting".to_owned(),
            (false, false, _) => "left behind by a harness that was killed".to_owned(),
        };
        println!(
            "{}: {}, {state}, {} processes, since {:.0}, {}",
            record.name,
            tier_name(record.tier),
            processes.len() - dead.len(),
            record.created,
            dir.kubeconfig().display(),
        );
    }
    Ok(ExitCode::SUCCESS)
}

async fn down(state: &StateDir, name: &str) -> Result<ExitCode> {
    let steps = Steps::begin();
    teardown::down_by_name(state, name).await?;
    steps.end(&format!("{name} is down"));
    Ok(ExitCode::SUCCESS)
}

async fn down_all(state: &StateDir) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for dir in state.clusters()? {
        // One that resists must not keep the others running.
        if let Err(error) = down(state, &dir.name()).await {
            eprintln!("error: {}: {error:#}", dir.name());
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

async fn load_image(state: &StateDir, arguments: LoadImage) -> Result<ExitCode> {
    let LoadImage {
        cluster,
        name,
        program,
        entrypoint,
        user,
        env,
    } = arguments;
    let entrypoint = entrypoint.unwrap_or_else(|| {
        format!(
            "/{}",
            program.file_name().unwrap_or_default().to_string_lossy()
        )
    });
    let image = Image {
        name,
        entrypoint,
        user,
        env,
    };
    let steps = Steps::begin();
    cluster::load_image(&state.cluster(&cluster)?, &image, &program).await?;
    steps.end(&format!("{} is loaded into {cluster}", image.name));
    Ok(ExitCode::SUCCESS)
}

fn on_demand() -> PossibleValuesParser {
    PossibleValuesParser::new(programs::ON_DEMAND.iter().map(|program| program.name))
}

async fn list_programs(build: bool, with: &[String]) -> Result<ExitCode> {
    let programs = Programs::from_env()?;
    for program in programs::ALL {
        let wanted =
            !programs::ON_DEMAND.contains(program) || with.iter().any(|name| name == program.name);
        let file = if build && wanted {
            Some(programs.ensure(program).await?)
        } else {
            programs.find(program).await?
        };
        let place = file.map_or_else(|| "not built".to_owned(), |file| file.display().to_string());
        println!("{}: {place}", program.name);
    }
    Ok(ExitCode::SUCCESS)
}

/// The signals that mean: stop, and leave nothing behind.
struct Interrupts {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Interrupts {
    fn listen() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::SIGINT,
            _ = self.terminate.recv() => Signal::SIGTERM,
            _ = self.hangup.recv() => Signal::SIGHUP,
        }
    }
}

/// As shells give it: 128 and the signal's number.
fn signal_number(signal: Signal) -> u8 {
    u8::try_from(128 + signal as i32).unwrap_or(u8::MAX)
}

fn signal_code(signal: Signal) -> ExitCode {
    ExitCode::from(signal_number(signal))
}

fn exit_code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    u8::try_from(code).unwrap_or(u8::MAX)
}

fn tier_name(tier: Tier) -> &'static str {
    match tier {
        Tier::ControlPlane => "control-plane",
        Tier::Node => "node",
    }
}
