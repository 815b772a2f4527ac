//! A list of 10,000 objects, from the request to the last byte before TLS.

use std::time::Duration;

use http_body_util::BodyExt;

use crate::{
    fixture::{Fixture, get},
    measure::{Bar, cost, print},
};

const OBJECTS: usize = 10_000;
const RUNS: usize = 15;
/// Most processor time for a list of all objects.
const BAR: Duration = Duration::from_millis(4);

pub(crate) const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

pub(crate) async fn run() {
    let fixture = Fixture::new(OBJECTS).await;
    let json = "application/json";
    for (name, query, accept, bar) in [
        ("list of 10,000", "", json, Bar::Below(BAR)),
        (
            "list of 10,000, from any state",
            "?resourceVersion=0",
            json,
            Bar::None,
        ),
        (
            "list of 10,000, a selector takes 1,000",
            "?labelSelector=tenth%3D3",
            json,
            Bar::None,
        ),
        ("list of 10,000, page of 500", "?limit=500", json, Bar::None),
        ("list of 10,000 as a Table", "", TABLE, Bar::None),
    ] {
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            let request = get(query, accept).await;
            runs.push(
                cost(Box::pin(async {
                    let mut body = fixture.answer(request).await.into_body();
                    while let Some(frame) = body.frame().await {
                        drop(frame);
                    }
                }))
                .await,
            );
        }
        print(name, runs, 1, bar);
    }
}
