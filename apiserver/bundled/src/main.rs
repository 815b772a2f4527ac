//! The extension API server that this project ships.

mod audit;
mod datarecord;
mod flags;
mod run;
mod storage;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use flags::{Flags, LogFormat};

/// Two threads serve thousands of requests a second; more would only cost memory.
#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match flags.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    // Libraries that do not take a provider find this one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run::run(flags).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
