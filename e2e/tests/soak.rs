//! Minutes of use while things happen to the product: no request may fail, and a watch has to see
//! every record come and go exactly once and in order.
//!
//! Run it for as long as `SOAK_SECONDS` says, 30 by default, after `make static-programs`:
//! `cargo run -p e2e -- run --tier node -- cargo test -p e2e --test soak -- --ignored --nocapture`.

#[path = "soak/disturbances.rs"]
mod disturbances;
#[expect(dead_code, reason = "other tests need what this one does not")]
#[path = "node/installation.rs"]
mod installation;
#[path = "soak/load.rs"]
mod load;
#[path = "soak/observer.rs"]
mod observer;

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const SECONDS_DEFAULT: u64 = 30;

#[tokio::test]
#[ignore = "needs cluster: node tier, long"]
async fn no_request_fails_and_no_event_is_lost_while_things_happen() -> Result<()> {
    let seconds = match std::env::var("SOAK_SECONDS") {
        Ok(text) => text.parse().context("SOAK_SECONDS is not a number")?,
        Err(_) => SECONDS_DEFAULT,
    };
    let (cluster, _guard) = installation::exclusive().await?;
    let namespace = cluster.namespace("soak").await?;
    let observer = observer::Observer::begin(&cluster, &namespace.name).await?;
    let stop = CancellationToken::new();
    let load = tokio::spawn(load::run(
        load::client(&cluster).await?,
        namespace.name.clone(),
        stop.clone(),
    ));
    let observer = tokio::spawn(observer.run(stop.clone()));

    let end = Instant::now() + Duration::from_secs(seconds);
    let disturbances = disturbances::until(&cluster, end).await;
    stop.cancel();
    let load = load.await?;
    print!("{load}");
    let seen = observer.await?.context("the watch failed")?;
    println!(
        "watch: {} events in {} streams",
        seen.events.len(),
        seen.streams
    );
    let disturbances = disturbances?;
    println!("disturbances: {disturbances}");

    assert!(
        load.failures.is_empty(),
        "{} requests failed",
        load.failures.len()
    );
    let first = load
        .expected
        .iter()
        .zip(&seen.events)
        .position(|(expected, event)| expected != event);
    assert_eq!(first, None, "the first event that differs");
    assert_eq!(
        seen.events.len(),
        load.expected.len(),
        "events lost or doubled at the end"
    );
    assert!(
        load.requests() as u64 > seconds * load::PER_SECOND / 2,
        "the load was too small"
    );
    assert!(disturbances.all() > 0, "nothing happened");
    Ok(())
}
