use http::Method;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

/// The rules of upstream's `checker_test.go`, with groups that are no core group.
fn rule(name: &str) -> Value {
    match name {
        "default" => json!({"level": "Metadata"}),
        "create" => json!({"level": "Request", "verbs": ["create"]}),
        "tims" => json!({"level": "Metadata", "users": ["tim@k8s.io"]}),
        "humans" => json!({"level": "Metadata", "userGroups": ["humans"]}),
        "serviceAccounts" => json!({"level": "Request", "userGroups": ["system:serviceaccounts"]}),
        "getPods" => get(
            json!({"group": "g", "resources": ["pods"]}),
            "RequestResponse",
        ),
        "getPodLogs" => get(json!({"group": "g", "resources": ["pods/log"]}), "Request"),
        "anyResource" => get(json!({"group": "g", "resources": ["*"]}), "Request"),
        "anyLog" => get(json!({"group": "g", "resources": ["*/log"]}), "Request"),
        "anyOfPods" => get(json!({"group": "g", "resources": ["pods/*"]}), "Request"),
        "otherGroup" => get(json!({"resources": ["pods"]}), "Request"),
        "wholeGroup" => get(json!({"group": "g"}), "Request"),
        "getRoles" => {
            let mut rule = get(
                json!({"group": "rbac.k8s.io", "resources": ["roles"]}),
                "RequestResponse",
            );
            rule["namespaces"] = json!([""]);
            rule
        }
        "anyStatus" => json!({"level": "RequestResponse", "verbs": ["update"],
            "resources": [{"group": "*", "resources": ["*/status"]}]}),
        "roleEdit" => json!({"level": "Request", "resources": [
            {"group": "rbac.k8s.io", "resources": ["roles"], "resourceNames": ["edit"]}]}),
        "inDefault" => json!({"level": "Request", "namespaces": ["default"]}),
        "getLogs" => {
            json!({"level": "RequestResponse", "verbs": ["get"], "nonResourceURLs": ["/logs*"]})
        }
        "getMetrics" => {
            json!({"level": "Request", "verbs": ["get"], "nonResourceURLs": ["/metrics"]})
        }
        "anyPath" => json!({"level": "Request", "nonResourceURLs": ["*"]}),
        other => panic!("no rule {other}"),
    }
}

fn get(resources: Value, level: &str) -> Value {
    json!({"level": level, "verbs": ["get"], "resources": [resources]})
}

fn policy(rules: Vec<Value>) -> Value {
    json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules})
}

fn parse(policy: &Value) -> Result<Policy, String> {
    Policy::parse(policy.to_string().as_bytes())
}

fn tim() -> UserInfo {
    UserInfo {
        name: "tim@k8s.io".to_owned(),
        groups: vec!["humans".to_owned()],
        ..UserInfo::default()
    }
}

fn request(name: &str) -> (Option<UserInfo>, RequestInfo) {
    let (method, path, user) = match name {
        "namespaced" => (Method::GET, "/apis/g/v1/namespaces/default/pods/box", true),
        "cluster" => (Method::GET, "/apis/rbac.k8s.io/v1/roles/edit", true),
        "nonResource" => (Method::GET, "/logs/kubelet.log", true),
        "subresource" => (
            Method::GET,
            "/apis/g/v1/namespaces/default/pods/box/log",
            true,
        ),
        "unauthorized" => (Method::GET, "/apis/g/v1/namespaces/default/pods/box", false),
        "statusUpdate" => (Method::PUT, "/apis/rbac.k8s.io/v1/roles/some/status", true),
        other => panic!("no request {other}"),
    };
    (user.then(tim), RequestInfo::parse(&method, path, None))
}

