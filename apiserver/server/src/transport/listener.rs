//! Accepts connections and hands their requests to the chain.

use std::{
    convert::Infallible, future::Future, net::SocketAddr, pin::pin, sync::Arc, time::Duration,
};

use http::{Request, Response, Version};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{TlsConfig, idle::OpenRequests, patience::Patient, tls::HTTP2};
use crate::{authentication::PresentedCertificates, metrics::Counter, response::Body};

/// Connections at a time. An idle one costs about 24 KiB, so this bounds them to 240 MiB; the
/// aggregator needs a handful.
const CONNECTIONS_MAX: usize = 10_000;
/// How long a handshake may take, as Go's server allows.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the head of an HTTP/1 request may take, as upstream's `ReadHeaderTimeout`.
const HEADER_TIMEOUT: Duration = Duration::from_secs(32);
/// What a client of HTTP/2 says first, and how long that may take, as Go's server allows.
const PREFACE: (usize, Duration) = (24, Duration::from_secs(10));
/// Streams on one HTTP/2 connection: the aggregator sends every user's watches over few of them.
const STREAMS_MAX: u32 = 1000;
/// What may be in flight towards us, per stream and connection, as upstream.
const WINDOW: u32 = 256 * 1024;
/// What may wait in our memory for one slow stream.
const SEND_BUFFER_MAX: usize = 64 * 1024;
/// The request head of HTTP/2, as upstream's 1 MiB for HTTP/1.
const HEADER_LIST_MAX: u32 = 1024 * 1024;
/// How often a silent HTTP/2 peer is asked whether it lives, and how long it may take to answer.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(15));
/// How long requests in flight may take when the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// What is known of a connection.
#[derive(Debug)]
pub struct Connection {
    /// The other end.
    pub peer: SocketAddr,
    /// What the client showed in the handshake; not yet trusted.
    pub certificates: PresentedCertificates,
    /// Asks the connection to end.
    pub ending: CancellationToken,
}

/// A bound socket with its TLS configuration.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    tls: Arc<TlsConfig>,
    handshake_errors: Counter,
    goaway_chance: f64,
}

impl Listener {
    /// Binds an address. Handshakes that fail are counted.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn bind(
        address: SocketAddr,
        tls: Arc<TlsConfig>,
        handshake_errors: Counter,
    ) -> std::io::Result<Self> {
        Ok(Self {
            socket: TcpListener::bind(address).await?,
            tls,
            handshake_errors,
            goaway_chance: 0.0,
        })
    }

    /// How likely a request of HTTP/2 ends its connection, from 0 to 1: clients then spread anew over
    /// the servers behind one address. Requests in flight come to their end.
    #[must_use]
    pub fn with_goaway_chance(mut self, chance: f64) -> Self {
        self.goaway_chance = chance.clamp(0.0, 1.0);
        self
    }

    /// The bound address, with the port that was chosen.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until `shutdown`, then takes no new connection and lets requests in flight end.
    pub async fn serve<H, F>(self, handler: H, shutdown: CancellationToken)
    where
        H: Fn(Arc<Connection>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let connections = TaskTracker::new();
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = accept(&self.socket, &places) => accepted,
            };
            let (stream, peer, place) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let acceptor = TlsAcceptor::from(self.tls.load());
            let (handler, ending) = (handler.clone(), shutdown.child_token());
            let (goaway_chance, handshake_errors) =
                (self.goaway_chance, self.handshake_errors.clone());
            connections.spawn(async move {
                let _place = place;
                let Some(tls) = handshake(stream, peer, &acceptor).await else {
                    handshake_errors.inc();
                    return;
                };
                let certificates = tls.get_ref().1.peer_certificates();
                let connection = Connection {
                    peer,
                    certificates: certificates.unwrap_or_default().to_vec().into(),
                    ending,
                };
                tracing::debug!(%peer, issuer = connection.certificates.issuer(), "connected");
                serve_connection(tls, connection, handler, goaway_chance).await;
            });
        }
        drop(self.socket);
        connections.close();
        let drained = tokio::time::timeout(DRAIN_TIMEOUT, connections.wait()).await;
        if drained.is_err() {
            tracing::warn!("requests in flight did not end in time");
        }
    }
}

async fn accept(
    socket: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, peer) = socket.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer, place))
}

async fn handshake(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: &TlsAcceptor,
) -> Option<TlsStream<TcpStream>> {
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await;
    match handshake.ok()? {
        Ok(tls) => Some(tls),
        Err(error) => {
            tracing::debug!(%peer, %error, "TLS handshake failed");
            None
        }
    }
}

async fn serve_connection<H, F>(
    tls: TlsStream<TcpStream>,
    connection: Connection,
    handler: H,
    goaway_chance: f64,
) where
    H: Fn(Arc<Connection>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let (peer, ending) = (connection.peer, connection.ending.clone());
    let connection = Arc::new(connection);
    let requests = OpenRequests::none();
    let opened = requests.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let open = opened.begin();
        if request.version() == Version::HTTP_2 && rand::random_bool(goaway_chance) {
            connection.ending.cancel();
        }
        // On the heap, because a watch would keep its room as long as it streams.
        let answer = Box::pin(handler(Arc::clone(&connection), request));
        async move { Ok::<_, Infallible>(answer.await.map(|body| open.answered_by(body))) }
    });
    // As agreed in the handshake: to find it out by the first bytes, hyper waits for them without end.
    let is_http2 = tls.get_ref().1.alpn_protocol() == Some(HTTP2);
    let (builder, greeting) = if is_http2 {
        (http_builder().http2_only(), PREFACE.0)
    } else {
        (http_builder().http1_only(), 0)
    };
    let stream = Patient::new(tls, greeting, PREFACE.1);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let has_to_end = async {
        tokio::select! {
            () = ending.cancelled() => {}
            () = requests.idle(), if is_http2 => {}
        }
    };
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = has_to_end => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%peer, error, "connection ended");
    }
}

fn http_builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(SEND_BUFFER_MAX)
        .max_header_list_size(HEADER_LIST_MAX)
        .keep_alive_interval(KEEP_ALIVE.0)
        .keep_alive_timeout(KEEP_ALIVE.1);
    builder
}
