//! Writes what has to be written, in the order that keeps the API trusted and answered.
//!
//! Rights come before the pods that need them. A bundle is registered before a certificate that
//! needs it is served. A version is registered only after a ready endpoint has answered for it;
//! once it is, it stays registered while the workload comes and goes, because taking it away and
//! back would be the greater disturbance.

use std::{fmt::Debug, net::SocketAddr};

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::Secret,
        rbac::v1::{ClusterRoleBinding, RoleBinding, RoleRef},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    build::{Children, TLS_TYPE},
    dereference::World,
    drift::needs_write,
    error::ApplyError,
    validate::{Plan, PlannedVersion},
};
use crate::{
    certificates::Tls,
    context::Context,
    names::{KUBE_SYSTEM, MANAGER, Owner, api_service_name},
    probe::{self, Question},
    text::chain,
};

/// What was brought about.
#[derive(Debug)]
pub(crate) struct Applied {
    /// The Deployment as it is now.
    pub(crate) deployment: Deployment,
    /// The registrations that are there now.
    pub(crate) api_services: Vec<APIService>,
    /// Whether all are.
    pub(crate) registration: Registration,
    /// The certificates.
    pub(crate) tls: Tls,
    /// How many pods are wanted.
    pub(crate) replicas: i32,
}

/// How far the registration has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Registration {
    /// Every version is registered.
    Registered,
    /// There is no ready endpoint yet.
    NoEndpoint,
    /// No endpoint answers for a version; the text says why.
    NoAnswer(String),
}

/// Writes all that differs.
pub(super) async fn apply(
    context: &Context,
    plan: &Plan,
    world: &World,
    children: Children,
    tls: Tls,
) -> Result<Applied, ApplyError> {
    // Without `..`, so that a child that is added is not forgotten here.
    let Children {
        service_account,
        auth_delegator,
        admission,
        auth_reader,
        ca_secret,
        serving_secret,
        data_claim,
        deployment,
        service,
        api_services,
    } = children;
    let client = &context.client;
    let namespace = &plan.owner.namespace;
    let writer = Writer { context };

    let accounts = Api::namespaced(client.clone(), namespace);
    writer
        .apply(&accounts, service_account, world.service_account.as_ref())
        .await?;
    let bindings = Api::<ClusterRoleBinding>::all(client.clone());
    for (wanted, live) in [
        (auth_delegator, &world.auth_delegator),
        (admission, &world.admission),
    ] {
        writer
            .bind(&bindings, wanted, live.as_ref(), |it| &it.role_ref)
            .await?;
    }
    let bindings = Api::<RoleBinding>::namespaced(client.clone(), KUBE_SYSTEM);
    let live = world.auth_reader.as_ref();
    writer
        .bind(&bindings, auth_reader, live, |it| &it.role_ref)
        .await?;

    let authorities = Api::namespaced(client.clone(), &context.config.operator_namespace);
    writer
        .store(&authorities, ca_secret, world.ca_secret.as_ref())
        .await?;

    let registry = Api::<APIService>::all(client.clone());
    let (known, unknown): (Vec<_>, Vec<_>) = api_services
        .into_iter()
        .partition(|wanted| registered(world, wanted).is_some());
    let mut there = Vec::new();
    for wanted in known {
        let live = registered(world, &wanted);
        let trusting = live.and_then(|live| distrust(&wanted, live));
        let hardened = match trusting {
            Some(patch) => Some(writer.merge(&registry, &wanted, &patch).await?),
            None => None,
        };
        there.push(
            writer
                .apply(&registry, wanted, hardened.as_ref().or(live))
                .await?,
        );
    }

    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let serving_live = writer
        .drop_mistyped(&secrets, world.serving_secret.as_ref())
        .await?;
    writer.apply(&secrets, serving_secret, serving_live).await?;
    let services = Api::namespaced(client.clone(), namespace);
    writer
        .apply(&services, service, world.service.as_ref())
        .await?;
    if let Some(claim) = data_claim {
        let claims = Api::namespaced(client.clone(), namespace);
        writer.create_if_absent(&claims, claim).await?;
    }
    let deployments = Api::namespaced(client.clone(), namespace);
    let deployment = writer
        .apply(&deployments, deployment, world.deployment.as_ref())
        .await?;

    for orphan in orphans(plan, world) {
        writer.delete(&registry, &orphan.metadata).await?;
    }

    let mut registration = Registration::Registered;
    for wanted in unknown {
        let name = wanted.name_any();
        let version = plan
            .versions
            .iter()
            .find(|v| api_service_name(&plan.group, &v.name) == name);
        match answers(plan, version, &world.endpoints, &tls).await {
            Registration::Registered => there.push(writer.apply(&registry, wanted, None).await?),
            waiting => registration = waiting,
        }
    }
    Ok(Applied {
        deployment,
        api_services: there,
        registration,
        tls,
        replicas: plan.replicas,
    })
}

