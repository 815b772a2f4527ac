//! `ValidatingAdmissionPolicies` that name our group: kube-controller-manager checks their
//! expressions against our OpenAPI document. kube-apiserver evaluates them for what it serves itself;
//! requests for an aggregated API are passed on before its admission. An extension API server of
//! `k8s.io/apiserver` evaluates them itself (`pkg/server/options/admission.go`); ours does not yet.

use std::time::Duration;

use anyhow::{Context, Result};
use e2e::testing::Cluster;
use serde_json::{Value, json};

use super::{local_server::GROUP, server::shared};

/// The controller looks up new kinds when a policy names them; kube-apiserver, a document once a
/// minute.
const CHECKED_WITHIN: Duration = Duration::from_secs(90);

/// A policy that is deleted with its binding when the value is dropped.
struct Policy {
    cluster: Cluster,
    name: String,
}

impl Policy {
    /// Denies, in the namespaces of this label, what does not satisfy the expression.
    async fn create(
        cluster: &Cluster,
        label: &str,
        rules: Value,
        expression: &str,
    ) -> Result<Self> {
        let name = format!("{label}.test.kubedojo.io");
        let api_version = "admissionregistration.k8s.io/v1";
        let selector = json!({ "matchLabels": { "policy": label } });
        let policy = json!({
            "apiVersion": api_version, "kind": "ValidatingAdmissionPolicy",
            "metadata": { "name": name },
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": { "resourceRules": rules, "namespaceSelector": selector },
                "validations": [{ "expression": expression, "message": "not this one" }],
            },
        });
        let binding = json!({
            "apiVersion": api_version, "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": { "name": name },
            "spec": { "policyName": name, "validationActions": ["Deny"] },
        });
        let created = Self {
            cluster: cluster.clone(),
            name,
        };
        for object in [policy, binding] {
            cluster.apply(&object.to_string()).await?;
        }
        Ok(created)
    }

    /// What the controller found; all of it is there at once.
    async fn warnings(&self) -> Result<String> {
        let args = ["get", "validatingadmissionpolicy", &self.name, "-o", "json"];
        let checked = async || {
            let text = self.cluster.kubectl(args).await.ok()?.success().ok()?;
            let policy: Value = serde_json::from_str(&text).ok()?;
            let seen = &policy["status"]["observedGeneration"];
            let checking = policy["status"].get("typeChecking")?;
            (*seen == policy["metadata"]["generation"]).then(|| checking.to_string())
        };
        let what = format!("{} to be checked", self.name);
        self.cluster.wait_for(&what, CHECKED_WITHIN, checked).await
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        let _ = std::process::Command::new(&self.cluster.kubectl)
            .args(["delete", "--wait=false", "--request-timeout=5s"])
            .arg(format!("validatingadmissionpolicy/{}", self.name))
            .arg(format!("validatingadmissionpolicybinding/{}", self.name))
            .env("KUBECONFIG", &self.cluster.kubeconfig)
            .output();
    }
}

fn rule(groups: &[&str], resources: &[&str]) -> Value {
    json!([{
        "apiGroups": groups, "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"],
        "resources": resources,
    }])
}

fn manifest(kind: (&str, &str), name: &str) -> String {
    json!({
        "apiVersion": kind.0, "kind": kind.1, "metadata": { "name": name },
        "spec": { "source": name },
    })
    .to_string()
}

/// O6: our schema is one that expressions are checked against. `*` versions are not looked up.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn the_expressions_of_a_policy_are_checked_against_our_openapi() -> Result<()> {
    let cluster = &shared().await?.cluster;
    let rules = || {
        json!([{
            "apiGroups": [GROUP], "apiVersions": ["v1alpha1"], "operations": ["CREATE"],
            "resources": ["datarecords"],
        }])
    };
    let good = "object.spec.source != 'x' && object.spec.?data['k'].orValue('') == '' \
                && object.metadata.name.size() > 1";
    let good = Policy::create(cluster, "checked-good", rules(), good).await?;
    assert_eq!(good.warnings().await?, "{}");
    let bad = Policy::create(cluster, "checked-bad", rules(), "object.spec.sauce == 'x'").await?;
    let warnings = bad.warnings().await?;
    for part in [
        "spec.validations[0].expression",
        "data.kubedojo.io/v1alpha1, Kind=DataRecord",
        "undefined field 'sauce'",
    ] {
        assert!(warnings.contains(part), "{part:?} not in {warnings}");
    }
    Ok(())
}

/// What holds today: a policy decides on custom resources and ConfigMaps, not on records.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn a_policy_decides_on_what_kube_apiserver_serves_itself() -> Result<()> {
    let cluster = &shared().await?.cluster;
    let namespace = cluster.namespace("policy").await?;
    let name = &namespace.name;
    let args = ["label", "namespace", name, "policy=decides"];
    cluster.kubectl(args).await?.success()?;
    let rules = rule(&["", GROUP], &["configmaps", "datarecords"]);
    let expression = "!object.metadata.name.startsWith('bad')";
    let _policy = Policy::create(cluster, "decides", rules, expression).await?;

    let create = async |kind: (&str, &str), object: &str| {
        let args = ["create", "--validate=false", "-n", name, "-f", "-"];
        cluster
            .kubectl_with_input(args, &manifest(kind, object))
            .await
    };
    let map = ("v1", "ConfigMap");
    let mut count = 0;
    let refused = async || {
        count += 1;
        create(map, &format!("bad-{count}"))
            .await
            .ok()?
            .failure()
            .ok()
    };
    let refused = cluster
        .wait_for("the policy to decide", CHECKED_WITHIN, refused)
        .await?;
    let reason = "denied request: not this one";
    assert!(refused.contains(reason), "{refused}");
    create(map, "good").await?.success()?;

    let api_version = format!("{GROUP}/v1alpha1");
    let kind = (api_version.as_str(), "DataRecord");
    create(kind, "good").await?.success()?;
    create(kind, "bad")
        .await?
        .success()
        .context("a policy decided on a record")?;
    Ok(())
}
