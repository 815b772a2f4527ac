//! The command lines and configuration files of a node's own components.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::control_plane::{flag, kubeconfig_flags};
use crate::network;
use crate::prerequisites::CNI_PLUGINS;
use crate::state::ClusterDir;

/// The sandbox image of pods; the harness makes it from its own pause program.
pub const PAUSE_IMAGE: &str = "cluster.test/pause:1";
/// containerd's socket, in the node's own `/run`.
pub const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";

/// Writes every configuration file that the commands below name, but for kubeconfigs.
pub fn write_configuration(dir: &ClusterDir) -> Result<()> {
    let conf = dir.conf();
    let cni = conf.join("cni");
    fs::create_dir(&cni)?;
    write(&conf.join("containerd.toml"), &containerd_toml(dir))?;
    write_json(&cni.join("10-pods.conflist"), &cni_conflist())?;
    write_json(&conf.join("kubelet.yaml"), &kubelet_yaml(dir))?;
    write_json(&conf.join("kube-proxy.yaml"), &kube_proxy_yaml(dir))?;
    // Pods need a file; nothing answers, for the cluster has no DNS.
    write(
        &conf.join("resolv.conf"),
        &format!("nameserver {}\n", network::NODE),
    )
}

/// containerd's command line.
pub fn containerd(dir: &ClusterDir) -> Vec<String> {
    let config = dir.conf().join("containerd.toml");
    vec![
        "containerd".into(),
        "--config".into(),
        config.display().to_string(),
    ]
}

/// kube-scheduler's command line.
pub fn kube_scheduler(dir: &ClusterDir) -> Vec<String> {
    let mut command = vec!["kube-scheduler".into()];
    command.extend(kubeconfig_flags(&dir.conf().join("scheduler.kubeconfig")));
    command.extend([
        "--leader-elect=false".into(),
        "--bind-address=127.0.0.1".into(),
    ]);
    command
}

/// The kubelet's command line.
pub fn kubelet(dir: &ClusterDir) -> Vec<String> {
    vec![
        "kubelet".into(),
        flag("config", &dir.conf().join("kubelet.yaml")),
        flag("kubeconfig", &dir.conf().join("kubelet.kubeconfig")),
        format!("--hostname-override={}", network::NODE_NAME),
        format!("--node-ip={}", network::NODE),
        flag("root-dir", &dir.path().join("kubelet")),
    ]
}

/// kube-proxy's command line.
pub fn kube_proxy(dir: &ClusterDir) -> Vec<String> {
    vec![
        "kube-proxy".into(),
        flag("config", &dir.conf().join("kube-proxy.yaml")),
    ]
}

/// `restrict_oom_score_adj`: without `CAP_SYS_RESOURCE`, as in many containers, runc may not lower
/// the score, and would fail for every pod.
fn containerd_toml(dir: &ClusterDir) -> String {
    let root = dir.path().join("containerd");
    let cni = dir.conf().join("cni");
    format!(
        r#"version = 2
root = "{root}"
state = "/run/containerd"
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{cni}"
"#,
        root = root.display(),
        cni = cni.display(),
    )
}

fn cni_conflist() -> Value {
    json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                "hairpinMode": true,
                "ipMasq": false,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{ "subnet": network::PODS }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    })
}

fn kubelet_yaml(dir: &ClusterDir) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": false,
        "failSwapOn": false,
        "cgroupDriver": "cgroupfs",
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": dir.pki().join("ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": dir.pki().join("kubelet-server.crt"),
        "tlsPrivateKeyFile": dir.pki().join("kubelet-server.key"),
        "resolvConf": dir.conf().join("resolv.conf"),
        "makeIPTablesUtilChains": false,
        "volumePluginDir": dir.path().join("flex"),
        // The disk and the memory are the machine's, and its other users' business.
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
            "nodefs.inodesFree": "1%",
        },
        // Images are loaded once and cannot be pulled again.
        "imageGCHighThresholdPercent": 100,
    })
}

/// The conntrack limits belong to the whole machine and are read-only here; kube-proxy would end
/// when it cannot set them. Zero means: leave them.
fn kube_proxy_yaml(dir: &ClusterDir) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": network::PODS,
        "hostnameOverride": network::NODE_NAME,
        "clientConnection": { "kubeconfig": dir.conf().join("kube-proxy.kubeconfig") },
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    })
}

fn write_json(file: &Path, value: &Value) -> Result<()> {
    write(file, &serde_json::to_string_pretty(value)?)
}

fn write(file: &Path, content: &str) -> Result<()> {
    fs::write(file, content).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::StateDir;

    #[test]
    fn every_configuration_file_that_a_command_names_is_written() {
        let root = tempfile::tempdir().unwrap();
        let dir = StateDir::at(root.path()).unwrap().create("one").unwrap();
        write_configuration(&dir).unwrap();
        let commands = [containerd(&dir), kubelet(&dir), kube_proxy(&dir)];
        let named: Vec<_> = commands
            .iter()
            .flatten()
            .map(|arg| arg.split_once('=').map_or(arg.as_str(), |(_, value)| value))
            .filter(|value| value.contains("/conf/") && !value.ends_with("config"))
            .collect();
        assert_eq!(named.len(), 3);
        assert!(
            named.iter().all(|file| Path::new(file).exists()),
            "{named:?}"
        );
        assert!(dir.conf().join("cni/10-pods.conflist").exists());
    }
}
