//! Who sends a request and whether they may: once it is known, and before.

use std::{convert::Infallible, sync::Arc, time::Duration};

use apiserver::{
    authentication::{
        Authenticator, CertificatePool, FrontProxyTrust, PresentedCertificates, TokenReviewer,
        Trust, TrustStore,
    },
    authorization::{Authorizer, SubjectAccessReviewer, authorize},
    request::RequestInfo,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use serde_json::{Value, json};

use crate::measure::{Bar, cost, print};

const BAR: Duration = Duration::from_micros(5);
const REQUESTS: u32 = 10_000;
const RUNS: usize = 20;

pub(crate) async fn run() {
    let (trust, chain) = front_proxy();
    let store = Arc::new(TrustStore::new(trust));
    let authenticator = Authenticator::new(store, Some(TokenReviewer::new(client())));
    let authorizer = SubjectAccessReviewer::new(client());
    let connection = PresentedCertificates::from(chain.clone());
    let nothing = PresentedCertificates::default();
    let (proxied, bearer) = (proxied(), bearer());

    let known = [
        (
            "a known user of the aggregator, and their permission",
            &connection,
            &proxied,
        ),
        ("a known token, and its permission", &nothing, &bearer),
    ];
    for (name, certificates, headers) in known {
        let once = async || ask(&authenticator, &authorizer, certificates, headers).await;
        once().await;
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            let requests = async {
                for _ in 0..REQUESTS {
                    once().await;
                }
            };
            runs.push(cost(requests).await);
        }
        print(name, runs, REQUESTS, Bar::Below(BAR));
    }

    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let connection = PresentedCertificates::from(chain.clone());
        runs.push(cost(ask(&authenticator, &authorizer, &connection, &proxied)).await);
    }
    print("the first request of a connection", runs, 1, Bar::None);
}

async fn ask(
    authenticator: &Authenticator,
    authorizer: &dyn Authorizer,
    certificates: &PresentedCertificates,
    headers: &HeaderMap,
) {
    let mut headers = headers.clone();
    let path = "/apis/bench.io/v1/namespaces/default/records/record-1";
    let info = RequestInfo::parse(&Method::GET, path, None);
    let user = authenticator
        .authenticate(&mut headers, certificates, &info)
        .await;
    let user = user.expect("the credential is good");
    let decision = authorize(authorizer, &user, &info).await;
    decision.expect("everything is allowed");
}

fn proxied() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("x-remote-user", HeaderValue::from_static("jane"));
    headers.append("x-remote-group", HeaderValue::from_static("dev"));
    headers.append(
        "x-remote-group",
        HeaderValue::from_static("system:authenticated"),
    );
    headers.insert("accept", HeaderValue::from_static("application/json"));
    headers.insert("user-agent", HeaderValue::from_static("kubectl/v1.36.3"));
    headers
}

fn bearer() -> HeaderMap {
    let mut headers = HeaderMap::new();
    // As long as the token of a service account.
    let token = format!("Bearer {}", "a".repeat(1000));
    let token = HeaderValue::from_str(&token).expect("it is text");
    headers.insert("authorization", token);
    headers
}

/// A cluster that knows every token and allows everything.
fn client() -> Client {
    let service = tower::service_fn(|request: Request<Body>| async move {
        let body = request
            .into_body()
            .collect()
            .await
            .expect("it is in memory");
        let mut review: Value = serde_json::from_slice(&body.to_bytes()).expect("it is a review");
        let user = json!({"username": "robot", "groups": ["system:serviceaccounts"]});
        review["status"] = json!({"authenticated": true, "user": user, "allowed": true});
        Ok::<_, Infallible>(Response::new(Body::from(review.to_string().into_bytes())))
    });
    Client::new(service, "default")
}

/// An authority, and the certificate chain of the aggregator that it signed.
fn front_proxy() -> (Trust, Vec<rustls_pki_types::CertificateDer<'static>>) {
    let parameters = |name: &str| {
        let mut parameters = CertificateParams::new(Vec::<String>::new()).expect("no names");
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters
    };
    let key = || KeyPair::generate().expect("a key can always be made");
    let (ca_key, leaf_key) = (key(), key());
    let mut ca = parameters("proxies");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = ca.self_signed(&ca_key).expect("it signs itself").pem();
    let mut leaf = parameters("front-proxy-client");
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let issuer = Issuer::new(ca, ca_key);
    let leaf = leaf.signed_by(&leaf_key, &issuer).expect("it is signed");
    let names = |name: &str| vec![name.to_owned()];
    let front_proxy = FrontProxyTrust {
        ca: CertificatePool::from_pem(&pem).expect("it is an authority"),
        allowed_names: names("front-proxy-client"),
        username_headers: names("x-remote-user"),
        uid_headers: names("x-remote-uid"),
        group_headers: names("x-remote-group"),
        extra_prefixes: names("x-remote-extra-"),
    };
    let trust = Trust {
        client_ca: None,
        front_proxy: Some(front_proxy),
    };
    (trust, vec![leaf.der().clone()])
}
