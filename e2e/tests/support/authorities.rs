//! kube-apiserver's bundles of authorities, and which of them signed the requests that a server got.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use anyhow::{Context, Result};
use e2e::{
    kubeconfig::write_private,
    pki::{Authority, Identity},
    testing::Cluster,
};
use http::StatusCode;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{
    certificates::MASTER,
    local_server::{client, get},
};

/// kube-apiserver hears of a changed file at once, and looks anyway every minute.
pub(crate) const FOLLOWED_WITHIN: Duration = Duration::from_mins(2);
/// Requests after which a step counts as survived.
pub(crate) const REQUESTS: usize = 40;
const CONFIG_MAP: &str = "extension-apiserver-authentication";

/// One of kube-apiserver's bundles of authorities: its file, and its key in the ConfigMap.
pub(crate) struct Bundle {
    cluster: Cluster,
    file: &'static str,
    key: &'static str,
    maps: Api<ConfigMap>,
}

impl Bundle {
    pub(crate) async fn new(
        cluster: &Cluster,
        file: &'static str,
        key: &'static str,
    ) -> Result<Self> {
        Ok(Self {
            cluster: cluster.clone(),
            file,
            key,
            maps: Api::namespaced(cluster.client().await?, "kube-system"),
        })
    }

    pub(crate) fn read(&self) -> Result<String> {
        Ok(fs::read_to_string(
            self.cluster.dir().join("pki").join(self.file),
        )?)
    }

    /// Replaces the file as a whole, so that nobody reads half of it.
    fn write(&self, pem: &str) -> Result<()> {
        replace(&self.cluster, self.file, pem)
    }

    async fn published(&self) -> Result<String> {
        let data = self.maps.get(CONFIG_MAP).await?.data.unwrap_or_default();
        data.get(self.key)
            .cloned()
            .context("the ConfigMap has no such key")
    }

    /// Adds an authority to the file, and waits until kube-apiserver has published it.
    pub(crate) async fn add(&self, authority: &Authority) -> Result<()> {
        self.write(&format!("{}{}", self.read()?, authority.pem()))?;
        let shows = async || {
            let published = self.published().await.ok()?;
            published.contains(authority.pem().trim()).then_some(())
        };
        self.cluster
            .wait_for("the new authority in the ConfigMap", FOLLOWED_WITHIN, shows)
            .await
    }

    /// Takes an authority out of the file; once kube-apiserver refuses who shows its certificate, also
    /// out of the ConfigMap, to which kube-apiserver only adds.
    pub(crate) async fn drop_authority(&self, pem: &str, user: &Value) -> Result<()> {
        let without = |text: &str| text.replace(pem.trim(), "").replace("\n\n", "\n");
        self.write(&without(&self.read()?))?;
        let api_server = api_server(&self.cluster, user.clone()).await?;
        let refused = async || {
            let answer = get(&api_server, "/api", &MASTER).await.ok()?;
            (answer.status() == StatusCode::UNAUTHORIZED).then_some(())
        };
        self.cluster
            .wait_for("kube-apiserver to refuse the old", FOLLOWED_WITHIN, refused)
            .await?;
        let data = json!({ "data": { self.key: without(&self.published().await?) } });
        let patch = Patch::Merge(data);
        self.maps
            .patch(CONFIG_MAP, &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }
}

/// Gives the aggregator another certificate.
pub(crate) fn replace_proxy_client(cluster: &Cluster, identity: &Identity) -> Result<()> {
    replace(cluster, "front-proxy-client.key", &identity.key_pem)?;
    replace(cluster, "front-proxy-client.crt", &identity.certificate_pem)
}

/// Puts a file in the place of another, in one step.
fn replace(cluster: &Cluster, file: &str, content: &str) -> Result<()> {
    let path = cluster.dir().join("pki").join(file);
    let new = path.with_extension("new");
    write_private(&new, content.as_bytes())?;
    Ok(fs::rename(new, path)?)
}

/// A client of kube-apiserver as some user of a kubeconfig.
async fn api_server(cluster: &Cluster, user: Value) -> Result<Client> {
    let args = ["config", "view", "--raw", "--minify", "-o", "json"];
    let text = cluster.kubectl(args).await?.success()?;
    let mut kubeconfig: Value = serde_json::from_str(&text)?;
    let cluster = kubeconfig["clusters"][0]["cluster"].take();
    let clusters = json!([{ "name": "it", "cluster": cluster }]);
    client(json!({ "clusters": clusters, "users": [{ "name": "it", "user": user }] })).await
}

/// The authorities whose certificates the requests for a namespace came with, in their order.
pub(crate) fn issuers(log: &str, namespace: &str) -> Vec<String> {
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut connections = BTreeMap::new();
    let mut issuers = Vec::new();
    for line in lines {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        match line["message"].as_str() {
            Some("connected") => {
                connections.insert(text("peer"), text("issuer"));
            }
            Some("request") if line["namespace"] == namespace => {
                issuers.extend(connections.get(&text("peer")).cloned());
            }
            _ => {}
        }
    }
    issuers
}

/// Whether a number of requests in a row, since there were so many, came with one authority's
/// certificate.
pub(crate) fn are_signed_by(issuers: &[String], since: usize, common_name: &str) -> bool {
    let issuer = format!("CN={common_name}");
    let new = issuers.get(since..).unwrap_or_default();
    let last: BTreeSet<_> = new.iter().rev().take(REQUESTS).collect();
    new.len() >= REQUESTS && last.iter().eq([&&issuer])
}
