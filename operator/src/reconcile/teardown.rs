//! Takes the children away in the reverse of the order in which they came.
//!
//! The registration goes first and has to be gone before anything behind it goes: while an
//! `APIService` points at nothing, no namespace in the cluster can be deleted. Rights go last,
//! because the server needs them until it has ended.

use std::time::Duration;

use crds::ExtensionAPI;
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Secret, Service, ServiceAccount},
        rbac::v1::{ClusterRoleBinding, RoleBinding},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};
use kube::Api;
use kube_runtime::controller::Action;

use super::{
    apply::Writer,
    dereference::{World, dereference},
    error::{ApplyError, ReconcileError, TeardownError},
    finalizer,
};
use crate::{
    context::Context,
    names::{KUBE_SYSTEM, Owner},
};

/// How soon to look whether something has gone.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Steps in one reconcile: each of the five deletes, and a look after it.
const STEPS_MAX: usize = 10;

/// How much of each stage is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Remaining {
    registrations: usize,
    workload: usize,
    pods: usize,
    secrets: usize,
    access: usize,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Delete the `APIService` objects.
    Registrations,
    /// Delete the Deployment and the Service.
    Workload,
    /// Wait for the pods to end.
    Pods,
    /// Delete the Secrets.
    Secrets,
    /// Delete the bindings and the account.
    Access,
    /// Nothing is left.
    Done,
}

/// Decides what comes next: nothing goes before what depends on it has gone.
pub(super) fn next_step(remaining: Remaining) -> Step {
    let Remaining {
        registrations,
        workload,
        pods,
        secrets,
        access,
    } = remaining;
    match (registrations, workload, pods, secrets, access) {
        (0, 0, 0, 0, 0) => Step::Done,
        (0, 0, 0, 0, _) => Step::Access,
        (0, 0, 0, _, _) => Step::Secrets,
        (0, 0, _, _, _) => Step::Pods,
        (0, _, _, _, _) => Step::Workload,
        (_, _, _, _, _) => Step::Registrations,
    }
}

/// Goes as far as it can without waiting.
pub(super) async fn run(
    context: &Context,
    api: &ExtensionAPI,
    owner: &Owner,
) -> Result<Action, ReconcileError> {
    let mut previous = None;
    for _ in 0..STEPS_MAX {
        let world = Box::pin(dereference(context, api, owner))
            .await
            .map_err(TeardownError::from)?;
        let step = next_step(remaining(&world, owner));
        if step == Step::Done {
            finalizer::remove(&context.client, api).await?;
            tracing::info!(extension_api = owner.name, "children are gone");
            return Ok(Action::await_change());
        }
        if previous == Some(step) {
            break;
        }
        delete(context, owner, &world, step)
            .await
            .map_err(TeardownError::from)?;
        previous = Some(step);
    }
    Ok(Action::requeue(LOOK_AGAIN))
}

fn remaining(world: &World, owner: &Owner) -> Remaining {
    let ours = |metadata: Option<&ObjectMeta>| {
        usize::from(metadata.is_some_and(|metadata| owner.owns(metadata)))
    };
    Remaining {
        registrations: world
            .api_services
            .iter()
            .filter(|api_service| owner.owns(&api_service.metadata))
            .count(),
        workload: ours(world.deployment.as_ref().map(|object| &object.metadata))
            + ours(world.service.as_ref().map(|object| &object.metadata)),
        pods: world.pods.len(),
        secrets: ours(world.ca_secret.as_ref().map(|object| &object.metadata))
            + ours(world.serving_secret.as_ref().map(|object| &object.metadata)),
        access: ours(world.auth_reader.as_ref().map(|object| &object.metadata))
            + ours(world.auth_delegator.as_ref().map(|object| &object.metadata))
            + ours(world.admission.as_ref().map(|object| &object.metadata))
            + ours(
                world
                    .service_account
                    .as_ref()
                    .map(|object| &object.metadata),
            ),
    }
}

