//! Wires the operator together and runs it until a signal or the loss of leadership.

use std::sync::Arc;

use futures::StreamExt;
use kube::Client;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    args::{Config, RunArgs},
    context::Context,
    health::{self, Readiness},
    lease::{self, Elector},
    metrics::Metrics,
    reconcile, watches,
};

/// Why the operator ended.
#[derive(Debug, Error)]
pub enum RunError {
    /// The health port could not be opened.
    #[error("cannot listen on {0}")]
    Listen(std::net::SocketAddr, #[source] std::io::Error),
    /// Another process leads now; acting on would put two writers on the same objects.
    #[error("lost the lease")]
    LostLease,
}

/// Runs until the token is cancelled.
pub async fn run(
    client: Client,
    args: &RunArgs,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let config = Config::from(args);
    let metrics = Metrics::default();
    let readiness = Readiness::default();
    let address = args.health_bind_address;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| RunError::Listen(address, error))?;
    tracing::info!(%address, ?config, "operator starts");

    // Health outlives the controller, so that a slow end does not look like a crash.
    let health_shutdown = CancellationToken::new();
    let tasks = TaskTracker::new();
    tasks.spawn(health::serve(
        listener,
        readiness.clone(),
        metrics.clone(),
        health_shutdown.clone(),
    ));

    let result = if args.leader_elect {
        // A process that waits for its turn is as ready as it gets.
        readiness.set();
        let elector = Elector::new(client.clone(), &config.operator_namespace, identity(args));
        lead(elector, client, config, &metrics, &readiness, shutdown).await
    } else {
        control(client, config, &metrics, &readiness, shutdown).await;
        Ok(())
    };
    health_shutdown.cancel();
    tasks.close();
    tasks.wait().await;
    tracing::info!("operator ends");
    result
}

/// Waits for the Lease, runs while holding it, and gives it back.
async fn lead(
    elector: Elector,
    client: Client,
    config: Config,
    metrics: &Metrics,
    readiness: &Readiness,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    if elector.acquire(&shutdown).await == lease::Acquired::Stopped {
        return Ok(());
    }
    let controller_shutdown = shutdown.child_token();
    let lost = {
        let held = elector.hold(&controller_shutdown);
        let controlled = control(
            client,
            config,
            metrics,
            readiness,
            controller_shutdown.clone(),
        );
        tokio::pin!(held, controlled);
        tokio::select! {
            // Fail stop: whatever is under way is dropped with the process.
            () = &mut held => !shutdown.is_cancelled(),
            () = &mut controlled => false,
        }
    };
    if lost {
        return Err(RunError::LostLease);
    }
    elector.release().await;
    Ok(())
}

async fn control(
    client: Client,
    config: Config,
    metrics: &Metrics,
    readiness: &Readiness,
    shutdown: CancellationToken,
) {
    metrics.leads();
    let (definitions, changes) = watches::definitions(&client);
    let controller = watches::controller(
        &client,
        &config,
        changes,
        shutdown.clone().cancelled_owned(),
    );
    let apis = controller.store();
    let context = Arc::new(Context::new(
        client,
        config,
        metrics.clone(),
        apis.clone(),
        definitions,
    ));
    let ready = async {
        if apis.wait_until_ready().await.is_ok() {
            readiness.set();
        }
    };
    let reconciles = controller
        .run(
            reconcile::reconcile,
            |api, error, context| reconcile::retry(&api, error, &context),
            context,
        )
        .for_each(|result| {
            if let Err(error) = result {
                report(&error);
            }
            futures::future::ready(())
        });
    futures::future::join(ready, reconciles).await;
}

/// Failed reconciles are reported where they are retried; the rest is about watches.
fn report(
    error: &kube_runtime::controller::Error<
        reconcile::ReconcileError,
        kube_runtime::watcher::Error,
    >,
) {
    use kube_runtime::controller::Error;
    match error {
        Error::ReconcilerFailed(..) | Error::ObjectNotFound(_) => {}
        other => tracing::warn!(error = other as &dyn std::error::Error, "watch failed"),
    }
}

fn identity(args: &RunArgs) -> String {
    if args.identity.is_empty() {
        std::fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(
            |_| format!("process-{}", std::process::id()),
            |name| name.trim().to_owned(),
        )
    } else {
        args.identity.clone()
    }
}
