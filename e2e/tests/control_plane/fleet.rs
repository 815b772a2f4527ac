//! The example `fleet` behind the aggregator: what clients see of a kind that uses every extension
//! point of the library.

use anyhow::{Context, Result, ensure};
use e2e::testing::{Cluster, TestNamespace};
use http::StatusCode;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::{
    certificates::front_proxy_client,
    example::{Example, Served},
    extension_api::SOON,
    local_server::get,
    merging::merge,
    server::get_json,
};

pub(crate) static FLEET: Served = Served {
    example: "fleet",
    group: "fleet.example.com",
    versions: &["v1", "v1beta1"],
    resource: ("Fleet", "fleets"),
};

static SHARED: OnceCell<Example> = OnceCell::const_new();

/// The example, which all tests of it share, and a namespace.
pub(crate) async fn shared() -> Result<(&'static Example, TestNamespace)> {
    let example = SHARED.get_or_try_init(async || {
        let cluster = Cluster::from_env()?;
        let example = Example::start(&cluster, &FLEET).await?;
        let args = ["get", "fleets", "-A"];
        let known = cluster.wait_for("kubectl to know fleets", SOON, async || {
            cluster.kubectl(args).await.ok()?.success().ok()
        });
        known.await?;
        anyhow::Ok(example)
    });
    let example = example.await?;
    Ok((example, example.cluster.namespace("fleet").await?))
}

/// A fleet of some version.
pub(crate) fn fleet(version: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("{}/{version}", FLEET.group), "kind": "Fleet",
        "metadata": { "name": name }, "spec": spec,
    })
}

/// Creates a fleet of v1, and says what kubectl printed about it to standard error.
pub(crate) async fn create(
    cluster: &Cluster,
    namespace: &TestNamespace,
    (name, spec): (&str, Value),
) -> Result<String> {
    let object = fleet("v1", name, &spec).to_string();
    let args = ["create", "-f", "-", "-n", &namespace.name];
    let output = cluster.kubectl_with_input(args, &object).await?;
    let said = output.stderr.clone();
    output.success()?;
    Ok(said)
}

/// One value of a fleet, as kubectl gets it from the main resource or a subresource.
pub(crate) async fn value(
    cluster: &Cluster,
    namespace: &TestNamespace,
    (name, path): (&str, &str),
) -> Result<String> {
    let path = format!("jsonpath={{{path}}}");
    let args = ["get", "fleet", name, "-o", &path, "-n", &namespace.name];
    cluster.kubectl(args).await?.success()
}

/// The path of a fleet.
pub(crate) fn path(namespace: &TestNamespace, name: &str) -> String {
    let namespace = &namespace.name;
    format!(
        "/apis/{}/v1/namespaces/{namespace}/fleets/{name}",
        FLEET.group
    )
}

/// P3, D3: each subresource is listed with the kind that is sent to it, `scale` with that of the
/// autoscaler, and one that takes every method with none.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn discovery_lists_every_subresource_with_its_kind() -> Result<()> {
    let (example, _namespace) = shared().await?;
    let client = example.cluster.client().await?;
    for version in FLEET.versions {
        let path = format!("/apis/{}/{version}", FLEET.group);
        let list = get_json(&client, &path, &[]).await?;
        let resources = list["resources"].as_array().context("resources")?;
        let brief = |name: &str| {
            let named = resources.iter().find(|resource| resource["name"] == name);
            let resource = named.unwrap_or(&Value::Null);
            ["group", "version", "kind", "verbs"].map(|field| resource[field].clone())
        };
        let reads = json!(["get", "patch", "update"]);
        assert_eq!(
            brief("fleets/scale"),
            [json!("autoscaling"), json!("v1"), json!("Scale"), reads]
        );
        let own = |kind, verbs| [json!(FLEET.group), json!(version), json!(kind), verbs];
        assert_eq!(brief("fleets/recall"), own("Recall", json!(["create"])));
        assert_eq!(brief("fleets/log"), own("Fleet", json!([])));
        // Both versions are one storage, whose version is the first.
        assert_eq!(resources[0]["name"], "fleets");
        let hash = &resources[0]["storageVersionHash"];
        let first = get_json(&client, "/apis/fleet.example.com/v1", &[]).await?;
        assert_eq!(*hash, first["resources"][0]["storageVersionHash"]);
    }
    Ok(())
}

