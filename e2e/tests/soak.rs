//! Minutes of use while things happen to the product: no request may fail, and a watch has to see
//! every record come and go exactly once and in order.
//!
//! Run it for as long as `SOAK_SECONDS` says, 30 by default, after `make static-programs`:
//! `cargo run -p e2e -- run --tier node -- cargo test -p e2e --test soak -- --ignored --nocapture`.

#[path = "support/authorities.rs"]
mod authorities;
#[path = "support/certificates.rs"]
mod certificates;
#[path = "soak/disturbances.rs"]
mod disturbances;
#[expect(dead_code, reason = "other tests need what this one does not")]
#[path = "node/installation.rs"]
mod installation;
#[expect(dead_code, reason = "other tests need what this one does not")]
#[path = "support/server.rs"]
mod local_server;
#[path = "support/observer.rs"]
mod observer;
#[path = "support/program.rs"]
mod program;
#[path = "soak/rotation.rs"]
mod rotation;
#[expect(dead_code, reason = "other tests need what this one does not")]
#[path = "node/storage.rs"]
mod storage;
#[path = "support/traffic.rs"]
mod traffic;

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const SECONDS_DEFAULT: u64 = 30;
const LABEL: &str = "soak";

#[tokio::test]
#[ignore = "needs cluster: node tier, long"]
async fn no_request_fails_and_no_event_is_lost_while_things_happen() -> Result<()> {
    let seconds = match std::env::var("SOAK_SECONDS") {
        Ok(text) => text.parse().context("SOAK_SECONDS is not a number")?,
        Err(_) => SECONDS_DEFAULT,
    };
    let (cluster, _guard) = installation::exclusive().await?;
    let namespace = cluster.namespace("soak").await?;
    let client = traffic::client(&cluster.kubeconfig).await?;
    let observer = observer::Observer::begin(client.clone(), &namespace.name).await?;
    let stop = CancellationToken::new();
    let running = traffic::run(client.clone(), namespace.name.clone(), LABEL, stop.clone());
    let running = tokio::spawn(running);
    let observer = tokio::spawn(observer.run(stop.clone()));

    let end = Instant::now() + Duration::from_secs(seconds);
    let disturbances = disturbances::until(&cluster, end).await;
    stop.cancel();
    let done = running.await?;
    print!("{done}");
    let seen = observer.await?.context("the watch failed")?;
    println!(
        "watch: {} events in {} streams",
        seen.events.len(),
        seen.streams
    );
    let disturbances = disturbances?;
    println!("disturbances: {disturbances}");

    let failures = done.failures.len();
    assert!(failures == 0, "{failures} requests failed");
    seen.is_all_of(LABEL, &done)?;
    let there = traffic::listed(client, &namespace.name, LABEL).await?;
    assert_eq!(there, done.kept, "what was written and what is there");
    assert!(
        done.requests() as u64 > seconds * traffic::PER_SECOND / 2,
        "the load was too small"
    );
    assert!(disturbances.all() > 0, "nothing happened");
    Ok(())
}
