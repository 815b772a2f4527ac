//! `kubectl api-resources`, completion, `auth can-i`, impersonation and paths.

use anyhow::Result;

use super::matrix::{err, ok, run};

/// P1, P3, D3: by every name that the kind has.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_finds_the_kind() -> Result<()> {
    run("discovery", &[
        ok("records one two | kubectl create -f -", "created"),
        ok("kubectl api-resources --api-group=$G", "datarecords   dr           $G/v1alpha1   true         DataRecord"),
        ok("kubectl api-resources --api-group=$G -o wide", "create,delete,deletecollection,get,list,patch,update,watch   all,kubedojo").differs("verbs come in the order of a built-in resource, sorted"),
        ok("kubectl api-resources --api-group=$G -o name", "datarecords.$G"),
        ok("kubectl api-resources --api-group=$G --namespaced=false -o name", ""),
        ok("kubectl api-resources --api-group=$G --verbs=list,patch --categories=kubedojo --no-headers", "DataRecord"),
        ok("kubectl api-versions | grep \"^$G/\"", "$G/v1alpha1"),
        ok("kubectl get all -o name | grep \"$G\"", "datarecord.$G/one"),
        ok("kubectl get kubedojo -o name | grep \"$G\"", "datarecord.$G/two"),
        ok("kubectl get all,configmaps 2>&1 | grep \"$G\" | awk '{print $1}'", "datarecord.$G/one"),
        ok("kubectl __complete get $R '' 2>/dev/null", "one\ntwo"),
        ok("kubectl __complete get $R t 2>/dev/null", "two"),
        ok("kubectl __complete get $R one '' 2>/dev/null", "two"),
        ok("kubectl __complete get datare 2>/dev/null | grep \"$G\\|^datarecords$\"", "datarecords"),
        ok("kubectl __complete delete $R/ 2>/dev/null", ":"),
        ok("kubectl __complete describe dr.$G '' 2>/dev/null", "two"),
        ok("kubectl get --raw /apis/$G | jq -c .versions", "$G/v1alpha1"),
        ok("kubectl get --raw /apis/$G/v1alpha1 | jq -r '.resources[].name'", "datarecords/status"),
        ok("kubectl get --raw /apis/$G/v1alpha1/namespaces/default/datarecords | jq -c .items", "[]"),
        err("kubectl get --raw /apis/$G/v1alpha1/namespaces/default/datarecords/nothing", "(NotFound)"),
        err("kubectl get --raw /apis/$G/v1alpha1/nothings", "could not find the requested resource"),
        err("kubectl get nothings.$G", "the server doesn't have a resource type \"nothings\""),
    ])
    .await
}

/// X8: kube-apiserver decides who may be impersonated, and names that user to the server.
#[tokio::test]
#[ignore = "needs cluster: control plane"]
async fn kubectl_acts_for_somebody_else() -> Result<()> {
    run("somebody", &[
        ok("record a | kubectl create -f -", "created"),
        ok("kubectl auth can-i create $R", "yes"),
        ok("kubectl auth can-i update $R/a --subresource=status", "yes"),
        err("kubectl auth can-i list $R --as=jane", "no"),
        err("kubectl get $R --as=jane", "datarecords.$G is forbidden: User \"jane\" cannot list resource \"datarecords\" in API group \"$G\""),
        err("kubectl get $R a --as=jane --as-group=people", "User \"jane\" cannot get resource \"datarecords\""),
        err("kubectl get $R -A --as=jane", "at the cluster scope"),
        err("record b | kubectl create -f - --as=jane", "(Forbidden)"),
        ok("kubectl get $R -o name --as=jane --as-group=system:masters", "datarecord.$G/a"),
        ok("kubectl create role reader-$G --verb=get,list,watch --resource=$R", "created"),
        ok("kubectl create rolebinding reader-$G --role=reader-$G --user=jane", "created"),
        ok("until kubectl get $R -o name --as=jane 2>/dev/null; do :; done", "datarecord.$G/a"),
        ok("kubectl auth can-i list $R --as=jane", "yes"),
        err("kubectl delete $R a --as=jane", "User \"jane\" cannot delete resource \"datarecords\""),
        ok("kubectl auth can-i --list --as=jane | grep \"^$R\"", "[get list watch]"),
    ])
    .await
}
