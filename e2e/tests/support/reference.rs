//! The other side: a custom resource with the names, the schema and the columns that the server
//! publishes, so that the two cannot drift apart.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::{Request, StatusCode};
use kube::{Client, client::Body};
use serde_json::{Value, json};

use super::local_server::{GROUP, LocalServer, get};

/// The custom resource's group. It is as long as the server's, so that what depends on the length
/// of texts is the same.
pub(crate) const REFERENCE_GROUP: &str = "twin.kubedojo.io";
const SERVED_WITHIN: Duration = Duration::from_secs(30);
/// Where the columns take their values; a Table does not say.
const JSON_PATHS: [(&str, &str); 4] = [
    ("Source", ".spec.source"),
    ("Status", ".status.syncStatus"),
    ("Last Sync", ".status.lastSyncTime"),
    ("Age", ".metadata.creationTimestamp"),
];

/// Creates the custom resource and waits until it is served. The server is asked itself: the
/// aggregator takes a while to find its OpenAPI document.
pub(crate) async fn create(server: &LocalServer, client: &Client) -> Result<()> {
    let definition = definition(&server.direct_as_admin().await?).await?;
    let cluster = &server.cluster;
    cluster.apply(&definition.to_string()).await?;
    let path = format!("/apis/{REFERENCE_GROUP}/v1alpha1/datarecords");
    let answers = cluster.wait_for("the custom resource", SERVED_WITHIN, async || {
        let response = get(client, &path, &[]).await.ok()?;
        (response.status() == StatusCode::OK).then_some(())
    });
    answers.await
}

async fn definition(client: &Client) -> Result<Value> {
    let resources = json_of(client, &format!("/apis/{GROUP}/v1alpha1"), "*/*").await?;
    let resource = resources["resources"].as_array().and_then(|resources| {
        let mut resources = resources.iter();
        resources.find(|resource| resource["name"] == "datarecords")
    });
    let resource = resource.context("discovery has no datarecords")?;
    let kind = resource["kind"].as_str().context("no kind")?;
    Ok(json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("datarecords.{REFERENCE_GROUP}") },
        "spec": {
            "group": REFERENCE_GROUP, "scope": "Namespaced",
            "names": {
                "plural": "datarecords", "singular": resource["singularName"],
                "kind": kind, "listKind": format!("{kind}List"),
                "shortNames": resource["shortNames"], "categories": resource["categories"],
            },
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true,
                "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": schema(client, kind).await? },
                "additionalPrinterColumns": columns(client).await?,
            }],
        },
    }))
}

/// The published schema, without what a custom resource's may not have.
async fn schema(client: &Client, kind: &str) -> Result<Value> {
    let path = format!("/openapi/v3/apis/{GROUP}/v1alpha1");
    let document = json_of(client, &path, "application/json").await?;
    let schemas = document["components"]["schemas"].as_object();
    let schemas = schemas.context("the OpenAPI document has no schemas")?;
    let mut own = schemas.iter().filter(|(name, schema)| {
        name.ends_with(&format!(".{kind}"))
            && schema.get("x-kubernetes-group-version-kind").is_some()
    });
    let (_, schema) = own.next().context("the OpenAPI document lacks the kind")?;
    let mut schema = schema.clone();
    let map = schema.as_object_mut().context("a schema is an object")?;
    map.remove("x-kubernetes-group-version-kind");
    let properties = map.get_mut("properties").and_then(Value::as_object_mut);
    let properties = properties.context("the schema has no properties")?;
    properties.remove("apiVersion");
    properties.remove("kind");
    properties.insert("metadata".to_owned(), json!({ "type": "object" }));
    Ok(schema)
}

async fn columns(client: &Client) -> Result<Vec<Value>> {
    let path = format!("/apis/{GROUP}/v1alpha1/datarecords?limit=1");
    let table = json_of(
        client,
        &path,
        "application/json;as=Table;v=v1;g=meta.k8s.io",
    )
    .await?;
    let columns = table["columnDefinitions"].as_array();
    let columns = columns.context("the Table has no columns")?.iter();
    let own = columns.filter(|column| column["name"] != "Name");
    own.map(|column| {
        let path = JSON_PATHS.iter().find(|(name, _)| column["name"] == *name);
        let (_, path) = path.with_context(|| format!("no path for {column}"))?;
        Ok(json!({
            "name": column["name"], "type": column["type"], "priority": column["priority"],
            "description": column["description"], "jsonPath": path,
        }))
    })
    .collect()
}

async fn json_of(client: &Client, path: &str, accept: &str) -> Result<Value> {
    let request = Request::get(path).header("accept", accept);
    let response = client.send(request.body(Body::empty())?).await?;
    let status = response.status();
    let body = response.into_body().collect_bytes().await?;
    let text = String::from_utf8_lossy(&body);
    ensure!(status == StatusCode::OK, "{path}: {status}: {text}");
    Ok(serde_json::from_slice(&body)?)
}
