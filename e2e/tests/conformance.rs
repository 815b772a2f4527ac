//! Kubernetes' own specs, unmodified, while the DataRecord API is registered.
//!
//! An API server that is registered takes part in more than its own resources: in discovery, in the
//! deletion of every namespace, in garbage collection and quotas. These specs know nothing about it
//! and have to pass as they do without it. They cover the API machinery, no other part of Kubernetes.
//!
//! Three of them are about extension API servers and set one up, Kubernetes' own sample. The image
//! that they get under its name holds this project's `wardle` example.
//!
//! `CONFORMANCE_FOCUS` and `CONFORMANCE_SKIP` choose specs by regular expressions over their names,
//! as `make conformance` does. Without them a handful and those three run side by side, in a minute
//! and a half.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use e2e::image::Image;
use e2e::programs::{self, Programs};
use e2e::testing::Cluster;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

#[expect(dead_code, reason = "the tests of the node tier use the rest")]
#[path = "node/installation.rs"]
mod installation;

use installation::{API_SERVICE, kubectl, record, shared, static_program};

/// What an aggregated API can break, at a few seconds for each spec.
const HANDFUL: &[&str] = &[
    "Discovery should locate the groupVersion and a resource within each APIGroup",
    "AggregatedDiscovery should support raw aggregated discovery endpoint Accept headers",
    "CustomResourcePublishOpenAPI .* works for CRD without validation schema",
    "Garbage collector should not be blocked by dependency circle",
    "Namespaces .* should ensure that all services are removed when a namespace is deleted",
    "OrderedNamespaceDeletion namespace deletion should delete pod first",
    "ResourceQuota should be able to update and delete ResourceQuota",
    "Servers with support for Table transformation should return a 406",
    "Watchers should be able to start watching from a specific resource version",
];

/// Those that register a version of `wardle.example.com`, so one after the other: each expects to be
/// the preferred version.
const SAMPLE: &[&str] = &[
    "Sample API Server using the current Aggregator",
    "clients remain compatible with the 1.17 sample-apiserver",
    "should contain OpenAPI V3 for Aggregated APIServer",
];

/// P6, P7, P12, D6, V1, R3: Kubernetes' own clients and specs are content with the example server,
/// and go on being content with all the rest while the DataRecord API is there.
#[tokio::test]
#[ignore = "needs cluster: node tier, Kubernetes' own specs"]
async fn kubernetes_own_specs_pass_beside_the_api_and_for_the_example() -> Result<()> {
    let specs = Programs::from_env()?.ensure(&programs::UPSTREAM).await?;
    let (cluster, _in_use) = shared().await?;
    load_images(&cluster, &specs).await?;
    let namespace = cluster.namespace("conformance").await?;
    cluster.apply(&record(&namespace.name, "bystander")).await?;
    let get_record = format!("get dr bystander -n {} -o json", namespace.name);
    let record = kubectl(&cluster, &get_record).await?;

    let run = async |label, focus: &[&str], at_least| {
        let run = Run {
            cluster: &cluster,
            specs: &specs,
            label,
        };
        let passed = run.specs(focus).await?;
        ensure!(passed >= at_least, "{label}: only {passed} specs passed");
        Ok(())
    };
    match std::env::var("CONFORMANCE_FOCUS") {
        Ok(focus) => run("chosen", &[&focus], 1).await?,
        Err(_) => {
            tokio::try_join!(
                run("handful", HANDFUL, HANDFUL.len()),
                run("sample", SAMPLE, SAMPLE.len()),
            )?;
        }
    }

    let condition = "{.status.conditions[?(@.type==\"Available\")].status}";
    let available = format!("get apiservice {API_SERVICE} -o jsonpath={condition}");
    assert_eq!(kubectl(&cluster, &available).await?, "True");
    assert_eq!(kubectl(&cluster, &get_record).await?, record);
    Ok(())
}

/// Loads our programs as images under the names that the specs ask for, which they say themselves.
async fn load_images(cluster: &Cluster, specs: &Path) -> Result<()> {
    let mut command = Command::new(specs);
    command.arg("-images");
    for line in cluster.run(command, "").await?.success()?.lines() {
        let (program, name) = line
            .split_once(' ')
            .context("a line of -images has two words")?;
        let (file, entrypoint) = if program == "sample-apiserver" {
            let entrypoint = "/kube-sample-apiserver".to_owned();
            (static_program("examples/wardle")?, entrypoint)
        } else {
            let found = programs::ALL.iter().find(|known| known.name == program);
            let found = found.with_context(|| format!("no program for the image {name}"))?;
            let entrypoint = match program {
                "etcd" => "/usr/local/bin/etcd".to_owned(),
                _ => format!("/{program}"),
            };
            (Programs::from_env()?.ensure(found).await?, entrypoint)
        };
        let image = Image {
            name: name.to_owned(),
            entrypoint,
            user: None,
            env: Vec::new(),
        };
        cluster.load_image(&image, &file).await?;
    }
    Ok(())
}

