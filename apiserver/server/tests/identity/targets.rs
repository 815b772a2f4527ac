//! Mistakes 8 and 14: a path is one thing only, and no answer sends a client elsewhere.

use rstest::rstest;

use crate::server::{Rig, THINGS};

/// M14: whatever a path could be taken for, it is asked about before it is answered, and
/// never answered as another.
#[rstest]
#[case("/apis/test.io/v1/namespaces/default/things/../../other/things")]
#[case("/apis/test.io/v1/namespaces/default/./things")]
#[case("/apis/test.io/v1//namespaces/default/things")]
#[case("//apis/test.io/v1/namespaces/default/things")]
#[case("/apis/test.io/v1/namespaces/default/things/")]
#[case("/apis/test.io/v1/namespaces/default%2Fthings")]
#[case("/apis/test.io/v1/namespaces/%2e%2e/things")]
#[case("/apis/test.io/v1/namespaces/default/things/%2e%2e/things")]
#[case("/apis/test.io/v1/namespaces/default/things/a%2fstatus")]
#[case("/apis/test.io/v1/namespaces/default/things%00")]
#[case("/apis/test.io/v1/namespaces/default/things;a=b")]
#[case("/apis/test.io/v1/namespaces/default/THINGS")]
#[case("/APIS/test.io/v1/namespaces/default/things")]
#[case("/apis/test.io/v1/namespaces/default\\things")]
#[case("/readyz/../apis/test.io/v1/namespaces/default/things")]
#[case("/readyz%2f..%2fapis/test.io/v1/namespaces/default/things")]
#[case("/healthz/%2e%2e/metrics")]
#[case("/livez/ping/../../version")]
#[tokio::test]
async fn a_path_that_is_not_normal_leads_nowhere(#[case] target: &str) {
    let rig = Rig::start().await;
    let (nobody, jane) = (None, rig.clients.client("jane", &[]));
    let reply = rig.get(nobody, target, &[]).await;
    assert!(matches!(reply.code, 400 | 403 | 404), "{reply:?}");
    let asked = rig.cluster.asked("resourceAttributes");
    let things = |spec: &&serde_json::Value| spec["resourceAttributes"]["resource"] == "things";
    let as_things = asked.iter().filter(things).count();
    assert_eq!(as_things, 0, "it was taken for something that it is not");
    let reply = rig.get(Some(&jane), target, &[]).await;
    assert!(matches!(reply.code, 400 | 404), "{reply:?}");
}

/// M8: nothing that a client says decides where it is sent.
#[rstest]
#[case::another_host(THINGS, &[("Host", "evil.example.com")])]
#[case::a_forwarded_host(THINGS, &[("X-Forwarded-Host", "evil.example.com"), ("X-Forwarded-Proto", "http")])]
#[case::a_whole_address("https://evil.example.com/apis/test.io/v1", &[])]
#[case::two_slashes("//evil.example.com/apis/test.io/v1", &[])]
#[case::a_slash_at_the_end("/apis/test.io/v1/", &[])]
#[case::a_wrong_hash("/openapi/v3/apis/test.io/v1?hash=evil.example.com", &[("Host", "evil.example.com")])]
#[tokio::test]
async fn no_answer_leads_to_another_host(#[case] target: &str, #[case] headers: &[(&str, &str)]) {
    let rig = Rig::start().await;
    let jane = rig.clients.client("jane", &[]);
    let reply = rig.get(Some(&jane), target, headers).await;
    let head = reply.text.split("\r\n\r\n").next().unwrap_or_default();
    let location = head
        .lines()
        .find(|line| line.to_lowercase().starts_with("location:"));
    match location {
        None => assert!(!(300..400).contains(&reply.code), "{reply:?}"),
        // The one that upstream has: to the same document under its right hash.
        Some(location) => {
            let location = location[9..].trim();
            assert!(
                location.starts_with("/openapi/v3/apis/test.io/v1?hash="),
                "{location}"
            );
            assert!(!location.contains("evil"), "{location}");
        }
    }
}