/// Takes the registrations away because what stood behind them is gone for good: whoever deleted
/// the namespace would otherwise wait for an API that never answers again, as would the deletion
/// of every other namespace.
pub(super) async fn deregister(
    context: &Context,
    owner: &Owner,
    world: &World,
) -> Result<(), ApplyError> {
    let registry = Api::<APIService>::all(context.client.clone());
    let writer = Writer { context };
    for api_service in world
        .api_services
        .iter()
        .filter(|live| owner.owns(&live.metadata))
    {
        writer.delete(&registry, &api_service.metadata).await?;
    }
    Ok(())
}

/// Whether a version may be registered.
async fn answers(
    plan: &Plan,
    version: Option<&PlannedVersion>,
    endpoints: &[SocketAddr],
    tls: &Tls,
) -> Registration {
    let Some(version) = version.filter(|_| !endpoints.is_empty()) else {
        return Registration::NoEndpoint;
    };
    let question = Question {
        endpoints: endpoints.to_vec(),
        server_name: plan.owner.server_name(),
        bundle: tls.bundle.clone(),
        group: plan.group.clone(),
        version: version.name.clone(),
    };
    match probe::ask(&question).await {
        Ok(()) => Registration::Registered,
        Err(error) => Registration::NoAnswer(chain(&error)),
    }
}

fn registered<'a>(world: &'a World, wanted: &APIService) -> Option<&'a APIService> {
    world
        .api_services
        .iter()
        .find(|live| live.metadata.name == wanted.metadata.name)
}

/// What makes a registration verify its server again, if somebody has told it not to.
///
/// The API server refuses a bundle beside `insecureSkipTLSVerify`, so an apply alone cannot put it
/// right: both have to change at once.
fn distrust(wanted: &APIService, live: &APIService) -> Option<Value> {
    live.spec
        .as_ref()?
        .insecure_skip_tls_verify
        .filter(|skip| *skip)?;
    let bundle = &wanted.spec.as_ref()?.ca_bundle;
    Some(json!({ "spec": { "insecureSkipTLSVerify": null, "caBundle": bundle } }))
}

/// Registrations of versions that the object no longer lists.
fn orphans<'a>(plan: &Plan, world: &'a World) -> Vec<&'a APIService> {
    let wanted: Vec<String> = plan
        .versions
        .iter()
        .map(|version| api_service_name(&plan.group, &version.name))
        .collect();
    world
        .api_services
        .iter()
        .filter(|live| plan.owner.owns(&live.metadata) && !wanted.contains(&live.name_any()))
        .collect()
}

/// Writes children and counts the writes.
pub(super) struct Writer<'a> {
    pub(super) context: &'a Context,
}

