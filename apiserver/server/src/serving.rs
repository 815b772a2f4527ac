//! From an [`ApiServer`]'s parts to a server that listens, and to its end.
//!
//! [`Surroundings`] are what the server gets from where it runs; [`Server`] is all the rest. What is
//! served and how it is configured stays with the program: this reads no flags and writes no files.
//! It follows `k8s.io/apiserver/pkg/server`, from `RecommendedOptions` to `PreparedGenericAPIServer`.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use storage::Storage;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

#[cfg(feature = "otlp")]
use crate::traces::Traces;
use crate::{
    ApiServer, Health, Resource,
    admission::{Admission, AnyNamespace, ClusterAdmission},
    audit::Auditor,
    authentication::{
        Authenticator, TokenReviewer, Trust, TrustStore, follow_authentication_config,
    },
    authorization::{Authorizer, MastersOnly, SubjectAccessReviewer},
    standalone::Standalone,
    transport::{CertificateSource, Listener, ServingCertificate, TlsConfig},
};

/// The certificate that the server shows, and who decides about its users.
#[derive(Debug)]
pub struct Surroundings {
    tls: TlsConfig,
    trust: Arc<TrustStore>,
    authenticator: Authenticator,
    authorizer: Box<dyn Authorizer>,
    admission: Arc<dyn Admission>,
    auditor: Option<Arc<Auditor>>,
    #[cfg(feature = "otlp")]
    traces: Option<Arc<Traces>>,
    certificate_source: Option<CertificateSource>,
    health: Health,
}

/// A server whose port is bound.
#[derive(Debug)]
pub struct Server {
    api: Arc<ApiServer>,
    tls: Arc<TlsConfig>,
    trust: Arc<TrustStore>,
    auditor: Option<Arc<Auditor>>,
    certificate_source: Option<CertificateSource>,
    listener: Listener,
    address: SocketAddr,
    signals: StopSignals,
    /// Not ready any more.
    stopping: CancellationToken,
    /// The end of every watch and of the background tasks.
    shutdown: CancellationToken,
}

/// A client that fails fast, since whoever waits for an answer has a deadline of their own: for the
/// cluster of a kubeconfig, or for the one that this process runs in.
///
/// # Errors
/// A sentence that says what is missing.
pub async fn cluster_client(kubeconfig: Option<&Path>) -> Result<Client, String> {
    let mut config = match kubeconfig {
        Some(path) => {
            let cannot_use = |e| format!("cannot use the kubeconfig {}: {e}", path.display());
            let kubeconfig = Kubeconfig::read_from(path).map_err(cannot_use)?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                .await
                .map_err(cannot_use)?
        }
        None => Config::incluster()
            .map_err(|e| format!("not in a cluster, so give a kubeconfig: {e}"))?,
    };
    config.default_retry = false;
    Client::try_from(config).map_err(|e| format!("cannot make a client: {e}"))
}

// === impl Surroundings ===

impl Surroundings {
    /// The cluster decides: kube-apiserver says which authorities count, who a token belongs to and
    /// who may do what, and which namespaces there are. The server is not ready before it has heard from it.
    ///
    /// # Errors
    /// A sentence that names the certificate's file that cannot be used.
    pub fn in_cluster(client: Client, source: CertificateSource) -> Result<Self, String> {
        let (certificate, key) = source.read()?;
        let certificate = ServingCertificate::from_pem(&certificate, &key)?;
        let trust = Arc::new(TrustStore::new(Trust::default()));
        tokio::spawn(follow_authentication_config(
            client.clone(),
            Arc::clone(&trust),
        ));
        let mut health = Health::default();
        let trusted = Arc::clone(&trust);
        health.add_readiness_check("request-header-authority", move || {
            match trusted.load().front_proxy {
                Some(_) => Ok(()),
                None => Err(
                    "kube-system/extension-apiserver-authentication was not read yet".to_owned(),
                ),
            }
        });
        let reviewer = TokenReviewer::new(client.clone());
        let admission = ClusterAdmission::start(&client);
        Ok(Self {
            tls: TlsConfig::new(certificate, &trust.load())?,
            authenticator: Authenticator::new(Arc::clone(&trust), Some(reviewer)),
            trust,
            authorizer: Box::new(SubjectAccessReviewer::new(client)),
            admission,
            auditor: None,
            #[cfg(feature = "otlp")]
            traces: None,
            certificate_source: Some(source),
            health,
        })
    }

    /// No cluster: whoever has the one client certificate may do everything, nobody else anything.
    ///
    /// # Errors
    /// A sentence when the certificate cannot be used for TLS.
    pub fn standalone(standalone: &Standalone) -> Result<Self, String> {
        let trust = Arc::new(TrustStore::new(standalone.trust.clone()));
        Ok(Self {
            tls: TlsConfig::new(standalone.certificate.clone(), &trust.load())?,
            authenticator: Authenticator::new(Arc::clone(&trust), None),
            trust,
            authorizer: Box::new(MastersOnly),
            admission: Arc::new(AnyNamespace),
            auditor: None,
            #[cfg(feature = "otlp")]
            traces: None,
            certificate_source: None,
            health: Health::default(),
        })
    }

