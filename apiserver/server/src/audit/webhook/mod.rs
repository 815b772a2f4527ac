//! Events in batches to an HTTP server, as `EventList`.
//!
//! Mirrors `plugin/pkg/audit/webhook`. One batch is on its way at a time, so that what waits is bounded
//! by the queue; upstream sends many at once and limits their rate instead.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Uri, header};
use kube::{
    Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use rand::RngExt;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::queue::{Message, Queue, Receiver, Waiting};

/// How often a batch is sent, as upstream's `DefaultRetryBackoffWithInitialDelay`.
const ATTEMPTS: u32 = 5;
/// How much longer every wait is, and how much of it is chance.
const BACKOFF: (f64, f64) = (1.5, 0.2);
/// How long an attempt may take, as upstream's `defaultRequestTimeout`.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Size of a batch, in bytes, from which on it is sent, as upstream's `MaxBatchSize`.
const BATCH_SIZE: usize = 10 * 1024 * 1024;

/// Where events are sent, and how they are gathered.
#[derive(Clone, Debug)]
pub struct WebhookOptions {
    /// A kubeconfig whose cluster is the server, with the path that takes the events.
    pub config_file: PathBuf,
    /// Most events in a batch; at least one.
    pub batch_max_size: usize,
    /// How long an event may wait for others.
    pub batch_max_wait: Duration,
    /// Most events that wait; further ones are dropped.
    pub buffer_size: usize,
    /// How long after the first failure a batch is sent again.
    pub initial_backoff: Duration,
}

/// Starts the task that sends.
pub(super) async fn start(options: WebhookOptions) -> Result<Queue, String> {
    let path = options.config_file.display().to_string();
    if options.batch_max_size == 0 || options.buffer_size == 0 {
        return Err("the batch and the buffer of the audit webhook must hold one event".into());
    }
    let server = Server::from_kubeconfig(&options)
        .await
        .map_err(|e| format!("cannot use the audit webhook's kubeconfig {path}: {e}"))?;
    let (queue, receiver) = Queue::new("webhook", options.buffer_size);
    // It ends when the queue's other end is dropped.
    tokio::spawn(send_all(receiver, server, options));
    Ok(queue)
}

struct Server {
    client: Client,
    path: Uri,
}

impl Server {
    async fn from_kubeconfig(options: &WebhookOptions) -> Result<Self, String> {
        let kubeconfig = Kubeconfig::read_from(&options.config_file).map_err(|e| e.to_string())?;
        let context = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &context).await;
        let mut config = config.map_err(|e| e.to_string())?;
        config.default_retry = false;
        // The client would put a slash behind the path.
        let mut url = config.cluster_url.into_parts();
        let path = url
            .path_and_query
            .replace(http::uri::PathAndQuery::from_static("/"));
        config.cluster_url = Uri::from_parts(url).map_err(|e| e.to_string())?;
        let path = path.as_ref().map_or("/", |path| path.path());
        Ok(Self {
            path: path.parse().map_err(|e| format!("{path}: {e}"))?,
            client: Client::try_from(config).map_err(|e| e.to_string())?,
        })
    }

    async fn send(&self, list: Bytes) -> Result<(), String> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.path.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(list))
            .map_err(|e| e.to_string())?;
        let answer = timeout(REQUEST_TIMEOUT, self.client.send(request)).await;
        let answer = answer.map_err(|_| "no answer in time".to_owned())?;
        let status = answer.map_err(|e| e.to_string())?.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(format!("the answer is {status}"))
        }
    }
}

async fn send_all(mut receiver: Receiver, server: Server, options: WebhookOptions) {
    loop {
        let (batch, next) = collect(&mut receiver, &options).await;
        send(&batch, &receiver, &server, &options).await;
        match next {
            Next::Batch => {}
            // Whoever asked may have stopped waiting.
            Next::Flushed(done) => drop(done.send(())),
            Next::End => return,
        }
    }
}

enum Next {
    Batch,
    Flushed(oneshot::Sender<()>),
    End,
}

/// Waits for an event, and then for others until there are enough or it has waited for too long.
async fn collect(receiver: &mut Receiver, options: &WebhookOptions) -> (Vec<Waiting>, Next) {
    let mut batch: Vec<Waiting> = Vec::new();
    let mut deadline = None;
    let mut size = 0;
    while batch.len() < options.batch_max_size && size < BATCH_SIZE {
        let message = match deadline {
            None => receiver.messages.recv().await,
            Some(deadline) => match timeout_at(deadline, receiver.messages.recv()).await {
                Ok(message) => message,
                Err(_) => break,
            },
        };
        match message {
            Some(Message::Event(waiting)) => {
                deadline.get_or_insert_with(|| Instant::now() + options.batch_max_wait);
                size += waiting.event.len();
                batch.push(waiting);
            }
            Some(Message::Flush(done)) => return (batch, Next::Flushed(done)),
            None => return (batch, Next::End),
        }
    }
    (batch, Next::Batch)
}

/// Sends a batch until it is taken, or gives up on it.
async fn send(batch: &[Waiting], receiver: &Receiver, server: &Server, options: &WebhookOptions) {
    if batch.is_empty() {
        return;
    }
    let list = event_list(batch);
    let mut wait = options.initial_backoff;
    for attempt in 1..=ATTEMPTS {
        let is_last = attempt == ATTEMPTS || receiver.hurry.is_cancelled();
        let Err(error) = server.send(list.clone()).await else {
            return;
        };
        if is_last {
            receiver.lost.add(batch.len() as u64, &error);
            return;
        }
        tracing::warn!(error, attempt, "the audit webhook does not take events");
        let chance = 1.0 + BACKOFF.1 * rand::rng().random::<f64>();
        tokio::select! {
            () = sleep(wait.mul_f64(chance)) => {}
            () = receiver.hurry.cancelled() => {}
        }
        wait = wait.mul_f64(BACKOFF.0);
    }
}

fn event_list(batch: &[Waiting]) -> Bytes {
    const HEAD: &[u8] =
        b"{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/v1\",\"metadata\":{},\"items\":[";
    let size: usize = batch.iter().map(|waiting| waiting.event.len() + 1).sum();
    let mut list = Vec::with_capacity(HEAD.len() + size + 2);
    list.extend_from_slice(HEAD);
    for (index, waiting) in batch.iter().enumerate() {
        if index > 0 {
            list.push(b',');
        }
        list.extend_from_slice(&waiting.event);
    }
    list.extend_from_slice(b"]}");
    list.into()
}

#[cfg(test)]
mod tests;
