//! Namespaces that take no new records: a record is created where any other object could be.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use http::{Request, StatusCode};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    client::Body,
    core::Status,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    account::account_kubeconfig,
    certificates::{MASTER, front_proxy_client},
    extension_api::unique,
    local_server::{LocalServer, get},
    records::{self, record, records},
    server::shared,
};

/// How long the namespace controller may take.
const CLEARED_WITHIN: Duration = Duration::from_secs(90);
/// A watch that was refused is tried again with growing pauses.
const SOON: Duration = Duration::from_secs(30);
/// Namespaces in a row, so that one of them is younger than what the server has heard.
const NEW: usize = 20;

fn namespace(name: &str) -> Result<Namespace> {
    let value = json!({ "metadata": {
        "name": name,
        "finalizers": ["test.kubedojo.io/hold"],
    } });
    Ok(serde_json::from_value(value)?)
}

fn map(name: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    map
}

/// What a create would be refused with; none if it would not.
async fn refusal<K>(api: &Api<K>, object: &K) -> Result<Option<Box<Status>>>
where
    K: Resource + Serialize + DeserializeOwned + Clone + std::fmt::Debug,
{
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    match api.create(&dry_run, object).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) => Ok(Some(status)),
        Err(error) => Err(error.into()),
    }
}

/// V13: in the words of kube-apiserver, whichever way the record is to come.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_create_in_a_namespace_that_does_not_exist_is_404() -> Result<()> {
    let client = shared().await?.cluster.client().await?;
    let missing = unique("missing");
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &missing);
    let theirs = refusal(&maps, &map("a")).await?.context("it is refused")?;
    let api = records(client, &missing);
    let ours = refusal(&api, &record("a"))
        .await?
        .context("it is refused")?;
    assert_eq!(ours.message, format!("namespaces {missing:?} not found"));
    assert_eq!(ours, theirs);

    let params = PatchParams::apply("test");
    let applied = api.patch("a", &params, &Patch::Apply(record("a"))).await;
    let Err(kube::Error::Api(applied)) = applied else {
        bail!("{applied:?}")
    };
    assert_eq!(applied, theirs);
    assert!(api.list(&ListParams::default()).await?.items.is_empty());
    Ok(())
}

/// V13: and what is in it goes.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_create_in_a_terminating_namespace_is_403_until_it_is_404() -> Result<()> {
    let cluster = &shared().await?.cluster;
    let client = cluster.client().await?;
    let name = unique("terminating");
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces
        .create(&PostParams::default(), &namespace(&name)?)
        .await?;
    let api = records(client.clone(), &name);
    api.create(&PostParams::default(), &record("before"))
        .await?;
    namespaces.delete(&name, &DeleteParams::default()).await?;

    let refused = async |code: u16| {
        let description = format!("creates to be answered with {code}");
        cluster
            .wait_for(&description, CLEARED_WITHIN, async || {
                let status = refusal(&api, &record("a")).await.ok()??;
                (status.code == code).then_some(status)
            })
            .await
    };
    let ours = refused(403).await?;
    let maps: Api<ConfigMap> = Api::namespaced(client, &name);
    let theirs = refusal(&maps, &map("a")).await?.context("it is refused")?;
    assert_eq!(
        ours.message,
        theirs
            .message
            .replacen("configmaps", "datarecords.data.kubedojo.io", 1)
    );
    assert_eq!(ours.reason, theirs.reason);
    let causes = |status: &Status| {
        status
            .details
            .as_ref()
            .map(|details| details.causes.clone())
    };
    assert_eq!(causes(&ours), causes(&theirs));
    let cause = causes(&ours).and_then(|causes| Some(causes.first()?.reason.clone()));
    assert_eq!(cause.as_deref(), Some("NamespaceTerminating"));

    let emptied = cluster.wait_for("the record to be gone", CLEARED_WITHIN, async || {
        api.get_opt("before").await.ok()?.is_none().then_some(())
    });
    emptied.await?;
    let release = json!({ "metadata": { "finalizers": null } });
    namespaces
        .patch(&name, &PatchParams::default(), &Patch::Merge(release))
        .await?;
    refused(404).await?;
    Ok(())
}

