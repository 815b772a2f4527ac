use std::collections::BTreeMap;

use http::HeaderValue;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls_pki_types::CertificateDer;
use serde_json::json;

use super::*;

/// An authority that signs client certificates.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::new(Vec::<String>::new()).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = parameters.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(parameters, key),
        }
    }

    fn client(&self, name: &str, groups: &[&str]) -> Vec<CertificateDer<'static>> {
        self.leaf(name, groups, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn leaf(
        &self,
        name: &str,
        groups: &[&str],
        usage: ExtendedKeyUsagePurpose,
    ) -> Vec<CertificateDer<'static>> {
        let mut parameters = CertificateParams::new(Vec::<String>::new()).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        for group in groups {
            parameters
                .distinguished_name
                .push(DnType::OrganizationName, *group);
        }
        parameters.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        vec![
            parameters
                .signed_by(&key, &self.issuer)
                .unwrap()
                .der()
                .clone(),
        ]
    }
}

struct Fixture {
    client_ca: Authority,
    front_proxy_ca: Authority,
    authenticator: Authenticator,
}

impl Fixture {
    fn new(allowed_names: &[&str]) -> Self {
        let (client_ca, front_proxy_ca) = (Authority::new("client"), Authority::new("proxy"));
        let trust = Trust::from_config_map(&config_map(&client_ca, &front_proxy_ca, allowed_names));
        let store = Arc::new(TrustStore::new(trust.unwrap()));
        Self {
            client_ca,
            front_proxy_ca,
            authenticator: Authenticator::new(store, None),
        }
    }

