//! What the watches of every backend are: a position in a log that moves on batch by batch.

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

use crate::WatchItem;

/// A position in a log.
pub(crate) trait Watch: Send + Sized + 'static {
    /// What comes next; waits until there is something.
    fn next_batch(&mut self) -> impl Future<Output = WatchItem> + Send;

    /// Ends with the first error: nothing up to the last batch's revision is missing.
    fn stream(self) -> BoxStream<'static, WatchItem> {
        stream::unfold(Some(self), |watch| async {
            let mut watch = watch?;
            match watch.next_batch().await {
                Ok(batch) => Some((Ok(batch), Some(watch))),
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed()
    }
}
