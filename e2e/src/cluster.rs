//! Brings a cluster up, step by step.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client};
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use crate::control_plane::{self, NODE_PORTS, Ports};
use crate::image::Image;
use crate::kubeconfig::{kubeconfig, write_private};
use crate::namespaces::{Cgroups, Namespaces};
use crate::network::{self, ReservedPort};
use crate::node;
use crate::pki::{self, Identity, Pki};
use crate::process::{self, Component, ProcessId};
use crate::programs::{self, Programs};
use crate::state::{ClusterDir, Record, Tier};
use crate::wait::wait_for;

/// Each step takes a second or two; a machine that is busy with builds may need twenty times that.
const STEP_TIMEOUT: Duration = Duration::from_mins(1);
/// One request of a check; the next check asks again.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// What to start, and with which programs.
#[derive(Clone, Debug)]
pub struct Config {
    /// How much of a cluster.
    pub tier: Tier,
    /// The version whose features and APIs kube-apiserver shows, such as `1.35`.
    pub emulated_version: Option<String>,
    /// The multi-call binary of [`programs::KUBE`].
    pub kube: PathBuf,
    /// The program of [`programs::PAUSE`].
    pub pause: PathBuf,
    /// This harness's own program, which serves as the forwarder.
    pub harness: PathBuf,
}

/// Says how long each step took.
#[derive(Debug)]
pub struct Steps {
    start: Instant,
    last: Instant,
}

impl Config {
    /// Builds what the tier needs, if it is not there yet.
    pub async fn prepare(
        tier: Tier,
        emulated_version: Option<String>,
        programs: &Programs,
    ) -> Result<Self> {
        Ok(Self {
            tier,
            emulated_version,
            kube: programs.ensure(&programs::KUBE).await?,
            pause: programs.ensure(&programs::PAUSE).await?,
            harness: std::env::current_exe().context("cannot find this program's own file")?,
        })
    }
}

impl Steps {
    /// Begins to measure.
    pub fn begin() -> Self {
        let now = Instant::now();
        Self {
            start: now,
            last: now,
        }
    }

    /// Prints the time since the last step. To stderr, as stdout is for values.
    pub fn done(&mut self, step: &str) {
        let now = Instant::now();
        eprintln!("{:>7.2} s  {step}", (now - self.last).as_secs_f64());
        self.last = now;
    }

    /// Prints the time since the beginning.
    pub fn end(&self, what: &str) {
        eprintln!(
            "{:>7.2} s  in all: {what}",
            self.start.elapsed().as_secs_f64()
        );
    }
}

/// Starts a cluster in a directory that was just created, and waits until it is usable.
///
/// On failure, or when the future is dropped, what was started runs on; the caller takes it down.
pub async fn start(dir: &ClusterDir, config: &Config) -> Result<()> {
    let mut steps = Steps::begin();
    let mut record = Record {
        name: dir.name(),
        tier: config.tier,
        created: jiff::Timestamp::now(),
        launcher: ProcessId::current()?,
        cgroup: match config.tier {
            Tier::ControlPlane => None,
            // Unique on the machine: state directories may hold clusters of the same name.
            Tier::Node => Some(format!(
                "extension-api-e2e-{}-{}",
                dir.name(),
                std::process::id()
            )),
        },
        ready: false,
    };
    dir.write_record(&record)?;
    symlink(&config.kube, dir.kubectl()).context("cannot link kubectl")?;
    let pki = pki::generate(config.tier, &dir.pki())?;
    steps.done("certificates");

    let started = match &record.cgroup {
        None => start_control_plane(dir, config, &pki, &mut steps).await?,
        Some(cgroup) => start_node(dir, config, &pki, cgroup, &mut steps).await?,
    };
    started.check_alive()?;
    record.ready = true;
    dir.write_record(&record)?;
    steps.end("the cluster is ready");
    Ok(())
}

