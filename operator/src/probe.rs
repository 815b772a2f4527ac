//! Asks a server, as the aggregator would, whether it answers for a group and version.
//!
//! An `APIService` in front of nothing blocks the deletion of every namespace, so none is created
//! before this question was answered. The connection is made as in kube-aggregator's
//! `remote_available_controller.go`: to an address, with the Service's name to verify and nothing
//! but the bundle trusted. The operator has no identity there, so being turned away
//! counts as an answer.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use http_body_util::Empty;
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, crypto::ring};
use rustls_pki_types::ServerName;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::certificates;

/// Half of what the aggregator allows: a server that needs longer is not healthy.
const TIMEOUT: Duration = Duration::from_millis(2500);

/// Endpoints asked at once; one that answers is enough, as upstream.
const ENDPOINTS_MAX: usize = 5;

/// Where and what to ask.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// Ready endpoints.
    pub endpoints: Vec<SocketAddr>,
    /// The name that the certificate has to be valid for.
    pub server_name: String,
    /// The trusted certificates, as PEM.
    pub bundle: String,
    /// The API group.
    pub group: String,
    /// The version.
    pub version: String,
}

/// Why no endpoint gave an answer.
#[derive(Debug, Error)]
pub(crate) enum ProbeError {
    /// There is nobody to ask.
    #[error("no ready endpoint")]
    NoEndpoint,
    /// The bundle or the name cannot be used.
    #[error("the question cannot be asked")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("{0} gave no answer in time")]
    Timeout(SocketAddr),
    /// No connection.
    #[error("cannot connect to {0}")]
    Connect(SocketAddr, #[source] std::io::Error),
    /// No handshake.
    #[error("no TLS handshake with {0}")]
    Handshake(SocketAddr, #[source] std::io::Error),
    /// No HTTP.
    #[error("no HTTP answer from {0}")]
    Http(SocketAddr, #[source] hyper::Error),
    /// An answer that says no.
    #[error("{0} answered {1}")]
    Refused(SocketAddr, StatusCode),
}

/// Succeeds as soon as one endpoint answers.
pub(crate) async fn ask(question: &Question) -> Result<(), ProbeError> {
    let setup = |error: Box<dyn std::error::Error + Send + Sync>| ProbeError::Setup(error);
    let roots = certificates::roots(&question.bundle).map_err(|error| setup(error.into()))?;
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| setup(error.into()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tls = TlsConnector::from(Arc::new(tls));
    let name =
        ServerName::try_from(question.server_name.clone()).map_err(|error| setup(error.into()))?;
    let mut answers: FuturesUnordered<_> = question
        .endpoints
        .iter()
        .take(ENDPOINTS_MAX)
        .map(|&endpoint| {
            let (tls, name) = (tls.clone(), name.clone());
            async move {
                tokio::time::timeout(TIMEOUT, ask_one(endpoint, tls, name, question))
                    .await
                    .unwrap_or(Err(ProbeError::Timeout(endpoint)))
            }
        })
        .collect();
    let mut last = ProbeError::NoEndpoint;
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(()) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn ask_one(
    endpoint: SocketAddr,
    tls: TlsConnector,
    name: ServerName<'static>,
    question: &Question,
) -> Result<(), ProbeError> {
    let http = |error| ProbeError::Http(endpoint, error);
    let stream = TcpStream::connect(endpoint)
        .await
        .map_err(|error| ProbeError::Connect(endpoint, error))?;
    let stream = tls
        .connect(name, stream)
        .await
        .map_err(|error| ProbeError::Handshake(endpoint, error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
    let request = Request::get(format!("/apis/{}/{}", question.group, question.version))
        .header(HOST, &question.server_name)
        .body(Empty::<Bytes>::new())
        .map_err(|error| ProbeError::Setup(error.into()))?;
    let response = tokio::select! {
        response = sender.send_request(request) => response.map_err(http)?,
        result = connection => return Err(match result {
            Ok(()) => ProbeError::NoEndpoint,
            Err(error) => http(error),
        }),
    };
    if is_answer(response.status()) {
        Ok(())
    } else {
        Err(ProbeError::Refused(endpoint, response.status()))
    }
}

fn is_answer(status: StatusCode) -> bool {
    status.is_success()
        || status.is_redirection()
        || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

#[cfg(test)]
mod tests;
