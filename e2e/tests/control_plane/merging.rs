//! Our OpenAPI documents, read by Kubernetes' own code.

use std::fs;

use anyhow::{Result, ensure};
use e2e::{
    programs::{CLIENTS, Programs},
    testing::Cluster,
};
use http::StatusCode;
use kube::Client;
use tokio::process::Command;

use super::{
    certificates::front_proxy_client,
    local_server::{GROUP, get},
    server::shared,
};

/// The figures of a check of one version of a group, whose server `direct` reaches as the front proxy.
pub(crate) async fn merge(
    cluster: &Cluster,
    direct: &Client,
    (group, version): (&str, &str),
) -> Result<String> {
    let headers = [
        ("Accept", "application/json"),
        ("X-Remote-User", "system:aggregator"),
        ("X-Remote-Group", "system:masters"),
    ];
    let answer = get(direct, "/openapi/v2", &headers).await?;
    ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
    let file = cluster
        .dir()
        .join(format!("openapi-v2-{version}.{group}.json"));
    fs::write(&file, answer.into_body().collect_bytes().await?)?;

    let mut command = Command::new(Programs::from_env()?.ensure(&CLIENTS).await?);
    command
        .args(["openapi", "--group", group, "--version", version, "--v2"])
        .arg(&file);
    let figures = cluster.run(command, "").await?.success()?;
    print!("{figures}");
    Ok(figures)
}

/// O1, O5, O6, O7, P5, P6, N14: the aggregator's code merges version 2 with kube-apiserver's own
/// document and changes nothing there; every kind of version 3 survives kube-openapi's types,
/// resolves to a type of expressions, as `ValidatingAdmissionPolicies` need it, and to a structural
/// schema.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubernetes_own_code_merges_and_resolves_the_openapi_documents() -> Result<()> {
    let server = shared().await?;
    let direct = server.direct(front_proxy_client(&server.cluster)?).await?;
    let figures = merge(&server.cluster, &direct, (GROUP, "v1alpha1")).await?;
    ensure!(
        figures.contains("2 kinds resolved"),
        "DataRecord and DataRecordList: {figures}"
    );
    Ok(())
}
