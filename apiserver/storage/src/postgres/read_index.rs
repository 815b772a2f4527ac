//! One look-up of the newest revision for all who ask at the same time.
//!
//! A look-up answers only those who asked before it began, since what it sees may be older than what
//! was acknowledged to them. So at most one runs and one waits, and who asks joins the waiting one.

use std::{fmt, sync::Arc};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use parking_lot::Mutex;

use crate::{Revision, StorageError};

type Answer = Result<Revision, StorageError>;
type LookUp = Box<dyn Fn() -> BoxFuture<'static, Answer> + Send + Sync>;

/// Shares look-ups among concurrent readers.
pub(super) struct ReadIndex {
    shared: Arc<State>,
}

struct State {
    look_up: LookUp,
    /// The look-up that has not begun; held for a moment only.
    waiting: Mutex<Option<Shared<BoxFuture<'static, Answer>>>>,
    /// Held while a look-up runs.
    turn: tokio::sync::Mutex<()>,
}

impl fmt::Debug for ReadIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadIndex").finish_non_exhaustive()
    }
}

impl ReadIndex {
    pub(super) fn new(
        look_up: impl Fn() -> BoxFuture<'static, Answer> + Send + Sync + 'static,
    ) -> Self {
        let shared = State {
            look_up: Box::new(look_up),
            waiting: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The answer of a look-up that begins after this call.
    pub(super) fn get(&self) -> impl Future<Output = Answer> + Send + use<> {
        let mut waiting = self.shared.waiting.lock();
        let shared = &self.shared;
        waiting
            .get_or_insert_with(|| Arc::clone(shared).run().boxed().shared())
            .clone()
    }
}

impl State {
    async fn run(self: Arc<Self>) -> Answer {
        let _turn = self.turn.lock().await;
        // Who asks from here on needs a later look-up.
        self.waiting.lock().take();
        (self.look_up)().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    /// Look-ups that end one by one, as the test lets them.
    fn stepwise() -> (ReadIndex, Arc<Semaphore>, Arc<AtomicU64>) {
        let (gate, begun) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU64::new(0)));
        let (gates, count) = (Arc::clone(&gate), Arc::clone(&begun));
        let index = ReadIndex::new(move || {
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            let gate = Arc::clone(&gates);
            async move {
                gate.acquire().await.expect("it stays open").forget();
                Ok(Revision(number))
            }
            .boxed()
        });
        (index, gate, begun)
    }

    #[tokio::test]
    async fn who_asks_while_one_runs_gets_the_next_and_shares_it() {
        let (index, gate, begun) = stepwise();
        let mut first = Box::pin(index.get());
        assert!(futures::poll!(&mut first).is_pending());
        let mut later: Vec<_> = (0..5).map(|_| Box::pin(index.get())).collect();
        for asked in &mut later {
            assert!(futures::poll!(asked).is_pending());
        }
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        gate.add_permits(2);
        assert_eq!(first.await, Ok(Revision(1)));
        assert!(join_all(later).await.iter().all(|a| *a == Ok(Revision(2))));
        assert_eq!(begun.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_reader_who_leaves_does_not_stop_the_others() {
        let (index, gate, _) = stepwise();
        let mut leaving = Box::pin(index.get());
        let mut staying = Box::pin(index.get());
        assert!(futures::poll!(&mut leaving).is_pending());
        assert!(futures::poll!(&mut staying).is_pending());
        drop(leaving);
        gate.add_permits(2);
        assert_eq!(staying.await, Ok(Revision(1)));
        assert_eq!(index.get().await, Ok(Revision(2)));
    }
}