    async fn ask(
        &self,
        chain: &[CertificateDer<'static>],
        headers: &mut HeaderMap,
    ) -> Result<UserInfo, ApiError> {
        let certificates = chain.to_vec().into();
        let request = RequestInfo::parse(&http::Method::GET, "/", None);
        self.authenticator
            .authenticate(headers, &certificates, &request)
            .await
    }
}

fn config_map(
    client_ca: &Authority,
    front_proxy_ca: &Authority,
    allowed_names: &[&str],
) -> BTreeMap<String, String> {
    [
        ("client-ca-file", client_ca.pem.clone()),
        ("requestheader-client-ca-file", front_proxy_ca.pem.clone()),
        (
            "requestheader-allowed-names",
            json!(allowed_names).to_string(),
        ),
        (
            "requestheader-username-headers",
            json!(["X-Remote-User"]).to_string(),
        ),
        (
            "requestheader-uid-headers",
            json!(["X-Remote-Uid"]).to_string(),
        ),
        (
            "requestheader-group-headers",
            json!(["X-Remote-Group"]).to_string(),
        ),
        (
            "requestheader-extra-headers-prefix",
            json!(["X-Remote-Extra-"]).to_string(),
        ),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

fn jane() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("x-remote-user", HeaderValue::from_static("jane"));
    headers.insert("x-remote-uid", HeaderValue::from_static("u-1"));
    headers.append("x-remote-group", HeaderValue::from_static("dev"));
    headers.append("x-remote-group", HeaderValue::from_static("ops"));
    headers.insert(
        "x-remote-extra-example.org%2fscope",
        HeaderValue::from_static("all"),
    );
    headers
}

#[tokio::test]
async fn a_verified_front_proxy_speaks_for_its_user() {
    let f = Fixture::new(&["front-proxy-client"]);
    let chain = f.front_proxy_ca.client("front-proxy-client", &[]);
    let mut headers = jane();
    let user = f.ask(&chain, &mut headers).await.unwrap();
    assert_eq!((user.name.as_str(), user.uid.as_str()), ("jane", "u-1"));
    assert_eq!(user.groups, ["dev", "ops", "system:authenticated"]);
    assert_eq!(user.extra["example.org/scope"], ["all"]);
    assert!(
        headers.is_empty(),
        "identity headers must not go on: {headers:?}"
    );
}

/// M1: headers without a verified front-proxy certificate mean nothing.
#[tokio::test]
async fn forged_headers_do_not_make_a_user() {
    let f = Fixture::new(&["front-proxy-client"]);
    let mut headers = jane();
    let nobody = f.ask(&[], &mut headers).await.unwrap();
    assert_eq!(nobody, UserInfo::anonymous());
    assert!(headers.is_empty());
    let bob = f.client_ca.client("bob", &["team"]);
    let user = f.ask(&bob, &mut jane()).await.unwrap();
    assert_eq!(
        (user.name.as_str(), user.groups[0].as_str()),
        ("bob", "team")
    );
}

#[tokio::test]
async fn a_front_proxy_of_another_name_is_refused() {
    let f = Fixture::new(&["front-proxy-client"]);
    let chain = f.front_proxy_ca.client("somebody", &[]);
    assert_eq!(f.ask(&chain, &mut jane()).await.unwrap_err().code(), 401);
}

/// M6: an empty list of allowed names allows every name.
#[tokio::test]
async fn no_allowed_names_allow_any() {
    let f = Fixture::new(&[]);
    let chain = f.front_proxy_ca.client("somebody", &[]);
    assert_eq!(f.ask(&chain, &mut jane()).await.unwrap().name, "jane");
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_is_401_and_never_anonymous() {
    let f = Fixture::new(&[]);
    let stranger = Authority::new("stranger").client("bob", &["system:masters"]);
    assert_eq!(
        f.ask(&stranger, &mut HeaderMap::new())
            .await
            .unwrap_err()
            .code(),
        401
    );
}

#[tokio::test]
async fn a_server_certificate_is_no_client_certificate() {
    let f = Fixture::new(&[]);
    let server = f
        .client_ca
        .leaf("bob", &[], ExtendedKeyUsagePurpose::ServerAuth);
    assert_eq!(
        f.ask(&server, &mut HeaderMap::new())
            .await
            .unwrap_err()
            .code(),
        401
    );
}

#[tokio::test]
async fn a_token_that_cannot_be_valid_is_401_and_goes_no_further() {
    let f = Fixture::new(&[]);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer secret"));
    assert_eq!(f.ask(&[], &mut headers).await.unwrap_err().code(), 401);
    assert!(headers.is_empty());
}

#[tokio::test]
async fn a_new_authority_counts_at_once() {
    let f = Fixture::new(&[]);
    let (new_ca, new_proxy) = (Authority::new("client 2"), Authority::new("proxy 2"));
    let chain = new_ca.client("bob", &[]);
    assert!(f.ask(&chain, &mut HeaderMap::new()).await.is_err());
    let trust = Trust::from_config_map(&config_map(&new_ca, &new_proxy, &[])).unwrap();
    assert!(f.authenticator.trust().swap(trust.clone()));
    assert!(
        !f.authenticator.trust().swap(trust),
        "the same trust is no change"
    );
    assert_eq!(
        f.ask(&chain, &mut HeaderMap::new()).await.unwrap().name,
        "bob"
    );
    let old = f.client_ca.client("eve", &[]);
    assert!(f.ask(&old, &mut HeaderMap::new()).await.is_err());
}

/// I2: a connection that was let in is not let in for ever.
#[tokio::test]
async fn a_new_authority_counts_on_a_connection_that_is_known() {
    let f = Fixture::new(&[]);
    let connection = PresentedCertificates::from(f.client_ca.client("bob", &[]));
    let ask = async || {
        let mut headers = HeaderMap::new();
        let request = RequestInfo::parse(&http::Method::GET, "/", None);
        let user = f
            .authenticator
            .authenticate(&mut headers, &connection, &request)
            .await;
        user.map(|user| user.name).map_err(|error| error.code())
    };
    assert_eq!(ask().await, Ok("bob".to_owned()));
    assert_eq!(ask().await, Ok("bob".to_owned()));
    let (new_ca, new_proxy) = (Authority::new("client 2"), Authority::new("proxy 2"));
    let trust = Trust::from_config_map(&config_map(&new_ca, &new_proxy, &[])).unwrap();
    f.authenticator.trust().swap(trust);
    assert_eq!(ask().await, Err(401));
}

/// I2: a certificate is checked again after a while, since it may have expired meanwhile.
#[tokio::test(start_paused = true)]
async fn what_was_checked_counts_for_ten_seconds() {
    let f = Fixture::new(&[]);
    let connection = PresentedCertificates::from(f.client_ca.client("bob", &[]));
    let trust = f.authenticator.trust().load();
    let first = connection.owners(&trust).unwrap();
    tokio::time::advance(std::time::Duration::from_millis(9_900)).await;
    assert!(Arc::ptr_eq(&first, &connection.owners(&trust).unwrap()));
    tokio::time::advance(std::time::Duration::from_millis(200)).await;
    assert!(!Arc::ptr_eq(&first, &connection.owners(&trust).unwrap()));
}

#[test]
fn a_broken_config_map_names_its_key() {
    let (client, proxy) = (Authority::new("client"), Authority::new("proxy"));
    let mut data = config_map(&client, &proxy, &[]);
    data.insert(
        "requestheader-allowed-names".to_owned(),
        "front-proxy".to_owned(),
    );
    let error = Trust::from_config_map(&data).unwrap_err();
    assert!(
        error.starts_with("requestheader-allowed-names: "),
        "{error}"
    );
    data = config_map(&client, &proxy, &[]);
    data.insert("client-ca-file".to_owned(), "rubbish".to_owned());
    assert!(
        Trust::from_config_map(&data)
            .unwrap_err()
            .starts_with("client-ca-file: ")
    );
}

/// A cluster without client certificates has no `client-ca-file`; the front proxy still works.
#[test]
fn missing_keys_leave_that_way_out() {
    let (client, proxy) = (Authority::new("client"), Authority::new("proxy"));
    let mut data = config_map(&client, &proxy, &[]);
    data.remove("client-ca-file");
    let trust = Trust::from_config_map(&data).unwrap();
    assert!(trust.client_ca.is_none() && trust.front_proxy.is_some());
}

/// M5: one authority for users and for the aggregator, with any name allowed, is warned of.
#[test]
fn a_shared_authority_without_allowed_names_is_warned_of() {
    let shared = Authority::new("shared");
    let warned = |names| {
        Trust::from_config_map(&config_map(&shared, &shared, names))
            .unwrap()
            .warnings()
            .is_some()
    };
    assert!(warned(&[]));
    assert!(!warned(&["front-proxy-client"]));
}
