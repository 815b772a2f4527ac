//! What a fleet of controllers does: informers of client-go and of kube follow thousands of objects
//! while these change, and while the server is restarted and forgets them all.
//!
//! All of them go through the aggregator; the changes are made behind it, to be quick.

use std::{collections::BTreeMap, fs::File, process::Stdio, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use e2e::{
    programs::{CLIENTS, Programs},
    testing::{Cluster, TestNamespace},
};
use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::PartialObjectMeta,
};
use kube_runtime::{reflector::Store, watcher};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    task::JoinSet,
    time::Instant,
};

use super::{
    example::{Example, Served},
    informers::follow,
};

static WARDLE: Served = Served {
    example: "wardle",
    group: "wardle.example.com",
    versions: &["v1alpha1", "v1beta1"],
    resource: ("Flunder", "flunders"),
};

const OBJECTS: usize = 5000;
const CHANGES: usize = 1500;
/// Objects before the second restart, and their end after it. There are more after it, so that a
/// server that counted its revisions anew would pass those that its clients still hold.
const OBJECTS_LATER: (usize, usize) = (500, 1500);
/// Requests at a time.
const PARALLEL: usize = 32;
/// The label that some informers select by, and that changes come and go with.
const SELECTOR: &str = "tier=even";
const EQUAL_WITHIN: Duration = Duration::from_secs(45);

/// Names and versions.
type State = BTreeMap<String, String>;

/// client-go's informers as a process, which answers one line to one line.
#[derive(Debug)]
struct GoInformers {
    label: &'static str,
    process: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    log: std::path::PathBuf,
}

impl GoInformers {
    /// Starts them, with or without streaming lists.
    async fn start(cluster: &Cluster, namespace: &str, streaming: bool) -> Result<Self> {
        let label = if streaming { "streaming" } else { "listing" };
        let log = cluster.logs().join(format!("clients-{label}.log"));
        let mut process = Command::new(Programs::from_env()?.ensure(&CLIENTS).await?)
            .args([
                "informers",
                "--namespace",
                namespace,
                "--selector",
                SELECTOR,
            ])
            .arg(format!("--resource=flunders.v1alpha1.{}", WARDLE.group))
            .env("KUBECONFIG", &cluster.kubeconfig)
            .env("KUBE_FEATURE_WatchListClient", streaming.to_string())
            .env("KUBE_WATCHLIST_INCONSISTENCY_DETECTOR", "true")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .kill_on_drop(true)
            .spawn()
            .context("cannot run client-go's informers")?;
        Ok(Self {
            label,
            commands: process.stdin.take().context("stdin is a pipe")?,
            answers: BufReader::new(process.stdout.take().context("stdout is a pipe")?).lines(),
            process,
            log,
        })
    }

    async fn ask(&mut self, command: &str) -> Result<()> {
        self.commands
            .write_all(format!("{command}\n").as_bytes())
            .await?;
        let answer = self.answers.next_line().await?;
        let answer = answer.with_context(|| {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(30).collect();
            let last: Vec<&str> = last.into_iter().rev().collect();
            format!(
                "client-go's {} informers: {command}:\n{}",
                self.label,
                last.join("\n")
            )
        })?;
        println!("client-go, {}: {answer}", self.label);
        Ok(())
    }

    /// Ends them; they have to agree.
    async fn end(mut self) -> Result<()> {
        drop(self.commands);
        let status = self.process.wait().await?;
        ensure!(status.success(), "client-go's informers: {status}");
        Ok(())
    }
}

/// kube's watchers in both modes, of whole objects and of metadata.
struct RustWatchers {
    whole: [Store<DynamicObject>; 3],
    partial: [Store<PartialObjectMeta<DynamicObject>>; 2],
    _tasks: JoinSet<()>,
}

impl RustWatchers {
    fn start(client: &Client) -> Self {
        let (older, newer) = (WARDLE.resource("v1alpha1"), WARDLE.resource("v1beta1"));
        let whole = || Api::<DynamicObject>::all_with(client.clone(), &older);
        let other: Api<DynamicObject> = Api::all_with(client.clone(), &newer);
        let partial = || Api::<PartialObjectMeta<DynamicObject>>::all_with(client.clone(), &older);
        let listing = watcher::Config::default;
        let streaming = || watcher::Config::default().streaming_lists();
        let mut tasks = JoinSet::new();
        Self {
            whole: [
                follow(&mut tasks, &older, watcher(whole(), listing())),
                follow(&mut tasks, &older, watcher(whole(), streaming())),
                follow(&mut tasks, &newer, watcher(other, streaming())),
            ],
            partial: [
                follow(&mut tasks, &older, watcher(partial(), listing())),
                follow(&mut tasks, &older, watcher(partial(), streaming())),
            ],
            _tasks: tasks,
        }
    }

    fn states(&self) -> Vec<State> {
        let whole = self.whole.iter().map(held);
        let partial = self.partial.iter().map(held);
        whole.chain(partial).collect()
    }

    /// Waits until all have what a list has.
    async fn compare(&self, cluster: &Cluster, client: &Client) -> Result<()> {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &WARDLE.resource("v1alpha1"));
        let list = api.list(&ListParams::default()).await?;
        let wanted = state(&list.items);
        let equal = cluster.wait_for("kube's watchers to agree", EQUAL_WITHIN, async || {
            self.states()
                .iter()
                .all(|state| *state == wanted)
                .then_some(())
        });
        equal.await.with_context(|| {
            let states = self.states();
            let differ = states.iter().map(|state| {
                let missing = wanted
                    .iter()
                    .filter(|(name, v)| state.get(*name) != Some(v))
                    .count();
                let ghosts = state
                    .keys()
                    .filter(|name| !wanted.contains_key(*name))
                    .count();
                format!("{missing} missing or old, {ghosts} that are gone")
            });
            format!(
                "of {} objects: {:#?}",
                wanted.len(),
                differ.collect::<Vec<_>>()
            )
        })?;
        println!("kube: equal: 5 watchers, {} objects", wanted.len());
        Ok(())
    }
}

