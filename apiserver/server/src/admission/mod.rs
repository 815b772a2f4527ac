//! What the cluster has to say about a new object, beyond who may create it: its namespace and the
//! namespace's quotas.
//!
//! kube-apiserver passes requests for aggregated APIs on before its own admission, so this is the
//! server's own business (`k8s.io/apiserver/pkg/admission`). Not here: webhooks and policies.

mod namespaces;
mod quotas;

use std::{fmt, sync::Arc};

use apimachinery::{ApiError, GroupResource};
use futures::future::BoxFuture;
use kube::Client;

use namespaces::ClusterNamespaces;
use quotas::ClusterQuotas;

/// Somebody who knows what a cluster allows in its namespaces.
pub trait Admission: fmt::Debug + Send + Sync + 'static {
    /// Whether `name` of `resource` may be created in the namespace.
    ///
    /// # Errors
    /// 404 for a namespace that does not exist, 403 for one that is being deleted, 503 when there is
    /// no answer.
    fn check_namespace<'a>(
        &'a self,
        namespace: &'a str,
        resource: &'a GroupResource,
        name: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>>;

    /// Counts an object that is about to be created against the quotas of its namespace.
    ///
    /// # Errors
    /// 403 for one too many, 503 when there is no answer.
    fn charge_quotas<'a>(
        &'a self,
        namespace: &'a str,
        resource: &'a GroupResource,
        name: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>>;
}

/// Any namespace will do, without quotas: for a server without a cluster.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnyNamespace;

/// What the cluster says.
#[derive(Debug)]
pub struct ClusterAdmission {
    namespaces: Arc<ClusterNamespaces>,
    quotas: Arc<ClusterQuotas>,
}

impl Admission for AnyNamespace {
    fn check_namespace<'a>(
        &'a self,
        _namespace: &'a str,
        _resource: &'a GroupResource,
        _name: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn charge_quotas<'a>(
        &'a self,
        _namespace: &'a str,
        _resource: &'a GroupResource,
        _name: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl ClusterAdmission {
    /// The admission of the client's cluster. Its tasks follow namespaces and quotas and never end.
    pub fn start(client: &Client) -> Arc<Self> {
        let namespaces = ClusterNamespaces::new(client.clone());
        tokio::spawn(Arc::clone(&namespaces).follow());
        let (quotas, follow) = ClusterQuotas::new(client.clone());
        tokio::spawn(follow);
        Arc::new(Self { namespaces, quotas })
    }
}

impl Admission for ClusterAdmission {
    fn check_namespace<'a>(
        &'a self,
        namespace: &'a str,
        resource: &'a GroupResource,
        name: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(self.namespaces.check(namespace, resource, name))
    }

    fn charge_quotas<'a>(
        &'a self,
        namespace: &'a str,
        resource: &'a GroupResource,
        name: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(self.quotas.charge(namespace, resource, name))
    }
}
