//! `/livez`, `/readyz` and `/metrics`, with plain HTTP: nothing here is secret, and the kubelet
//! needs no certificate.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::metrics::Metrics;

/// Connections served at once: a kubelet and a few scrapers.
const CONNECTIONS_MAX: usize = 32;

/// How long a client may take to send its request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether the operator has seen the cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// The caches are filled.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Serves until the token is cancelled.
pub(crate) async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    metrics: Metrics,
    shutdown: CancellationToken,
) {
    let connections = TaskTracker::new();
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        let (Ok((stream, _)), Ok(permit)) = (accepted, permits.clone().try_acquire_owned()) else {
            continue;
        };
        let (readiness, metrics, shutdown) = (readiness.clone(), metrics.clone(), shutdown.clone());
        connections.spawn(async move {
            let _permit = permit;
            let service = service_fn(move |request: Request<Incoming>| {
                let response = answer(request.uri().path(), &readiness, &metrics);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                result = connection => if let Err(error) = result {
                    tracing::debug!(error = &error as &dyn std::error::Error, "health connection ended");
                },
                () = shutdown.cancelled() => {}
            }
        });
    }
    connections.close();
    connections.wait().await;
}

fn answer(path: &str, readiness: &Readiness, metrics: &Metrics) -> Response<Full<Bytes>> {
    let (status, body) = match path {
        "/livez" | "/healthz" => (StatusCode::OK, "ok".to_owned()),
        "/readyz" if readiness.get() => (StatusCode::OK, "ok".to_owned()),
        "/readyz" => (
            StatusCode::SERVICE_UNAVAILABLE,
            "waiting for the first lists".to_owned(),
        ),
        "/metrics" => match metrics.text() {
            Ok(text) => (StatusCode::OK, text),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        },
        _ => (StatusCode::NOT_FOUND, "not found".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    // Prometheus 3 takes nothing without a type.
    let content_type = if path == "/metrics" && status == StatusCode::OK {
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8")
    } else {
        HeaderValue::from_static("text/plain; charset=utf-8")
    };
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::{Readiness, answer};
    use crate::metrics::Metrics;

    #[test]
    fn ready_is_not_alive() {
        let (readiness, metrics) = (Readiness::default(), Metrics::default());
        assert_eq!(
            answer("/livez", &readiness, &metrics).status(),
            StatusCode::OK
        );
        assert_eq!(
            answer("/readyz", &readiness, &metrics).status(),
            StatusCode::SERVICE_UNAVAILABLE
        );
        readiness.set();
        assert_eq!(
            answer("/readyz", &readiness, &metrics).status(),
            StatusCode::OK
        );
        assert_eq!(
            answer("/other", &readiness, &metrics).status(),
            StatusCode::NOT_FOUND
        );
    }

    #[test]
    fn metrics_say_in_which_format_they_are() {
        let answer = answer("/metrics", &Readiness::default(), &Metrics::default());
        assert_eq!(answer.status(), StatusCode::OK);
        let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!(answer.headers()["content-type"], format);
    }
}
