//! Questions to a kube-apiserver that gives one answer to everything.

use std::convert::Infallible;

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, Full};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::{
    authentication::{TokenReviewer, Trust, TrustStore},
    authorization::SubjectAccessReviewer,
    request::{RequestInfo, UserInfo},
};

async fn kube_apiserver(code: u16, answer: Value) -> Client {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Bytes::from(answer.to_string());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = service_fn(move |_| {
                let mut response = Response::new(Full::new(answer.clone()));
                *response.status_mut() = StatusCode::from_u16(code).unwrap();
                std::future::ready(Ok::<_, Infallible>(response))
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    let mut config = Config::new(url.parse().unwrap());
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

/// The lines of the counters and gauges that these metrics have, in the order of the alphabet.
async fn lines(metrics: &Metrics, prefix: &str) -> Vec<String> {
    let body = metrics.respond().unwrap().into_body();
    let text = body.collect().await.unwrap().to_bytes();
    let text = std::str::from_utf8(&text).unwrap();
    let is_wanted = |line: &&str| line.starts_with(prefix) && !line.contains("_duration_");
    let mut lines: Vec<_> = text.lines().filter(is_wanted).map(str::to_owned).collect();
    lines.sort();
    lines
}

/// X11: a token is asked for once; who sends it again finds the answer in the cache.
#[tokio::test]
async fn a_known_token_is_a_hit_and_asks_nobody() {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "metadata": {}, "spec": {}, "status": {"authenticated": true, "user": {"username": "jane"}}});
    let reviewer = TokenReviewer::new(kube_apiserver(201, review).await);
    for _ in 0..3 {
        let user = reviewer.review("token".to_owned()).await.unwrap();
        assert_eq!(user.unwrap().name, "jane");
    }
    let trust = Arc::new(TrustStore::new(Trust::default()));
    let authenticator = Authenticator::new(trust, Some(reviewer));
    let mut metrics = Metrics::new(&[]);
    metrics.add_delegated(&authenticator, &crate::authorization::MastersOnly);
    let delegated = lines(&metrics, "apiserver_delegated_auth").await;
    let once = "apiserver_delegated_authn_request_total{code=\"201\"} 1";
    assert_eq!(delegated, [once]);
    assert_eq!(
        lines(&metrics, "authentication_token_cache").await,
        [
            "authentication_token_cache_active_fetch_count{status=\"blocked\"} 0",
            "authentication_token_cache_active_fetch_count{status=\"in_flight\"} 0",
            "authentication_token_cache_fetch_total{status=\"ok\"} 1",
            "authentication_token_cache_request_total{status=\"hit\"} 2",
            "authentication_token_cache_request_total{status=\"miss\"} 1",
        ]
    );
}

/// X11: a refused question counts under its code.
#[tokio::test]
async fn a_refused_access_review_counts_under_its_code() {
    let status = json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "message": "no", "reason": "Forbidden", "code": 403});
    let authorizer = SubjectAccessReviewer::new(kube_apiserver(403, status).await);
    let info = RequestInfo::parse(&Method::GET, "/version", None);
    let decision = authorizer.decide(&UserInfo::anonymous(), &info).await;
    assert_eq!(decision.unwrap_err().code(), 503);
    let trust = Arc::new(TrustStore::new(Trust::default()));
    let mut metrics = Metrics::new(&[]);
    metrics.add_delegated(&Authenticator::new(trust, None), &authorizer);
    let delegated = lines(&metrics, "apiserver_delegated_auth").await;
    let once = "apiserver_delegated_authz_request_total{code=\"403\"} 1";
    assert_eq!(delegated, [once]);
}