/// One process of specs; its label names where it writes.
struct Run<'a> {
    cluster: &'a Cluster,
    specs: &'a Path,
    label: &'a str,
}

impl Run<'_> {
    /// Runs the specs of these names; gives how many there were.
    async fn specs(&self, focus: &[&str]) -> Result<usize> {
        let results = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("conformance");
        let results = results.join(self.label);
        fs::create_dir_all(&results)?;
        let log_file = results.join("specs.log");
        let mut log = File::create(&log_file)?;

        let mut command = Command::new(self.specs);
        command
            .arg(format!(
                "--kubeconfig={}",
                self.cluster.kubeconfig.display()
            ))
            .arg(format!("--kubectl-path={}", self.cluster.kubectl.display()))
            .arg(format!("--report-dir={}", results.display()))
            .args([
                "--provider=skeleton",
                "--ginkgo.no-color",
                "--ginkgo.silence-skips",
                "--ginkgo.v",
            ])
            .args(focus.iter().map(|spec| format!("--ginkgo.focus={spec}")))
            .current_dir(&results);
        if let Ok(skip) = std::env::var("CONFORMANCE_SKIP") {
            command.arg(format!("--ginkgo.skip={skip}"));
        }
        // When this process is killed the specs end with their next line: nobody reads it.
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.try_clone()?)
            .kill_on_drop(true)
            .spawn()
            .context("cannot run Kubernetes' specs")?;
        let stdout = child.stdout.take().context("stdout is a pipe")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut progress = Progress::default();
        while let Some(line) = lines.next_line().await? {
            writeln!(log, "{line}")?;
            if let Some(text) = progress.next(line) {
                println!("{text}");
            }
        }
        println!("{}", progress.rest());
        println!("everything the specs wrote: {}", log_file.display());
        let status = child.wait().await?;
        if !status.success() {
            bail!("Kubernetes' specs: {status}, {} passed", progress.passed);
        }
        Ok(progress.passed)
    }
}

/// Condenses the specs' output: one line for each that passed, all lines of one that did not.
#[derive(Debug, Default)]
struct Progress {
    passed: usize,
    block: Vec<String>,
}

impl Progress {
    /// Takes one line; a ruler ends the block of a spec.
    fn next(&mut self, line: String) -> Option<String> {
        if line.len() < 10 || !line.bytes().all(|byte| byte == b'-') {
            self.block.push(line);
            return None;
        }
        let block = std::mem::take(&mut self.block);
        let outcome = block.iter().find_map(|line| line.strip_prefix("• ["))?;
        let passed = outcome.strip_suffix(" seconds]");
        let Some(seconds) = passed.filter(|text| text.parse::<f64>().is_ok()) else {
            return Some(block.join("\n"));
        };
        self.passed += 1;
        let name = block.first()?.split(" [Conformance]").next()?;
        Some(format!("{:>4}  {seconds:>7} s  {name}", self.passed))
    }

    /// What follows after the last spec: the failed ones once more, and how many there are.
    fn rest(&mut self) -> String {
        std::mem::take(&mut self.block).join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passed_spec_is_one_line_and_a_failed_one_is_shown_in_full() {
        let output = "Will run 2 of 890 specs\n------------------------------\n\
            [sig] Watchers should work [Conformance] [sig, Conformance]\na.go:7\n  STEP: a\n\
            • [5.123 seconds]\n------------------------------\n\
            [sig] Quota should work [sig]\nb.go:8\n• [FAILED] [0.1 seconds]\n  expected\n\
            ------------------------------\n\nRan 2 of 890 Specs\nFAIL!";
        let mut progress = Progress::default();
        let shown: Vec<_> = output
            .lines()
            .filter_map(|line| progress.next(line.to_owned()))
            .collect();
        let failed = "[sig] Quota should work [sig]\nb.go:8\n• [FAILED] [0.1 seconds]\n  expected";
        assert_eq!(
            shown,
            ["   1    5.123 s  [sig] Watchers should work", failed]
        );
        assert_eq!(progress.passed, 1);
        assert_eq!(progress.rest(), "\nRan 2 of 890 Specs\nFAIL!");
    }
}
