//! Priority and fairness is the aggregator's: the server adds nothing to it and hides nothing of it.

use anyhow::Result;

use super::{certificates::front_proxy_client, local_server::get, server::shared};

const HEADERS: [&str; 2] = [
    "x-kubernetes-pf-flowschema-uid",
    "x-kubernetes-pf-prioritylevel-uid",
];
const RECORDS: &str = "/apis/data.kubedojo.io/v1alpha1/datarecords";

/// X3: a client learns from the aggregator how its request was ranked, and from nobody else.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_request_is_ranked_once_and_by_the_aggregator() -> Result<()> {
    let server = shared().await?;
    let proxy = server.direct(front_proxy_client(&server.cluster)?).await?;
    let user = [
        ("X-Remote-User", "system:admin"),
        ("X-Remote-Group", "system:masters"),
    ];
    let direct = get(&proxy, RECORDS, &user).await?;
    let aggregated = get(&server.cluster.client().await?, RECORDS, &[]).await?;
    for name in HEADERS {
        assert_eq!(direct.headers().get_all(name).iter().count(), 0, "{name}");
        assert_eq!(
            aggregated.headers().get_all(name).iter().count(),
            1,
            "{name}"
        );
    }
    assert_eq!(
        (direct.status(), aggregated.status()),
        (http::StatusCode::OK, http::StatusCode::OK)
    );
    Ok(())
}
