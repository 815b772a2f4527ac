//! The client: one after the other it creates, reads, lists and deletes records.

use std::{collections::BTreeMap, fmt, time::Duration};

use anyhow::Result;
use e2e::testing::Cluster;
use kube::{
    Api, Client, Config,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Requests per second, as far as the API is fast enough.
pub(crate) const PER_SECOND: u64 = 20;

/// What the client did and found.
#[derive(Debug, Default)]
pub(crate) struct Load {
    /// How long requests took, by verb.
    latencies: BTreeMap<&'static str, Vec<Duration>>,
    /// What went wrong, with the time since the beginning.
    pub(crate) failures: Vec<(Duration, &'static str, String)>,
    /// What a watch has to see.
    pub(crate) expected: Vec<String>,
}

/// Uses the API until it is told to stop; what it has made is deleted by then.
pub(crate) async fn run(client: Client, namespace: String, stop: CancellationToken) -> Load {
    let api = records(client, &namespace);
    let mut load = Load::default();
    let start = Instant::now();
    let mut pace = interval(Duration::from_millis(1000 / PER_SECOND));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for round in 0_u32.. {
        if stop.is_cancelled() {
            break;
        }
        let name = format!("r{round}");
        let kind = resource();
        let record = DynamicObject::new(&name, &kind)
            .data(json!({ "spec": { "source": "soak", "query": name } }));

        pace.tick().await;
        let (begin, parameters) = (Instant::now(), PostParams::default());
        let created = api.create(&parameters, &record).await;
        if load.note("create", start, begin, created.map(drop)) {
            load.expected.push(format!("added {name}"));
        }
        pace.tick().await;
        let begin = Instant::now();
        let read = api.get(&name).await.map(drop);
        load.note("get", start, begin, read);
        pace.tick().await;
        let begin = Instant::now();
        let listed = api.list(&ListParams::default()).await.map(drop);
        load.note("list", start, begin, listed);
        pace.tick().await;
        let begin = Instant::now();
        let deleted = api.delete(&name, &DeleteParams::default()).await;
        if load.note("delete", start, begin, deleted.map(drop)) {
            load.expected.push(format!("deleted {name}"));
        }
    }
    load
}

/// A client that tries nothing twice, so that every failure counts.
pub(crate) async fn client(cluster: &Cluster) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(&cluster.kubeconfig)?;
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

pub(crate) fn records(client: Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client, namespace, &resource())
}

fn resource() -> ApiResource {
    let kind = GroupVersionKind::gvk("data.kubedojo.io", "v1alpha1", "DataRecord");
    ApiResource::from_gvk_with_plural(&kind, "datarecords")
}

impl Load {
    /// Says whether the request succeeded.
    fn note(
        &mut self,
        verb: &'static str,
        start: Instant,
        begin: Instant,
        result: kube::Result<()>,
    ) -> bool {
        match result {
            Ok(()) => {
                self.latencies
                    .entry(verb)
                    .or_default()
                    .push(begin.elapsed());
                true
            }
            Err(error) => {
                self.failures
                    .push((start.elapsed(), verb, format!("{error:?}")));
                false
            }
        }
    }

    /// How many succeeded.
    pub(crate) fn requests(&self) -> usize {
        self.latencies.values().map(Vec::len).sum()
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = Vec::new();
        for (verb, latencies) in &self.latencies {
            line(f, verb, latencies)?;
            all.extend_from_slice(latencies);
        }
        line(f, "all", &all)?;
        writeln!(f, "failures: {}", self.failures.len())?;
        for (time, verb, error) in &self.failures {
            writeln!(f, "  after {time:.1?}: {verb}: {error}")?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, verb: &str, latencies: &[Duration]) -> fmt::Result {
    let mut sorted = latencies.to_vec();
    sorted.sort();
    let (count, last) = (sorted.len(), sorted.last().copied().unwrap_or_default());
    let at = |percent: usize| sorted.get(count * percent / 100).copied().unwrap_or(last);
    writeln!(
        f,
        "{verb:>7}: {count} requests, p50 {:.1?}, p99 {:.1?}, longest {last:.1?}",
        at(50),
        at(99)
    )
}
