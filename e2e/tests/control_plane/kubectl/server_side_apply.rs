//! `kubectl apply --server-side`.

use anyhow::Result;

use super::matrix::{CLIENTS_FAULT, err, ok, run};

/// A2, A3: who owns what, and who may take it.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_apply_server_side_owns_fields() -> Result<()> {
    run("own", &[
        ok("(record a; echo '  data: {k: v}') > a.yaml; kubectl apply --server-side -f a.yaml", "datarecord.$G/a serverside-applied"),
        ok("kubectl apply --server-side -f a.yaml", "datarecord.$G/a serverside-applied"),
        ok("kubectl get $R a -o jsonpath='{.metadata.generation} {.metadata.annotations}'", "1"),
        ok("kubectl get $R a --show-managed-fields -o yaml", "f:source"),
        ok("sed s/test/redis/ a.yaml > b.yaml; kubectl apply --server-side -f b.yaml --dry-run=server", "datarecord.$G/a serverside-applied (server dry run)"),
        err("kubectl apply --server-side --field-manager=other -f b.yaml", "conflict with \"kubectl\": .spec.source"),
        err("kubectl apply --server-side --field-manager=other -f b.yaml --dry-run=server", "Apply failed with 1 conflict"),
        ok("kubectl apply --server-side --field-manager=other --force-conflicts -f b.yaml -o yaml --show-managed-fields", "manager: other"),
        err("kubectl apply --server-side -f a.yaml", "Please review the fields above"),
        ok("kubectl apply --server-side -f b.yaml", "datarecord.$G/a serverside-applied"),
        ok("record a redis | kubectl apply --server-side -f -", "serverside-applied"),
        ok("kubectl get $R a -o jsonpath='{.spec.data}'", "{\"k\":\"v\"}"),
        ok("record a redis | kubectl apply --server-side --field-manager=other -f -", "serverside-applied"),
        ok("kubectl get $R a -o jsonpath='{.spec}'", "{\"source\":\"redis\"}"),
        ok("record new | kubectl apply --server-side --dry-run=server -o yaml -f -", "name: new"),
        err("record a | sed 's/name: a/&\\n  managedFields: [{}]/' | kubectl apply --server-side -f -", "metadata.managedFields must be nil"),
        err("record a | sed 's/source: test/source: [1]/' | kubectl apply --server-side --force-conflicts -f -", "expected string, got").differs(CLIENTS_FAULT),
        ok(
            "echo '{apiVersion: '$G'/v1alpha1, kind: DataRecord, metadata: {name: a}, status: {syncStatus: Stale}}' \
             | kubectl apply --server-side --subresource=status --field-manager=syncer -f - --show-managed-fields -o yaml",
            "subresource: status",
        ),
        ok("kubectl get $R a", "Stale"),
    ])
    .await
}

/// A2, A3: the way from `kubectl apply` to `kubectl apply --server-side` and back.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_migrates_to_server_side_apply() -> Result<()> {
    run(
        "migrate",
        &[
            ok(
                "(record a; echo '  query: q') > a.yaml; kubectl apply -f a.yaml",
                "created",
            ),
            ok(
                "kubectl apply --server-side -f a.yaml",
                "datarecord.$G/a serverside-applied",
            ),
            ok(
                "kubectl get $R a --show-managed-fields -o yaml",
                "manager: kubectl",
            ),
            ok(
                "sed -i /query/d a.yaml; kubectl apply --server-side -f a.yaml",
                "datarecord.$G/a serverside-applied",
            ),
            ok(
                "kubectl get $R a -o jsonpath='{.spec}'",
                "{\"source\":\"test\"}",
            ),
            ok(
                "sed -i s/test/redis/ a.yaml; kubectl apply -f a.yaml",
                "datarecord.$G/a configured",
            ),
            ok(
                "kubectl get $R a --show-managed-fields -o yaml",
                "manager: kubectl-client-side-apply",
            ),
            ok("kubectl edit $R a", "Edit cancelled, no changes made."),
            err(
                "sed s/redis/consul/ a.yaml | kubectl apply --server-side --field-manager=new -f -",
                "conflict",
            ),
        ],
    )
    .await
}
