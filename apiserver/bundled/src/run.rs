//! From the flags to a running server, and to its end.

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use anyhow::{Context, anyhow};
use apimachinery::Object;
use apiserver::{
    ApiServer, Health,
    authentication::{
        Authenticator, TokenReviewer, Trust, TrustStore, follow_authentication_config,
    },
    authorization::{Authorizer, MastersOnly, SubjectAccessReviewer},
    standalone::Standalone,
    transport::{CertificateSource, Listener, ServingCertificate, TlsConfig},
};
use jiff::Timestamp;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use storage::{MemoryStorage, Storage};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    datarecord,
    flags::{Flags, StorageFlag},
};

/// What differs between a server in a cluster and one that stands alone.
struct Surroundings {
    tls: TlsConfig,
    trust: Arc<TrustStore>,
    authenticator: Authenticator,
    authorizer: Box<dyn Authorizer>,
    certificate_source: Option<CertificateSource>,
    address: SocketAddr,
    standalone: Option<Standalone>,
}

/// Serves until a signal comes.
pub(crate) async fn run(flags: Flags) -> anyhow::Result<()> {
    let mut signals = StopSignals::install()?;
    let shutdown = CancellationToken::new();
    let mut health = Health::default();
    let surroundings = if flags.standalone {
        standalone(&flags)?
    } else {
        in_cluster(&flags, &mut health).await?
    };
    let storage: Arc<dyn Storage> = match flags.storage {
        StorageFlag::Memory => Arc::new(MemoryStorage::default()),
    };
    let stopping = CancellationToken::new();
    let stopping_check = stopping.clone();
    health.add_readiness_check("shutdown", move || {
        if stopping_check.is_cancelled() {
            Err("stopping".to_owned())
        } else {
            Ok(())
        }
    });
    let Surroundings {
        tls,
        trust,
        authenticator,
        authorizer,
        certificate_source,
        address,
        standalone,
    } = surroundings;
    let definitions = vec![datarecord::definition().map_err(|e| anyhow!(e))?];
    let server = ApiServer::new(
        definitions,
        &storage,
        authenticator,
        authorizer,
        health,
        shutdown.clone(),
    )
    .map_err(|e| anyhow!(e))?;
    let server = Arc::new(server);
    if flags.seed_examples || flags.standalone {
        seed(&server).await?;
    }
    let tls = Arc::new(tls);
    let listener = Listener::bind(address, Arc::clone(&tls))
        .await
        .with_context(|| format!("cannot listen on {address}; choose another --secure-port"))?;
    let address = listener.local_addr()?;
    tracing::info!(%address, storage = ?flags.storage, "serving");
    if let Some(standalone) = standalone {
        announce(&standalone, address, &flags.standalone_kubeconfig)?;
    }
    let follow = tokio::spawn(async move { tls.follow(certificate_source, &trust).await });
    let serving = {
        let server = Arc::clone(&server);
        let handler = move |connection, request| Arc::clone(&server).handle(connection, request);
        tokio::spawn(listener.serve(handler, shutdown.clone()))
    };
    signals.next().await;
    tokio::select! {
        ended = stop(&flags, &stopping, &shutdown, serving) => ended?,
        () = signals.next() => {
            tracing::warn!("stopped at once: a second signal came");
        }
    }
    follow.abort();
    Ok(())
}

/// Not ready any more, then no new connections, then the end of what is in flight.
async fn stop(
    flags: &Flags,
    stopping: &CancellationToken,
    shutdown: &CancellationToken,
    serving: JoinHandle<()>,
) -> anyhow::Result<()> {
    stopping.cancel();
    tracing::info!("stopping: not ready any more, still serving");
    tokio::time::sleep(flags.shutdown_delay_duration).await;
    shutdown.cancel();
    serving.await.context("the listener failed")?;
    tracing::info!("stopped");
    Ok(())
}

fn standalone(flags: &Flags) -> anyhow::Result<Surroundings> {
    let standalone = Standalone::mint().map_err(|e| anyhow!(e))?;
    let trust = Arc::new(TrustStore::new(standalone.trust.clone()));
    Ok(Surroundings {
        tls: TlsConfig::new(standalone.certificate.clone(), &trust.load())
            .map_err(|e| anyhow!(e))?,
        authenticator: Authenticator::new(Arc::clone(&trust), None),
        trust,
        authorizer: Box::new(MastersOnly),
        certificate_source: None,
        address: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), flags.secure_port),
        standalone: Some(standalone),
    })
}

async fn in_cluster(flags: &Flags, health: &mut Health) -> anyhow::Result<Surroundings> {
    let source = CertificateSource {
        certificate: flags.tls_cert_file.clone(),
        key: flags.tls_private_key_file.clone(),
    };
    let (certificate, key) = source.read().map_err(|e| {
        anyhow!("{e}: mount the certificate's Secret, or name the files with --tls-cert-file and --tls-private-key-file")
    })?;
    let certificate = ServingCertificate::from_pem(&certificate, &key).map_err(|e| anyhow!(e))?;
    let client = client(flags.kubeconfig.as_deref()).await?;
    let trust = Arc::new(TrustStore::new(Trust::default()));
    tokio::spawn(follow_authentication_config(
        client.clone(),
        Arc::clone(&trust),
    ));
    let trusted = Arc::clone(&trust);
    health.add_readiness_check("request-header-authority", move || {
        match trusted.load().front_proxy {
            Some(_) => Ok(()),
            None => {
                Err("kube-system/extension-apiserver-authentication was not read yet".to_owned())
            }
        }
    });
    Ok(Surroundings {
        tls: TlsConfig::new(certificate, &trust.load()).map_err(|e| anyhow!(e))?,
        authenticator: Authenticator::new(
            Arc::clone(&trust),
            Some(TokenReviewer::new(client.clone())),
        ),
        trust,
        authorizer: Box::new(SubjectAccessReviewer::new(client)),
        certificate_source: Some(source),
        address: SocketAddr::new(flags.bind_address, flags.secure_port),
        standalone: None,
    })
}

/// A client that fails fast: whoever waits for an answer has a deadline of their own.
async fn client(kubeconfig: Option<&Path>) -> anyhow::Result<Client> {
    let mut config = match kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path)
                .with_context(|| format!("cannot read --kubeconfig {}", path.display()))?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?
        }
        None => Config::incluster().context(
            "not in a cluster: give --kubeconfig, or try --standalone, which needs no cluster",
        )?,
    };
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// Writes the example records that are absent, status included.
async fn seed(server: &ApiServer) -> anyhow::Result<()> {
    let store = server
        .store(datarecord::GROUP, datarecord::VERSION, datarecord::PLURAL)
        .context("DataRecord is not served")?;
    for (namespace, example) in datarecord::examples(Timestamp::now()) {
        let object = Object::from_value(example).map_err(|e| anyhow!(e))?;
        store.seed(namespace, object).await?;
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

/// SIGTERM and SIGINT. They are taken over before anything is served: until then they end the
/// process at once, whatever it is doing.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn install() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