impl Writer<'_> {
    /// Applies an object unless the one that is there holds all of it. Fields are taken from
    /// whoever changed them: nobody else manages a child.
    async fn apply<K>(&self, api: &Api<K>, wanted: K, live: Option<&K>) -> Result<K, ApplyError>
    where
        K: Resource<DynamicType = ()> + Serialize + DeserializeOwned + Clone + Debug,
    {
        if let Some(live) = live.filter(|live| !needs_write(&wanted, Some(*live))) {
            return Ok(live.clone());
        }
        let name = named(&wanted)?;
        let params = PatchParams::apply(MANAGER).force();
        let written = api.patch(&name, &params, &Patch::Apply(&wanted)).await;
        self.report::<K>(&name, "applied");
        let written = match written {
            // What somebody added to a list by key, such as a port, is theirs and an apply leaves
            // it there. A merge patch replaces whole lists, and changes nothing else by now.
            Ok(written) if needs_write(&wanted, Some(&written)) => {
                return self.merge(api, &wanted, &wanted).await;
            }
            written => written,
        };
        written.map_err(|source| write_error::<K>(name, source))
    }

    /// Merges a patch into the object that is wanted.
    async fn merge<K>(
        &self,
        api: &Api<K>,
        wanted: &K,
        patch: &(impl Serialize + Debug),
    ) -> Result<K, ApplyError>
    where
        K: Resource<DynamicType = ()> + Serialize + DeserializeOwned + Clone + Debug,
    {
        let name = named(wanted)?;
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let merged = api.patch(&name, &params, &Patch::Merge(patch)).await;
        self.report::<K>(&name, "merged");
        merged.map_err(|source| write_error::<K>(name, source))
    }

    /// Creates an object that is somebody's data: one that is there is never written.
    async fn create_if_absent<K>(&self, api: &Api<K>, wanted: K) -> Result<(), ApplyError>
    where
        K: Resource<DynamicType = ()> + Serialize + DeserializeOwned + Clone + Debug,
    {
        let name = named(&wanted)?;
        let failed = |source| write_error::<K>(name.clone(), source);
        if api.get_metadata_opt(&name).await.map_err(failed)?.is_some() {
            return Ok(());
        }
        let created = api.create(&PostParams::default(), &wanted).await;
        self.report::<K>(&name, "created");
        created.map(drop).map_err(failed)
    }

    /// Creates or replaces the authority. Unlike an apply this fails if somebody else was faster:
    /// two operators must not mint two authorities.
    async fn store(
        &self,
        api: &Api<Secret>,
        mut wanted: Secret,
        live: Option<&Secret>,
    ) -> Result<(), ApplyError> {
        if !needs_write(&wanted, live) {
            return Ok(());
        }
        let name = named(&wanted)?;
        let params = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        let written = match live {
            None => api.create(&params, &wanted).await,
            Some(live) => {
                wanted.metadata.resource_version = live.resource_version();
                api.replace(&name, &params, &wanted).await
            }
        };
        self.report::<Secret>(&name, "stored");
        written
            .map(drop)
            .map_err(|source| write_error::<Secret>(name, source))
    }

    /// The type of a Secret cannot be changed, so one of another type has to go first.
    async fn drop_mistyped<'a>(
        &self,
        api: &Api<Secret>,
        live: Option<&'a Secret>,
    ) -> Result<Option<&'a Secret>, ApplyError> {
        match live {
            Some(secret) if secret.type_.as_deref() != Some(TLS_TYPE) => {
                self.delete(api, &secret.metadata).await?;
                Ok(None)
            }
            live => Ok(live),
        }
    }

    /// Applies a binding. Its role cannot be changed, so one to another role has to go first, such
    /// as that of a release of another name.
    async fn bind<K>(
        &self,
        api: &Api<K>,
        wanted: K,
        live: Option<&K>,
        role: impl Fn(&K) -> &RoleRef,
    ) -> Result<K, ApplyError>
    where
        K: Resource<DynamicType = ()> + Serialize + DeserializeOwned + Clone + Debug,
    {
        let live = match live {
            Some(other) if role(other) != role(&wanted) => {
                self.delete(api, other.meta()).await?;
                None
            }
            live => live,
        };
        self.apply(api, wanted, live).await
    }

    /// Deletes the very object that was seen, not one that has taken its name since.
    pub(super) async fn delete<K>(&self, api: &Api<K>, seen: &ObjectMeta) -> Result<(), ApplyError>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug,
    {
        let name = seen.name.clone().unwrap_or_default();
        if seen.deletion_timestamp.is_some() {
            return Ok(());
        }
        let preconditions = Preconditions {
            uid: seen.uid.clone(),
            resource_version: None,
        };
        let result = api
            .delete(
                &name,
                &DeleteParams::background().preconditions(preconditions),
            )
            .await;
        self.report::<K>(&name, "deleted");
        match result {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {
                Ok(())
            }
            Err(source) => Err(ApplyError::Delete {
                kind: K::kind(&()).into_owned(),
                name,
                source,
            }),
        }
    }

    fn report<K: Resource<DynamicType = ()>>(&self, name: &str, deed: &'static str) {
        self.context.metrics.wrote();
        tracing::info!(kind = %K::kind(&()), name, "child {deed}");
    }
}

fn named<K: Resource<DynamicType = ()>>(object: &K) -> Result<String, ApplyError> {
    object
        .meta()
        .name
        .clone()
        .ok_or_else(|| ApplyError::Nameless {
            kind: K::kind(&()).into_owned(),
        })
}

fn write_error<K: Resource<DynamicType = ()>>(name: String, source: kube::Error) -> ApplyError {
    ApplyError::Write {
        kind: K::kind(&()).into_owned(),
        name,
        source,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{
        ByteString, kube_aggregator::pkg::apis::apiregistration::v1::APIServiceSpec,
    };

    use super::*;

    fn registration(bundle: Option<&str>, skip: Option<bool>) -> APIService {
        let spec = APIServiceSpec {
            ca_bundle: bundle.map(|text| ByteString(text.as_bytes().to_vec())),
            insecure_skip_tls_verify: skip,
            ..APIServiceSpec::default()
        };
        APIService {
            spec: Some(spec),
            ..APIService::default()
        }
    }

    /// B3, mistake 10: the bundle comes back in the same write in which the verification does.
    #[test]
    fn a_registration_that_verifies_nobody_is_made_to_verify() {
        let wanted = registration(Some("ca"), None);
        let patch = distrust(&wanted, &registration(None, Some(true)));
        let expected = json!({"spec": {"insecureSkipTLSVerify": null, "caBundle": "Y2E="}});
        assert_eq!(patch, Some(expected));
        for skip in [None, Some(false)] {
            assert_eq!(distrust(&wanted, &registration(Some("ca"), skip)), None);
        }
    }
}
