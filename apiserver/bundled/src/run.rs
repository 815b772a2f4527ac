//! From the flags to a running server.

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, anyhow};
use apimachinery::Object;
#[cfg(feature = "otlp")]
use apiserver::traces::{Traces, TracingConfiguration};
use apiserver::{
    ApiServer,
    registry::Store,
    serving::{Server, Surroundings, cluster_client},
    standalone::Standalone,
    transport::CertificateSource,
};
use jiff::Timestamp;

use crate::{datarecord, flags::Flags};

/// How long the start waits for the examples: a store that can be used takes them at once, and one
/// that cannot must not keep the server from answering.
const SEED_PATIENCE: Duration = Duration::from_secs(2);
/// Time until the examples are tried again.
const SEED_PAUSE: Duration = Duration::from_secs(1);

/// Serves until a signal comes.
pub(crate) async fn run(flags: Flags) -> anyhow::Result<()> {
    let resources = vec![datarecord::definition().map_err(|e| anyhow!(e))?.into()];
    let backend = flags.storage.backend().map_err(|e| anyhow!(e))?;
    tracing::info!(storage = ?backend, "starting");
    let storage = backend.start().map_err(|e| anyhow!(e))?;
    let auditor = flags.audit.auditor().await.map_err(|e| anyhow!(e))?;
    let standalone = flags
        .standalone
        .then(Standalone::mint)
        .transpose()
        .map_err(|e| anyhow!(e))?;
    let (surroundings, address) = match &standalone {
        Some(standalone) => (
            Surroundings::standalone(standalone).map_err(|e| anyhow!(e))?,
            Ipv4Addr::LOCALHOST.into(),
        ),
        None => (in_cluster(&flags).await?, flags.bind_address),
    };
    let address = SocketAddr::new(address, flags.secure_port);
    let surroundings = if flags.anonymous_auth {
        surroundings
    } else {
        surroundings.without_anonymous()
    };
    let surroundings = surroundings.with_auditor(auditor);
    #[cfg(feature = "otlp")]
    let traces = traces(flags.tracing_config_file.as_deref())?;
    #[cfg(feature = "otlp")]
    let surroundings = surroundings.with_traces(traces.clone());
    let server = Server::bind(address, resources, &storage, surroundings)
        .await
        .map_err(|e| anyhow!(e))?;
    if flags.seed_examples || flags.standalone {
        seed(server.api()).await?;
    }
    if let Some(standalone) = standalone {
        announce(&standalone, server.address(), &flags.standalone_kubeconfig)?;
    }
    let end = server
        .with_goaway_chance(flags.goaway_chance)
        .run(flags.shutdown_delay_duration)
        .await;
    #[cfg(feature = "otlp")]
    if let Some(traces) = traces {
        traces.stop().await;
    }
    end.map_err(|e| anyhow!(e))
}

#[cfg(feature = "otlp")]
fn traces(path: Option<&Path>) -> anyhow::Result<Option<Arc<Traces>>> {
    let Some(path) = path else { return Ok(None) };
    let start = || {
        let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
        Traces::start(
            &TracingConfiguration::parse(&bytes)?,
            env!("CARGO_PKG_NAME"),
        )
    };
    let traces = start().map_err(|e| anyhow!("--tracing-config-file {}: {e}", path.display()))?;
    Ok(Some(Arc::new(traces)))
}

async fn in_cluster(flags: &Flags) -> anyhow::Result<Surroundings> {
    let source = CertificateSource {
        certificate: flags.tls_cert_file.clone(),
        key: flags.tls_private_key_file.clone(),
    };
    let client = cluster_client(flags.kubeconfig.as_deref())
        .await
        .map_err(|e| anyhow!("{e}; --standalone needs no cluster"))?;
    Surroundings::in_cluster(client, source).map_err(|e| {
        anyhow!("{e}: mount the certificate's Secret, or name the files with --tls-cert-file and --tls-private-key-file")
    })
}

/// Writes the example records that are absent, status included: before anything is served, or
/// later when the store cannot be used yet.
async fn seed(server: &ApiServer) -> anyhow::Result<()> {
    let store = server
        .store(datarecord::GROUP, datarecord::VERSION, datarecord::PLURAL)
        .context("DataRecord is not served")?;
    let mut seeding = tokio::spawn(seed_until_done(Arc::clone(store)));
    match tokio::time::timeout(SEED_PATIENCE, &mut seeding).await {
        Ok(seeded) => seeded?,
        Err(_) => Ok(()),
    }
}

async fn seed_until_done(store: Arc<Store>) -> anyhow::Result<()> {
    for (namespace, example) in datarecord::examples(Timestamp::now()) {
        let object = Object::from_value(example).map_err(|e| anyhow!(e))?;
        while let Err(error) = store.seed(namespace, object.clone()).await {
            if error.retry_after_seconds().is_none() {
                return Err(error.into());
            }
            tokio::time::sleep(SEED_PAUSE).await;
        }
    }
    Ok(())
}

fn announce(standalone: &Standalone, address: SocketAddr, path: &Path) -> anyhow::Result<()> {
    let kubeconfig = standalone.kubeconfig(address).to_string();
    write_private(path, kubeconfig.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))?;
    // One write, so that a reader who leaves after the first line does not end the server.
    let text = format!(
        "Serving DataRecords on https://{address}. In another terminal:\n  \
         kubectl --kubeconfig {} get datarecords -A\n",
        path.display()
    );
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}

/// A file that only its owner can read, since it holds a key.
fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)
}
