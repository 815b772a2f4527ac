//! `kubectl patch`, `replace`, `edit`, `label`, `annotate` and `scale`.

use anyhow::Result;

use super::matrix::{err, ok, run};

/// A1, A6: JSON patches and merge patches, of a subresource too.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_patch_patches_in_two_ways() -> Result<()> {
    run("patch", &[
        ok("record a | kubectl create -f -", "created"),
        ok("kubectl patch $R a --type=merge -p '{\"spec\":{\"query\":\"q\"}}'", "datarecord.$G/a patched"),
        ok("kubectl patch $R a --type=merge -p '{\"spec\":{\"query\":\"q\"}}'", "datarecord.$G/a patched (no change)"),
        ok("kubectl patch $R a --type=merge -p 'spec: {query: null}' -o jsonpath='{.spec}'", "{\"source\":\"test\"}"),
        ok("kubectl patch $R a --type=json -p '[{\"op\":\"replace\",\"path\":\"/spec/source\",\"value\":\"redis\"}]' -o yaml", "source: redis"),
        err("kubectl patch $R a --type=json -p '[{\"op\":\"test\",\"path\":\"/spec/source\",\"value\":\"x\"}]' 2>&1 | cut -d: -f1,2; exit ${PIPESTATUS[0]}", "the server rejected our request due to an error in our request"),
        err("kubectl patch $R a --type=json -p '[{\"op\":\"remove\",\"path\":\"/spec/nothing\"}]' 2>&1 | cut -d: -f1,2; exit ${PIPESTATUS[0]}", "the server rejected our request due to an error in our request"),
        err("kubectl patch $R a -p '{\"spec\":{\"source\":\"x\"}}'", "application/strategic-merge-patch+json is not supported by"),
        err("kubectl patch $R a --type=strategic -p '{\"spec\":{\"source\":\"x\"}}'", "application/strategic-merge-patch+json"),
        err("kubectl patch $R a --type=merge -p '{\"spec\":{\"source\":7}}'", "spec.source: Invalid value: \"integer\""),
        err("kubectl patch $R a --type=merge -p '{\"metadata\":{\"resourceVersion\":\"1\"}}'", "the object has been modified"),
        err("kubectl patch $R nothing --type=merge -p '{\"spec\":{\"source\":\"x\"}}'", "not found"),
        ok("kubectl patch $R a --subresource=status --type=merge -p '{\"status\":{\"syncStatus\":\"Stale\"}}'", "datarecord.$G/a patched"),
        ok("kubectl patch $R a --type=merge -p '{\"status\":{\"syncStatus\":\"Current\"}}'", "datarecord.$G/a patched (no change)"),
        err("kubectl patch $R a --subresource=status --type=merge -p '{\"status\":{\"syncStatus\":\"Other\"}}'", "Unsupported value: \"Other\": supported values: \"Current\", \"Stale\""),
        ok("kubectl patch $R a --type=merge -p '{\"spec\":{\"source\":\"dry\"}}' --dry-run=server -o jsonpath='{.spec.source}'", "dry"),
        ok("kubectl patch -f <(record a) --type=merge --patch-file=<(echo 'spec: {source: file}')", "datarecord.$G/a patched"),
        ok("record a | kubectl patch --local -f - --type=merge -p '{\"spec\":{\"source\":\"local\"}}' -o yaml", "source: local"),
        ok("kubectl get $R a -o jsonpath='{.spec.source} {.status.syncStatus} {.metadata.generation}'", "file Stale 5"),
    ])
    .await
}

