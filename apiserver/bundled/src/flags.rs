//! The command line: what is typed, and what it means.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::{ArgAction, Parser, ValueEnum};

use crate::{audit::AuditFlags, storage::StorageFlags};

/// Serves the DataRecord API, data.kubedojo.io/v1alpha1, to a Kubernetes cluster.
///
/// In a cluster it runs behind kube-apiserver: certificate files, access reviews and client
/// authorities come from there. With --standalone it needs no cluster at all.
#[derive(Debug, Parser)]
#[command(name = "extension-apiserver", version, max_term_width = 100)]
pub(crate) struct Flags {
    /// Port for HTTPS; 0 takes any free one.
    #[arg(long, env = "SECURE_PORT", default_value_t = 8443)]
    pub(crate) secure_port: u16,

    /// Address to listen on. With --standalone always 127.0.0.1.
    #[arg(long, env = "BIND_ADDRESS", default_value = "0.0.0.0")]
    pub(crate) bind_address: IpAddr,

    /// Serving certificate chain in PEM; read again when it changes.
    #[arg(
        long,
        env = "TLS_CERT_FILE",
        default_value = "/etc/apiserver/certs/tls.crt"
    )]
    pub(crate) tls_cert_file: PathBuf,

    /// Private key of the serving certificate in PEM.
    #[arg(
        long,
        env = "TLS_PRIVATE_KEY_FILE",
        default_value = "/etc/apiserver/certs/tls.key"
    )]
    pub(crate) tls_private_key_file: PathBuf,

    /// Kubeconfig of the cluster that decides who may do what; by default the one it runs in.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) storage: StorageFlags,

    /// Start with three example records where they are absent.
    #[arg(long, env = "SEED_EXAMPLES")]
    pub(crate) seed_examples: bool,

    /// Serve on loopback without any cluster, with example records and a kubeconfig of its own.
    #[arg(long, conflicts_with_all = ["kubeconfig"])]
    pub(crate) standalone: bool,

    /// Where --standalone writes its kubeconfig.
    #[arg(long, value_name = "FILE", default_value = "standalone.kubeconfig")]
    pub(crate) standalone_kubeconfig: PathBuf,

    /// How likely a request of HTTP/2 makes its client connect anew, from 0 to 0.02, so that
    /// clients spread over several servers; 0 with one server.
    #[arg(long, env = "GOAWAY_CHANCE", default_value_t = 0.0, value_parser = goaway_chance)]
    pub(crate) goaway_chance: f64,

    /// Whether requests without a credential are those of system:anonymous. With false they are
    /// refused, but for /livez, /readyz and /healthz.
    #[arg(long, env = "ANONYMOUS_AUTH", action = ArgAction::Set, default_value_t = true)]
    pub(crate) anonymous_auth: bool,

    /// Form of the log on standard error.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,

    /// How long requests are still served after SIGTERM, so that the cluster can stop sending,
    /// such as 10s.
    #[arg(long, env = "SHUTDOWN_DELAY_DURATION", default_value = "0s", value_parser = duration)]
    pub(crate) shutdown_delay_duration: Duration,

    /// Which requests are traced, and the collector that gets their spans over OTLP, in a file as
    /// kube-apiserver reads it. Without it there are no traces.
    #[cfg(feature = "otlp")]
    #[arg(long, env = "TRACING_CONFIG_FILE", value_name = "FILE")]
    pub(crate) tracing_config_file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) audit: AuditFlags,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// kube-apiserver's bounds for it.
fn goaway_chance(text: &str) -> Result<f64, String> {
    let chance = text
        .parse()
        .ok()
        .filter(|chance| (0.0..=0.02).contains(chance));
    chance.ok_or_else(|| "give a number from 0 to 0.02, such as 0.001".to_owned())
}

/// A duration as Kubernetes writes it: `10s`, `1m30s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let duration: jiff::SignedDuration = text
        .parse()
        .map_err(|e| format!("{e}; write 10s or 1m30s"))?;
    Duration::try_from(duration).map_err(|_| "a duration cannot be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Flags::command().debug_assert();
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for bad in ["10", "-5s", "soon"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn connections_end_rarely_or_never() {
        assert_eq!(goaway_chance("0.001"), Ok(0.001));
        for bad in ["0.5", "-1", "NaN", "often"] {
            assert!(goaway_chance(bad).is_err(), "{bad}");
        }
    }
}