/// X9: the first rule that matches counts, as in upstream's `TestChecker`.
#[rstest]
#[case("namespaced", "default", Level::Metadata)]
#[case("namespaced", "create", Level::None)]
#[case("namespaced", "tims", Level::Metadata)]
#[case("namespaced", "humans", Level::Metadata)]
#[case("namespaced", "serviceAccounts", Level::None)]
#[case("namespaced", "getPods", Level::RequestResponse)]
#[case("namespaced", "otherGroup", Level::None)]
#[case("namespaced", "wholeGroup", Level::Request)]
#[case("namespaced", "inDefault", Level::Request)]
#[case("namespaced", "getRoles", Level::None)]
#[case("namespaced", "getLogs", Level::None)]
#[case("namespaced", "getMetrics", Level::None)]
#[case("namespaced", "anyPath", Level::None)]
#[case("namespaced", "getMetrics serviceAccounts default", Level::Metadata)]
#[case("namespaced", "getMetrics getPods default", Level::RequestResponse)]
#[case("namespaced", "getPodLogs getPods", Level::RequestResponse)]
#[case("cluster", "default", Level::Metadata)]
#[case("cluster", "inDefault", Level::None)]
#[case("cluster", "getPods", Level::None)]
#[case("cluster", "getRoles", Level::RequestResponse)]
#[case("cluster", "roleEdit getRoles", Level::Request)]
#[case("cluster", "getLogs", Level::None)]
#[case("cluster", "getPodLogs getPods", Level::None)]
#[case("nonResource", "default", Level::Metadata)]
#[case("nonResource", "create", Level::None)]
#[case("nonResource", "tims", Level::Metadata)]
#[case("nonResource", "getPods", Level::None)]
#[case("nonResource", "getRoles", Level::None)]
#[case("nonResource", "inDefault", Level::None)]
#[case("nonResource", "getLogs", Level::RequestResponse)]
#[case("nonResource", "getMetrics", Level::None)]
#[case("nonResource", "anyPath", Level::Request)]
#[case("nonResource", "getLogs getRoles default", Level::RequestResponse)]
#[case("subresource", "getPodLogs getPods", Level::Request)]
#[case("subresource", "getPods", Level::None)]
#[case("subresource", "anyResource", Level::Request)]
#[case("subresource", "anyLog", Level::Request)]
#[case("subresource", "anyOfPods", Level::Request)]
#[case("unauthorized", "tims", Level::None)]
#[case("unauthorized", "humans", Level::None)]
#[case("unauthorized", "tims default", Level::Metadata)]
#[case("statusUpdate", "anyStatus", Level::RequestResponse)]
#[case("statusUpdate", "roleEdit", Level::None)]
fn the_first_rule_that_matches_counts(
    #[case] sent: &str,
    #[case] rules: &str,
    #[case] expected: Level,
) {
    let (user, info) = request(sent);
    let policy = parse(&policy(rules.split(' ').map(rule).collect())).unwrap();
    assert_eq!(policy.evaluate(user.as_ref(), &info).level, expected);
}

/// X9: stages that the policy or the rule leaves out are left out.
#[test]
fn stages_are_left_out_by_policy_and_rule() {
    let mut written = policy(vec![
        json!({"level": "Request", "verbs": ["get"], "omitStages": ["RequestReceived", "Panic"]}),
        json!({"level": "Request"}),
    ]);
    written["omitStages"] = json!(["ResponseStarted", "Panic"]);
    let policy = parse(&written).unwrap();
    let omitted = |sent| {
        let (user, info) = request(sent);
        let omitted = policy.evaluate(user.as_ref(), &info).omit_stages;
        let stages = [
            Stage::RequestReceived,
            Stage::ResponseStarted,
            Stage::ResponseComplete,
            Stage::Panic,
        ];
        stages.map(|stage| omitted.contains(stage))
    };
    assert_eq!(omitted("namespaced"), [true, true, false, true]);
    assert_eq!(omitted("statusUpdate"), [false, true, false, true]);
}

/// X9: as upstream's `TestOmitManagedFields`.
#[rstest]
#[case(None, None, false)]
#[case(Some(true), None, true)]
#[case(Some(true), Some(false), false)]
#[case(Some(false), Some(true), true)]
#[case(Some(true), Some(true), true)]
fn a_rule_overrides_the_policy_about_managed_fields(
    #[case] of_policy: Option<bool>,
    #[case] of_rule: Option<bool>,
    #[case] expected: bool,
) {
    let mut written = policy(vec![
        json!({"level": "Metadata", "omitManagedFields": of_rule}),
    ]);
    written["omitManagedFields"] = json!(of_policy);
    let (user, info) = request("namespaced");
    let verdict = parse(&written).unwrap().evaluate(user.as_ref(), &info);
    assert_eq!(verdict.omit_managed_fields, expected);
}

/// X9: a mistake in a policy is named with its place and what to write instead.
#[rstest]
#[case::yaml("a: b: c", "line 1, column")]
#[case::text("text", "the document: must be an object")]
#[case::no_type(
    "rules: [{level: None}]",
    "apiVersion: must be audit.k8s.io/v1, not \"\""
)]
#[case::version(
    "{apiVersion: audit.k8s.io/v1beta1, kind: Policy}",
    "apiVersion: must be audit.k8s.io/v1, not \"audit.k8s.io/v1beta1\""
)]
#[case::kind(
    "{apiVersion: audit.k8s.io/v1, kind: Event}",
    "kind: must be Policy, not \"Event\""
)]
fn a_document_that_is_no_policy_is_refused(#[case] text: &str, #[case] expected: &str) {
    let error = Policy::parse(text.as_bytes()).unwrap_err();
    assert!(error.contains(expected), "{error}");
}

