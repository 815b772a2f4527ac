//! The command line. What is typed becomes a [`Config`], which everything after start-up uses.

use std::{net::SocketAddr, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::names;

/// Runs, registers and keeps trusted the aggregated APIs that `ExtensionAPI` objects ask for.
#[derive(Debug, Parser)]
#[command(
    name = "extension-api-operator",
    version,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// What to do; without a command the operator runs.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How the operator runs.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Commands other than running.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Delete every `ExtensionAPI` and wait until all are gone; for the time before an uninstall.
    Cleanup(CleanupArgs),
}

/// Flags of the cleanup.
#[derive(Clone, Debug, Args)]
pub struct CleanupArgs {
    /// How many seconds to wait for an orderly end before finalizers are stripped.
    #[arg(long, env = "CLEANUP_TIMEOUT_SECONDS", default_value_t = 120)]
    pub timeout_seconds: u64,
    /// How log lines are written.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Flags of the operator.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The image of the bundled extension API server.
    #[arg(
        long,
        env = "SERVER_IMAGE",
        default_value = concat!("kubedojo/extension-apiserver:", env!("CARGO_PKG_VERSION"))
    )]
    pub server_image: String,
    /// When pods of extension API servers pull their image.
    #[arg(long, env = "SERVER_IMAGE_PULL_POLICY", value_enum, default_value_t = PullPolicy::IfNotPresent)]
    pub server_image_pull_policy: PullPolicy,
    /// The namespace of the operator, where certificate authorities are kept.
    #[arg(long, env = "OPERATOR_NAMESPACE", default_value = "kubedojo-system")]
    pub operator_namespace: String,
    /// The namespaces that extension API servers may run in, separated by commas; the operator's
    /// own if empty. The operator needs a Role in each.
    #[arg(long, env = "OPERAND_NAMESPACES", value_delimiter = ',')]
    pub operand_namespaces: Vec<String>,
    /// The ClusterRole that lets a server follow namespaces and count against quotas. The operator
    /// binds it to every server's account, and needs the right to bind it.
    #[arg(
        long,
        env = "ADMISSION_ROLE",
        default_value = "extension-api-operator-admission"
    )]
    pub admission_role: String,
    /// The DNS domain of the cluster, for certificates.
    #[arg(long, env = "CLUSTER_DOMAIN", default_value = "cluster.local")]
    pub cluster_domain: String,
    /// Where /livez, /readyz and /metrics are served, with plain HTTP.
    #[arg(long, env = "HEALTH_BIND_ADDRESS", default_value = "0.0.0.0:8080")]
    pub health_bind_address: SocketAddr,
    /// Whether to act only while holding the Lease; needed with more than one replica.
    #[arg(long, env = "LEADER_ELECT")]
    pub leader_elect: bool,
    /// The name that the Lease is held under; the host name if empty.
    #[arg(long, env = "POD_NAME", default_value = "")]
    pub identity: String,
    /// How log lines are written. What is logged follows `RUST_LOG`.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Kubernetes' image pull policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum PullPolicy {
    /// Ask the registry each time.
    Always,
    /// Only if the node does not have the image.
    IfNotPresent,
    /// The node must have it.
    Never,
}

/// How the operator runs, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The image of the bundled server.
    pub server_image: String,
    /// When its pods pull it.
    pub server_image_pull_policy: String,
    /// The namespace with the authorities.
    pub operator_namespace: String,
    /// Where servers may run; never empty.
    pub operand_namespaces: Vec<String>,
    /// The ClusterRole that lets servers follow namespaces and count against quotas.
    pub admission_role: String,
    /// The DNS domain of the cluster.
    pub cluster_domain: String,
}

impl From<&RunArgs> for Config {
    fn from(args: &RunArgs) -> Self {
        let mut operand_namespaces: Vec<String> = args
            .operand_namespaces
            .iter()
            .filter(|name| !name.is_empty())
            .cloned()
            .collect();
        if operand_namespaces.is_empty() {
            operand_namespaces.push(args.operator_namespace.clone());
        }
        operand_namespaces.sort();
        operand_namespaces.dedup();
        Self {
            server_image: args.server_image.clone(),
            server_image_pull_policy: format!("{:?}", args.server_image_pull_policy),
            operator_namespace: args.operator_namespace.clone(),
            operand_namespaces,
            admission_role: args.admission_role.clone(),
            cluster_domain: args.cluster_domain.clone(),
        }
    }
}

impl Config {
    /// Whether servers may run in a namespace.
    pub fn manages(&self, namespace: &str) -> bool {
        self.operand_namespaces.iter().any(|name| name == namespace)
    }

    /// The names that a serving certificate is valid for. The first is the one that the
    /// aggregator verifies; the others are for direct clients.
    pub fn dns_names(&self, owner: &names::Owner) -> Vec<String> {
        let (name, namespace) = (&owner.name, &owner.namespace);
        vec![
            owner.server_name(),
            format!("{name}.{namespace}.svc.{}", self.cluster_domain),
            format!("{name}.{namespace}"),
            name.clone(),
        ]
    }
}

impl CleanupArgs {
    /// How long to wait for an orderly end.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Command, Config};

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn servers_may_run_in_the_operators_namespace_by_default() {
        let cli = Cli::parse_from(["operator", "--operator-namespace", "here"]);
        assert_eq!(Config::from(&cli.run).operand_namespaces, ["here"]);
        let cli = Cli::parse_from(["operator", "--operand-namespaces", "b,a,b"]);
        assert_eq!(Config::from(&cli.run).operand_namespaces, ["a", "b"]);
    }

    #[test]
    fn cleanup_needs_no_flags_of_the_operator() {
        let cli = Cli::parse_from(["operator", "cleanup", "--timeout-seconds", "5"]);
        let Some(Command::Cleanup(args)) = cli.command else {
            panic!("not a cleanup")
        };
        assert_eq!(args.timeout().as_secs(), 5);
    }
}