    /// Who shows no credential is refused, but for the health checks.
    #[must_use]
    pub fn without_anonymous(self) -> Self {
        Self {
            authenticator: self.authenticator.without_anonymous(),
            ..self
        }
    }

    /// Requests are recorded, if there is an auditor.
    #[must_use]
    pub fn with_auditor(self, auditor: Option<Arc<Auditor>>) -> Self {
        Self { auditor, ..self }
    }

    /// Requests are traced, if there are traces. Whoever gives them stops them once the server has
    /// [run](Server::run).
    #[cfg(feature = "otlp")]
    #[must_use]
    pub fn with_traces(self, traces: Option<Arc<Traces>>) -> Self {
        Self { traces, ..self }
    }
}

// === impl Server ===

impl Server {
    /// Loads the resources and takes the port; requests are answered once it [runs](Self::run).
    ///
    /// # Errors
    /// A sentence that names the resource whose definition is wrong, or the address.
    pub async fn bind(
        address: SocketAddr,
        resources: Vec<Resource>,
        storage: &Arc<dyn Storage>,
        surroundings: Surroundings,
    ) -> Result<Self, String> {
        let signals = StopSignals::install().map_err(|e| format!("cannot take signals: {e}"))?;
        let Surroundings {
            tls,
            trust,
            authenticator,
            authorizer,
            admission,
            auditor,
            #[cfg(feature = "otlp")]
            traces,
            certificate_source,
            mut health,
        } = surroundings;
        let (stopping, shutdown) = (CancellationToken::new(), CancellationToken::new());
        let stopped = stopping.clone();
        health.add_readiness_check("shutdown", move || {
            if stopped.is_cancelled() {
                Err("stopping".to_owned())
            } else {
                Ok(())
            }
        });
        let api = ApiServer::new(
            resources,
            &admission,
            storage,
            authenticator,
            authorizer,
            health,
            shutdown.clone(),
        )?
        .with_auditor(auditor.clone());
        #[cfg(feature = "otlp")]
        let api = api.with_traces(traces);
        let tls = Arc::new(tls);
        let cannot_listen = |e| format!("cannot listen on {address}: {e}: choose another port");
        let listener = Listener::bind(address, Arc::clone(&tls), api.handshake_errors().clone())
            .await
            .map_err(cannot_listen)?;
        Ok(Self {
            api: Arc::new(api),
            tls,
            trust,
            auditor,
            certificate_source,
            address: listener.local_addr().map_err(cannot_listen)?,
            listener,
            signals,
            stopping,
            shutdown,
        })
    }

    /// How likely a request of HTTP/2 ends its connection, as [`Listener::with_goaway_chance`].
    #[must_use]
    pub fn with_goaway_chance(mut self, chance: f64) -> Self {
        self.listener = self.listener.with_goaway_chance(chance);
        self
    }

    /// What answers the requests, for whoever has objects to put in first.
    pub fn api(&self) -> &ApiServer {
        &self.api
    }

    /// The address with the port that was chosen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until SIGTERM or SIGINT. It then is not ready any more but goes on for
    /// `shutdown_delay`, so that the cluster can stop sending; then requests in flight come to
    /// their end. A second signal ends it at once.
    ///
    /// # Errors
    /// A sentence when the listener has failed.
    pub async fn run(self, shutdown_delay: Duration) -> Result<(), String> {
        let Self {
            api,
            tls,
            trust,
            auditor,
            certificate_source,
            listener,
            address,
            mut signals,
            stopping,
            shutdown,
        } = self;
        tracing::info!(%address, "serving");
        let follow = tokio::spawn(async move { tls.follow(certificate_source, &trust).await });
        let handler = move |connection, request| Arc::clone(&api).handle(connection, request);
        let serving = tokio::spawn(listener.serve(handler, shutdown.clone()));
        signals.next().await;
        stopping.cancel();
        tokio::select! {
            ended = stop(shutdown_delay, &shutdown, serving, auditor.as_deref()) => ended?,
            () = signals.next() => {
                tracing::warn!("stopped at once: a second signal came");
            }
        }
        follow.abort();
        Ok(())
    }
}

/// First no new connections, then the end of what is in flight, then of what is recorded of it.
async fn stop(
    delay: Duration,
    shutdown: &CancellationToken,
    serving: JoinHandle<()>,
    auditor: Option<&Auditor>,
) -> Result<(), String> {
    tracing::info!("stopping: not ready any more, still serving");
    tokio::time::sleep(delay).await;
    shutdown.cancel();
    serving
        .await
        .map_err(|e| format!("the listener failed: {e}"))?;
    if let Some(auditor) = auditor {
        auditor.stop().await;
    }
    tracing::info!("stopped");
    Ok(())
}

/// SIGTERM and SIGINT. They are taken over before anything is served: until then they end the
/// process at once, whatever it is doing.
#[derive(Debug)]
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

// === impl StopSignals ===

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