fn held<K>(store: &Store<K>) -> State
where
    K: Resource<DynamicType = ApiResource> + Clone + 'static,
{
    state(store.state().iter().map(Arc::as_ref))
}

fn state<'a, K: ResourceExt + 'a>(objects: impl IntoIterator<Item = &'a K>) -> State {
    let entry = |object: &K| {
        let namespace = object.namespace().unwrap_or_default();
        let name = format!("{namespace}/{}", object.name_any());
        (name, object.resource_version().unwrap_or_default())
    };
    objects.into_iter().map(entry).collect()
}

/// Objects over several namespaces, and what is done to them.
struct Population {
    apis: Vec<Api<DynamicObject>>,
}

impl Population {
    fn new(client: &Client, namespaces: &[TestNamespace]) -> Self {
        let api = |namespace: &TestNamespace| {
            Api::namespaced_with(
                client.clone(),
                &namespace.name,
                &WARDLE.resource("v1alpha1"),
            )
        };
        Self {
            apis: namespaces.iter().map(api).collect(),
        }
    }

    /// Where an object of that number is.
    fn place(&self, number: usize) -> (&Api<DynamicObject>, String) {
        (&self.apis[number % self.apis.len()], format!("f{number}"))
    }

    async fn create(&self, number: usize) -> Result<()> {
        let (api, name) = self.place(number);
        let tier = if number.is_multiple_of(2) {
            "even"
        } else {
            "odd"
        };
        let mut object = DynamicObject::new(&name, &WARDLE.resource("v1alpha1"));
        object
            .labels_mut()
            .insert("tier".to_owned(), tier.to_owned());
        object.data = json!({ "spec": { "reference": "0" } });
        api.create(&PostParams::default(), &object).await?;
        Ok(())
    }

    async fn fill(&self, numbers: std::ops::Range<usize>) -> Result<()> {
        let creates = stream::iter(numbers).map(|number| Ok(self.create(number)));
        creates.try_buffer_unordered(PARALLEL).try_collect().await
    }

    /// One change of an object: its spec, its label to the other informers' view and back, its end
    /// and a new one of the same name.
    async fn change(&self, step: usize) -> Result<()> {
        // Steps that run at the same time meet different objects.
        let number = step * 7 % OBJECTS;
        let (api, name) = self.place(number);
        let patch = match step % 5 {
            0 => {
                api.delete(&name, &DeleteParams::default()).await?;
                return Ok(());
            }
            1 => {
                api.delete(&name, &DeleteParams::default()).await?;
                return self.create(number).await;
            }
            2 => json!({ "metadata": { "labels": { "tier": "even" } } }),
            3 => json!({ "metadata": { "labels": { "tier": "odd" } } }),
            _ => json!({ "spec": { "reference": step.to_string() } }),
        };
        api.patch(&name, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
        Ok(())
    }

    async fn churn(&self) -> Result<()> {
        let changes = stream::iter(0..CHANGES).map(|step| Ok(self.change(step)));
        changes.try_buffer_unordered(PARALLEL).try_collect().await
    }
}

/// Waits until all agree with a list.
async fn compare(
    cluster: &Cluster,
    client: &Client,
    go: &mut [GoInformers; 2],
    rust: &RustWatchers,
) -> Result<()> {
    for informers in go {
        informers.ask("compare").await?;
    }
    rust.compare(cluster, client).await
}

/// W1, W2, W5, W6, L5: informers of both libraries, in every form and with streaming lists or
/// without, come to the state of a list under changes and after restarts.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn informers_follow_thousands_of_objects_through_changes_and_restarts() -> Result<()> {
    let cluster = Cluster::from_env()?;
    let begin = Instant::now();
    let took = |what: &str| println!("{:>6.1} s  {what}", begin.elapsed().as_secs_f32());
    let namespaces = [
        cluster.namespace("followers").await?,
        cluster.namespace("followers").await?,
        cluster.namespace("followers").await?,
    ];
    let wardle = Example::start(&cluster, &WARDLE).await?;
    let client = cluster.client().await?;
    let population = Population::new(&wardle.direct_as_admin().await?, &namespaces);
    took("the server is registered");

    population.fill(0..OBJECTS / 2).await?;
    took("half of the objects are there");
    let mut go = [
        GoInformers::start(&cluster, &namespaces[0].name, true).await?,
        GoInformers::start(&cluster, &namespaces[0].name, false).await?,
    ];
    let rust = RustWatchers::start(&client);
    population.fill(OBJECTS / 2..OBJECTS).await?;
    took("all objects are there");
    compare(&cluster, &client, &mut go, &rust).await?;
    took("compared");
    population.churn().await?;
    took("changed");
    compare(&cluster, &client, &mut go, &rust).await?;
    took("compared");

    let wardle = wardle.restart().await?;
    took("restarted, and left empty");
    compare(&cluster, &client, &mut go, &rust).await?;
    took("compared");
    let (before, after) = OBJECTS_LATER;
    population.fill(0..before).await?;
    let wardle = wardle.restart().await?;
    population.fill(before..after).await?;
    took("restarted, and filled at once with others");
    compare(&cluster, &client, &mut go, &rust).await?;
    took("compared");

    for mut informers in go {
        informers.ask("forgotten 1").await?;
        informers.end().await?;
    }
    wardle.end().await
}
