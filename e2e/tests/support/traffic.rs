//! A client that behaves: one request after the other it creates, reads, replaces, patches, lists and
//! deletes records, and notes what has to be there at the end.

use std::{collections::BTreeMap, fmt, future::Future, path::Path, time::Duration};

use anyhow::Result;
use kube::{
    Api, Client, Config,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
        PostParams,
    },
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

/// Requests per second of one client, as far as the API is fast enough.
pub(crate) const PER_SECOND: u64 = 20;
/// Records of one client that are there at a time.
const KEPT: usize = 20;
/// A request without an answer for this long has failed.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// What the client did and found.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// How long requests took, by verb.
    latencies: BTreeMap<&'static str, Vec<Duration>>,
    /// What went wrong, with the time since the beginning.
    pub(crate) failures: Vec<(Duration, &'static str, String)>,
    /// What a watch has to see of this client.
    pub(crate) expected: Vec<String>,
    /// What has to be there at the end: the records' names and queries.
    pub(crate) kept: BTreeMap<String, String>,
}

/// Uses the API until it is told to stop. The label is the beginning of the records' names.
pub(crate) async fn run(
    client: Client,
    namespace: String,
    label: &str,
    stop: CancellationToken,
) -> Traffic {
    let api = records(client, &namespace);
    let mut traffic = Traffic::default();
    let (start, parameters) = (Instant::now(), PostParams::default());
    let mut pace = interval(Duration::from_millis(1000 / PER_SECOND));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for round in 0_usize.. {
        if stop.is_cancelled() {
            break;
        }
        let name = format!("{label}-{round}");
        let made = record(&name, "created");
        let send = api.create(&parameters, &made);
        if let Some(mut made) = traffic.note("create", start, &mut pace, send).await {
            traffic.wrote("added", &name, "created");
            made.data["spec"]["query"] = json!("replaced");
            let send = api.replace(&name, &parameters, &made);
            let replaced = traffic.note("replace", start, &mut pace, send).await;
            if replaced.is_some() {
                traffic.wrote("modified", &name, "replaced");
            }
        }
        let patch = Patch::Merge(json!({ "spec": { "query": "patched" } }));
        let options = PatchParams::default();
        let send = api.patch(&name, &options, &patch);
        if traffic
            .note("patch", start, &mut pace, send)
            .await
            .is_some()
        {
            traffic.wrote("modified", &name, "patched");
        }
        traffic.note("get", start, &mut pace, api.get(&name)).await;
        let options = ListParams::default();
        traffic
            .note("list", start, &mut pace, api.list(&options))
            .await;
        let Some(oldest) = round.checked_sub(KEPT) else {
            continue;
        };
        let name = format!("{label}-{oldest}");
        let options = DeleteParams::default();
        let send = api.delete(&name, &options);
        if traffic
            .note("delete", start, &mut pace, send)
            .await
            .is_some()
        {
            traffic.expected.push(format!("deleted {name}"));
            traffic.kept.remove(&name);
        }
    }
    traffic
}

/// A client that tries nothing twice, so that every failure counts.
pub(crate) async fn client(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// The names and queries of all records whose name begins with the label.
pub(crate) async fn listed(
    client: Client,
    namespace: &str,
    label: &str,
) -> Result<BTreeMap<String, String>> {
    let list = records(client, namespace)
        .list(&ListParams::default())
        .await?;
    let pairs = list.items.into_iter().map(|record| {
        let query = record.data["spec"]["query"].as_str().unwrap_or_default();
        (record.metadata.name.unwrap_or_default(), query.to_owned())
    });
    let prefix = format!("{label}-");
    Ok(pairs
        .filter(|(name, _)| name.starts_with(&prefix))
        .collect())
}

pub(crate) fn records(client: Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client, namespace, &resource())
}

fn resource() -> ApiResource {
    let kind = GroupVersionKind::gvk("data.kubedojo.io", "v1alpha1", "DataRecord");
    ApiResource::from_gvk_with_plural(&kind, "datarecords")
}

pub(crate) fn record(name: &str, query: &str) -> DynamicObject {
    let data = json!({ "spec": { "source": "traffic", "query": query } });
    DynamicObject::new(name, &resource()).data(data)
}

impl Traffic {
    /// Sends a request when its time has come; gives the answer, if it is a good one.
    async fn note<T>(
        &mut self,
        verb: &'static str,
        start: Instant,
        pace: &mut Interval,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Option<T> {
        pace.tick().await;
        let begin = Instant::now();
        let error = match timeout(ANSWER_WITHIN, request).await {
            Ok(Ok(answer)) => {
                let latencies = self.latencies.entry(verb).or_default();
                latencies.push(begin.elapsed());
                return Some(answer);
            }
            Ok(Err(error)) => format!("{error:?}"),
            Err(_) => format!("no answer within {ANSWER_WITHIN:?}"),
        };
        self.failures.push((start.elapsed(), verb, error));
        None
    }

    fn wrote(&mut self, event: &str, name: &str, query: &str) {
        self.expected.push(format!("{event} {name}"));
        self.kept.insert(name.to_owned(), query.to_owned());
    }

    /// How many succeeded.
    pub(crate) fn requests(&self) -> usize {
        self.latencies.values().map(Vec::len).sum()
    }
}

impl fmt::Display for Traffic {
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
