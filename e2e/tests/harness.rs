//! The harness itself: clusters come up, live side by side, and leave nothing behind.
//!
//! Each test starts its own clusters, in a state directory of its own, through the program that
//! people use. Run them alone, as they compare the machine before and after:
//! `cargo test -p e2e --test harness -- --ignored --nocapture`.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

mod support;

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use e2e::state::StateDir;
use e2e::wait::wait_for;
use support::harness::{Harness, alone};
use support::leftovers::{Snapshot, processes_of};
use tokio::time::Instant;

/// Printed with every failure of a cluster to be ready in time; see the README.
const NODE_BAR: Duration = Duration::from_secs(15);
const CONTROL_PLANE_BAR: Duration = Duration::from_secs(5);

#[tokio::test]
#[ignore = "needs cluster: starts a control plane"]
async fn a_control_plane_serves_and_leaves_nothing() {
    let _alone = alone().await;
    let harness = Harness::new();
    let before = Snapshot::take();

    let start = Instant::now();
    harness.up("control-plane", "one").await;
    println!(
        "control plane: {:.1?} (bar: {CONTROL_PLANE_BAR:?})",
        start.elapsed()
    );
    let namespaces = harness
        .kubectl("one", &["get", "namespaces", "-o", "name"])
        .await;
    assert!(namespaces.contains("namespace/default"), "{namespaces}");
    let status = harness.e2e(&["status"]).await.success();
    assert!(
        status.contains("one: control-plane, ready, 3 processes"),
        "{status}"
    );

    harness.down("one").await;
    before.assert_same(&Snapshot::take());
    assert_no_processes(&harness);
    assert!(!harness.state().join("one").exists());
}

#[tokio::test]
#[ignore = "needs cluster: starts two control planes"]
async fn two_control_planes_live_side_by_side() {
    let _alone = alone().await;
    let harness = Harness::new();
    let start = Instant::now();
    tokio::join!(
        harness.up("control-plane", "one"),
        harness.up("control-plane", "two")
    );
    println!("two control planes at once: {:.1?}", start.elapsed());

    harness
        .kubectl("one", &["create", "namespace", "only-in-one"])
        .await;
    let ids = ["one", "two"].map(|name| {
        let uid = [
            "get",
            "namespace",
            "kube-system",
            "-o",
            "jsonpath={.metadata.uid}",
        ];
        let harness = &harness;
        async move { harness.kubectl(name, &uid).await }
    });
    let [one, two] = ids;
    assert_ne!(one.await, two.await);
    let in_two = harness
        .kubectl("two", &["get", "namespaces", "-o", "name"])
        .await;
    assert!(!in_two.contains("only-in-one"), "{in_two}");

    let again = harness
        .e2e(&["up", "--tier", "control-plane", "--name", "one"])
        .await
        .failure();
    assert!(again.contains("exists already"), "{again}");
    harness.e2e(&["down", "--all"]).await.success();
    assert_no_processes(&harness);
}

#[tokio::test]
#[ignore = "needs cluster: starts a control plane"]
async fn a_control_plane_needs_no_root() {
    let _alone = alone().await;
    let harness = Harness::new().without_root().await;
    harness.up("control-plane", "one").await;
    let answer = harness.kubectl("one", &["auth", "whoami"]).await;
    assert!(answer.contains("admin"), "{answer}");
    let owner = std::fs::metadata(harness.state().join("one/etcd"))
        .unwrap()
        .uid();
    assert_ne!(owner, 0);
    harness.down("one").await;
    assert_no_processes(&harness);

    let refused = harness
        .e2e(&["up", "--tier", "node", "--name", "two"])
        .await
        .failure();
    assert!(refused.contains("needs root"), "{refused}");
}

