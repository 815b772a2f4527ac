//! The operator's program.

use anyhow::{Context as _, anyhow};
use clap::Parser;
use kube::{Client, Config};
use operator::{
    args::{Cli, Command, LogFormat},
    cleanup::cleanup,
    run::run,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow!("a TLS provider is installed already"))?;
    match cli.command {
        Some(Command::Cleanup(args)) => {
            log(args.log_format);
            cleanup(&client().await?, args.timeout())
                .await
                .context("cleanup failed")
        }
        None => {
            log(cli.run.log_format);
            run(client().await?, &cli.run, shutdown()?)
                .await
                .context("the operator failed")
        }
    }
}

/// A client that does not retry on its own: each reconcile is retried as a whole, and a request
/// that waits for minutes would hold one back.
async fn client() -> anyhow::Result<Client> {
    let mut config = Config::infer().await.context("no cluster to talk to")?;
    config.default_retry = false;
    Client::try_from(config).context("cannot make a client")
}

fn shutdown() -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancelled.cancel();
    });
    Ok(token)
}

fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,kube_runtime=warn"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().init(),
    }
}
