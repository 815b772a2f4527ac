//! The command lines of etcd, kube-apiserver and kube-controller-manager.
//!
//! Pure functions: they read nothing and start nothing.

use std::path::Path;

use crate::network;
use crate::state::{ClusterDir, Tier};

/// Where the parts of a control plane listen.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// etcd, for clients.
    pub etcd: u16,
    /// etcd, for the peers that it does not have.
    pub etcd_peer: u16,
    /// kube-apiserver.
    pub apiserver: u16,
    /// kube-controller-manager.
    pub controller_manager: u16,
}

/// A node has a network of its own, so that its ports are always the usual ones.
pub const NODE_PORTS: Ports = Ports {
    etcd: 2379,
    etcd_peer: 2380,
    apiserver: 6443,
    controller_manager: 10257,
};

/// etcd without safety: no fsync, and an election that takes a tenth of a second.
pub fn etcd(dir: &ClusterDir, ports: Ports) -> Vec<String> {
    let client = format!("http://127.0.0.1:{}", ports.etcd);
    let peer = format!("http://127.0.0.1:{}", ports.etcd_peer);
    vec![
        "etcd".into(),
        "--name=etcd0".into(),
        flag("data-dir", &dir.path().join("etcd")),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=etcd0={peer}"),
        "--unsafe-no-fsync".into(),
        "--log-level=warn".into(),
        "--heartbeat-interval=10".into(),
        "--election-timeout=100".into(),
    ]
}

/// kube-apiserver with aggregation, RBAC and the Node authorizer.
pub fn kube_apiserver(
    dir: &ClusterDir,
    tier: Tier,
    ports: Ports,
    emulated_version: Option<&str>,
) -> Vec<String> {
    let pki = |name: &str| dir.pki().join(name);
    let mut command = vec![
        "kube-apiserver".into(),
        format!("--etcd-servers=http://127.0.0.1:{}", ports.etcd),
        format!("--secure-port={}", ports.apiserver),
        format!("--service-cluster-ip-range={}", network::SERVICES),
        flag("tls-cert-file", &pki("apiserver.crt")),
        flag("tls-private-key-file", &pki("apiserver.key")),
        flag("client-ca-file", &pki("client-ca.crt")),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        flag("service-account-key-file", &pki("service-account.pub")),
        flag(
            "service-account-signing-key-file",
            &pki("service-account.key"),
        ),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        "--allow-privileged=true".into(),
        flag("requestheader-client-ca-file", &pki("front-proxy-ca.crt")),
        "--requestheader-allowed-names=front-proxy-client".into(),
        "--requestheader-username-headers=X-Remote-User".into(),
        "--requestheader-uid-headers=X-Remote-Uid".into(),
        "--requestheader-group-headers=X-Remote-Group".into(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
        flag("proxy-client-cert-file", &pki("front-proxy-client.crt")),
        flag("proxy-client-key-file", &pki("front-proxy-client.key")),
    ];
    match tier {
        Tier::ControlPlane => command.extend([
            "--bind-address=127.0.0.1".into(),
            "--advertise-address=127.0.0.1".into(),
            // A loopback address may not stand in Endpoints.
            "--endpoint-reconciler-type=none".into(),
        ]),
        Tier::Node => command.extend([
            "--bind-address=0.0.0.0".into(),
            format!("--advertise-address={}", network::NODE),
            "--kubelet-preferred-address-types=InternalIP".into(),
            flag("kubelet-certificate-authority", &pki("ca.crt")),
            flag(
                "kubelet-client-certificate",
                &pki("apiserver-kubelet-client.crt"),
            ),
            flag("kubelet-client-key", &pki("apiserver-kubelet-client.key")),
        ]),
    }
    command.extend(emulated_version.map(|version| format!("--emulated-version={version}")));
    command
}

/// kube-controller-manager. The request limits matter: with the default ones it needs five seconds
/// to fetch a token for each of its controllers.
pub fn kube_controller_manager(dir: &ClusterDir, ports: Ports) -> Vec<String> {
    let pki = |name: &str| dir.pki().join(name);
    let mut command = vec!["kube-controller-manager".into()];
    command.extend(kubeconfig_flags(
        &dir.conf().join("controller-manager.kubeconfig"),
    ));
    command.extend([
        "--leader-elect=false".into(),
        "--bind-address=127.0.0.1".into(),
        format!("--secure-port={}", ports.controller_manager),
        "--use-service-account-credentials".into(),
        flag(
            "service-account-private-key-file",
            &pki("service-account.key"),
        ),
        flag("root-ca-file", &pki("ca.crt")),
        flag("cluster-signing-cert-file", &pki("ca.crt")),
        flag("cluster-signing-key-file", &pki("ca.key")),
        "--allocate-node-cidrs=false".into(),
        "--kube-api-qps=1000".into(),
        "--kube-api-burst=1000".into(),
        // Otherwise it creates a directory under /usr/libexec.
        flag("flex-volume-plugin-dir", &dir.path().join("flex")),
    ]);
    command
}

/// The three flags by which a component reaches the API server, for itself and to check its callers.
pub fn kubeconfig_flags(kubeconfig: &Path) -> [String; 3] {
    [
        "kubeconfig",
        "authentication-kubeconfig",
        "authorization-kubeconfig",
    ]
    .map(|name| flag(name, kubeconfig))
}

/// `--NAME=PATH`.
pub fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::StateDir;

    fn dir() -> ClusterDir {
        StateDir::at(Path::new("/tmp/state"))
            .unwrap()
            .cluster("one")
            .unwrap()
    }

    #[test]
    fn a_control_plane_listens_on_loopback_only() {
        let ports = Ports {
            etcd: 1,
            etcd_peer: 2,
            apiserver: 3,
            controller_manager: 4,
        };
        let command = kube_apiserver(&dir(), Tier::ControlPlane, ports, None);
        assert!(command.contains(&"--bind-address=127.0.0.1".to_owned()));
        assert!(command.contains(&"--secure-port=3".to_owned()));
        assert!(
            !command.iter().any(|arg| arg.contains("kubelet")),
            "{command:?}"
        );
        assert!(
            !command.iter().any(|arg| arg.contains("emulated")),
            "{command:?}"
        );
    }

    #[test]
    fn a_node_reaches_its_kubelet() {
        let command = kube_apiserver(&dir(), Tier::Node, NODE_PORTS, Some("1.35"));
        assert!(command.contains(&"--advertise-address=198.18.0.1".to_owned()));
        assert!(
            command
                .iter()
                .any(|arg| arg.starts_with("--kubelet-client-key="))
        );
        assert!(
            !command
                .iter()
                .any(|arg| arg.contains("endpoint-reconciler")),
            "{command:?}"
        );
        assert!(command.contains(&"--emulated-version=1.35".to_owned()));
    }

    #[test]
    fn every_file_lies_in_the_clusters_directory() {
        let all = [
            etcd(&dir(), NODE_PORTS),
            kube_apiserver(&dir(), Tier::Node, NODE_PORTS, None),
            kube_controller_manager(&dir(), NODE_PORTS),
        ];
        for arg in all.iter().flatten() {
            if let Some((_, path)) = arg.split_once("=/") {
                assert!(path.starts_with("tmp/state/one/"), "{arg}");
            }
        }
    }
}
