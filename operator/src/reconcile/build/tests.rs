//! The children as golden files, and what must hold of them whatever they look like.

use crds::{ExtensionAPI, ExtensionApiSpec};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::build;
use crate::{
    args::Config,
    certificates::{Authority, KeyPair, Tls},
    reconcile::{dereference::World, drift::needs_write, validate::validate},
};

fn config() -> Config {
    Config {
        server_image: "example/extension-apiserver:1".into(),
        server_image_pull_policy: "IfNotPresent".into(),
        operator_namespace: "operators".into(),
        operand_namespaces: vec!["apps".into()],
        admission_role: "release-admission".into(),
        cluster_domain: "cluster.local".into(),
    }
}

/// Certificates as texts that never change: the builder does not look into them.
fn tls() -> Tls {
    let pair = |name: &str| KeyPair {
        certificate: format!("{name} certificate\n"),
        key: format!("{name} key\n"),
    };
    Tls {
        authority: Authority {
            current: pair("authority"),
            previous: Some("previous\n".into()),
        },
        serving: pair("serving"),
        bundle: "authority certificate\nprevious\n".into(),
        ca_not_after: Timestamp::UNIX_EPOCH,
        serving_not_after: Timestamp::UNIX_EPOCH,
        next_look: Timestamp::UNIX_EPOCH,
    }
}

fn children(spec: Value) -> Value {
    let spec: ExtensionApiSpec = serde_json::from_value(spec).unwrap();
    let mut api = ExtensionAPI::new("records", spec);
    api.metadata.uid = Some("11111111-2222-3333-4444-555555555555".into());
    let owner = crate::names::Owner::of(&api).unwrap();
    let plan = validate(&api, &owner, &World::default(), &config()).unwrap();
    serde_json::to_value(build(&plan, &tls(), &config())).unwrap()
}

fn bundled() -> Value {
    json!({
        "group": "data.kubedojo.io",
        "versions": [{ "name": "v1alpha1" }],
        "namespace": "apps",
        "server": { "bundled": { "storage": { "memory": {} }, "seedExamples": true } },
    })
}

fn postgres() -> Value {
    let mut spec = bundled();
    let secret = json!({ "connectionSecretRef": { "name": "pg", "key": "uri" } });
    spec["server"]["bundled"]["storage"] = json!({ "postgres": secret });
    spec
}

fn image() -> Value {
    json!({
        "group": "reports.example.com",
        "versions": [{ "name": "v1" }, { "name": "v1beta1", "groupPriorityMinimum": 500, "versionPriority": 7 }],
        "namespace": "apps",
        "server": { "image": {
            "image": "example/reports:2",
            "command": ["/reports"],
            "args": ["--port=6443"],
            "env": [{ "name": "A", "value": "b" }],
            "port": 6443,
            "healthPath": "/healthz",
        } },
        "replicas": 3,
        "podTemplate": {
            "resources": { "requests": { "cpu": 1 } },
            "nodeSelector": { "disk": "ssd" },
            "tolerations": [{ "key": "dedicated", "operator": "Exists" }],
            "imagePullSecrets": [{ "name": "registry" }],
        },
    })
}

/// B1: every child with its name, labels and owner.
#[test]
fn the_bundled_server_has_these_children() {
    insta::assert_json_snapshot!("bundled", children(bundled()));
}

/// A file has a claim that nobody owns, and one pod at a time.
#[test]
fn the_bundled_server_on_a_volume_differs_in_this() {
    let mut spec = bundled();
    let volume = json!({ "volume": { "size": "2Gi", "storageClassName": "fast" } });
    spec["server"]["bundled"]["storage"] = json!({ "sqlite": volume });
    let children = children(spec);
    let claim = &children["dataClaim"];
    assert_eq!(claim["metadata"]["name"], "records-data");
    assert_eq!(claim["metadata"]["ownerReferences"], Value::Null);
    assert_eq!(
        claim["spec"],
        json!({ "accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
            "resources": { "requests": { "storage": "2Gi" } } })
    );
    let spec = &children["deployment"]["spec"];
    let pod = &spec["template"]["spec"];
    assert_eq!(
        (&spec["replicas"], &spec["strategy"]),
        (&json!(1), &json!({ "type": "Recreate" }))
    );
    let volume =
        json!({ "name": "storage", "persistentVolumeClaim": { "claimName": "records-data" } });
    let mount = json!({ "name": "storage", "mountPath": "/var/lib/extension-apiserver" });
    let arg = json!("--storage=sqlite:/var/lib/extension-apiserver/records.db");
    assert!(pod["volumes"].as_array().unwrap().contains(&volume));
    assert!(
        pod["containers"][0]["volumeMounts"]
            .as_array()
            .unwrap()
            .contains(&mount)
    );
    assert!(
        pod["containers"][0]["args"]
            .as_array()
            .unwrap()
            .contains(&arg)
    );
}

