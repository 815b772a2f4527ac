//! One reconcile: `dereference → validate → build → apply → update_status`.
//!
//! Each step is a module with its own error. Only the first and the last two hold a client; what
//! lies between is pure. Everything is derived from the objects in the cluster each time, so the
//! operator may be killed between any two writes.

mod apply;
mod build;
mod dereference;
mod drift;
mod error;
mod finalizer;
mod teardown;
mod update_status;
mod validate;

use std::{sync::Arc, time::Duration};

use crds::ExtensionAPI;
use jiff::Timestamp;
use kube::ResourceExt;
use kube_runtime::controller::Action;
use tokio::time::Instant;

pub use self::error::ReconcileError;
pub(crate) use self::finalizer::strip as strip_finalizer;
use self::{
    apply::{Applied, Registration},
    validate::Refusal,
};
use crate::{
    certificates::{self, Stored},
    conditions::Truth,
    context::Context,
    names::Owner,
};

/// How soon to look again at what no watch tells: pods that will not start, and an API that the
/// API server does not reach.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// How soon to ask a server again that is not registered yet; users wait for it.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// How soon to look again at what stands in the way. Most of it is watched, but neither a
/// namespace that somebody creates nor an older claim that goes.
const REFUSED_AGAIN: Duration = Duration::from_secs(10);

/// What a reconcile came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Nothing was written.
    Refused(Refusal),
    /// The children are as they should be so far.
    Applied(Box<Applied>),
}

/// Reconciles one object and counts it.
pub async fn reconcile(
    api: Arc<ExtensionAPI>,
    context: Arc<Context>,
) -> Result<Action, ReconcileError> {
    let started = Instant::now();
    let result = Box::pin(step(&api.name_any(), &context)).await;
    context.metrics.reconciled(started.elapsed());
    if result.is_ok() {
        context.succeeded(&api.name_any());
    }
    result
}

/// Says when to try again after an error, and reports it: this is where errors end.
pub fn retry(api: &ExtensionAPI, error: &ReconcileError, context: &Context) -> Action {
    let name = api.name_any();
    let wait = context.failed(&name);
    context.metrics.failed(error.category());
    tracing::warn!(
        extension_api = name,
        step = error.category(),
        error = error as &dyn std::error::Error,
        retry_seconds = wait.as_secs(),
        "reconcile failed"
    );
    Action::requeue(wait)
}

async fn step(name: &str, context: &Context) -> Result<Action, ReconcileError> {
    let Some(api) = dereference::current(&context.client, name).await? else {
        return Ok(Action::await_change());
    };
    let owner = Owner::of(&api).ok_or(ReconcileError::Anonymous)?;
    if api.metadata.deletion_timestamp.is_some() {
        return Box::pin(teardown::run(context, &api, &owner)).await;
    }
    finalizer::ensure(&context.client, &api).await?;
    let now = dereference::now();
    let world = Box::pin(dereference::dereference(context, &api, &owner)).await?;
    let outcome = match validate::validate(&api, &owner, &world, &context.config) {
        Err(refusal) => {
            if world.namespace.is_lost() {
                apply::deregister(context, &owner, &world).await?;
            }
            Outcome::Refused(refusal)
        }
        Ok(plan) => {
            let tls = certificates::renew(now, &stored(&world, &owner), &plan.tls)?;
            let children = build::build(&plan, &tls, &context.config);
            Outcome::Applied(Box::new(
                Box::pin(apply::apply(context, &plan, &world, children, tls)).await?,
            ))
        }
    };
    let available =
        update_status::update_status(&context.client, &api, &owner, &world, &outcome, now).await?;
    Ok(next(&outcome, available, now))
}

/// What the cluster holds of certificates.
fn stored(world: &dereference::World, owner: &Owner) -> Stored {
    Stored {
        authority: world.ca_secret.as_ref().and_then(build::read_authority),
        serving: world.serving_secret.as_ref().and_then(build::read_pair),
        registered_bundles: world
            .api_services
            .iter()
            .filter(|api_service| owner.owns(&api_service.metadata))
            .filter_map(|api_service| api_service.spec.as_ref()?.ca_bundle.as_ref())
            .map(|bundle| String::from_utf8_lossy(&bundle.0).into_owned())
            .collect(),
    }
}

fn next(outcome: &Outcome, available: Truth, now: Timestamp) -> Action {
    let wait = match outcome {
        Outcome::Refused(_) => REFUSED_AGAIN,
        Outcome::Applied(applied) => match (&applied.registration, available) {
            (Registration::NoEndpoint | Registration::NoAnswer(_), _) => ASK_AGAIN,
            (Registration::Registered, Truth::False | Truth::Unknown) => LOOK_AGAIN,
            (Registration::Registered, Truth::True) => {
                let wait = applied
                    .tls
                    .next_look
                    .duration_since(now)
                    .max(jiff::SignedDuration::ZERO);
                Duration::try_from(wait)
                    .unwrap_or(LOOK_AGAIN)
                    .max(Duration::from_secs(1))
            }
        },
    };
    Action::requeue(wait)
}