async fn start_control_plane(
    dir: &ClusterDir,
    config: &Config,
    pki: &Pki,
    steps: &mut Steps,
) -> Result<Started> {
    // Held until everything listens.
    let [etcd, etcd_peer, apiserver, controller_manager] = [
        ReservedPort::find()?,
        ReservedPort::find()?,
        ReservedPort::find()?,
        ReservedPort::find()?,
    ];
    let ports = Ports {
        etcd: etcd.port,
        etcd_peer: etcd_peer.port,
        apiserver: apiserver.port,
        controller_manager: controller_manager.port,
    };
    let server = format!("https://127.0.0.1:{}", ports.apiserver);
    write_kubeconfigs(dir, &server, pki)?;
    write_private_json(&dir.kubeconfig(), &server, pki, &pki.admin)?;

    let mut started = Started::on_host(dir, &config.kube);
    started.start_kube(control_plane::etcd(dir, ports))?;
    started
        .wait_for_port(std::process::id().cast_signed(), ports.etcd, "etcd")
        .await?;
    steps.done("etcd listens");
    let emulated = config.emulated_version.as_deref();
    started.start_kube(control_plane::kube_apiserver(
        dir,
        config.tier,
        ports,
        emulated,
    ))?;
    let client = client(&dir.kubeconfig()).await?;
    started.wait_for_apiserver(&client).await?;
    steps.done("kube-apiserver is ready");
    started.start_kube(control_plane::kube_controller_manager(dir, ports))?;
    started.wait_for_service_account(&client).await?;
    steps.done("kube-controller-manager works");
    Ok(started)
}

async fn start_node(
    dir: &ClusterDir,
    config: &Config,
    pki: &Pki,
    cgroup: &str,
    steps: &mut Steps,
) -> Result<Started> {
    node::write_configuration(dir)?;
    let inside = format!("https://{}:{}", network::NODE, NODE_PORTS.apiserver);
    write_kubeconfigs(dir, &inside, pki)?;

    let cgroups = Cgroups::named(cgroup);
    let namespaces = Namespaces::create(dir, &cgroups, &config.pause).await?;
    steps.done("namespaces");
    let mut started = Started::on_host(dir, &config.kube);
    let port = start_forwarder(dir, config, &namespaces, &mut started).await?;
    let server = format!("https://127.0.0.1:{port}");
    write_private_json(&dir.kubeconfig(), &server, pki, &pki.admin)?;

    let init = namespaces.init.pid;
    started.enter(namespaces.clone(), &cgroups);
    started.start(
        "containerd",
        node::containerd(dir)
            .into_iter()
            .map(OsString::from)
            .collect(),
    )?;
    started.start_kube(control_plane::etcd(dir, NODE_PORTS))?;
    started.wait_for_port(init, NODE_PORTS.etcd, "etcd").await?;
    steps.done("etcd listens");
    let emulated = config.emulated_version.as_deref();
    started.start_kube(control_plane::kube_apiserver(
        dir,
        config.tier,
        NODE_PORTS,
        emulated,
    ))?;
    let client = client(&dir.kubeconfig()).await?;
    let pause = async {
        let socket = namespaces.path(node::CONTAINERD_SOCKET);
        let listens = || async { socket.exists().then_some(()) };
        started.wait("containerd's socket", listens).await?;
        let image = Image {
            name: node::PAUSE_IMAGE.into(),
            entrypoint: "/pause".into(),
            user: None,
            env: Vec::new(),
        };
        import(dir, &namespaces, &image, &config.pause).await
    };
    tokio::try_join!(pause, started.wait_for_apiserver(&client))?;
    steps.done("kube-apiserver is ready, the pause image is loaded");

    started.start_kube(node::kubelet(dir))?;
    started.start_kube(control_plane::kube_controller_manager(dir, NODE_PORTS))?;
    started.start_kube(node::kube_scheduler(dir))?;
    started.start_kube(node::kube_proxy(dir))?;
    tokio::try_join!(
        started.wait_for_node(&client),
        started.wait_for_service_account(&client)
    )?;
    steps.done("the node is Ready");
    Ok(started)
}

