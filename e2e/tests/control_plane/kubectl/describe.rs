//! `kubectl describe` and `kubectl explain`.

use anyhow::Result;

use super::matrix::{err, ok, run};

const DESCRIPTIONS: &str = "texts of Kubernetes' documentation are not copied";

#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_describe_shows_every_field() -> Result<()> {
    run(
        "describe",
        &[
            ok(
                "records a b | kubectl create -f -",
                "datarecord.$G/a created",
            ),
            ok("kubectl label $R a tier=gold", "labeled"),
            ok("kubectl annotate $R a note='two words'", "annotated"),
            ok(
                "kubectl patch $R a --type=merge -p '{\"spec\":{\"data\":{\"key\":\"value\"}}}'",
                "patched",
            ),
            ok("kubectl describe $R a", "Annotations:  note: two words"),
            ok("kubectl describe $R a --show-events=false", "Source:  test"),
            ok("kubectl describe $R", "Name:         b"),
            ok(
                "kubectl describe $R -l tier=gold",
                "Labels:       tier=gold",
            ),
            ok("kubectl describe $R/a", "Key:   value"),
            err(
                "kubectl describe $R nothing",
                "datarecords.$G \"nothing\" not found",
            ),
        ],
    )
    .await
}

/// O3, O4: every field of the schema has its description.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_explain_knows_every_field() -> Result<()> {
    run("explain", &[
        ok("kubectl explain $R", "A record whose data comes from outside").differs(DESCRIPTIONS),
        ok("kubectl explain $R --recursive", "syncStatus"),
        ok("kubectl explain datarecords.spec --api-version=$G/v1alpha1", "System that the data comes from"),
        ok("kubectl explain datarecords.spec.source --api-version=$G/v1alpha1", "FIELD: source <string>"),
        ok("kubectl explain datarecords.spec.data --api-version=$G/v1alpha1", "<map[string]string>"),
        ok("kubectl explain datarecords.status.syncStatus --api-version=$G/v1alpha1", "ENUM:\n    Current\n    Stale"),
        ok("kubectl explain datarecords.metadata.finalizers --api-version=$G/v1alpha1", "<[]string>"),
        ok("kubectl explain datarecords.metadata.ownerReferences --recursive --api-version=$G/v1alpha1", "blockOwnerDeletion"),
        ok("kubectl explain $R --output=plaintext-openapiv2", "DataRecord").differs(DESCRIPTIONS),
        err("kubectl explain datarecords.spec.nothing --api-version=$G/v1alpha1", "field \"nothing\" does not exist"),
    ])
    .await
}
