//! What clients find out about the API, through the aggregator and from the server itself.

use anyhow::{Context, Result};
use http::StatusCode;
use serde_json::json;

use super::{
    local_server::{GROUP, get},
    server::{get_json, shared},
};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn aggregated_discovery_has_the_group_and_it_is_current() -> Result<()> {
    let server = shared().await?;
    let client = server.cluster.client().await?;
    let group = server
        .cluster
        .wait_for(
            "the group in aggregated discovery",
            super::extension_api::SOON,
            async || {
                let all = get_json(&client, "/apis", &[("Accept", AGGREGATED)])
                    .await
                    .ok()?;
                let groups = all["items"].as_array()?.clone();
                groups
                    .into_iter()
                    .find(|group| group["metadata"]["name"] == GROUP)
            },
        )
        .await?;
    let version = &group["versions"][0];
    assert_eq!(
        (&version["version"], &version["freshness"]),
        (&json!("v1alpha1"), &json!("Current"))
    );
    let resource = &version["resources"][0];
    assert_eq!(resource["resource"], "datarecords");
    assert_eq!(resource["scope"], "Namespaced");
    assert_eq!(resource["subresources"][0]["subresource"], "status");
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_lists_and_explains_the_kind() -> Result<()> {
    let cluster = &shared().await?.cluster;
    let group = format!("--api-group={GROUP}");
    let args = ["api-resources", &group, "--no-headers", "--cached=false"];
    let shown = cluster.kubectl(args).await?.success()?;
    let words: Vec<&str> = shown.split_whitespace().collect();
    assert_eq!(
        words,
        [
            "datarecords",
            "dr",
            "data.kubedojo.io/v1alpha1",
            "true",
            "DataRecord"
        ]
    );
    let explained = cluster
        .kubectl(["explain", "datarecords.spec.source"])
        .await?
        .success()?;
    assert!(
        explained.contains("System that the data comes from"),
        "{explained}"
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_client_that_knows_the_discovery_document_gets_304() -> Result<()> {
    let server = shared().await?;
    let client = server.direct(json!({})).await?;
    for path in ["/apis", "/apis/data.kubedojo.io/v1alpha1"] {
        let accept = if path == "/apis" {
            AGGREGATED
        } else {
            "application/json"
        };
        // Discovery needs a user; the aggregator's own certificate makes one.
        let user = [
            ("Accept", accept),
            ("X-Remote-User", "system:admin"),
            ("X-Remote-Group", "system:masters"),
        ];
        let proxy = server
            .direct(super::certificates::front_proxy_client(&server.cluster)?)
            .await?;
        let first = get(&proxy, path, &user).await?;
        assert_eq!(first.status(), StatusCode::OK, "{path}");
        let tag = first
            .headers()
            .get("etag")
            .context("no ETag")?
            .to_str()?
            .to_owned();
        let known = [user[0], user[1], user[2], ("If-None-Match", tag.as_str())];
        let again = get(&proxy, path, &known).await?;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path}");
        assert!(
            again.into_body().collect_bytes().await?.is_empty(),
            "{path}"
        );
        let other = [user[0], user[1], user[2], ("If-None-Match", "\"other\"")];
        assert_eq!(
            get(&proxy, path, &other).await?.status(),
            StatusCode::OK,
            "{path}"
        );
    }
    let anonymous = get(&client, "/apis", &[]).await?.status();
    assert!(
        matches!(anonymous, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN),
        "{anonymous}"
    );
    Ok(())
}

/// O1, O8, P5: the real aggregator takes our document into its own.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn openapi_v2_is_merged_by_the_aggregator() -> Result<()> {
    let server = shared().await?;
    let client = server.cluster.client().await?;
    let path = "/apis/data.kubedojo.io/v1alpha1/namespaces/{namespace}/datarecords/{name}";
    // It asks once a minute.
    let patience = std::time::Duration::from_secs(90);
    let merged = server
        .cluster
        .wait_for("the paths in OpenAPI v2", patience, async || {
            let all = get_json(&client, "/openapi/v2", &[("Accept", "application/json")])
                .await
                .ok()?;
            all["paths"][path].is_object().then_some(all)
        })
        .await?;
    let action = &merged["paths"][path]["patch"]["x-kubernetes-action"];
    assert_eq!(action, "patch");
    let kind = &merged["definitions"]["io.kubedojo.data.v1alpha1.DataRecord"];
    assert_eq!(
        kind["properties"]["spec"]["properties"]["source"]["type"],
        "string"
    );
    Ok(())
}
