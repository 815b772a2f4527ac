//! Mistakes 2, 3, 4, 12 and 13: every request is asked about, as what it is.

use rstest::rstest;
use serde_json::{Value, json};

use crate::server::{Rig, THINGS};

const EVE: &str = "eve";

/// I5, M3: there is no verb that is not asked about, and none that is asked about as another.
#[rstest]
#[case("GET", "", "list", "")]
#[case("GET", "?watch=true", "watch", "")]
#[case("GET", "?watch=1&timeoutSeconds=1", "watch", "")]
#[case("GET", "/a", "get", "")]
#[case("HEAD", "/a", "get", "")]
#[case("POST", "", "create", "")]
#[case("PUT", "/a", "update", "")]
#[case("PATCH", "/a", "patch", "")]
#[case("DELETE", "/a", "delete", "")]
#[case("DELETE", "", "deletecollection", "")]
#[case("GET", "/a/echo", "get", "echo")]
#[case("POST", "/a/echo", "create", "echo")]
#[case("PUT", "/a/status", "update", "status")]
#[tokio::test]
async fn who_may_not_is_refused(
    #[case] method: &str,
    #[case] suffix: &str,
    #[case] verb: &str,
    #[case] subresource: &str,
) {
    let rig = Rig::start().await;
    let eve = rig.clients.client(EVE, &[]);
    let target = format!("{THINGS}{suffix}");
    let reply = rig.ask(Some(&eve), method, &target, &[]).await;
    assert_eq!(reply.code, 403, "{reply:?}");
    let asked = rig.cluster.asked("resourceAttributes");
    let asked = &asked.last().expect("a question")["resourceAttributes"];
    let found = ["verb", "namespace", "resource"].map(|field| asked[field].clone());
    assert_eq!(found, [json!(verb), json!("default"), json!("things")]);
    assert_eq!(
        asked["subresource"].as_str().unwrap_or_default(),
        subresource
    );
}

/// I6, M2: no answer, or one that cannot be understood, is no permission.
#[rstest]
#[case(500)]
#[case(401)]
#[case(403)]
#[case(404)]
#[tokio::test]
async fn no_answer_is_no_permission(#[case] failure: u16) {
    let rig = Rig::start().await;
    let jane = rig.clients.client("jane", &[]);
    *rig.cluster.failures.lock() = vec![Some(failure)];
    let reply = rig.get(Some(&jane), THINGS, &[]).await;
    assert_eq!(reply.code, 503, "{reply:?}");
    assert!(
        reply.text.to_lowercase().contains("retry-after: 1"),
        "{reply:?}"
    );
    rig.cluster.failures.lock().clear();
    assert_eq!(rig.get(Some(&jane), THINGS, &[]).await.code, 200);
}

/// M4: what the server may do itself, it does not do for who may not ask for it.
#[tokio::test]
async fn a_refused_create_charges_no_quota() {
    let rig = Rig::start().await;
    let thing = json!({"apiVersion": "test.io/v1", "kind": "Thing", "metadata": {"name": "a"}});
    let headers = [("content-type", "application/json")];
    let create = async |name: &str| {
        let credential = rig.clients.client(name, &[]);
        let body = thing.to_string();
        let reply = rig
            .send(Some(&credential), "POST", THINGS, &headers, &body)
            .await;
        (reply.code, rig.cluster.written())
    };
    assert_eq!(create(EVE).await, (403, 0));
    assert_eq!(create("jane").await, (201, 1));
}

/// M12: who shows nothing is asked about as nobody, whatever groups they claim.
#[rstest]
#[case(THINGS)]
#[case("/apis")]
#[case("/openapi/v3")]
#[case("/metrics")]
#[case("/version")]
#[case("/debug/pprof")]
#[tokio::test]
async fn nobody_is_asked_about_as_nobody(#[case] target: &str) {
    let rig = Rig::start().await;
    let headers = [("X-Remote-Group", "system:masters")];
    assert_eq!(rig.get(None, target, &headers).await.code, 403);
    let asked = rig.cluster.asked("user").pop().expect("a question");
    assert_eq!(asked["user"], "system:anonymous");
    assert_eq!(asked["groups"], json!(["system:unauthenticated"]));
}

/// M13: a list is asked about with what it selects, and by the name that it selects.
#[rstest]
#[case("fieldSelector=metadata.name%3Da", json!("a"), json!("metadata.name"))]
#[case("fieldSelector=metadata.name%3Da&watch=true", json!("a"), json!("metadata.name"))]
#[case("fieldSelector=metadata.namespace%3Da", Value::Null, json!("metadata.namespace"))]
#[tokio::test]
async fn a_selection_is_part_of_the_question(
    #[case] query: &str,
    #[case] name: Value,
    #[case] key: Value,
) {
    let rig = Rig::start().await;
    let eve = rig.clients.client(EVE, &[]);
    assert_eq!(
        rig.get(Some(&eve), &format!("{THINGS}?{query}"), &[])
            .await
            .code,
        403
    );
    let asked = rig.cluster.asked("resourceAttributes").pop().unwrap();
    let attributes = &asked["resourceAttributes"];
    assert_eq!(attributes["name"], name);
    assert_eq!(attributes["fieldSelector"]["requirements"][0]["key"], key);
}

/// X8: who may do things may not thereby be somebody else.
#[tokio::test]
async fn impersonation_is_asked_about() {
    let rig = Rig::start().await;
    let eve = rig.clients.client(EVE, &[]);
    let headers = [("Impersonate-User", "jane")];
    assert_eq!(rig.get(Some(&eve), THINGS, &headers).await.code, 403);
    let asked = rig.cluster.asked("resourceAttributes").pop().unwrap();
    assert_eq!(asked["user"], EVE);
    assert_eq!(asked["resourceAttributes"]["verb"], "impersonate");
    assert_eq!(asked["resourceAttributes"]["resource"], "users");
}

/// X7: who is not known hears only that, and who may not hears only that, whatever else is wrong.
#[rstest]
#[case::of_no_path("GET", "/no/such/path", &[])]
#[case::of_no_kind("GET", "/apis/test.io/v1/nothings", &[])]
#[case::of_no_parameter("GET", "/apis/test.io/v1/things?limit=many", &[])]
#[case::of_no_media_type("POST", THINGS, &[("content-type", "text/plain")])]
#[case::of_no_object("POST", THINGS, &[("content-type", "application/json")])]
#[case::of_nothing_acceptable("GET", THINGS, &[("accept", "image/png")])]
#[tokio::test]
async fn identity_comes_first_and_then_permission(
    #[case] method: &str,
    #[case] target: &str,
    #[case] headers: &[(&str, &str)],
) {
    let rig = Rig::start().await;
    let eve = rig.clients.client(EVE, &[]);
    assert_eq!(rig.ask(Some(&eve), method, target, headers).await.code, 403);
    let wrong = [headers, &[("Authorization", "Bearer wrong")]].concat();
    assert_eq!(rig.ask(None, method, target, &wrong).await.code, 401);
    let jane = rig.clients.client("jane", &[]);
    let code = rig.ask(Some(&jane), method, target, headers).await.code;
    assert!(
        (400..500).contains(&code) && !matches!(code, 401 | 403),
        "{code}"
    );
}
