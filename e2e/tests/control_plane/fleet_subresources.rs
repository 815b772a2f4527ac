//! Subresources of a kind's own, and who may use them.

use std::time::Duration;

use anyhow::Result;
use e2e::testing::{Cluster, TestNamespace};
use http::{Request, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};

use super::{
    certificates::front_proxy_client,
    example::Example,
    fleet::{create, path, shared, status, value},
    local_server::get,
};

/// Longer than the server keeps a refusal.
const PERMITTED_WITHIN: Duration = Duration::from_secs(30);

fn recall() -> String {
    json!({ "apiVersion": "fleet.example.com/v1", "kind": "Recall", "reason": "storm" }).to_string()
}

/// Lets a user do everything with a resource of the namespace.
async fn allow(
    cluster: &Cluster,
    namespace: &TestNamespace,
    (user, resource): (&str, &str),
) -> Result<()> {
    let name = format!("{user}-{}", resource.replace('/', "-"));
    let objects = json!({ "apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": { "name": name, "namespace": namespace.name },
            "rules": [{
                "apiGroups": ["fleet.example.com"], "resources": [resource], "verbs": ["*"],
            }],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": { "name": name, "namespace": namespace.name },
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name,
            },
            "subjects": [{ "kind": "User", "name": user }],
        },
    ] });
    cluster.apply(&objects.to_string()).await?;
    Ok(())
}

/// C5: a subresource that is an action takes its own kind, and honours `dryRun`.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_create_raw_calls_a_fleet_back() -> Result<()> {
    let (Example { cluster, .. }, namespace) = shared().await?;
    let spec = json!({ "region": "pacific", "replicas": 2 });
    create(cluster, &namespace, ("tuna", spec)).await?;
    let post = async |query: &str, body: &str| {
        let path = format!("{}/recall{query}", path(&namespace, "tuna"));
        let args = ["create", "--raw", &path, "-f", "-"];
        cluster.kubectl_with_input(args, body).await
    };
    let replicas = async || value(cluster, &namespace, ("tuna", ".spec.replicas")).await;

    post("?dryRun=All", &recall()).await?.success()?;
    assert_eq!(replicas().await?, "2");
    let refused = post("?dryRun=yes", &recall()).await?.failure()?;
    assert!(refused.contains("dryRun"), "{refused}");
    let refused = post("", r#"{"apiVersion":"v1","kind":"Other"}"#)
        .await?
        .failure()?;
    assert!(refused.contains("must be of type Recall"), "{refused}");

    let answer: Value = serde_json::from_str(&post("", &recall()).await?.success()?)?;
    assert_eq!(
        (&answer["kind"], &answer["reason"]),
        (&json!("Recall"), &json!("storm"))
    );
    assert!(answer["status"]["recalledBy"].is_string(), "{answer}");
    assert_eq!(replicas().await?, "0");
    let owner = r#".metadata.managedFields[?(@.manager=="kubectl")].operation"#;
    assert!(
        !value(cluster, &namespace, ("tuna", owner))
            .await?
            .is_empty()
    );

    let args = [
        "get",
        "--raw",
        &format!("{}/recall", path(&namespace, "tuna")),
    ];
    let refused = cluster.kubectl(args).await?.failure()?;
    assert!(
        refused.contains("get is not supported on resources of kind"),
        "{refused}"
    );
    Ok(())
}

/// C5: a subresource without verbs gets everything below its path, and answers what it likes.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_subresource_answers_text_for_every_path_below_it() -> Result<()> {
    let (Example { cluster, .. }, namespace) = shared().await?;
    create(
        cluster,
        &namespace,
        ("tuna", json!({ "region": "pacific" })),
    )
    .await?;
    let log = format!("{}/log", path(&namespace, "tuna"));
    let client = cluster.client().await?;
    for (tail, ship) in [
        ("", "the flagship"),
        ("/anna", "anna"),
        ("/anna/bow%20gun?dryRun=yes", "anna/bow gun"),
    ] {
        let accept = [("Accept", "text/plain")];
        let answer = get(&client, &format!("{log}{tail}"), &accept).await?;
        assert_eq!(answer.status(), StatusCode::OK, "{tail}");
        assert_eq!(
            answer.headers()["content-type"],
            "text/plain; charset=utf-8"
        );
        let text = answer.into_body().collect_bytes().await?;
        let expected = format!("{ship} of tuna: 1 orders received\n");
        assert_eq!(String::from_utf8_lossy(&text), expected);
    }
    let args = ["get", "--raw", &format!("{}/log", path(&namespace, "none"))];
    let missing = cluster.kubectl(args).await?.failure()?;
    assert!(
        missing.contains("fleets.fleet.example.com \"none\" not found"),
        "{missing}"
    );
    Ok(())
}

/// C6: kube-apiserver and the server itself both ask for `fleets/scale`, not for `fleets`.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn rights_on_a_fleet_are_none_on_its_subresources() -> Result<()> {
    let (example, namespace) = shared().await?;
    let cluster = &example.cluster;
    create(
        cluster,
        &namespace,
        ("tuna", json!({ "region": "pacific" })),
    )
    .await?;
    allow(cluster, &namespace, ("jane", "fleets")).await?;
    let (fleet, client) = (
        path(&namespace, "tuna"),
        example.direct(front_proxy_client(cluster)?).await?,
    );
    let permitted = async |path: String| {
        let what = format!("jane to get {path}");
        let check = cluster.wait_for(&what, PERMITTED_WITHIN, async || {
            let status = status(&client, &path, "jane").await.ok()?;
            (status == StatusCode::OK).then_some(())
        });
        check.await
    };
    permitted(fleet.clone()).await?;

    let args = ["scale", "fleet", "tuna", "--replicas=3", "--as=jane", "-n"];
    let args = args.into_iter().chain([namespace.name.as_str()]);
    let refused = cluster.kubectl(args).await?.failure()?;
    let why = "User \"jane\" cannot patch resource \"fleets/scale\" in API group";
    assert!(refused.contains(why), "{refused}");
    for subresource in ["scale", "status", "log", "log/anna"] {
        let refused = status(&client, &format!("{fleet}/{subresource}"), "jane").await?;
        assert_eq!(refused, StatusCode::FORBIDDEN, "{subresource}");
    }
    let recalled = async || {
        let request = Request::post(format!("{fleet}/recall"))
            .header("X-Remote-User", "jane")
            .header("Content-Type", "application/json")
            .body(Body::from(recall().into_bytes()))?;
        anyhow::Ok(client.send(request).await?.status())
    };
    assert_eq!(recalled().await?, StatusCode::FORBIDDEN);

    allow(cluster, &namespace, ("jane", "fleets/log")).await?;
    permitted(format!("{fleet}/log/anna")).await?;
    assert_eq!(
        recalled().await?,
        StatusCode::FORBIDDEN,
        "a right on another subresource"
    );
    allow(cluster, &namespace, ("jane", "fleets/recall")).await?;
    let check = cluster.wait_for("jane to recall", PERMITTED_WITHIN, async || {
        (recalled().await.ok()? == StatusCode::CREATED).then_some(())
    });
    check.await
}