/// V13: nobody has to wait for the server to hear of a namespace, however the race ends.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_record_can_be_created_right_after_its_namespace() -> Result<()> {
    let client = shared().await?.cluster.client().await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for index in 0..NEW {
        let name = unique(&format!("new-{index}"));
        let mut new = namespace(&name)?;
        new.metadata.finalizers = None;
        namespaces.create(&PostParams::default(), &new).await?;
        let created = records(client.clone(), &name)
            .create(&PostParams::default(), &record("a"))
            .await;
        namespaces.delete(&name, &DeleteParams::default()).await?;
        created.with_context(|| format!("in {name}"))?;
    }
    Ok(())
}

/// Posts a record as the aggregator would for an administrator; gives status, Retry-After and body.
async fn create(client: &Client, path: &str, name: &str) -> Result<(StatusCode, String, Value)> {
    let mut request = Request::post(path).header("Content-Type", "application/json");
    for (name, value) in MASTER {
        request = request.header(name, value);
    }
    let body = serde_json::to_vec(&record(name))?;
    let answer = client.send(request.body(Body::from(body))?).await?;
    let after = answer.headers().get("Retry-After");
    let after = after.map_or(Ok(""), |value| value.to_str())?.to_owned();
    let status = answer.status();
    let body = answer.into_body().collect_bytes().await?;
    Ok((status, after, serde_json::from_slice(&body)?))
}

/// V13: without an answer nothing is created, and everything else goes on. What the server does not
/// follow is looked up.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_server_that_may_not_read_namespaces_creates_nothing_and_answers_reads() -> Result<()> {
    let cluster = shared().await?.cluster.clone();
    let namespace = cluster.namespace("unread").await?;
    let name = namespace.name.as_str();
    let kubectl = async |args: &str| {
        let args = args.split_whitespace();
        cluster.kubectl(args).await?.success()
    };
    let account = format!("--serviceaccount={name}:default");
    kubectl(&format!(
        "create clusterrolebinding {name} --clusterrole=system:auth-delegator {account}"
    ))
    .await?;
    kubectl(&format!(
        "create rolebinding {name} --role=extension-apiserver-authentication-reader {account} \
         -n kube-system"
    ))
    .await?;
    let kubeconfig = account_kubeconfig(&cluster, name, "default").await?;
    let server = LocalServer::start(&cluster, name, &kubeconfig)?;
    server.wait_ready().await?;
    let proxy = server.direct(front_proxy_client(&cluster)?).await?;
    let path = records::path(name);

    let (status, after, body) = create(&proxy, &path, "a").await?;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    assert_eq!(
        (&body["reason"], after.as_str()),
        (&json!("ServiceUnavailable"), "1")
    );
    assert_eq!(body["details"]["retryAfterSeconds"], 1, "{body}");
    let message = body["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("cannot look up the namespace"),
        "{message}"
    );
    assert_eq!(get(&proxy, &path, &MASTER).await?.status(), StatusCode::OK);
    assert_eq!(server.anonymous_status("/readyz").await?, StatusCode::OK);
    assert!(server.log()?.contains("cannot follow the namespaces"));

    // It still may not watch them, so that it has to look this one up.
    kubectl(&format!(
        "create clusterrole {name} --verb=get --resource=namespaces"
    ))
    .await?;
    kubectl(&format!(
        "create clusterrolebinding {name}-namespaces --clusterrole={name} {account}"
    ))
    .await?;
    let created = cluster.wait_for("a create to be answered", SOON, async || {
        let (status, ..) = create(&proxy, &path, "a").await.ok()?;
        (status == StatusCode::CREATED).then_some(())
    });
    created.await?;
    assert_eq!(server.stop().await?, Some(0));
    Ok(())
}
