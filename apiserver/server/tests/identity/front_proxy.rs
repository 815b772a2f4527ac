//! Mistakes 1, 5, 6 and 7: who may speak for others, and what becomes of the words.

use rstest::rstest;

use crate::{
    authority::{Authority, Credential, self_signed},
    server::{PROXY, Rig, THINGS, eventually, published},
};

const JANE: &[(&str, &str)] = &[
    ("X-Remote-User", "jane"),
    ("X-Remote-Group", "system:masters"),
];

/// I1: the calls that the aggregator makes for itself and for its users.
#[rstest]
#[case::a_request_of_a_user(THINGS, &[("X-Remote-User", "jane"), ("X-Remote-Group", "dev")], 200)]
#[case::discovery("/apis/test.io/v1", &[("X-Remote-User", "system:kube-aggregator"), ("X-Remote-Group", "system:masters")], 200)]
#[case::openapi("/openapi/v3", &[("X-Remote-User", "system:aggregator"), ("X-Remote-Group", "system:masters")], 200)]
#[case::availability("/apis/test.io/v1", &[], 403)]
#[tokio::test]
async fn the_aggregator_is_let_in(
    #[case] target: &str,
    #[case] headers: &[(&str, &str)],
    #[case] code: u16,
) {
    let rig = Rig::start().await;
    let proxy = rig.proxies.client(PROXY, &[]);
    let proxy = Some(&proxy).filter(|_| !headers.is_empty());
    assert_eq!(rig.get(proxy, target, headers).await.code, code);
}

/// M1: without the aggregator's certificate the headers mean nothing, whoever sends them.
#[rstest]
#[case::no_certificate(|_: &Rig| None, 403)]
#[case::a_users_certificate(|rig: &Rig| Some(rig.clients.client("eve", &[])), 403)]
#[case::a_user_named_as_the_proxy(|rig: &Rig| Some(rig.clients.client(PROXY, &[])), 403)]
#[case::another_name(|rig: &Rig| Some(rig.proxies.client("eve", &[])), 401)]
#[case::a_name_in_other_case(|rig: &Rig| Some(rig.proxies.client("Front-Proxy-Client", &[])), 401)]
#[case::a_longer_name(|rig: &Rig| Some(rig.proxies.client("front-proxy-client.evil", &[])), 401)]
#[case::no_name(|rig: &Rig| Some(rig.proxies.client("", &[])), 401)]
#[case::expired(|rig: &Rig| Some(rig.proxies.expired(PROXY)), 401)]
#[case::not_yet_valid(|rig: &Rig| Some(rig.proxies.not_yet_valid(PROXY)), 401)]
#[case::a_servers_certificate(|rig: &Rig| Some(rig.proxies.server(PROXY)), 401)]
#[case::self_signed(|_: &Rig| Some(self_signed(PROXY)), 401)]
#[case::an_authority_of_the_same_name(|_: &Rig| Some(Authority::new("proxies").client(PROXY, &[])), 401)]
#[tokio::test]
async fn headers_of_anybody_else_are_nobodys(
    #[case] credential: fn(&Rig) -> Option<Credential>,
    #[case] code: u16,
) {
    let rig = Rig::start().await;
    let credential = credential(&rig);
    let reply = rig.get(credential.as_ref(), THINGS, JANE).await;
    assert_eq!(reply.code, code, "{reply:?}");
    let asked = rig.cluster.asked("user");
    let jane = asked.iter().find(|spec| spec["user"] == "jane");
    assert_eq!(jane, None, "{reply:?}");
}

/// M1: however the header is written, it is not read.
#[rstest]
#[case("X-Remote-User", "jane")]
#[case("x-remote-user", "jane")]
#[case("X-REMOTE-USER", "jane")]
#[case("X-Remote-User", "jane\r\nX-Remote-Group: system:masters")]
#[case("X-Remote-Extra-Scope", "all")]
#[case("X-Remote-Uid", "1")]
#[case("X_Remote_User", "jane")]
#[case("Impersonate-User", "jane")]
#[case("X-Forwarded-User", "jane")]
#[case("X-Forwarded-Client-Cert", "Subject=\"CN=jane\"")]
#[case("X-Auth-Request-User", "jane")]
#[tokio::test]
async fn a_header_alone_is_anonymous(#[case] name: &str, #[case] value: &str) {
    let rig = Rig::start().await;
    let reply = rig.get(None, THINGS, &[(name, value)]).await;
    assert_eq!(reply.code, 403);
    assert_eq!(rig.last_user(), "system:anonymous");
}

