//! The audit log of a server in a cluster, read by Kubernetes' own code.

use std::fs;

use anyhow::{Context, Result, ensure};
use e2e::{
    programs::{CLIENTS, Programs},
    testing::Cluster,
};
use http::{Method, Request};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::process::Command;

use super::{
    certificates::front_proxy_client,
    local_server::{GROUP, LocalServer},
    records,
    server::shared,
};

const POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n\
    - level: None\n  nonResourceURLs: ['/readyz']\n- level: RequestResponse\n";
const USER: &str = "auditee";

/// Gives the user all rights on the records of a namespace.
async fn grant(cluster: &Cluster, namespace: &str) -> Result<()> {
    let resource = format!("--resource=datarecords.{GROUP}");
    let role = ["create", "clusterrole", USER, "--verb=*", &resource];
    cluster.kubectl(role).await?.success()?;
    let user = format!("--user={USER}");
    let bind = [
        "create",
        "rolebinding",
        USER,
        "--clusterrole=auditee",
        &user,
    ];
    let bind = bind.into_iter().chain(["-n", namespace]);
    cluster.kubectl(bind).await?.success()?;
    Ok(())
}

/// Sends requests of every kind, which succeed or not, and says how many.
async fn send_requests(direct: &Client, namespace: &str) -> Result<usize> {
    let send = async |method: Method, media: &str, path: &str, body: &Value| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("x-remote-user", USER)
            .header("content-type", media)
            .header("accept", "application/json");
        let body = Body::from(body.to_string().into_bytes());
        let answer = direct.send(request.body(body)?).await?;
        let code = answer.status().as_u16();
        // A watch is read to its end.
        answer.into_body().collect_bytes().await?;
        anyhow::Ok(code)
    };
    let all = records::path(namespace);
    let one = format!("{all}/a");
    let record = serde_json::to_value(records::record("a"))?;
    let (json, apply) = ("application/json", "application/apply-patch+yaml");
    let json_patch = json!([{ "op": "add", "path": "/metadata/labels", "value": { "l": "x" } }]);
    let elsewhere = records::path("default");
    let requests = [
        (Method::POST, json, all.clone(), &record, 201),
        (
            Method::PATCH,
            apply,
            format!("{one}?fieldManager=m&force=true"),
            &record,
            200,
        ),
        (
            Method::PATCH,
            "application/json-patch+json",
            one.clone(),
            &json_patch,
            200,
        ),
        (Method::GET, json, all.clone(), &Value::Null, 200),
        (
            Method::GET,
            json,
            format!("{all}?watch=true&timeoutSeconds=1"),
            &Value::Null,
            200,
        ),
        (Method::POST, json, all.clone(), &json!({ "spec": 3 }), 422),
        (Method::POST, json, elsewhere, &record, 403),
        (
            Method::DELETE,
            json,
            one,
            &json!({ "kind": "DeleteOptions", "apiVersion": "v1" }),
            200,
        ),
    ];
    for (method, media, path, body, code) in &requests {
        let found = send(method.clone(), media, path, body).await?;
        ensure!(found == *code, "{method} {path}: {found}");
    }
    Ok(requests.len())
}

/// X9: what a server records of users whose rights the cluster knows is what Kubernetes' types read,
/// with the reason that the cluster gives, and nothing of it is lost or written in another way.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubernetes_own_types_read_the_audit_log() -> Result<()> {
    let cluster = shared().await?.cluster.clone();
    let namespace = cluster.namespace("auditing").await?;
    grant(&cluster, &namespace.name).await?;
    let (policy, log) = (
        cluster.dir().join("audit.yaml"),
        cluster.dir().join("audit.log"),
    );
    fs::write(&policy, POLICY)?;
    let environment = [
        ("AUDIT_POLICY_FILE", policy.display().to_string()),
        ("AUDIT_LOG_PATH", log.display().to_string()),
    ];
    let kubeconfig = cluster.kubeconfig.clone();
    let server = LocalServer::start_with(&cluster, "audited", &kubeconfig, &environment)?;
    server.wait_ready().await?;
    let direct = server.direct(front_proxy_client(&cluster)?).await?;
    let sent = send_requests(&direct, &namespace.name).await?;
    ensure!(server.stop().await? == Some(0), "the exit code");

    let text = fs::read_to_string(&log)?;
    let events = text.lines().map(serde_json::from_str);
    let events: Vec<Value> = events.collect::<Result<_, _>>()?;
    let found = |verb: &str| {
        let stage = "ResponseComplete";
        let mut events = events.iter();
        events.find(|event| event["verb"] == verb && event["stage"] == stage)
    };
    let created = found("create").context("a create")?;
    ensure!(created["user"]["username"] == USER, "{created}");
    ensure!(created["objectRef"]["name"] == "a", "{created}");
    let reason = &created["annotations"]["authorization.k8s.io/reason"];
    ensure!(
        reason
            .as_str()
            .unwrap_or_default()
            .starts_with("RBAC: allowed by RoleBinding"),
        "{created}"
    );

    let mut command = Command::new(Programs::from_env()?.ensure(&CLIENTS).await?);
    command.arg("audit").arg(&log);
    let figures = cluster.run(command, "").await?.success()?;
    print!("{figures}");
    // A watch has one more.
    let expected = format!("audit: {} events, ", 2 * sent + 1);
    ensure!(figures.starts_with(&expected), "{figures}");
    Ok(())
}
