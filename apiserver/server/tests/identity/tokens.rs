//! Bearer tokens: a wrong one is 401, never anonymous.

use apiserver::serving::Surroundings;
use rstest::rstest;
use serde_json::json;

use crate::server::{PROXY, Rig, THINGS};

async fn rig() -> Rig {
    let rig = Rig::start().await;
    let jane = json!({"username": "jane", "groups": ["dev"]});
    rig.cluster.tokens.lock().insert("good", jane);
    let nameless = json!({"username": ""});
    rig.cluster.tokens.lock().insert("nameless", nameless);
    rig
}

/// I1: what is no token is nobody's, what is a wrong one is 401.
#[rstest]
#[case::good("Bearer good", 200)]
#[case::in_other_case("bEARER good", 200)]
#[case::with_spaces("Bearer   good ", 200)]
#[case::wrong("Bearer wrong", 401)]
#[case::nameless("Bearer nameless", 401)]
#[case::two_tokens("Bearer good wrong", 401)]
#[case::quoted("Bearer \"good\"", 401)]
#[case::empty("Bearer ", 403)]
#[case::another_scheme("Basic Z29vZDpnb29k", 403)]
#[case::no_scheme("good", 403)]
#[tokio::test]
async fn a_token_is_checked(#[case] authorization: &str, #[case] code: u16) {
    let rig = rig().await;
    let headers = [("Authorization", authorization)];
    assert_eq!(rig.get(None, THINGS, &headers).await.code, code);
}

/// I1: a wrong credential beside a right one is no obstacle, and a right one no excuse for none.
#[tokio::test]
async fn the_first_good_credential_counts() {
    let rig = rig().await;
    let wrong = [("Authorization", "Bearer wrong")];
    let jane = rig.clients.client("jane", &[]);
    assert_eq!(rig.get(Some(&jane), THINGS, &wrong).await.code, 200);
    let stranger = crate::authority::self_signed("jane");
    assert_eq!(rig.get(Some(&stranger), THINGS, &wrong).await.code, 401);
    let good = [("Authorization", "Bearer good")];
    assert_eq!(rig.get(Some(&stranger), THINGS, &good).await.code, 200);
}

#[tokio::test]
async fn a_token_that_is_no_text_is_401() {
    let rig = rig().await;
    let head =
        format!("GET {THINGS} HTTP/1.1\r\nhost: l\r\nconnection: close\r\nauthorization: Bearer ");
    let request = [head.as_bytes(), b"\xff\xfe\r\n\r\n"].concat();
    assert_eq!(rig.raw(None, &request).await.code, 401);
}

/// I1: a browser's token comes as a subprotocol; the connection stays what it was.
#[rstest]
#[case::good("base64url.bearer.authorization.k8s.io.Z29vZA, v4.channel.k8s.io", 200)]
#[case::wrong(
    "base64url.bearer.authorization.k8s.io.d3Jvbmc, v4.channel.k8s.io",
    401
)]
#[case::alone("base64url.bearer.authorization.k8s.io.Z29vZA", 401)]
#[case::garbled("base64url.bearer.authorization.k8s.io.?, v4.channel.k8s.io", 401)]
#[tokio::test]
async fn a_websockets_token_is_checked(#[case] protocol: &str, #[case] code: u16) {
    let rig = rig().await;
    let headers = [
        ("connection", "close, Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Protocol", protocol),
    ];
    assert_eq!(rig.get(None, THINGS, &headers).await.code, code);
}

/// I1: where no credential is none at all, only the health checks can be asked without one.
#[rstest]
#[case::nothing(None, THINGS, 401)]
#[case::discovery(None, "/apis", 401)]
#[case::no_token(Some("Basic Z29vZDpnb29k"), THINGS, 401)]
#[case::a_token(Some("Bearer good"), THINGS, 200)]
#[case::alive(None, "/livez", 200)]
#[case::ready(None, "/readyz", 200)]
#[case::below_health(None, "/livez/ping", 401)]
#[tokio::test]
async fn without_anonymous_users_a_credential_is_needed(
    #[case] authorization: Option<&str>,
    #[case] path: &str,
    #[case] code: u16,
) {
    let rig = Rig::prepared(Surroundings::without_anonymous).await;
    let jane = json!({"username": "jane", "groups": ["dev"]});
    rig.cluster.tokens.lock().insert("good", jane);
    let headers: Vec<_> = authorization
        .map(|value| ("Authorization", value))
        .into_iter()
        .collect();
    assert_eq!(rig.get(None, path, &headers).await.code, code);
}

/// I1: anonymous users whom the aggregator lets in stay users.
#[tokio::test]
async fn whom_the_aggregator_calls_anonymous_is_let_in() {
    let rig = Rig::prepared(Surroundings::without_anonymous).await;
    let proxy = rig.proxies.client(PROXY, &[]);
    let user = [("X-Remote-User", "system:anonymous")];
    assert_eq!(rig.get(Some(&proxy), THINGS, &user).await.code, 403);
}
