//! Waiting for a value.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// The first pause; most things that are waited for come within a few of these.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest pause: what a wait loses at most.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Calls `check` until it gives a value. After `timeout` the error names what was waited for.
///
/// The check runs at least once, and once more after the time is over, so that a slow machine does
/// not turn a value that is there into a failure.
pub async fn wait_for<T>(
    description: &str,
    timeout: Duration,
    mut check: impl AsyncFnMut() -> Option<T>,
) -> Result<T> {
    let deadline = Instant::now() + timeout;
    let mut pause = PAUSE_MIN;
    loop {
        let last = Instant::now() >= deadline;
        if let Some(value) = check().await {
            return Ok(value);
        }
        if last {
            bail!("waited {timeout:?} in vain for {description}");
        }
        sleep(pause).await;
        pause = (pause * 3 / 2).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gives_the_value_once_it_is_there() {
        let mut calls = 0;
        let value = wait_for("three calls", Duration::from_secs(5), async || {
            calls += 1;
            (calls == 3).then_some("value")
        });
        assert_eq!(value.await.unwrap(), "value");
    }

    #[tokio::test]
    async fn the_error_names_what_was_waited_for() {
        let never = wait_for("the moon", Duration::from_millis(30), async || None::<()>);
        let error = never.await.unwrap_err().to_string();
        assert_eq!(error, "waited 30ms in vain for the moon");
    }
}
