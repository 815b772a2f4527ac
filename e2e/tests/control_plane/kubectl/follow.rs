//! `kubectl get --watch` and `kubectl wait`.

use anyhow::Result;

use super::matrix::{err, ok, run};

/// W1, W3: events as they happen, and what a selector makes of them.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_get_watch_shows_what_happens() -> Result<()> {
    run("watch", &[
        ok("records a b | kubectl create -f -", "datarecord.$G/a created"),
        ok("follow 3 'kubectl label $R b tier=gold' 1 get $R -w", "NAME   SOURCE"),
        ok("follow 2 'kubectl label $R b tier=iron --overwrite' 1 get $R -w -o name", "datarecord.$G/b"),
        ok(
            "follow 3 'kubectl label $R a tier=gold; record c | kubectl create -f -; kubectl delete $R c' \
             3 get $R -w --output-watch-events",
            "DELETED    c",
        ),
        ok("follow 1 'kubectl annotate $R a note=1' 1 get $R a -w --no-headers", "a     test"),
        ok(
            "follow 0 'until kubectl annotate $R a n=\"$((++n))\" --overwrite >/dev/null && read -r -t 1 -u 3 line; do :; done; echo \"$line\"' \
             0 get $R a --watch-only -o name",
            "datarecord.$G/a",
        ),
        ok(
            "follow 1 'kubectl label $R b tier=gold --overwrite; kubectl label $R a tier-' 1 \
             get $R -l tier=gold -w -o name --output-watch-events",
            "",
        ),
        ok(
            "follow 1 'kubectl delete $R b' 1 get $R --field-selector metadata.name=b -w -o jsonpath='{.metadata.name} {.kind}{\"\\n\"}'",
            "b DataRecord",
        ),
    ])
    .await
}

#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_wait_waits_for_values_creation_and_deletion() -> Result<()> {
    run("wait", &[
        ok("records a b | kubectl create -f -", "datarecord.$G/a created"),
        ok("kubectl wait $R/a --for=jsonpath='{.spec.source}'=test --timeout=10s", "datarecord.$G/a condition met"),
        ok(
            "kubectl wait $R/a --for=jsonpath='{.status.syncStatus}'=Current --timeout=30s & \
             kubectl patch $R a --subresource=status --type=merge -p '{\"status\":{\"syncStatus\":\"Current\"}}' >/dev/null; wait $!",
            "datarecord.$G/a condition met",
        ),
        ok("kubectl wait $R/a --for=jsonpath='{.status.syncStatus}' --timeout=10s", "condition met"),
        err("kubectl wait $R/b --for=jsonpath='{.status.syncStatus}'=Current --timeout=1s", "timed out waiting for the condition on datarecords/b"),
        err("kubectl wait $R/b --for=condition=Ready --timeout=1s", "timed out waiting for the condition"),
        ok(
            "kubectl wait $R/late --for=create --timeout=30s & record late | kubectl create -f - >/dev/null; wait $!",
            "datarecord.$G/late condition met",
        ),
        ok(
            "kubectl wait $R/b --for=delete --timeout=30s >/dev/null & kubectl delete $R b >/dev/null; wait $!",
            "",
        ),
        ok("kubectl wait $R/b --for=delete --timeout=10s", ""),
        err("kubectl wait $R/b --for=jsonpath='{.spec.source}'=test --timeout=1s", "not found"),
        ok("kubectl wait $R --all --for=jsonpath='{.spec.source}'=test --timeout=10s", "datarecord.$G/late condition met"),
    ])
    .await
}
