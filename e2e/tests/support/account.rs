//! Somebody with a token and a kubeconfig.

use std::path::PathBuf;

use anyhow::Result;
use e2e::{kubeconfig::write_private, testing::Cluster};
use serde_json::{Value, json};

/// A kubeconfig of a ServiceAccount, in the cluster's directory.
pub(crate) async fn account_kubeconfig(
    cluster: &Cluster,
    namespace: &str,
    account: &str,
) -> Result<PathBuf> {
    let token = [
        "create",
        "token",
        account,
        "-n",
        namespace,
        "--duration=12h",
    ];
    let token = cluster.kubectl(token).await?.success()?;
    let args = ["config", "view", "--raw", "--minify", "-o", "json"];
    let mut kubeconfig: Value = serde_json::from_str(&cluster.kubectl(args).await?.success()?)?;
    kubeconfig["users"][0]["user"] = json!({ "token": token.trim() });
    let path = cluster
        .dir()
        .join(format!("{namespace}-{account}.kubeconfig"));
    write_private(&path, kubeconfig.to_string().as_bytes())?;
    Ok(path)
}
