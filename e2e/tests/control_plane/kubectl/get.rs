//! `kubectl get` in every form.

use anyhow::Result;

use super::matrix::{err, ok, run};

/// L5, R1: one and many, in every form.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_get_prints_every_form() -> Result<()> {
    run("get", &[
        ok("kubectl get $R", "No resources found in"),
        ok("records b a | kubectl create -f -", "datarecord.$G/a created"),
        ok("record c redis | kubectl create -f -", "datarecord.$G/c created"),
        ok("kubectl label $R a tier=gold size=l", "datarecord.$G/a labeled"),
        ok("kubectl label $R b tier=iron", "datarecord.$G/b labeled"),
        ok(
            "kubectl patch $R a --subresource=status --type=merge -p \
             '{\"status\":{\"syncStatus\":\"Current\",\"lastSyncTime\":\"2020-01-01T00:00:00Z\"}}'",
            "datarecord.$G/a patched",
        ),
        ok("kubectl get $R", "NAME   SOURCE   STATUS    LAST SYNC   AGE"),
        ok("kubectl get $R a", "a      test     Current"),
        ok("kubectl get $R -o wide", "c      redis"),
        ok("kubectl get $R a -o yaml", "  source: test"),
        ok("kubectl get $R -o yaml", "kind: List"),
        ok("kubectl get $R a -o json", "\"syncStatus\": \"Current\""),
        ok("kubectl get $R -o json", "\"kind\": \"List\""),
        ok("kubectl get $R -o name", "datarecord.$G/b"),
        ok("kubectl get $R -o jsonpath='{.items[*].metadata.name}'", "a b c"),
        ok("kubectl get $R a -o jsonpath='{.spec}{\"\\n\"}{.status.syncStatus}'", "Current"),
        ok("kubectl get $R a -o go-template='{{.kind}} {{.spec.source}}'", "DataRecord test"),
        ok(
            "kubectl get $R -o go-template='{{range .items}}{{.metadata.name}}={{.spec.source}} {{end}}'",
            "a=test b=test c=redis",
        ),
        ok(
            "kubectl get $R -o custom-columns=N:.metadata.name,S:.spec.source,T:.status.syncStatus",
            "c     redis   <none>",
        ),
        ok("kubectl get $R --sort-by=.spec.source", "NAME"),
        ok("kubectl get $R --sort-by='{.metadata.name}' -o name", "datarecord.$G/a"),
        ok("kubectl get $R --no-headers", "c     redis"),
        ok("kubectl get $R --show-labels", "size=l,tier=gold"),
        ok("kubectl get $R -L tier,size", "TIER   SIZE"),
        ok("kubectl get $R --show-kind", "datarecord.$G/a"),
        ok("kubectl get $R a --show-managed-fields -o yaml", "manager: kubectl-label"),
        ok("kubectl get $R/a $R/b", "b      test"),
        ok("kubectl get dr.$G a -o name", "datarecord.$G/a"),
        ok("kubectl get datarecord.v1alpha1.$G a -o name", "datarecord.$G/a"),
        ok("kubectl get datarecord.$G a --ignore-not-found -o name", "datarecord.$G/a"),
        ok("kubectl get $R nothing --ignore-not-found", ""),
        ok("kubectl get $R -A --no-headers -l size=l | awk '{print $2}'", "a"),
        ok("record a | kubectl get -f - -o name", "datarecord.$G/a"),
        ok("kubectl get $R a --subresource=status -o jsonpath={.status.syncStatus}", "Current"),
        ok("kubectl get $R a --server-print=false", "a      "),
        ok("kubectl get $R a -o kyaml", "source: \"test\""),
        err("kubectl get $R a b c nothing", "datarecords.$G \"nothing\" not found"),
        err("kubectl get $R nothing", "Error from server (NotFound): datarecords.$G \"nothing\" not found"),
        err("kubectl get $R a --subresource=scale", "not found"),
        err("kubectl get $R a -o jsonpath='{.spec.nothing.at.all}' --allow-missing-template-keys=false", "nothing is not found"),
    ])
    .await
}

/// L6: by labels and fields.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_get_selects() -> Result<()> {
    run("select", &[
        ok("records a b c | kubectl create -f -", "datarecord.$G/a created"),
        ok("kubectl label $R a tier=gold size=l", "labeled"),
        ok("kubectl label $R b tier=iron", "labeled"),
        ok("kubectl get $R -l tier=gold -o name", "datarecord.$G/a"),
        ok("kubectl get $R -l 'tier in (gold, iron)' -o name", "datarecord.$G/b"),
        ok("kubectl get $R -l 'tier notin (gold)' -o name", "datarecord.$G/c"),
        ok("kubectl get $R -l 'tier,!size' -o name", "datarecord.$G/b"),
        ok("kubectl get $R -l tier=copper", "No resources found in"),
        ok("kubectl get $R -l tier!=gold --no-headers -o custom-columns=N:.metadata.name", "b\nc"),
        err("kubectl get $R -l 'tier=a=b'", "found '=', expected"),
        err("kubectl get $R -l 'a/b/c=d'", "a valid label key must consist of"),
        ok("kubectl get $R --field-selector metadata.name=b -o name", "datarecord.$G/b"),
        ok("kubectl get $R --field-selector metadata.name!=b -o name", "datarecord.$G/c"),
        ok("kubectl get $R --field-selector metadata.namespace=nowhere -o name", ""),
        ok("kubectl get $R -A --field-selector metadata.name=b,metadata.namespace!=x -l tier=iron -o name", "datarecord.$G/b"),
        err("kubectl get $R --field-selector spec.source=test", "field label not supported: spec.source"),
        err("kubectl get $R --field-selector nonsense", "nonsense"),
        err("kubectl get $R a -l tier=gold", "name cannot be provided when a selector is specified"),
    ])
    .await
}

/// L4, R4: pages are put together, large ones are compressed.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_get_in_chunks_prints_all() -> Result<()> {
    run(
        "chunks",
        &[
            ok(
            "for from in 1 301 601 901; do records $(seq -f r%04g $from $((from + 299))) | kubectl create -f - & done | wc -l",
            "1200",
        ),
            ok(
                "kubectl get $R --chunk-size=500 --no-headers | wc -l",
                "1200",
            ),
            ok("kubectl get $R --chunk-size=500 -o name | uniq | sort -c && kubectl get $R --chunk-size=500 -o name | wc -l", "1200"),
            ok(
                "kubectl get $R --chunk-size=7 -o name | tail -n 1",
                "datarecord.$G/r1200",
            ),
            ok("kubectl get $R --chunk-size=0 -o name | wc -l", "1200"),
            ok(
                "kubectl get $R --chunk-size=500 -v=6 2>&1 >/dev/null | grep -c limit=500",
                "3",
            ),
            ok(
            "kubectl delete --raw /apis/$G/v1alpha1/namespaces/$N/datarecords | jq '.items | length'",
            "1200",
        ),
            ok("kubectl get $R", "No resources found"),
        ],
    )
    .await
}