#[tokio::test]
#[ignore = "needs cluster: starts control planes"]
async fn run_passes_the_exit_code_on_and_takes_the_cluster_down() {
    let _alone = alone().await;
    let harness = Harness::new();
    let script = "kubectl get namespace default -o name && test -d $E2E_CLUSTER_DIR && exit 7";
    let run = [
        "run",
        "--tier",
        "control-plane",
        "--name",
        "one",
        "--",
        "sh",
        "-c",
        script,
    ];
    let output = harness.e2e(&run).await;
    assert_eq!(output.code, Some(7), "{output:?}");
    assert_eq!(output.stdout, "namespace/default\n");
    assert!(output.stderr.contains("logs are in"), "{output:?}");
    assert!(
        harness
            .state()
            .join(".failed/one/kube-apiserver.log")
            .exists()
    );
    assert!(!harness.state().join("one").exists());
    assert_no_processes(&harness);
}

#[tokio::test]
#[ignore = "needs cluster: starts control planes"]
async fn run_takes_the_cluster_down_when_it_is_told_to_stop() {
    let _alone = alone().await;
    let harness = Harness::new();
    let run = [
        "run",
        "--tier",
        "control-plane",
        "--name",
        "one",
        "--",
        "sleep",
        "1000",
    ];
    let mut launcher = harness.spawn(&run);
    harness.wait_for_process("one", "command").await;
    launcher.signal("TERM");
    assert_eq!(launcher.exit_code().await, Some(128 + 15));
    assert!(!harness.state().join("one").exists());
    assert_no_processes(&harness);

    // While it comes up, likewise; and `down` from elsewhere does the same.
    let mut launcher = harness.spawn(&run);
    harness.wait_for_process("one", "etcd").await;
    harness.down("one").await;
    assert_eq!(launcher.exit_code().await, Some(128 + 15));
    assert_no_processes(&harness);
}

#[tokio::test]
#[ignore = "needs cluster: starts half a control plane"]
async fn a_component_that_ends_is_named_with_its_reason() {
    let _alone = alone().await;
    let harness = Harness::new();
    let up = [
        "up",
        "--tier",
        "control-plane",
        "--name",
        "one",
        "--emulated-version",
        "1.2",
    ];
    let refused = harness.e2e(&up).await.failure();
    assert!(refused.contains("kube-apiserver ended"), "{refused}");
    assert!(refused.contains("emulation version 1.2"), "{refused}");
    let kept = harness.state().join(".failed/one");
    assert!(
        refused.contains(&format!("logs are in {}", kept.display())),
        "{refused}"
    );
    assert!(kept.join("etcd.log").exists());
    assert_no_processes(&harness);
}

#[tokio::test]
#[ignore = "needs cluster: starts a node, as root"]
async fn a_node_runs_pods_and_leaves_nothing() {
    let _alone = alone().await;
    let harness = Harness::new();
    let before = Snapshot::take();

    let start = Instant::now();
    harness.up("node", "one").await;
    println!("node: {:.1?} (bar: {NODE_BAR:?})", start.elapsed());
    run_pod(&harness, "one").await;
    let namespaces = harness.namespaces("one");

    let start = Instant::now();
    harness.down("one").await;
    println!("node down: {:.1?}", start.elapsed());
    before.assert_same(&Snapshot::take());
    assert_no_processes(&harness);
    namespaces.assert_gone();
    assert!(!harness.state().join("one").exists());
}

#[tokio::test]
#[ignore = "needs cluster: starts two nodes, as root"]
async fn two_nodes_live_side_by_side() {
    let _alone = alone().await;
    let harness = Harness::new();
    let before = Snapshot::take();
    let start = Instant::now();
    tokio::join!(harness.up("node", "one"), harness.up("node", "two"));
    println!("two nodes at once: {:.1?}", start.elapsed());
    tokio::join!(run_pod(&harness, "one"), run_pod(&harness, "two"));
    harness.e2e(&["down", "--all"]).await.success();
    before.assert_same(&Snapshot::take());
    assert_no_processes(&harness);
}

