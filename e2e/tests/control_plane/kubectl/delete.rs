//! `kubectl delete`.

use anyhow::Result;

use super::matrix::{err, ok, run};

/// V8, V10, V11: one, some and all.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_delete_deletes_what_is_named_or_selected() -> Result<()> {
    run("delete", &[
        ok("records a b c d e f g h i j k l | kubectl create -f -", "created"),
        ok("kubectl label $R a b set=one", "labeled"),
        ok("kubectl delete $R a --dry-run=server", "datarecord.$G \"a\" deleted"),
        ok("kubectl delete $R a --dry-run=client", "deleted"),
        ok("kubectl delete $R -l set=one", "datarecord.$G \"b\" deleted"),
        ok("kubectl delete $R c d", "datarecord.$G \"d\" deleted"),
        ok("kubectl delete $R/e", "datarecord.$G \"e\" deleted"),
        ok("record f | kubectl delete -f -", "datarecord.$G \"f\" deleted"),
        ok("kubectl delete $R g --wait=false -o name", "datarecord.$G/g"),
        ok("kubectl delete $R h --grace-period=0 --force", "datarecord.$G \"h\" force deleted"),
        ok("kubectl delete $R i --grace-period=30", "deleted"),
        ok("kubectl delete $R j --now", "deleted"),
        err("kubectl delete $R a", "Error from server (NotFound): datarecords.$G \"a\" not found"),
        ok("kubectl delete $R a --ignore-not-found", ""),
        ok("kubectl delete $R k --field-selector metadata.name=k 2>&1; echo code $?", "code 1"),
        ok("kubectl delete $R --field-selector metadata.name=k", "datarecord.$G \"k\" deleted"),
        ok("kubectl get $R -o name", "datarecord.$G/l"),
        ok("kubectl delete --raw /apis/$G/v1alpha1/namespaces/default/datarecords | jq -r .kind", "DataRecordList"),
        ok("kubectl delete $R --all", "datarecord.$G \"l\" deleted"),
        ok("kubectl delete $R --all", "No resources found"),
        err("kubectl delete $R", "resource(s) were provided, but no name was specified"),
    ])
    .await
}

/// V9: the garbage collector ends what the server begins; finalizers hold.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_delete_cascades_as_it_is_told() -> Result<()> {
    run("cascade", &[
        ok("records back fore orphan held | kubectl create -f -", "created"),
        ok("kubectl delete $R back --cascade=background", "datarecord.$G \"back\" deleted"),
        ok("kubectl delete $R fore --cascade=foreground --wait=false", "datarecord.$G \"fore\" deleted"),
        ok("kubectl wait $R/fore --for=delete --timeout=90s >/dev/null", ""),
        ok("kubectl delete $R orphan --cascade=orphan --timeout=90s", "datarecord.$G \"orphan\" deleted"),
        ok("kubectl patch $R held --type=merge -p '{\"metadata\":{\"finalizers\":[\"test.kubedojo.io/hold\"]}}'", "patched"),
        err("kubectl delete $R held --timeout=1s", "timed out waiting for the condition on datarecords/held"),
        ok("kubectl get $R held -o jsonpath='{.metadata.finalizers} {.metadata.deletionGracePeriodSeconds} {.metadata.generation}'", "[\"test.kubedojo.io/hold\"] 0 2"),
        err("kubectl patch $R held --type=merge -p '{\"metadata\":{\"finalizers\":[\"test.kubedojo.io/hold\",\"test.kubedojo.io/more\"]}}'", "no new finalizers can be added if the object is being deleted"),
        ok("kubectl describe $R held | grep -i deletion", "Deletion Grace Period Seconds:  0"),
        ok("kubectl patch $R held --type=json -p '[{\"op\":\"remove\",\"path\":\"/metadata/finalizers\"}]'", "datarecord.$G/held patched"),
        ok("kubectl get $R", "No resources found"),
    ])
    .await
}
