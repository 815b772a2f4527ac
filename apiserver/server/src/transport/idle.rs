//! A connection of HTTP/2 that ends when nobody has asked for anything for a while.
//!
//! A peer that answers pings lives, but one without requests only takes a place. HTTP/1 needs none of
//! this: there the head of the next request has a time. Mirrors `IdleTimeout` in
//! `k8s.io/apiserver/pkg/server/secure_serving.go`.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::{sync::watch, time::timeout};

use crate::response::Body;

/// How long a connection may be without requests, as upstream.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// How many requests of a connection have not got all of their answers.
#[derive(Clone, Debug)]
pub(super) struct OpenRequests(watch::Sender<usize>);

/// One of them.
#[derive(Debug)]
pub(super) struct OpenRequest(watch::Sender<usize>);

/// The body of an answer, with which its request is no longer open.
#[derive(Debug)]
pub(super) struct Answering {
    body: Body,
    _request: OpenRequest,
}

impl OpenRequests {
    pub(super) fn none() -> Self {
        Self(watch::Sender::new(0))
    }

    pub(super) fn begin(&self) -> OpenRequest {
        self.0.send_modify(|open| *open += 1);
        OpenRequest(self.0.clone())
    }

    /// Returns once there was none for too long.
    pub(super) async fn idle(&self) {
        let mut open = self.0.subscribe();
        // The sender is here, so there is always something to wait for.
        while open.wait_for(|open| *open == 0).await.is_ok() {
            let next = open.wait_for(|open| *open > 0);
            if timeout(IDLE_TIMEOUT, next).await.is_err() {
                return;
            }
        }
    }
}

impl OpenRequest {
    pub(super) fn answered_by(self, body: Body) -> Answering {
        Answering {
            body,
            _request: self,
        }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

impl http_body::Body for Answering {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, advance};

    use super::*;

    const A_MINUTE: Duration = Duration::from_mins(1);

    async fn has_ended(idle: &mut (impl Future<Output = ()> + Unpin)) -> bool {
        tokio::select! {
            biased;
            () = idle => true,
            () = std::future::ready(()) => false,
        }
    }

    /// X5: a connection without requests ends, however often its peer says that it lives.
    #[tokio::test(start_paused = true)]
    async fn without_requests_it_ends_in_time() {
        let begun = Instant::now();
        OpenRequests::none().idle().await;
        assert_eq!(begun.elapsed(), IDLE_TIMEOUT);
    }

    /// X5: a request begins the time anew once it is answered, and a watch is not answered while it
    /// lasts.
    #[tokio::test(start_paused = true)]
    async fn time_counts_from_the_last_answer() {
        let requests = OpenRequests::none();
        let mut idle = Box::pin(requests.idle());
        assert!(!has_ended(&mut idle).await);
        advance(A_MINUTE).await;
        let (watch, other) = (requests.begin(), requests.begin());
        assert!(!has_ended(&mut idle).await);
        drop(other.answered_by(Body::default()));
        advance(10 * A_MINUTE).await;
        assert!(!has_ended(&mut idle).await);
        drop(watch.answered_by(Body::default()));
        assert!(!has_ended(&mut idle).await);
        advance(A_MINUTE).await;
        assert!(!has_ended(&mut idle).await);
        advance(A_MINUTE).await;
        assert!(has_ended(&mut idle).await);
    }
}
