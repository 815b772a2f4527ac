//! A webhook on a real socket with TLS, which answers as the test says.

use std::{net::Ipv4Addr, sync::Arc};

use futures::future::pending;
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    metrics::Counter,
    response,
    standalone::Standalone,
    transport::{Connection, Listener, TlsConfig},
};

const WITHIN: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_hours(1);

/// What the webhook got, and what it answers: the next of these, or 200.
struct Hook {
    lists: mpsc::UnboundedReceiver<Value>,
    options: WebhookOptions,
    _directory: tempfile::TempDir,
}

/// Never answers.
const SILENCE: u16 = 0;

impl Hook {
    async fn start(answers: &'static [u16]) -> Self {
        let standalone = Standalone::mint().unwrap();
        let tls = TlsConfig::new(standalone.certificate.clone(), &standalone.trust).unwrap();
        let listener = Listener::bind(
            (Ipv4Addr::LOCALHOST, 0).into(),
            Arc::new(tls),
            Counter::default(),
        );
        let listener = listener.await.unwrap();
        let mut kubeconfig = standalone.kubeconfig(listener.local_addr().unwrap());
        let url = &mut kubeconfig["clusters"][0]["cluster"]["server"];
        *url = format!("{}/audit/events", url.as_str().unwrap()).into();
        let directory = tempfile::tempdir().unwrap();
        let config_file = directory.path().join("kubeconfig");
        std::fs::write(&config_file, kubeconfig.to_string()).unwrap();

        let (sender, lists) = mpsc::unbounded_channel();
        let answers = Arc::new(Mutex::new(answers.iter().copied()));
        let handler = move |_: Arc<Connection>, request: Request<Incoming>| {
            let (sender, answer) = (sender.clone(), answers.lock().next().unwrap_or(200));
            async move {
                assert_eq!(request.uri().path(), "/audit/events");
                assert_eq!(request.method(), Method::POST);
                assert_eq!(request.headers()["content-type"], "application/json");
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let _ = sender.send(serde_json::from_slice(&body).unwrap());
                if answer == SILENCE {
                    return pending().await;
                }
                response::text(StatusCode::from_u16(answer).unwrap(), "")
            }
        };
        tokio::spawn(listener.serve(handler, CancellationToken::new()));
        Self {
            lists,
            options: WebhookOptions {
                config_file,
                batch_max_size: 3,
                batch_max_wait: HOUR,
                buffer_size: 100,
                initial_backoff: Duration::from_millis(1),
            },
            _directory: directory,
        }
    }

    async fn queue(&self) -> Queue {
        start(self.options.clone()).await.unwrap()
    }

    /// The numbers in the next list.
    async fn list(&mut self) -> Vec<u64> {
        let list = timeout(WITHIN, self.lists.recv()).await.unwrap().unwrap();
        assert_eq!(list["kind"], "EventList");
        assert_eq!(list["apiVersion"], "audit.k8s.io/v1");
        let items = list["items"].as_array().unwrap().iter();
        items.map(|item| item["n"].as_u64().unwrap()).collect()
    }
}

fn offer(queue: &Queue, numbers: std::ops::Range<u64>) {
    for number in numbers {
        queue.offer(format!("{{\"n\":{number}}}").into());
    }
}

fn soon() -> Instant {
    Instant::now() + WITHIN
}

/// X9: events go in batches, at the latest when the server stops.
#[tokio::test]
async fn events_are_sent_in_batches() {
    let mut hook = Hook::start(&[]).await;
    let queue = hook.queue().await;
    offer(&queue, 0..7);
    assert_eq!(hook.list().await, [0, 1, 2]);
    assert_eq!(hook.list().await, [3, 4, 5]);
    queue.flush(soon()).await;
    assert_eq!(hook.list().await, [6]);
    assert_eq!(queue.lost(), 0);
}

/// X9: a batch that is not full goes after a while.
#[tokio::test]
async fn an_event_does_not_wait_for_ever() {
    let mut hook = Hook::start(&[]).await;
    hook.options.batch_max_wait = Duration::from_millis(50);
    let queue = hook.queue().await;
    offer(&queue, 0..1);
    assert_eq!(hook.list().await, [0]);
}

/// X9: what was not taken is sent again.
#[tokio::test]
async fn a_batch_is_sent_again_until_it_is_taken() {
    let mut hook = Hook::start(&[500, 429, 404, 200]).await;
    let queue = hook.queue().await;
    offer(&queue, 0..6);
    for _ in 0..4 {
        assert_eq!(hook.list().await, [0, 1, 2]);
    }
    assert_eq!(hook.list().await, [3, 4, 5]);
    assert_eq!(queue.lost(), 0);
}

/// X9: a batch is given up in the end, counted, and the next one has its turn.
#[tokio::test]
async fn a_batch_that_nobody_takes_is_given_up() {
    let mut hook = Hook::start(&[500, 500, 500, 500, 500, 200]).await;
    let queue = hook.queue().await;
    offer(&queue, 0..6);
    for _ in 0..5 {
        assert_eq!(hook.list().await, [0, 1, 2]);
    }
    assert_eq!(hook.list().await, [3, 4, 5]);
    assert_eq!(queue.lost(), 3);
}

/// X9: a webhook that does not answer costs nobody time: its queue fills up, and stopping is bounded.
#[tokio::test]
async fn a_silent_webhook_holds_up_nobody() {
    let mut hook = Hook::start(&[SILENCE]).await;
    hook.options.buffer_size = 5;
    let queue = hook.queue().await;
    offer(&queue, 0..3);
    assert_eq!(hook.list().await, [0, 1, 2]);
    let begin = Instant::now();
    offer(&queue, 0..10_000);
    assert!(begin.elapsed() < WITHIN);
    assert_eq!(queue.lost(), 9_995);
    queue
        .flush(Instant::now() + Duration::from_millis(50))
        .await;
    assert!(begin.elapsed() < WITHIN);
}

/// X9: when the server stops, nobody waits for another attempt.
#[tokio::test]
async fn stopping_tries_once_more_and_gives_up() {
    let mut hook = Hook::start(&[500, 500, 200]).await;
    hook.options.initial_backoff = HOUR;
    let queue = hook.queue().await;
    offer(&queue, 0..4);
    assert_eq!(hook.list().await, [0, 1, 2]);
    queue.flush(soon()).await;
    assert_eq!(hook.list().await, [0, 1, 2]);
    assert_eq!(hook.list().await, [3]);
    assert_eq!(queue.lost(), 3);
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_used_is_named() {
    let hook = Hook::start(&[]).await;
    let options = WebhookOptions {
        config_file: "/nowhere".into(),
        ..hook.options.clone()
    };
    let error = start(options).await.unwrap_err();
    assert!(
        error.starts_with("cannot use the audit webhook's kubeconfig /nowhere: "),
        "{error}"
    );
}