/// V1, V7: with and without a resourceVersion.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_replace_and_edit_write_whole_objects() -> Result<()> {
    run("replace", &[
        ok("(record a; echo '  query: q') | kubectl create -f -", "created"),
        ok("record a redis | kubectl replace -f -", "datarecord.$G/a replaced"),
        ok("kubectl get $R a -o jsonpath='{.spec} {.metadata.generation}'", "{\"source\":\"redis\"} 2"),
        ok("kubectl get $R a -o yaml > old.yaml; kubectl replace -f old.yaml", "datarecord.$G/a replaced"),
        ok("kubectl label $R a x=y; kubectl replace -f old.yaml --dry-run=client", "replaced (dry run)"),
        err("kubectl replace -f old.yaml", "the object has been modified; please apply your changes to the latest version and try again"),
        err("record nothing | kubectl replace -f -", "(NotFound)"),
        ok("kubectl get $R a -o yaml | sed 's/^spec:/status:\\n  syncStatus: Stale\\n&/' | kubectl replace --subresource=status -f -", "datarecord.$G/a replaced"),
        ok("kubectl get $R a", "Stale"),
        ok("record a forced | kubectl replace --force -f -", "datarecord.$G/a replaced"),
        ok("kubectl get $R a -o jsonpath='{.spec.source} {.metadata.generation} {.status}'", "forced 1"),
        ok("record new | kubectl replace --force -f -", "datarecord.$G/new replaced"),
        ok("KUBE_EDITOR='sed -i s/forced/edited/' kubectl edit $R a", "datarecord.$G/a edited"),
        ok("KUBE_EDITOR=true kubectl edit $R a", "Edit cancelled, no changes made."),
        ok("KUBE_EDITOR='sed -i s/edited/json/' kubectl edit $R a -o json", "\"source\": \"json\""),
        ok(
            "echo 'echo \"status: {syncStatus: Current}\" >> \"$1\"' > status.sh; KUBE_EDITOR='bash status.sh' kubectl edit $R a --subresource=status",
            "datarecord.$G/a edited",
        ),
        ok("kubectl get $R a -o jsonpath='{.spec.source} {.status.syncStatus} {.metadata.generation}'", "json Current 3"),
        err(
            "KUBE_EDITOR='sed -i \"s/source: .*/source: 5/\"' kubectl edit $R new",
            "Edit cancelled, no valid changes were saved.",
        ),
        ok("kubectl set env $R a X=Y; echo code $?", "code 1"),
    ])
    .await
}

/// V6: metadata changes no generation; a record has no scale.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_label_annotate_and_scale_change_metadata_alone() -> Result<()> {
    run("label", &[
        ok("records a b | kubectl create -f -", "created"),
        ok("kubectl label $R a tier=gold", "datarecord.$G/a labeled"),
        err("kubectl label $R a tier=iron", "'tier' already has a value (gold), and --overwrite is false"),
        ok("kubectl label $R a tier=gold", "datarecord.$G/a not labeled"),
        ok("kubectl label $R a tier=iron --overwrite", "datarecord.$G/a labeled"),
        ok("kubectl label $R --all team=blue", "datarecord.$G/b labeled"),
        ok("kubectl label $R -l tier=iron more=1 -o name", "datarecord.$G/a"),
        ok("kubectl label $R a --list | sort", "tier=iron"),
        ok("kubectl label $R a tier-", "datarecord.$G/a unlabeled"),
        ok("kubectl label $R a tier-", "label \"tier\" not found"),
        err("kubectl label $R a 'tier=not valid'", "a valid label must be an empty string or consist of"),
        err("kubectl label $R a tier=gold --resource-version=1", "the object has been modified"),
        ok("kubectl label $R a dry=run --dry-run=server -o jsonpath='{.metadata.labels.dry}'", "run"),
        ok("kubectl label $R a dry=run --dry-run=client", "datarecord.$G/a labeled (dry run)"),
        ok("record a | kubectl label --local -f - l=1 -o yaml", "l: \"1\""),
        ok("kubectl annotate $R a note='a b' other=1", "datarecord.$G/a annotated"),
        err("kubectl annotate $R a note=c", "--overwrite is false"),
        ok("kubectl annotate $R a note=c --overwrite", "datarecord.$G/a annotated"),
        ok("kubectl annotate $R a other-", "datarecord.$G/a annotated"),
        ok("kubectl annotate $R a --list | sort", "note=c"),
        ok("kubectl get $R a -o jsonpath='{.metadata.labels} {.metadata.annotations} {.metadata.generation}'", "{\"more\":\"1\",\"team\":\"blue\"} {\"note\":\"c\"} 1"),
        err("kubectl scale $R a --replicas=2", "(NotFound)"),
        err("kubectl rollout status $R a", "no kind \"DataRecord\" is registered"),
        err("kubectl rollout history $R a", "no kind \"DataRecord\" is registered"),
        err("kubectl autoscale $R a --max=3", "cannot autoscale"),
    ])
    .await
}
