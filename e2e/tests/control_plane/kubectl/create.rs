//! `kubectl create`, and how manifests are checked.

use anyhow::Result;

use super::matrix::{CLIENTS_FAULT, err, ok, run};

/// V1, V4, V14: what is created, and what is refused.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_create_creates_or_says_why_not() -> Result<()> {
    run("create", &[
        ok("record a > a.yaml; kubectl create -f a.yaml", "datarecord.$G/a created"),
        err("kubectl create -f a.yaml", "Error from server (AlreadyExists): error when creating \"a.yaml\": datarecords.$G \"a\" already exists"),
        ok("record b | kubectl create -f - -o name", "datarecord.$G/b"),
        ok("record c | kubectl create -f - -o yaml", "generation: 1"),
        ok("record d | kubectl create -f - --save-config -o jsonpath='{.metadata.annotations}'", "last-applied-configuration"),
        ok("record e | kubectl create -f - --dry-run=client", "datarecord.$G/e created (dry run)"),
        ok("record e | kubectl create -f - --dry-run=client -o yaml", "name: e"),
        ok("record e | kubectl create -f - --dry-run=server", "datarecord.$G/e created (server dry run)"),
        ok("record e | kubectl create -f - --dry-run=server -o json", "\"name\": \"e\""),
        err("kubectl get $R e", "not found"),
        ok("record gen- | sed s/name:/generateName:/ | kubectl create -f - -o name", "datarecord.$G/gen-"),
        ok("mkdir dir; record f > dir/f.yaml; record g > dir/g.yaml; kubectl create -f dir", "datarecord.$G/g created"),
        ok("record h | kubectl create -f - --field-manager=me --show-managed-fields -o yaml", "manager: me"),
        ok("record i | kubectl create --dry-run=client -o json -f - | kubectl create --raw \"/apis/$G/v1alpha1/namespaces/$N/datarecords?dryRun=All\" -f - | jq -c .spec", "{\"source\":\"test\"}"),
        err("record J_ | kubectl create -f -", "a lowercase RFC 1123 subdomain must consist of"),
        err("record j | sed 's/source: test/source: 5/' | kubectl create -f -", "spec.source: Invalid value: \"integer\""),
        err("record j | sed '/source/d;s/spec:/spec: {}/' | kubectl create -f -", "spec.source: Required value"),
        err("record j | sed /source/d | kubectl create -f -", "spec: Required value"),
        err("record j | sed '/spec/,$d' | kubectl create -f -", "spec: Required value"),
        err("record j | sed s/v1alpha1/v9/ | kubectl create -f -", "no matches for kind \"DataRecord\" in version \"$G/v9\""),
        err("record j | sed 's/^kind: .*/kind: Nothing/' | kubectl create -f -", "no matches for kind \"Nothing\""),
        err("record j | kubectl create -f - -n nowhere-at-all", "namespaces \"nowhere-at-all\" not found"),
    ])
    .await
}

/// A5: what is unknown or stands there twice is refused, told, or dropped.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_validates_fields_in_three_ways() -> Result<()> {
    run("validate", &[
        err("(record a; echo '  nothing: 1') | kubectl create -f -", "strict decoding error: unknown field \"spec.nothing\""),
        err("(record a; echo '  nothing: 1') | kubectl create --validate=strict -f -", "unknown field \"spec.nothing\""),
        ok("(record a; echo '  nothing: 1') | kubectl create --validate=warn -f -", "Warning: unknown field \"spec.nothing\""),
        ok("(record b; echo '  nothing: 1') | kubectl create --validate=ignore -f -", "datarecord.$G/b created"),
        ok("kubectl get $R a b -o jsonpath='{.items[*].spec}'", "{\"source\":\"test\"} {\"source\":\"test\"}"),
        ok("(record c; echo '  source: twice') | kubectl create -f - -o jsonpath='{.spec.source}'", "twice"),
        err(
            "record d | kubectl create --dry-run=client -o json -f - | sed 's/\"source\":/\"source\": \"one\", \"source\":/' \
             | kubectl create --raw \"/apis/$G/v1alpha1/namespaces/$N/datarecords?fieldValidation=Strict\" -f -",
            "duplicate field \"spec.source\"",
        ),
        ok(
            "record d | kubectl create --dry-run=client -o json -f - | sed 's/\"source\":/\"source\": \"one\", \"source\":/' \
             | kubectl create --raw \"/apis/$G/v1alpha1/namespaces/$N/datarecords?fieldValidation=Warn\" -f - 2>&1 | jq -R 'fromjson?|.spec//.' -c",
            "",
        ),
        err("(record e; echo 'more: 1') | kubectl apply -f -", "unknown field \"more\""),
        err("(record e; echo 'more: 1') | kubectl apply --server-side -f -", ".more: field not declared in schema").differs(CLIENTS_FAULT),
        err("(record a; echo '  nothing: 1') | kubectl replace -f -", "unknown field \"spec.nothing\""),
        ok("kubectl patch $R a --type=merge -p '{\"spec\":{\"sauce\":\"x\"}}'", "Warning: unknown field \"spec.sauce\""),
    ])
    .await
}