/// A database is named by a Secret, and shared by two replicas if nobody says otherwise.
#[test]
fn the_bundled_server_on_a_database_differs_in_this() {
    let children = children(postgres());
    let spec = &children["deployment"]["spec"];
    let pod = &spec["template"]["spec"];
    let args = pod["containers"][0]["args"].as_array().unwrap();
    let volume =
        json!({ "name": "storage", "secret": { "secretName": "pg", "defaultMode": 0o440 } });
    let mount =
        json!({ "name": "storage", "mountPath": "/etc/apiserver/storage", "readOnly": true });
    assert_eq!(spec["replicas"], 2);
    for arg in [
        "--storage-secret-file=/etc/apiserver/storage/uri",
        "--goaway-chance=0.001",
    ] {
        assert!(args.contains(&json!(arg)), "{arg}: {args:?}");
    }
    assert!(!args.contains(&json!("--storage=memory")), "{args:?}");
    assert!(pod["volumes"].as_array().unwrap().contains(&volume));
    assert!(
        pod["containers"][0]["volumeMounts"]
            .as_array()
            .unwrap()
            .contains(&mount)
    );
}

/// B1, B5: two versions on one workload.
#[test]
fn an_image_has_these_children() {
    insta::assert_json_snapshot!("image", children(image()));
}

#[test]
fn every_child_is_labelled_and_owned() {
    let children = children(image());
    let all = children.as_object().unwrap().values();
    for child in all.flat_map(|child| {
        child
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![child.clone()])
    }) {
        let metadata = &child["metadata"];
        for label in ["name", "instance", "managed-by", "part-of", "component"] {
            assert!(
                metadata["labels"][format!("app.kubernetes.io/{label}")].is_string(),
                "{child}"
            );
        }
        assert_eq!(
            metadata["ownerReferences"][0]["kind"], "ExtensionAPI",
            "{child}"
        );
        assert_eq!(
            metadata["labels"]["extensions.kubedojo.io/owner-uid"],
            metadata["ownerReferences"][0]["uid"]
        );
    }
}

/// F19, M10: a field that is not meant is not sent, neither as null nor as false.
#[test]
fn no_child_skips_the_verification_of_certificates_or_sends_a_null() {
    fn check(value: &Value) {
        match value {
            Value::Null => panic!("a null"),
            Value::Object(map) => {
                assert!(!map.contains_key("insecureSkipTLSVerify"));
                map.values().for_each(check);
            }
            Value::Array(items) => {
                assert!(!items.is_empty(), "an empty list");
                items.iter().for_each(check);
            }
            _ => {}
        }
    }
    check(&children(bundled()));
    check(&children(image()));
}

/// F9, F10: Service, pods and ports agree.
#[test]
fn the_service_selects_the_pods_and_names_their_port() {
    let children = children(image());
    let (service, deployment) = (
        &children["service"]["spec"],
        &children["deployment"]["spec"],
    );
    assert_eq!(service["selector"], deployment["selector"]["matchLabels"]);
    let labels = &deployment["template"]["metadata"]["labels"];
    for (key, value) in service["selector"].as_object().unwrap() {
        assert_eq!(&labels[key], value);
    }
    let port = &deployment["template"]["spec"]["containers"][0]["ports"][0];
    assert_eq!(service["ports"][0]["targetPort"], port["name"]);
    assert_eq!(service["ports"][0]["name"], port["name"]);
    assert!(service["ports"][0].get("appProtocol").is_none());
}

/// The authority's key is in no Secret that a pod mounts.
#[test]
fn the_authoritys_key_stays_with_the_operator() {
    let children = children(bundled());
    assert_eq!(children["caSecret"]["metadata"]["namespace"], "operators");
    let mounted =
        &children["deployment"]["spec"]["template"]["spec"]["volumes"][0]["secret"]["secretName"];
    assert_eq!(mounted, &children["servingSecret"]["metadata"]["name"]);
    assert_ne!(
        children["servingSecret"]["data"]["tls.key"],
        children["caSecret"]["data"]["tls.key"]
    );
}

/// A field that is no longer wanted cannot be seen in what is wanted; the hash gives it away.
#[test]
fn a_field_that_is_no_longer_wanted_is_drift() {
    let with = children(image());
    let mut spec = image();
    spec["podTemplate"]
        .as_object_mut()
        .unwrap()
        .remove("nodeSelector");
    let without = children(spec);
    assert!(needs_write(
        &without["deployment"],
        Some(&with["deployment"])
    ));
    assert!(!needs_write(&with["deployment"], Some(&with["deployment"])));
    assert!(!needs_write(&without["service"], Some(&with["service"])));
}
