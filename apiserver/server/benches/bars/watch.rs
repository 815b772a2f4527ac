//! One write with 1,000 watches, from the store to the frame that each hands to its connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http_body_util::BodyExt;
use tokio::task::{AbortHandle, yield_now};

use crate::{
    fixture::{Fixture, get},
    list::TABLE,
    measure::{Bar, cost, print},
};

pub(crate) const WATCHES: u32 = 1000;
const RUNS: usize = 101;
/// Most processor time for each watch.
const BAR: Duration = Duration::from_micros(1);
/// Turns of the scheduler in which every watch has surely run.
const TURNS: usize = 64;

pub(crate) async fn run() {
    let json = "application/json";
    for (name, query, accept, bar) in [
        (
            "one event, for each of 1,000 watches",
            "?watch=true",
            json,
            Bar::Below(BAR),
        ),
        ("the same as Tables", "?watch=true", TABLE, Bar::Below(BAR)),
        (
            "the same, with a selector that does not match",
            "?watch=true&labelSelector=app%3Dother",
            json,
            Bar::Below(BAR),
        ),
    ] {
        let fixture = Fixture::new(1).await;
        let frames = Arc::new(AtomicUsize::new(0));
        let mut watches = Vec::new();
        for _ in 0..WATCHES {
            watches.push(watch(&fixture, query, accept, &frames).await);
        }
        settle().await;
        let record = fixture.stored(0).await;
        let (mut revision, mut runs) = (record.revision, Vec::new());
        let before = frames.load(Ordering::Relaxed);
        for _ in 0..RUNS {
            let run = async {
                revision = fixture.touch(&record, revision).await;
                settle().await;
            };
            runs.push(cost(run).await);
        }
        let seen = frames.load(Ordering::Relaxed) - before;
        let matching = if query.contains("labelSelector") {
            0
        } else {
            WATCHES as usize
        };
        assert_eq!(
            seen,
            matching * RUNS,
            "{name}: every watch gets every event"
        );
        print(name, runs, WATCHES, bar);
        watches.iter().for_each(AbortHandle::abort);
    }
}

/// Starts a watch that nothing is expected of.
pub(crate) async fn begin(fixture: &Fixture, query: &str, accept: &str) -> AbortHandle {
    watch(fixture, query, accept, &Arc::default()).await
}

/// Starts a watch whose frames are counted.
async fn watch(
    fixture: &Fixture,
    query: &str,
    accept: &str,
    frames: &Arc<AtomicUsize>,
) -> AbortHandle {
    let response = fixture.answer(get(query, accept).await).await;
    let (mut body, frames) = (response.into_body(), Arc::clone(frames));
    let task = tokio::spawn(async move {
        while body.frame().await.is_some() {
            frames.fetch_add(1, Ordering::Relaxed);
        }
    });
    task.abort_handle()
}

/// Lets every task come to where it waits.
pub(crate) async fn settle() {
    for _ in 0..TURNS {
        yield_now().await;
    }
}
