//! Installing, applying, and what the cluster says about it.

use std::time::Duration;

use anyhow::Result;

use super::installation::{
    API_SERVICE, apply_api, exclusive, helm_install, helm_uninstall, kubectl, shared,
};

#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn helm_install_succeeds_and_an_applied_extensionapi_becomes_available_within_30_s()
-> Result<()> {
    let (cluster, _guard) = shared().await?;
    let conditions = "{range .status.conditions[*]}{.type}={.status} {end}";
    let args = [
        "get",
        "extensionapi",
        "datarecords",
        "-o",
        &format!("jsonpath={conditions}"),
    ];
    let conditions = cluster.kubectl(args).await?.success()?;
    for wanted in [
        "Ready=True",
        "Available=True",
        "WorkloadReady=True",
        "TLSReady=True",
        "Registered=True",
        "Conflict=False",
    ] {
        assert!(conditions.contains(wanted), "{wanted} not in {conditions}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn the_apiservice_is_available_and_all_checks_passed() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let path = "jsonpath={.status.conditions[0].type}={.status.conditions[0].status}:\
                {.status.conditions[0].message}|{.spec.insecureSkipTLSVerify}|\
                {.spec.groupPriorityMinimum}/{.spec.versionPriority}";
    let shown = cluster
        .kubectl(["get", "apiservice", API_SERVICE, "-o", path])
        .await?
        .success()?;
    assert_eq!(shown, "Available=True:all checks passed||1000/15");
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn api_resources_list_datarecords() -> Result<()> {
    let (cluster, _guard) = shared().await?;
    let shown = kubectl(
        &cluster,
        "api-resources --api-group=data.kubedojo.io --no-headers",
    )
    .await?;
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
    Ok(())
}

/// Helm 3 and Helm 4 both, and a release that was there leaves the cluster as it was.
#[tokio::test]
#[ignore = "needs cluster: pods"]
async fn helm_uninstall_ends_cleanly() -> Result<()> {
    let (cluster, _guard) = exclusive().await?;
    for (uninstall_with, install_with) in [("E2E_HELM", "E2E_HELM3"), ("E2E_HELM3", "E2E_HELM")] {
        helm_uninstall(&cluster, uninstall_with).await?;
        let left = kubectl(
            &cluster,
            "get apiservices,crds,clusterroles,clusterrolebindings -A -o name",
        )
        .await?;
        let left: Vec<&str> = left.lines().filter(|l| l.contains("kubedojo")).collect();
        assert_eq!(left, Vec::<&str>::new());
        cluster
            .wait_for(
                "the namespace to be empty",
                Duration::from_mins(1),
                async || {
                    let kinds = "get pods,secrets,services,leases -n kubedojo-system -o name";
                    kubectl(&cluster, kinds).await.ok().filter(String::is_empty)
                },
            )
            .await?;
        helm_install(&cluster, install_with).await?;
        println!("available {:.1?} after apply", apply_api(&cluster).await?);
    }
    Ok(())
}
