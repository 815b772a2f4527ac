//! `kubectl apply` on the client's side, and `kubectl diff`.

use anyhow::Result;

use super::matrix::{err, ok, run};

/// A1, A3: what kubectl works out itself, from what was last applied.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_apply_creates_configures_prunes_and_leaves_alone() -> Result<()> {
    run("apply", &[
        ok("(record a; echo '  query: q') > a.yaml; kubectl apply -f a.yaml", "datarecord.$G/a created"),
        ok("kubectl apply -f a.yaml", "datarecord.$G/a unchanged"),
        ok("kubectl apply view-last-applied $R a", "query: q"),
        ok("sed -i s/test/redis/ a.yaml; kubectl apply -f a.yaml", "datarecord.$G/a configured"),
        ok("kubectl get $R a -o jsonpath='{.spec.source} {.metadata.generation}'", "redis 2"),
        ok("sed -i /query/d a.yaml; kubectl apply -f a.yaml", "datarecord.$G/a configured"),
        ok("kubectl get $R a -o jsonpath='{.spec}'", "{\"source\":\"redis\"}"),
        ok("kubectl apply -f a.yaml --dry-run=server", "datarecord.$G/a unchanged (server dry run)"),
        ok("sed s/redis/consul/ a.yaml | kubectl apply --dry-run=server -f -", "datarecord.$G/a configured (server dry run)"),
        ok("sed s/redis/consul/ a.yaml | kubectl apply --dry-run=client -f -", "datarecord.$G/a configured (dry run)"),
        ok("record b | kubectl apply --dry-run=client -f -", "datarecord.$G/b created (dry run)"),
        ok("kubectl apply -f a.yaml -o yaml", "source: redis"),
        ok("record made | kubectl create -f -; record made other | kubectl apply -f -", "is missing the kubectl.kubernetes.io/last-applied-configuration annotation"),
        ok("record made third | kubectl apply set-last-applied -f - ", "datarecord.$G/made configured"),
        ok("kubectl apply view-last-applied $R/made -o json", "third"),
        ok("for n in p q; do record $n | sed '/name:/a\\  labels: {set: one}'; echo ---; done > set.yaml; kubectl apply -f set.yaml", "datarecord.$G/q created"),
        ok("sed '1,/---/d' set.yaml | kubectl apply -f - --prune -l set=one --prune-allowlist=$G/v1alpha1/DataRecord", "datarecord.$G/p pruned"),
        err("kubectl get $R p", "not found"),
        ok("kubectl get $R q made -o name", "datarecord.$G/made"),
        err("sed 's/source: redis/source: [1]/' a.yaml | kubectl apply -f -", "spec.source: Invalid value: \"array\""),
        ok("kubectl apply -f a.yaml --force", "datarecord.$G/a unchanged"),
        ok("kubectl apply -f a.yaml --show-managed-fields -o yaml", "manager: kubectl-client-side-apply"),
    ])
    .await
}

/// A6: a dry run shows what would be.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_diff_tells_by_its_exit_code() -> Result<()> {
    run("diff", &[
        ok("record a > a.yaml; kubectl apply -f a.yaml", "datarecord.$G/a created"),
        ok("kubectl diff -f a.yaml; echo code $?", "code 0"),
        ok("sed s/test/redis/ a.yaml | kubectl diff -f -; echo code $?", "code 1"),
        ok("sed s/test/redis/ a.yaml | kubectl diff --server-side --force-conflicts -f -; echo code $?", "+  source: redis"),
        ok("kubectl diff --server-side -f a.yaml; echo code $?", "code 1"),
        ok("record new | kubectl diff -f -; echo code $?", "+kind: DataRecord"),
        ok("record new | kubectl diff --server-side --show-managed-fields -f -; echo code $?", "+  managedFields:"),
        ok("sed s/test/5/ a.yaml | kubectl diff -f -; echo code $?", "code 2"),
        ok("kubectl get $R a -o jsonpath='{.spec.source} {.metadata.generation}'", "test 1"),
    ])
    .await
}
