#!/usr/bin/env bash
# A real cluster with a real extension API, from nothing to `kubectl get dr -A`. `demo.sh down` ends it.
source "$(dirname "$0")/lib.sh"

CLUSTER=demo

install_operator() {
    helm upgrade --install extension-api-operator "$CHART" --namespace kubedojo-system --create-namespace \
        --set image.repository="$OPERATOR_IMAGE" --set image.tag="$IMAGE_TAG" --set image.pullPolicy=Never \
        --set serverImage.repository="$SERVER_IMAGE" --set serverImage.tag="$IMAGE_TAG" \
        --set serverImage.pullPolicy=Never --wait --timeout 2m
}

show() {
    printf '\n$ kubectl %s\n' "$*"
    kubectl "$@"
}

if [ "${1:-}" = down ]; then
    e2e down --name "$CLUSTER"
    exit
fi

step 'install what is missing' prerequisites
step 'build the harness' cargo build --locked -p e2e
step 'build the programs of the cluster (the first time 10 to 20 minutes)' e2e programs --build
step 'build the operator and the server' static_programs
e2e down --name "$CLUSTER" >/dev/null 2>&1 || true
ENVIRONMENT=$(mktemp)
trap 'rm -f "$ENVIRONMENT"' EXIT
start_cluster() { e2e up --tier node --name "$CLUSTER" >"$ENVIRONMENT"; }
step 'start Kubernetes: control plane and node' start_cluster
# shellcheck disable=SC1090
source "$ENVIRONMENT"
load_images() {
    e2e load-image --cluster "$CLUSTER" --name "$OPERATOR_IMAGE:$IMAGE_TAG" --program "$IMAGES_DIR/operator" --user 65532:65532 &&
    e2e load-image --cluster "$CLUSTER" --name "$SERVER_IMAGE:$IMAGE_TAG" --program "$IMAGES_DIR/extension-apiserver" --user 65532:65532
}
step 'load the two images' load_images
step 'install the operator with Helm' install_operator
step 'apply the ExtensionAPI' kubectl apply -f docs/examples/datarecords.yaml
step 'wait until it is available' kubectl wait --for=condition=Available extensionapi/datarecords --timeout=60s

show get extensionapis
show get apiservice v1alpha1.data.kubedojo.io
show api-resources --api-group=data.kubedojo.io
show get dr -A
summary
cat <<TEXT

The cluster goes on running. To use it:
  export KUBECONFIG=$KUBECONFIG
  alias kubectl=$E2E_KUBECTL
To end it: make demo-down
TEXT