async fn delete(
    context: &Context,
    owner: &Owner,
    world: &World,
    step: Step,
) -> Result<(), ApplyError> {
    let (client, namespace) = (&context.client, &owner.namespace);
    let writer = Writer { context };
    match step {
        Step::Registrations => {
            let api = Api::<APIService>::all(client.clone());
            for object in world
                .api_services
                .iter()
                .filter(|object| owner.owns(&object.metadata))
            {
                writer.delete(&api, &object.metadata).await?;
            }
        }
        Step::Workload => {
            if let Some(object) = &world.deployment {
                let api = Api::<Deployment>::namespaced(client.clone(), namespace);
                writer.delete_owned(&api, owner, &object.metadata).await?;
            }
            if let Some(object) = &world.service {
                let api = Api::<Service>::namespaced(client.clone(), namespace);
                writer.delete_owned(&api, owner, &object.metadata).await?;
            }
        }
        Step::Secrets => {
            if let Some(object) = &world.serving_secret {
                let api = Api::<Secret>::namespaced(client.clone(), namespace);
                writer.delete_owned(&api, owner, &object.metadata).await?;
            }
            if let Some(object) = &world.ca_secret {
                let api =
                    Api::<Secret>::namespaced(client.clone(), &context.config.operator_namespace);
                writer.delete_owned(&api, owner, &object.metadata).await?;
            }
        }
        Step::Access => {
            if let Some(object) = &world.auth_reader {
                let api = Api::<RoleBinding>::namespaced(client.clone(), KUBE_SYSTEM);
                writer.delete_owned(&api, owner, &object.metadata).await?;
            }
            let api = Api::<ClusterRoleBinding>::all(client.clone());
            for object in [&world.auth_delegator, &world.admission]
                .into_iter()
                .flatten()
            {
                writer.delete_owned(&api, owner, &object.metadata).await?;
            }
            if let Some(object) = &world.service_account {
                let api = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
                writer.delete_owned(&api, owner, &object.metadata).await?;
            }
        }
        Step::Pods | Step::Done => {}
    }
    Ok(())
}

impl Writer<'_> {
    /// Deletes a child, and leaves alone what only has its name.
    async fn delete_owned<K>(
        &self,
        api: &Api<K>,
        owner: &Owner,
        seen: &ObjectMeta,
    ) -> Result<(), ApplyError>
    where
        K: kube::Resource<DynamicType = ()> + serde::de::DeserializeOwned + Clone + std::fmt::Debug,
    {
        if owner.owns(seen) {
            self.delete(api, seen).await
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Remaining, Step, next_step};

    fn all() -> Remaining {
        Remaining {
            registrations: 2,
            workload: 2,
            pods: 3,
            secrets: 2,
            access: 4,
        }
    }

    /// F4, B10: the registration goes before the workload, the rights go last.
    #[test]
    fn stages_go_in_order_and_each_waits_for_the_one_before() {
        let stages = [
            (all(), Step::Registrations),
            (
                Remaining {
                    registrations: 1,
                    ..all()
                },
                Step::Registrations,
            ),
            (
                Remaining {
                    registrations: 0,
                    ..all()
                },
                Step::Workload,
            ),
            (
                Remaining {
                    registrations: 0,
                    workload: 0,
                    ..all()
                },
                Step::Pods,
            ),
            (
                Remaining {
                    registrations: 0,
                    workload: 0,
                    pods: 0,
                    ..all()
                },
                Step::Secrets,
            ),
            (
                Remaining {
                    access: 1,
                    ..Remaining::default()
                },
                Step::Access,
            ),
            (Remaining::default(), Step::Done),
        ];
        for (remaining, step) in stages {
            assert_eq!(next_step(remaining), step, "{remaining:?}");
        }
    }

    /// B11: what is gone already is not waited for.
    #[test]
    fn a_missing_stage_is_skipped() {
        let without_namespace = Remaining {
            workload: 0,
            pods: 0,
            ..all()
        };
        assert_eq!(next_step(without_namespace), Step::Registrations);
        let unregistered = Remaining {
            registrations: 0,
            ..without_namespace
        };
        assert_eq!(next_step(unregistered), Step::Secrets);
    }
}