/// M6: which names may be the aggregator.
#[rstest]
#[case::one("[\"front-proxy-client\"]", "front-proxy-client", true)]
#[case::another("[\"front-proxy-client\"]", "eve", false)]
#[case::an_empty_list("[]", "eve", true)]
#[case::an_empty_value("", "eve", true)]
#[case::an_empty_name("[\"\"]", "eve", false)]
#[case::several("[\"a\",\"b\"]", "b", true)]
#[case::no_pattern("[\"*\"]", "eve", false)]
#[tokio::test]
async fn the_list_of_names_is_kept_to(
    #[case] names: &str,
    #[case] name: &str,
    #[case] is_let_in: bool,
) {
    let (clients, proxies) = (Authority::new("clients"), Authority::new("proxies"));
    let data = published(&clients, &proxies, names);
    let rig = Rig::start_with(clients, proxies, data).await;
    let proxy = rig.proxies.client(name, &[]);
    let headers = [("X-Remote-User", "jane")];
    let reply = rig.get(Some(&proxy), THINGS, &headers).await;
    assert_eq!(reply.code, if is_let_in { 200 } else { 401 });
}

/// I2, M6: a list that cannot be read keeps the last good one.
#[tokio::test]
async fn a_broken_list_keeps_the_last_good_one() {
    let rig = Rig::start().await;
    let proxy = rig.proxies.client(PROXY, &[]);
    let mut data = published(&rig.clients, &rig.proxies, "front-proxy-client");
    rig.cluster.config_map.send_replace(Some(data.clone()));
    // A later good one shows that the broken one was read.
    data.insert(
        "requestheader-allowed-names".to_owned(),
        "[\"eve\"]".to_owned(),
    );
    let headers = [("X-Remote-User", "jane")];
    assert_eq!(rig.get(Some(&proxy), THINGS, &headers).await.code, 200);
    rig.cluster.config_map.send_replace(Some(data));
    let eve = rig.proxies.client("eve", &[]);
    let changed = async || rig.get(Some(&eve), THINGS, &headers).await.code == 200;
    eventually("the new name counts", changed).await;
    assert_eq!(rig.get(Some(&proxy), THINGS, &headers).await.code, 401);
}

/// I2: new authorities and new header names count without a restart, old ones no more.
#[tokio::test]
async fn authorities_and_header_names_are_swapped_while_it_serves() {
    let rig = Rig::start().await;
    let (clients, proxies) = (Authority::new("clients 2"), Authority::new("proxies 2"));
    let mut data = published(&clients, &proxies, "[]");
    data.insert(
        "requestheader-username-headers".to_owned(),
        "[\"X-User\"]".to_owned(),
    );
    rig.cluster.config_map.send_replace(Some(data));
    let (new, old) = (proxies.client("any", &[]), rig.proxies.client(PROXY, &[]));
    let changed = async || {
        rig.get(Some(&new), THINGS, &[("X-User", "jane")])
            .await
            .code
            == 200
    };
    eventually("the new authority counts", changed).await;
    assert_eq!(
        rig.get(Some(&old), THINGS, &[("X-User", "jane")])
            .await
            .code,
        401
    );
    assert_eq!(rig.get(Some(&old), THINGS, JANE).await.code, 401);
    let user = clients.client("jane", &[]);
    assert_eq!(rig.get(Some(&user), THINGS, &[]).await.code, 200);
}

/// I2: without the ConfigMap nobody is trusted, and the server says that it is not ready.
#[tokio::test]
async fn a_deleted_config_map_drops_the_trust() {
    let rig = Rig::start().await;
    let proxy = rig.proxies.client(PROXY, &[]);
    rig.cluster.config_map.send_replace(None);
    let unready = async || rig.get(None, "/readyz", &[]).await.code == 500;
    eventually("it is not ready any more", unready).await;
    let reply = rig
        .get(Some(&proxy), THINGS, &[("X-Remote-User", "jane")])
        .await;
    assert_eq!(reply.code, 401);
    let data = published(&rig.clients, &rig.proxies, "[]");
    rig.cluster.config_map.send_replace(Some(data));
    let ready = async || rig.get(None, "/readyz", &[]).await.code == 200;
    eventually("it is ready again", ready).await;
}

/// I3, M7: what identifies a user goes no further than to who identifies users.
#[rstest]
#[case("X-Remote-User", "eve")]
#[case("X-Remote-Group", "system:masters")]
#[case("X-Remote-Uid", "uid-of-eve")]
#[case("X-Remote-Extra-Scope", "scope-of-eve")]
#[case("X-Remote-Anything", "anything-of-eve")]
#[case("Authorization", "Basic ZXZlOmV2ZQ")]
#[tokio::test]
async fn a_handler_sees_no_identity_headers(#[case] name: &str, #[case] value: &str) {
    let rig = Rig::start().await;
    let jane = rig.clients.client("jane", &[]);
    let target = format!("{THINGS}/a/echo");
    let headers = [(name, value), ("X-Of-No-Matter", "passes")];
    let reply = rig.get(Some(&jane), &target, &headers).await;
    assert!(
        reply.code == 200 && reply.text.contains("passes"),
        "{reply:?}"
    );
    let (name, text) = (name.to_lowercase(), reply.text.to_lowercase());
    assert!(!text.contains(&name) && !text.contains(value), "{reply:?}");
}