/// X9: a mistake in a policy is named with its place and what to write instead.
#[rstest]
#[case::none(
    "rules: []",
    "rules: must have at least one: without any, nothing is recorded"
)]
#[case::no_list(
    "rules: {level: None}",
    "rules: must be a list, not {\"level\":\"None\"}"
)]
#[case::no_rule("rules: [None]", "rules[0]: must be an object, not \"None\"")]
#[case::no_level(
    "rules: [{level: None}, {verbs: [get]}]",
    "rules[1].level: is missing: use one of None, Metadata, Request, RequestResponse"
)]
#[case::level(
    "rules: [{level: metadata}]",
    "rules[0].level: metadata is none of None, Metadata, Request, RequestResponse"
)]
#[case::misspelt(
    "rules: [{level: None, user: [a]}]",
    "rules[0].user: there is no such field: use one of level, users, userGroups, verbs, resources, \
     namespaces, nonResourceURLs, omitStages, omitManagedFields"
)]
#[case::misspelt_above(
    "rules: [{level: None}], omitStage: []",
    "omitStage: there is no such field: use one of apiVersion, kind, metadata, omitStages, \
     omitManagedFields, rules"
)]
#[case::misspelt_below(
    "rules: [{level: None, resources: [{groups: a}]}]",
    "rules[0].resources[0].groups: there is no such field: use one of group, resources, resourceNames"
)]
#[case::twice(
    "rules: [{level: None, level: Metadata}]",
    "rules[0].level: stands there twice: remove one"
)]
#[case::stage(
    "rules: [{level: None, omitStages: [Panic, Started]}]",
    "rules[0].omitStages[1]: \"Started\" is none of RequestReceived, ResponseStarted, \
     ResponseComplete, Panic"
)]
#[case::stage_of_policy(
    "omitStages: [3], rules: [{level: None}]",
    "omitStages[0]: 3 is none of RequestReceived, ResponseStarted, ResponseComplete, Panic"
)]
#[case::number(
    "rules: [{level: None, users: [7]}]",
    "rules[0].users[0]: must be a string, not 7: quote it"
)]
#[case::boolean(
    "rules: [{level: None, omitManagedFields: 'yes'}]",
    "rules[0].omitManagedFields: must be true or false, not \"yes\""
)]
#[case::both(
    "rules: [{level: None, namespaces: [a], nonResourceURLs: [/a]}]",
    "rules[0].nonResourceURLs: cannot stand beside resources or namespaces: make two rules"
)]
#[case::url(
    "rules: [{level: None, nonResourceURLs: [a]}]",
    "rules[0].nonResourceURLs[0]: \"a\" must begin with /, or be *"
)]
#[case::star(
    "rules: [{level: None, nonResourceURLs: ['*', /a*/b]}]",
    "rules[0].nonResourceURLs[1]: \"/a*/b\" may have a * at its end only"
)]
#[case::group(
    "rules: [{level: None, resources: [{group: apps/v1}]}]",
    "rules[0].resources[0].group: \"apps/v1\" is no group: write its name without the version, such as \
     apps, or *"
)]
#[case::names(
    "rules: [{level: None, resources: [{resourceNames: [a]}]}]",
    "rules[0].resources[0].resourceNames: needs resources beside it that have these names"
)]
fn a_mistake_is_named_with_its_place(#[case] text: &str, #[case] expected: &str) {
    let text = format!("{{apiVersion: audit.k8s.io/v1, kind: Policy, {text}}}");
    assert_eq!(Policy::parse(text.as_bytes()).unwrap_err(), expected);
}

/// X9: everything that a policy may say, in one.
#[test]
fn a_whole_policy_is_read() {
    let text = "# Comments are fine.\n\
        apiVersion: audit.k8s.io/v1\nkind: Policy\nmetadata: {name: default}\n\
        omitStages: [RequestReceived]\nomitManagedFields: true\nrules:\n\
        - level: None\n  users: [a]\n  userGroups: [b]\n  verbs: [watch]\n\
        - level: None\n  nonResourceURLs: [/healthz*, /version]\n\
        - level: RequestResponse\n  omitManagedFields: false\n  omitStages: [Panic]\n\
        \x20 namespaces: [default]\n  resources:\n  - group: g\n    resources: [pods/*]\n    \
        resourceNames: [box]\n";
    let policy = Policy::parse(text.as_bytes()).unwrap();
    let (user, info) = request("subresource");
    let verdict = policy.evaluate(user.as_ref(), &info);
    assert_eq!(verdict.level, Level::RequestResponse);
    assert!(!verdict.omit_managed_fields && verdict.omit_stages.contains(Stage::Panic));
}

/// X9: the policy that the documentation shows is one.
#[test]
fn the_policy_of_the_documentation_is_read() {
    let text = include_str!("../../../../../docs/audit.md");
    let (_, text) = text.split_once("```yaml\n").unwrap();
    let (text, _) = text.split_once("```").unwrap();
    let policy = Policy::parse(text.as_bytes()).unwrap();
    let level = |method: &Method, path: &str| {
        let info = RequestInfo::parse(method, path, None);
        policy.evaluate(Some(&tim()), &info).level
    };
    let records = "/apis/data.kubedojo.io/v1alpha1/namespaces/n/datarecords";
    assert_eq!(level(&Method::GET, "/readyz"), Level::None);
    assert_eq!(level(&Method::GET, "/apis/data.kubedojo.io"), Level::None);
    assert_eq!(level(&Method::POST, records), Level::RequestResponse);
    assert_eq!(level(&Method::GET, records), Level::Metadata);
}