/// The moments differ in what exists already: cgroups and namespaces, a container runtime, an API
/// server, pods' cgroups.
#[tokio::test]
#[ignore = "needs cluster: starts nodes, as root"]
async fn a_launcher_that_is_killed_half_way_leaves_nothing_after_down() {
    let _alone = alone().await;
    let harness = Harness::new();
    let before = Snapshot::take();
    for moment in [
        "namespaces",
        "forwarder",
        "containerd",
        "kube-apiserver",
        "kubelet",
    ] {
        let mut launcher = harness.spawn(&["up", "--tier", "node", "--name", "one"]);
        harness.wait_for_process("one", moment).await;
        launcher.signal("KILL");
        assert_eq!(launcher.exit_code().await, None);

        let status = harness.e2e(&["status"]).await.success();
        assert!(
            status.contains("left behind by a harness that was killed"),
            "{status}"
        );
        harness.down("one").await;
        println!("killed once {moment} had started");
        before.assert_same(&Snapshot::take());
        assert_no_processes(&harness);
        assert!(!harness.state().join("one").exists());
    }
}

/// A pod behind a Service makes the node use everything that must go away again: images, container
/// cgroups, virtual interfaces, routes, firewall rules.
async fn run_pod(harness: &Harness, name: &str) {
    let image = "cluster.test/web:1";
    let program = harness.program("agnhost").await;
    let program = program.to_string_lossy();
    let load = [
        "load-image",
        "--cluster",
        name,
        "--name",
        image,
        "--program",
        &program,
    ];
    harness
        .e2e(&[&load[..], &["--user", "65532:65532"]].concat())
        .await
        .success();
    let manifest = r#"
        {"apiVersion": "v1", "kind": "List", "items": [
          {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
           "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}},
          {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": {"app": "web"}},
           "spec": {"containers": [{"name": "web", "image": "cluster.test/web:1",
             "imagePullPolicy": "Never", "args": ["netexec", "--http-port=8080"],
             "resources": {"limits": {"memory": "64Mi", "cpu": "500m"}},
             "readinessProbe": {"periodSeconds": 1, "httpGet": {"path": "/healthz", "port": 8080}}
           }]}}]}"#;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), manifest).unwrap();
    harness
        .kubectl(name, &["apply", "-f", &file.path().to_string_lossy()])
        .await;
    harness
        .kubectl(
            name,
            &["wait", "--for=condition=Ready", "pod/web", "--timeout=60s"],
        )
        .await;
    // Through the forwarder, the API server and the pod network.
    let path = "/api/v1/namespaces/default/services/web:80/proxy/hostname";
    assert_eq!(harness.kubectl(name, &["get", "--raw", path]).await, "web");
    let version = harness
        .kubectl(name, &["exec", "web", "--", "/agnhost", "--version"])
        .await;
    assert!(version.contains("version"), "{version}");
    // From the node, to the Service's own address: kube-proxy's rules.
    let ip = ["get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"];
    let ip = harness.kubectl(name, &ip).await;
    let dir = StateDir::at(&harness.state())
        .unwrap()
        .cluster(name)
        .unwrap();
    let namespaces = e2e::namespaces::Namespaces::find(&dir).unwrap();
    let agnhost = program.into_owned();
    let connect = [
        agnhost.as_str(),
        "connect",
        &format!("{ip}:80"),
        "--timeout=1s",
    ]
    .map(std::ffi::OsString::from);
    let connect = namespaces.enter(connect);
    wait_for(
        "the Service to answer on the node",
        Duration::from_secs(20),
        async || {
            let status = tokio::process::Command::new(&connect[0])
                .args(&connect[1..])
                .output()
                .await
                .unwrap()
                .status;
            status.success().then_some(())
        },
    )
    .await
    .unwrap();
}

fn assert_no_processes(harness: &Harness) {
    let left = processes_of(&harness.state());
    assert!(left.is_empty(), "processes are left:\n{}", left.join("\n"));
}
