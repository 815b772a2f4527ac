//! The server under load from clients that behave and from clients that do everything else, at the same
//! time: no request of the former may fail, no acknowledged write may be lost, and what the latter took
//! has to come back.
//!
//! It runs for as long as `LOAD_SECONDS` says, 20 by default, after `cargo build --workspace --bins`:
//! `cargo run -p e2e -- run --tier control-plane -- cargo test -p e2e --test load -- --ignored --nocapture`.
//! `make load` runs it for ten minutes.

#[path = "support/account.rs"]
mod account;
#[path = "load/faults.rs"]
mod faults;
#[path = "load/figures.rs"]
mod figures;
#[path = "support/server.rs"]
mod local_server;
#[path = "support/observer.rs"]
mod observer;
#[path = "support/program.rs"]
mod program;
#[path = "support/traffic.rs"]
mod traffic;
#[path = "load/wire.rs"]
mod wire;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::testing::Cluster;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::{
    faults::Tally,
    local_server::LocalServer,
    observer::{Observer, Seen},
    traffic::Traffic,
    wire::Target,
};

const SECONDS_DEFAULT: u64 = 20;
/// How long everything runs before the memory is looked at that it may keep.
const WARM_UP: Duration = Duration::from_secs(8);
/// A longer run first fills the ring of the watch cache, which is then as large as it gets.
const RING_FILLED_FROM: Duration = Duration::from_mins(2);
/// How much more memory than after the warm-up there may be, in percent.
const GROWTH_MAX: u64 = 20;
/// What was taken is given back within the timeouts of the server, the longest of which is 32 s.
const SETTLED_WITHIN: Duration = Duration::from_secs(90);
/// Clients that behave: the first through the aggregator, the last two straight to the server.
const CLIENTS: [&str; 6] = ["a", "b", "c", "d", "straight-a", "straight-b"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs cluster: control plane"]
async fn clients_that_behave_notice_nothing_of_those_that_do_not() -> Result<()> {
    let duration = duration()?;
    let cluster = Cluster::from_env()?;
    let server = LocalServer::start(&cluster, "load", &cluster.kubeconfig)?;
    server.wait_ready().await?;
    server.register().await?;
    let target = Target::prepare(&server).await?;

    // What every part of the server once needs, it may keep: buffers of the allocator, connections of
    // the aggregator, answers about permissions. So the memory that counts is that after a short run
    // of all that happens later, once the connections of that run are gone.
    if duration >= RING_FILLED_FROM {
        figures::fill_ring(&server, &target.other_namespace).await?;
    }
    run(&server, &target, "warm", WARM_UP).await?.verdict()?;
    let before = figures::settled(&server, None).await?;

    let done = run(&server, &target, "load", duration).await?;
    let after = figures::settled(&server, Some(&before)).await;
    let log = server.program.log()?;
    let panics = log.lines().filter(|line| line.contains("panicked")).count();
    let after = match after {
        Ok(after) => after,
        Err(error) => {
            println!("{done}");
            return Err(error);
        }
    };
    println!("{done}, {before} before, {after} after, {panics} panics");
    done.verdict()?;
    ensure!(panics == 0, "{panics} panics are in the log");
    target.server_shows_newest_certificate(&server).await?;
    ensure!(server.stop().await? == Some(0), "the exit code");
    Ok(())
}

fn duration() -> Result<Duration> {
    let seconds = match std::env::var("LOAD_SECONDS") {
        Ok(text) => text.parse().context("LOAD_SECONDS is not a number")?,
        Err(_) => SECONDS_DEFAULT,
    };
    Ok(Duration::from_secs(seconds))
}

/// What happened in one run.
struct Done {
    duration: Duration,
    traffic: Vec<(String, Traffic)>,
    /// What the watches saw: through the aggregator, and straight.
    seen: [Seen; 2],
    faults: Tally,
    /// Clients whose records are not as they were written.
    lost: Vec<String>,
}

/// Everything at once for a while; the labels of the clients begin with `run`.
async fn run(server: &LocalServer, target: &Target, run: &str, duration: Duration) -> Result<Done> {
    let cluster = &server.cluster;
    let namespace = cluster.namespace(&format!("load-{run}")).await?;
    let name = namespace.name.as_str();
    target.allow_in(cluster, name).await?;
    let aggregated = traffic::client(&target.kubeconfig).await?;
    let straight = target.direct(server).await?;
    target
        .wait_permitted([&aggregated, &straight], name)
        .await?;

    let stop = CancellationToken::new();
    let mut watches = Vec::new();
    for client in [&aggregated, &straight] {
        let observer = Observer::begin(client.clone(), name).await?;
        watches.push(tokio::spawn(observer.run(stop.clone())));
    }
    let mut clients = Vec::new();
    for client in CLIENTS {
        let (label, stop) = (format!("{run}-{client}"), stop.clone());
        let through = if client.starts_with("straight") {
            &straight
        } else {
            &aggregated
        };
        let (through, name) = (through.clone(), name.to_owned());
        clients.push(tokio::spawn(async move {
            let traffic = traffic::run(through, name, &label, stop).await;
            (label, traffic)
        }));
    }
    let end = Instant::now() + duration;
    let faults = faults::until(server, target, end).await;
    stop.cancel();
    let mut traffic = Vec::new();
    let mut lost = Vec::new();
    for client in clients {
        let (label, done) = client.await?;
        let there = traffic::listed(aggregated.clone(), name, &label).await?;
        if there != done.kept {
            lost.push(format!(
                "{label}: {} written, {there:?} there",
                done.kept.len()
            ));
        }
        traffic.push((label, done));
    }
    let mut seen = Vec::new();
    for watch in watches {
        seen.push(watch.await?.context("a watch failed")?);
    }
    let seen = seen.try_into().ok().context("two watches")?;
    Ok(Done {
        duration,
        traffic,
        seen,
        faults,
        lost,
    })
}

impl Done {
    fn requests(&self) -> usize {
        self.traffic
            .iter()
            .map(|(_, traffic)| traffic.requests())
            .sum()
    }

    fn failures(&self) -> impl Iterator<Item = String> {
        self.traffic.iter().flat_map(|(label, traffic)| {
            let failures = traffic.failures.iter();
            failures.map(move |(time, verb, error)| {
                format!("{label} after {time:.1?}: {verb}: {error}")
            })
        })
    }

    fn verdict(&self) -> Result<()> {
        let failures: Vec<_> = self.failures().collect();
        ensure!(
            failures.is_empty(),
            "requests failed:\n{}",
            failures.join("\n")
        );
        ensure!(self.lost.is_empty(), "writes were lost: {:?}", self.lost);
        for seen in &self.seen {
            for (label, traffic) in &self.traffic {
                seen.is_all_of(label, traffic)?;
            }
        }
        self.faults.verdict()?;
        let few = self.duration.as_secs() * traffic::PER_SECOND * CLIENTS.len() as u64 / 4;
        ensure!(
            self.requests() as u64 > few,
            "the load was too small: {self}"
        );
        Ok(())
    }
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let events = self.seen.each_ref().map(|seen| seen.events.len());
        write!(
            f,
            "load: {} s, {} requests of {} clients, {} failed, {} lost writes, {events:?} events seen; {}",
            self.duration.as_secs(),
            self.requests(),
            CLIENTS.len(),
            self.failures().count(),
            self.lost.len(),
            self.faults,
        )
    }
}