/// O1, O5, O6, O7, P5, P6: also with subresources and with two versions in one document.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubernetes_own_code_merges_the_openapi_documents_of_both_versions() -> Result<()> {
    let (example, _namespace) = shared().await?;
    let cluster = &example.cluster;
    let direct: Client = example.direct(front_proxy_client(cluster)?).await?;
    for version in FLEET.versions {
        let figures = merge(cluster, &direct, (FLEET.group, version)).await?;
        ensure!(
            figures.contains("3 kinds resolved"),
            "Fleet, FleetList and Recall: {figures}"
        );
        let document = format!("/openapi/v3/apis/{}/{version}", FLEET.group);
        let document = get_json(&cluster.client().await?, &document, &[]).await?;
        let fleet = format!(
            "/apis/{}/{version}/namespaces/{{namespace}}/fleets/{{name}}",
            FLEET.group
        );
        let operations = &document["paths"][format!("{fleet}/scale")];
        for verb in ["get", "put", "patch"] {
            let kind = &operations[verb]["x-kubernetes-group-version-kind"];
            let scale = json!({ "group": "autoscaling", "version": "v1", "kind": "Scale" });
            assert_eq!(*kind, scale, "{verb}");
        }
        assert!(document["paths"][format!("{fleet}/recall")]["post"].is_object());
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_shows_the_kinds_warnings_and_refusals() -> Result<()> {
    let (Example { cluster, .. }, namespace) = shared().await?;
    let spec = json!({ "region": "pacific", "replicas": 5 });
    let said = create(cluster, &namespace, ("tuna", spec)).await?;
    let warning = "Warning: spec.replicas: 5 are wanted of 0 ships";
    assert!(said.contains(warning), "{said}");
    assert_eq!(
        value(cluster, &namespace, ("tuna", ".status.selector")).await?,
        "fleet=tuna",
        "prepared by the strategy"
    );

    let args = |patch| ["patch", "fleet", "tuna", "--type=merge", "-p", patch, "-n"];
    let patch = |patch| {
        let args = args(patch).into_iter().chain([namespace.name.as_str()]);
        cluster.kubectl(args.collect::<Vec<_>>())
    };
    let warned = patch(r#"{"spec":{"replicas":6}}"#).await?;
    assert!(warned.stderr.contains("6 are wanted of 0"), "{warned:?}");
    let refused = patch(r#"{"spec":{"docked":true}}"#).await?.failure()?;
    let rule = "spec.replicas: Invalid value: 6: must be 0 while the fleet is docked";
    assert!(refused.contains(rule), "{refused}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_describes_a_fleet_with_its_events_and_explains_its_fields() -> Result<()> {
    let (Example { cluster, .. }, namespace) = shared().await?;
    create(
        cluster,
        &namespace,
        ("cod", json!({ "region": "atlantic" })),
    )
    .await?;
    let uid = value(cluster, &namespace, ("cod", ".metadata.uid")).await?;
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "type": "Normal",
        "metadata": { "name": "sailed", "namespace": namespace.name },
        "reason": "Sailed", "message": "left the harbour",
        "involvedObject": {
            "apiVersion": "fleet.example.com/v1", "kind": "Fleet",
            "name": "cod", "namespace": namespace.name, "uid": uid,
        },
    });
    cluster.apply(&event.to_string()).await?;
    let args = ["describe", "fl", "cod", "-n", &namespace.name];
    let described = cluster.kubectl(args).await?.success()?;
    for part in ["Region:", "atlantic", "Sailed", "left the harbour"] {
        assert!(described.contains(part), "{part}: {described}");
    }
    for version in FLEET.versions {
        let version = format!("--api-version={}/{version}", FLEET.group);
        let args = ["explain", "fleets.spec.region", &version];
        let explained = cluster.kubectl(args).await?.success()?;
        assert!(explained.contains("Where the fleet sails"), "{explained}");
    }
    Ok(())
}

/// The status of what a client gets.
pub(crate) async fn status(client: &Client, path: &str, user: &str) -> Result<StatusCode> {
    Ok(get(client, path, &[("X-Remote-User", user)])
        .await?
        .status())
}
