use http::header;
use http_body_util::BodyExt;
use serde_json::Value;

use super::*;
use crate::testing::thing_definition;

async fn get(path: &str, accept: &str) -> (u16, Option<String>, Value) {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, accept.parse().unwrap());
    let response = Discovery::new(&[thing_definition()])
        .respond(path, &headers)
        .unwrap()
        .unwrap();
    let status = response.status().as_u16();
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let content_type = content_type.map(|v| v.to_str().unwrap().to_owned());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, content_type, serde_json::from_slice(&body).unwrap())
}

/// P1, P2, P3: the three documents that older clients and the aggregator's probe read.
#[tokio::test]
async fn legacy_discovery_lists_groups_versions_and_resources() {
    insta::assert_json_snapshot!("groups", get("/apis", "application/json").await.2);
    insta::assert_json_snapshot!("group", get("/apis/test.io", "*/*").await.2);
    insta::assert_json_snapshot!("resources", get("/apis/test.io/v1", "*/*").await.2);
}

/// D2, D3, P4: aggregated discovery, recognisable by its content type.
#[tokio::test]
async fn aggregated_discovery_says_so_in_its_content_type() {
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let (_, content_type, document) = get("/apis", accept).await;
    assert_eq!(content_type.as_deref(), Some(accept));
    insta::assert_json_snapshot!("aggregated", document);
}

/// D4: a client that has the document gets 304.
#[test]
fn a_known_etag_is_not_modified() {
    let discovery = Discovery::new(&[thing_definition()]);
    let mut headers = HeaderMap::new();
    let first = discovery.respond("/apis", &headers).unwrap().unwrap();
    assert_eq!(first.headers()[header::VARY], "Accept");
    headers.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
    let second = discovery.respond("/apis", &headers).unwrap().unwrap();
    assert_eq!(second.status(), 304);
}

/// P2: an unknown group is nobody's.
#[test]
fn other_groups_are_not_answered() {
    let discovery = Discovery::new(&[thing_definition()]);
    assert!(
        discovery
            .respond("/apis/other.io", &HeaderMap::new())
            .is_none()
    );
}
