//! Runs a table of command lines twice, for the records of the server and for the custom resource of
//! the same schema, and compares what kubectl prints.
//!
//! A line is a line of bash: `kubectl` is the cluster's, with a namespace of the table's own; `$R` is
//! the resource with its group, `$G` the group, `$N` the namespace; `script.sh` has a few functions.

use std::{fmt::Write, fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use e2e::testing::{Output, TestNamespace};
use tokio::{process::Command, sync::OnceCell, time::Instant};

use super::normalise::Normaliser;
use crate::{
    local_server::{GROUP, LocalServer},
    reference::{self, REFERENCE_GROUP},
    server::shared,
};

const FUNCTIONS: &str = include_str!("script.sh");
/// kube-apiserver reads a new API's OpenAPI document a while after its registration.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(90);

/// Longer than the longest line, which makes 1200 records.
const LINE_WITHIN: Duration = Duration::from_secs(150);

/// Why an apply that does not fit the schema is answered otherwise.
pub(super) const CLIENTS_FAULT: &str = "the client's mistake is 400, not 500 without a reason";

/// A command line, and what is known of its outcome.
pub(super) struct Line {
    command: &'static str,
    /// Stands in what the line prints, with `$G` for the group.
    shows: &'static str,
    fails: bool,
    /// Why the two sides differ.
    differs: Option<&'static str>,
}

/// A line that succeeds and prints this text, among others.
pub(super) const fn ok(line: &'static str, shows: &'static str) -> Line {
    Line {
        command: line,
        shows,
        fails: false,
        differs: None,
    }
}

/// A line that fails and prints this text, among others.
pub(super) const fn err(line: &'static str, shows: &'static str) -> Line {
    Line {
        fails: true,
        ..ok(line, shows)
    }
}

impl Line {
    /// What the server's side prints is not what the other prints, and has `shows` alone.
    pub(super) const fn differs(mut self, why: &'static str) -> Self {
        self.differs = Some(why);
        self
    }
}

/// One of the two that are compared.
struct Side {
    group: &'static str,
    namespace: String,
    directory: PathBuf,
}

/// Runs a table in a namespace of its own. Both sides share it: their groups keep them apart.
pub(super) async fn run(topic: &str, lines: &[Line]) -> Result<()> {
    let server = prepared().await?;
    let namespace = server
        .cluster
        .namespace(&format!("kubectl-{topic}"))
        .await?;
    let sides = [REFERENCE_GROUP, GROUP].map(|group| Side {
        group,
        namespace: namespace.name.clone(),
        directory: server
            .cluster
            .dir()
            .join("kubectl")
            .join(&namespace.name)
            .join(group),
    });
    for side in &sides {
        side.prepare(server, &namespace)?;
    }
    let start = Instant::now();
    let mut wrong = String::new();
    let mut normalisers = sides.each_ref().map(|side| Normaliser::new(side.group));
    for line in lines {
        let [reference, ours] = &sides;
        let (reference, ours) = tokio::join!(reference.run(server, line), ours.run(server, line));
        let outputs = [reference?, ours?];
        if let Err(error) = line.judge(&outputs, &mut normalisers) {
            write!(wrong, "\n== {}\n{error}\n", line.command)?;
        }
    }
    let seconds = start.elapsed().as_secs_f32();
    println!("{topic}: {} command lines, {seconds:.1} s", lines.len());
    ensure!(wrong.is_empty(), "{wrong}");
    Ok(())
}

/// The shared server, once its OpenAPI document and that of the custom resource are published.
async fn prepared() -> Result<&'static LocalServer> {
    static PREPARED: OnceCell<()> = OnceCell::const_new();
    let server = shared().await?;
    let prepare = async || {
        let cluster = &server.cluster;
        reference::create(server, &cluster.client().await?).await?;
        for group in [GROUP, REFERENCE_GROUP] {
            let path = format!("/openapi/v3/apis/{group}/v1alpha1");
            let args = ["get", "--raw", &path];
            let published = async || cluster.kubectl(args).await.ok()?.success().ok();
            let what = format!("the OpenAPI document of {group}");
            cluster.wait_for(&what, PUBLISHED_WITHIN, published).await?;
        }
        anyhow::Ok(())
    };
    PREPARED.get_or_try_init(prepare).await?;
    Ok(server)
}

impl Side {
    fn prepare(&self, server: &LocalServer, namespace: &TestNamespace) -> Result<()> {
        fs::create_dir_all(&self.directory)?;
        let mut kubeconfig: kube::config::Kubeconfig =
            kube::config::Kubeconfig::read_from(&server.cluster.kubeconfig)?;
        for context in &mut kubeconfig.contexts {
            let context = context.context.as_mut().context("an empty context")?;
            context.namespace = Some(namespace.name.clone());
        }
        let file = self.directory.join("kubeconfig.json");
        fs::write(file, serde_json::to_string(&kubeconfig)?)?;
        fs::write(self.directory.join("script.sh"), FUNCTIONS)?;
        Ok(())
    }

    async fn run(&self, server: &LocalServer, line: &Line) -> Result<Output> {
        let cluster = &server.cluster;
        let programs = cluster
            .kubectl
            .parent()
            .context("kubectl has a directory")?;
        let mut command = Command::new("bash");
        let script = format!(
            "export KUBECONFIG=$PWD/kubeconfig.json KUBECACHEDIR=$PWD/cache TMPDIR=$PWD\n\
             export KUBE_EDITOR=true N={}\n. ./script.sh\n{}",
            self.namespace, line.command
        );
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .args(["-c", &script])
            .current_dir(&self.directory)
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("G", self.group)
            .env("R", format!("datarecords.{}", self.group));
        let run = tokio::time::timeout(LINE_WITHIN, cluster.run(command, "")).await;
        run.with_context(|| format!("it hangs: {}", line.command))?
    }
}

impl Line {
    fn judge(
        &self,
        [reference, ours]: &[Output; 2],
        normalisers: &mut [Normaliser; 2],
    ) -> Result<()> {
        let [ref mut of_reference, ref mut of_ours] = *normalisers;
        let expected = of_reference.output(reference);
        let found = of_ours.output(ours);
        ensure!(
            self.fails == (ours.code != Some(0)),
            "exit code {:?}\n{found}",
            ours.code
        );
        let shows = self.shows.replace("$G", "<group>");
        ensure!(found.contains(&shows), "lacks {shows:?}:\n{found}");
        match self.differs {
            None => ensure!(
                expected == found,
                "-- of the custom resource:\n{expected}\n-- of the server:\n{found}"
            ),
            Some(why) => ensure!(expected != found, "there is no difference any more: {why}"),
        }
        Ok(())
    }
}
