//! Answers from memory while 1,000 watches run and every place for reads is taken.

use std::time::Duration;

use http::StatusCode;
use tokio::task::AbortHandle;

use crate::{
    fixture::{Fixture, get, get_path},
    measure::{Bar, cost, print},
    watch::{self, WATCHES},
};

/// The server's limit.
const READS: usize = 400;
/// What others have to be answered within, however full the server is.
const BAR: Duration = Duration::from_millis(50);
const RUNS: usize = 101;
/// A revision that never comes: a read waits for it for three seconds, which is longer than this takes.
const HELD_UP: &str = "?resourceVersion=999999999999";

pub(crate) async fn run() {
    let json = "application/json";
    let fixture = Fixture::new(1).await;
    let mut tasks = Vec::new();
    for _ in 0..WATCHES {
        tasks.push(watch::begin(&fixture, "?watch=true", json).await);
    }
    for _ in 0..READS {
        let (request, answer) = (get(HELD_UP, json).await, fixture.handle());
        tasks.push(tokio::spawn(async move { drop(answer(request).await) }).abort_handle());
    }
    watch::settle().await;
    let refused = async || {
        let answer = fixture.handle()(get("", json).await).await;
        answer.status() == StatusCode::TOO_MANY_REQUESTS
    };
    assert!(refused().await, "the server is full");
    for path in [
        "/readyz",
        "/apis",
        "/apis/bench.example.com/v1",
        "/openapi/v3",
    ] {
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            let request = get_path(path, json).await;
            runs.push(cost(async { drop(fixture.answer(request).await) }).await);
        }
        let name = format!("{path} of a full server");
        print(&name, runs, 1, Bar::Below(BAR));
    }
    assert!(refused().await, "the server is still full");
    tasks.iter().for_each(AbortHandle::abort);
}
