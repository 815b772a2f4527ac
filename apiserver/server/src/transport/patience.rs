//! A connection that ends when its peer only takes a place: by a protocol that never begins, or by
//! answers that are never taken.
//!
//! It lies between TLS and HTTP, where both are seen in every protocol. What a peer may do within a
//! protocol is left to that: hyper has timeouts for the head of HTTP/1 and asks a silent peer of HTTP/2
//! whether it lives, but waits without end for the first bytes of a connection, and for a peer that does
//! not read. Go's server bounds the former with `ReadHeaderTimeout` and `prefaceTimeout`.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// How long what was written may wait for a peer that takes nothing: as long as a request may take
/// upstream, its answer included. TLS hands on 64 KiB at a time, so 1 KiB a second is enough.
const WRITE_TIMEOUT: Duration = Duration::from_mins(1);

/// A stream with a time for its first bytes and for each write.
#[derive(Debug)]
pub(super) struct Patient<S> {
    stream: S,
    greeting: Option<Greeting>,
    /// Runs while nothing can be written; most connections never need one.
    stalled: Option<Pin<Box<Sleep>>>,
}

/// What the peer has to say before anything else.
#[derive(Debug)]
struct Greeting {
    missing: usize,
    deadline: Pin<Box<Sleep>>,
}

impl<S> Patient<S> {
    /// The first `greeting` bytes have to come within a time.
    pub(super) fn new(stream: S, greeting: usize, within: Duration) -> Self {
        let greeting = (greeting > 0).then(|| Greeting {
            missing: greeting,
            deadline: Box::pin(sleep(within)),
        });
        Self {
            stream,
            greeting,
            stalled: None,
        }
    }

    /// Passes the outcome of a write on, unless it has been outstanding for too long.
    fn in_time<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(timed_out("the peer takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let Some(greeting) = &mut self.greeting else {
            return read;
        };
        if read.is_pending() {
            ready!(greeting.deadline.as_mut().poll(context));
            return Poll::Ready(Err(timed_out("the peer says nothing")));
        }
        greeting.missing = greeting
            .missing
            .saturating_sub(buffer.filled().len() - before);
        if greeting.missing == 0 {
            self.greeting = None;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.in_time(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.in_time(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.in_time(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.stream).poll_shutdown(context);
        self.in_time(context, ended)
    }
}

fn timed_out(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, why)
}
