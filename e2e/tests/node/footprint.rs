//! How much memory the two programs take. Printed, not asserted: it depends on the machine.

use anyhow::{Context, Result};

use super::installation::{NAMESPACE, kubectl, shared};

#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn resident_memory_is_printed() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let pods = kubectl(
        &cluster,
        &format!("get pods -n {NAMESPACE} -o jsonpath={{range.items[*]}}{{.metadata.uid}}={{.metadata.name}},{{end}}"),
    )
    .await?;
    let mut seen = 0;
    for (uid, name) in pods.split(',').filter_map(|pod| pod.split_once('=')) {
        for status in processes_of_pod(uid)? {
            let value = |key: &str| {
                let line = status.lines().find(|line| line.starts_with(key));
                line.and_then(|l| l.split_whitespace().nth(1))
                    .unwrap_or("?")
                    .to_owned()
            };
            if value("Name:") == "pause" {
                continue;
            }
            seen += 1;
            println!(
                "{name}: {} resident {} kB, of which its own {} kB",
                value("Name:"),
                value("VmRSS:"),
                value("RssAnon:")
            );
        }
    }
    assert!(
        seen >= 2,
        "the operator and the server run, but {seen} processes were found"
    );
    Ok(())
}

/// `/proc/PID/status` of every process in a pod's cgroup.
fn processes_of_pod(uid: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").context("/proc")?.flatten() {
        let cgroup = std::fs::read_to_string(process.path().join("cgroup")).unwrap_or_default();
        if cgroup.contains(uid) {
            found.extend(std::fs::read_to_string(process.path().join("status")));
        }
    }
    Ok(found)
}
