//! A server in the same process, asked as the aggregator would ask it.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use http_body_util::Empty;
use hyper::{
    Request, Response, StatusCode, body::Bytes, body::Incoming, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::{ServerConfig, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{ProbeError, Question, ask};
use crate::certificates::{KeyPair, Policy, Stored, Tls, renew};

fn tls() -> Tls {
    let policy = Policy {
        ca_seconds: 36_000,
        serving_seconds: 3_600,
        dns_names: vec!["records.apps.svc".into()],
    };
    renew(Timestamp::now(), &Stored::default(), &policy).unwrap()
}

async fn server(serving: &KeyPair, status: StatusCode) -> SocketAddr {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(serving.certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(serving.key.as_bytes()).unwrap(),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await?;
        let service = service_fn(move |request: Request<Incoming>| async move {
            assert_eq!(request.uri().path(), "/apis/records.example.com/v1");
            let mut response = Response::new(Empty::<Bytes>::new());
            *response.status_mut() = status;
            Ok::<_, Infallible>(response)
        });
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
        Ok::<_, std::io::Error>(())
    });
    address
}

fn question(tls: &Tls, endpoints: Vec<SocketAddr>) -> Question {
    Question {
        endpoints,
        server_name: "records.apps.svc".into(),
        bundle: tls.bundle.clone(),
        group: "records.example.com".into(),
        version: "v1".into(),
    }
}

/// F1: a server that answers, even with a refusal of the caller, may be registered.
#[tokio::test]
async fn a_server_that_knows_the_path_answers() {
    let tls = tls();
    for status in [
        StatusCode::OK,
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
    ] {
        let endpoint = server(&tls.serving, status).await;
        ask(&question(&tls, vec![endpoint])).await.unwrap();
    }
}

/// F1: a server that does not serve the version, or breaks, may not.
#[tokio::test]
async fn a_server_that_does_not_know_the_path_does_not_answer() {
    let tls = tls();
    for status in [StatusCode::NOT_FOUND, StatusCode::INTERNAL_SERVER_ERROR] {
        let endpoint = server(&tls.serving, status).await;
        let error = ask(&question(&tls, vec![endpoint])).await.unwrap_err();
        assert!(
            matches!(error, ProbeError::Refused(_, found) if found == status),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_server_with_a_certificate_of_another_authority_does_not_answer() {
    let (ours, other) = (tls(), tls());
    let endpoint = server(&other.serving, StatusCode::OK).await;
    let error = ask(&question(&ours, vec![endpoint])).await.unwrap_err();
    assert!(matches!(error, ProbeError::Handshake(..)), "{error}");
}

#[tokio::test]
async fn one_endpoint_that_answers_is_enough() {
    let tls = tls();
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let good = server(&tls.serving, StatusCode::OK).await;
    ask(&question(&tls, vec![closed, good])).await.unwrap();
    let error = ask(&question(&tls, vec![closed])).await.unwrap_err();
    assert!(matches!(error, ProbeError::Connect(..)), "{error}");
    assert!(matches!(
        ask(&question(&tls, vec![])).await.unwrap_err(),
        ProbeError::NoEndpoint
    ));
}