/// Gives the port on 127.0.0.1 behind which the node's API server is.
async fn start_forwarder(
    dir: &ClusterDir,
    config: &Config,
    namespaces: &Namespaces,
    started: &mut Started,
) -> Result<u16> {
    let port_file = dir.conf().join("forwarder.port");
    let to = format!("{}:{}", network::NODE, NODE_PORTS.apiserver);
    let mut command = vec![config.harness.clone().into_os_string()];
    let pid = namespaces.init.pid.to_string();
    command.extend(["forward", "--pid", &pid, "--to", &to, "--port-file"].map(OsString::from));
    command.push(port_file.clone().into());
    started.start("forwarder", command)?;
    let port = || async { fs::read_to_string(&port_file).ok()?.parse().ok() };
    started.wait("the forwarder", port).await
}

/// Makes an image of a static program and loads it into a cluster's node.
pub async fn load_image(dir: &ClusterDir, image: &Image, program: &Path) -> Result<()> {
    let record = dir.read_record()?;
    if record.is_none_or(|record| record.tier != Tier::Node) {
        bail!(
            "{} has no node to load an image into; use `--tier node`",
            dir.name()
        );
    }
    import(dir, &Namespaces::find(dir)?, image, program).await
}

async fn import(
    dir: &ClusterDir,
    namespaces: &Namespaces,
    image: &Image,
    program: &Path,
) -> Result<()> {
    let archive = tempfile::Builder::new()
        .suffix(".tar")
        .tempfile_in(dir.images())?;
    image.write_archive(program, archive.path())?;
    let ctr = ["ctr", "-n", "k8s.io", "images", "import"].map(OsString::from);
    let command = namespaces.enter(ctr.into_iter().chain([archive.path().into()]));
    let (program, arguments) = command.split_first().context("the command has a program")?;
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", process::PATH)
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .await
        .context("cannot run ctr")?;
    if !output.status.success() {
        bail!(
            "cannot load {}: {}",
            image.name,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

/// A client for a kubeconfig file.
pub async fn client(file: &Path) -> Result<Client> {
    let context = || format!("cannot use {}", file.display());
    let kubeconfig = Kubeconfig::read_from(file).with_context(context)?;
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Client::try_from(config.with_context(context)?).with_context(context)
}

fn write_kubeconfigs(dir: &ClusterDir, server: &str, pki: &Pki) -> Result<()> {
    let mut users = vec![("controller-manager", &pki.controller_manager)];
    if let Some(node) = &pki.node {
        users.extend([
            ("scheduler", &node.scheduler),
            ("kube-proxy", &node.kube_proxy),
            ("kubelet", &node.kubelet),
        ]);
    }
    for (name, identity) in users {
        let file = dir.conf().join(format!("{name}.kubeconfig"));
        write_private_json(&file, server, pki, identity)?;
    }
    Ok(())
}

fn write_private_json(file: &Path, server: &str, pki: &Pki, user: &Identity) -> Result<()> {
    let content = serde_json::to_vec_pretty(&kubeconfig(server, &pki.ca_pem, user))?;
    write_private(file, &content)
}

/// The components that run so far, and where the next ones are started.
struct Started {
    dir: ClusterDir,
    kube: PathBuf,
    inside: Option<Namespaces>,
    cgroups: Vec<PathBuf>,
    processes: Vec<(String, ProcessId)>,
}

// === impl Started ===

impl Started {
    fn on_host(dir: &ClusterDir, kube: &Path) -> Self {
        Self {
            dir: dir.clone(),
            kube: kube.to_owned(),
            inside: None,
            cgroups: Vec::new(),
            processes: Vec::new(),
        }
    }

    /// From now on components are started inside.
    fn enter(&mut self, namespaces: Namespaces, cgroups: &Cgroups) {
        self.inside = Some(namespaces);
        self.cgroups = cgroups.join_files();
    }

    /// Starts one of the programs in [`programs::KUBE`], which the first word names.
    fn start_kube(&mut self, command: Vec<String>) -> Result<()> {
        let name = command.first().context("a command has a program")?.clone();
        let program = self.kube.clone().into_os_string();
        let command = std::iter::once(program).chain(command.into_iter().map(OsString::from));
        self.start(&name, command.collect())
    }

    fn start(&mut self, name: &str, command: Vec<OsString>) -> Result<()> {
        let command = match &self.inside {
            Some(namespaces) => namespaces.enter(command),
            None => command,
        };
        let component = Component {
            name: name.to_owned(),
            command,
            cgroups: self.cgroups.clone(),
        };
        let id = process::start(&self.dir, &component)?;
        self.processes.push((name.to_owned(), id));
        Ok(())
    }

    /// A component that ended would otherwise show as a check that waits in vain, or not at all.
    fn check_alive(&self) -> Result<()> {
        if let Some((name, _)) = self.processes.iter().find(|(_, id)| !id.is_alive()) {
            let log = process::log_file(&self.dir, name);
            bail!(
                "{name} ended; the end of its log:\n{}",
                process::tail(&log, 10)
            );
        }
        Ok(())
    }

    async fn wait<T>(&self, what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> Result<T> {
        wait_for(what, STEP_TIMEOUT, async || match self.check_alive() {
            Err(error) => Some(Err(error)),
            Ok(()) => check().await.map(Ok),
        })
        .await?
    }

    async fn wait_for_port(&self, pid: i32, port: u16, what: &str) -> Result<()> {
        self.wait(what, async || network::listens(pid, port).then_some(()))
            .await
    }

    async fn wait_for_apiserver(&self, client: &Client) -> Result<()> {
        self.wait("kube-apiserver to be ready", async || {
            let request = http::Request::get("/readyz").body(Vec::new()).ok()?;
            timeout(REQUEST_TIMEOUT, client.request_text(request))
                .await
                .ok()?
                .ok()
                .map(drop)
        })
        .await
    }

    /// Pods and tokens need it, so with it the namespace is usable.
    async fn wait_for_service_account(&self, client: &Client) -> Result<()> {
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
        self.wait("the ServiceAccount of namespace default", async || {
            timeout(REQUEST_TIMEOUT, accounts.get_opt("default"))
                .await
                .ok()?
                .ok()?
                .map(drop)
        })
        .await
    }

    async fn wait_for_node(&self, client: &Client) -> Result<()> {
        let nodes: Api<Node> = Api::all(client.clone());
        self.wait("the node to be Ready", async || {
            let node = timeout(REQUEST_TIMEOUT, nodes.get_opt(network::NODE_NAME));
            let conditions = node.await.ok()?.ok()??.status?.conditions?;
            let ready = |condition: &k8s_openapi::api::core::v1::NodeCondition| {
                condition.type_ == "Ready" && condition.status == "True"
            };
            conditions.iter().any(ready).then_some(())
        })
        .await
    }
}

/// What a program needs to use a cluster, as environment variables.
pub async fn environment(
    dir: &ClusterDir,
    programs: &Programs,
) -> Result<Vec<(&'static str, OsString)>> {
    let mut variables: Vec<(&str, OsString)> = vec![
        ("KUBECONFIG", dir.kubeconfig().into()),
        ("E2E_KUBECTL", dir.kubectl().into()),
        ("E2E_CLUSTER_DIR", dir.path().into()),
        // Caches that outlive a cluster would answer for the next one on the same port.
        ("KUBECACHEDIR", dir.path().join("kubectl-cache").into()),
        ("HELM_CACHE_HOME", dir.path().join("helm/cache").into()),
        ("HELM_CONFIG_HOME", dir.path().join("helm/config").into()),
        ("HELM_DATA_HOME", dir.path().join("helm/data").into()),
    ];
    for (variable, program) in [("E2E_HELM", programs::HELM), ("E2E_HELM3", programs::HELM3)] {
        // Whoever has no Go now, but did when the cluster's programs were built, can do without.
        if let Ok(Some(file)) = programs.find(&program).await {
            let link = dir.bin().join(program.name);
            if !link.exists() {
                symlink(file, &link).with_context(|| format!("cannot link {}", program.name))?;
            }
            variables.push((variable, link.into()));
        }
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path =
        std::env::join_paths(std::iter::once(dir.bin()).chain(std::env::split_paths(&path)))?;
    variables.push(("PATH", path));
    Ok(variables)
}
