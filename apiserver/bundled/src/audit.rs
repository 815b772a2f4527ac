//! The flags of auditing, with kube-apiserver's names and defaults, and what they mean.

use std::{path::PathBuf, sync::Arc, time::Duration};

use apiserver::audit::{Auditor, LogOptions, Policy, WebhookOptions};
use clap::{Args, ValueEnum};

use crate::flags::duration;

/// What is recorded of requests, and where.
#[derive(Debug, Args)]
#[command(next_help_heading = "Audit")]
pub(crate) struct AuditFlags {
    /// What is recorded of which request: a Policy of audit.k8s.io/v1. Without it nothing is.
    #[arg(
        long = "audit-policy-file",
        env = "AUDIT_POLICY_FILE",
        value_name = "FILE"
    )]
    policy_file: Option<PathBuf>,

    /// File that gets a line for every event; - is standard output.
    #[arg(long = "audit-log-path", env = "AUDIT_LOG_PATH", value_name = "FILE")]
    log_path: Option<PathBuf>,

    /// Form of the file.
    #[arg(long = "audit-log-format", env = "AUDIT_LOG_FORMAT", value_enum, default_value_t = AuditLogFormat::Json)]
    format: AuditLogFormat,

    /// Megabytes at which the file is renamed; 0 for never.
    #[arg(
        long = "audit-log-maxsize",
        env = "AUDIT_LOG_MAXSIZE",
        default_value_t = 100
    )]
    log_maxsize: u64,

    /// Most renamed files that are kept; 0 for all.
    #[arg(
        long = "audit-log-maxbackup",
        env = "AUDIT_LOG_MAXBACKUP",
        default_value_t = 100
    )]
    log_maxbackup: usize,

    /// Days for which renamed files are kept; 0 for ever.
    #[arg(
        long = "audit-log-maxage",
        env = "AUDIT_LOG_MAXAGE",
        default_value_t = 366
    )]
    log_maxage: u32,

    /// Kubeconfig of a server that gets the events in batches.
    #[arg(
        long = "audit-webhook-config-file",
        env = "AUDIT_WEBHOOK_CONFIG_FILE",
        value_name = "FILE"
    )]
    webhook_config_file: Option<PathBuf>,

    /// Most events in a batch.
    #[arg(
        long = "audit-webhook-batch-max-size",
        env = "AUDIT_WEBHOOK_BATCH_MAX_SIZE",
        default_value = "400",
        value_parser = at_least_one
    )]
    webhook_batch_max_size: usize,

    /// How long an event waits for others, such as 30s.
    #[arg(
        long = "audit-webhook-batch-max-wait",
        env = "AUDIT_WEBHOOK_BATCH_MAX_WAIT",
        default_value = "30s",
        value_parser = duration
    )]
    webhook_batch_max_wait: Duration,

    /// Most events that wait for the webhook; further ones are dropped and counted.
    #[arg(
        long = "audit-webhook-batch-buffer-size",
        env = "AUDIT_WEBHOOK_BATCH_BUFFER_SIZE",
        default_value = "10000",
        value_parser = at_least_one
    )]
    webhook_batch_buffer_size: usize,

    /// How long after the first failure a batch is sent again; it is sent five times.
    #[arg(
        long = "audit-webhook-initial-backoff",
        env = "AUDIT_WEBHOOK_INITIAL_BACKOFF",
        default_value = "10s",
        value_parser = duration
    )]
    webhook_initial_backoff: Duration,
}

/// Form of the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AuditLogFormat {
    /// An Event of audit.k8s.io/v1 as JSON on each line.
    Json,
}

impl AuditFlags {
    /// Who records requests, if anybody should.
    ///
    /// # Errors
    /// A sentence that names the file that cannot be used, and why.
    pub(crate) async fn auditor(&self) -> Result<Option<Arc<Auditor>>, String> {
        let Self {
            policy_file,
            log_path,
            format: AuditLogFormat::Json,
            log_maxsize,
            log_maxbackup,
            log_maxage,
            webhook_config_file,
            webhook_batch_max_size,
            webhook_batch_max_wait,
            webhook_batch_buffer_size,
            webhook_initial_backoff,
        } = self;
        let log = log_path.clone().map(|path| LogOptions {
            path,
            max_size_mebibytes: *log_maxsize,
            max_backups: *log_maxbackup,
            max_age_days: *log_maxage,
        });
        let webhook = webhook_config_file
            .clone()
            .map(|config_file| WebhookOptions {
                config_file,
                batch_max_size: *webhook_batch_max_size,
                batch_max_wait: *webhook_batch_max_wait,
                buffer_size: *webhook_batch_buffer_size,
                initial_backoff: *webhook_initial_backoff,
            });
        let has_backend = log.is_some() || webhook.is_some();
        let Some(file) = policy_file else {
            if has_backend {
                tracing::warn!("no request is recorded: there is no --audit-policy-file");
            }
            return Ok(None);
        };
        let shown = file.display();
        let policy = std::fs::read(file)
            .map_err(|e| e.to_string())
            .and_then(|text| Policy::parse(&text))
            .map_err(|e| format!("cannot use the audit policy {shown}: {e}"))?;
        if !has_backend {
            tracing::warn!(
                "no request is recorded: there is neither --audit-log-path nor \
                 --audit-webhook-config-file"
            );
            return Ok(None);
        }
        Auditor::start(policy, log, webhook).await.map(Some)
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must hold one event at least".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}: write a number such as 400")),
    }
}
