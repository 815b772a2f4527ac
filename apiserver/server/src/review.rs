//! Questions to kube-apiserver about a user: TokenReview and SubjectAccessReview.
//!
//! A question that gets no answer is asked again a few times, with growing pauses, as upstream's
//! `k8s.io/apiserver/pkg/util/webhook`. Nothing is remembered here: what an answer is worth, and for
//! how long, is the caller's business. Deviation: upstream bounds questions per second, here it is
//! how many are open at once.

use std::{fmt, marker::PhantomData, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use kube::{Client, Resource, api::PostParams};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{sync::Semaphore, time::Instant};

use crate::metrics::ReviewMetrics;

/// How long an answer may take, with every repetition.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Questions at a time, so that a flood of unknown tokens does not become one on kube-apiserver.
const QUESTIONS_MAX: usize = 100;
/// The first pause, by how much each next one is longer, and how often a question is repeated.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_FACTOR: f32 = 1.5;
const REPETITIONS: usize = 4;

/// Asks kube-apiserver questions of one kind.
pub(crate) struct Reviews<K> {
    client: Client,
    kind: PhantomData<fn() -> K>,
    places: Semaphore,
    metrics: ReviewMetrics,
}

impl<K> fmt::Debug for Reviews<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reviews").finish_non_exhaustive()
    }
}

impl<K> Reviews<K>
where
    K: Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned + Serialize,
{
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            kind: PhantomData,
            places: Semaphore::new(QUESTIONS_MAX),
            metrics: ReviewMetrics::default(),
        }
    }

    /// What was asked so far.
    pub(crate) fn metrics(&self) -> &ReviewMetrics {
        &self.metrics
    }

    /// The question with its answer.
    ///
    /// # Errors
    /// A sentence for the log when there is none.
    pub(crate) async fn ask(&self, question: &K) -> Result<K, String> {
        let question = serde_json::to_vec(question).map_err(|e| e.to_string())?;
        let asked = async || {
            let begun = Instant::now();
            let answer = self.post(question.clone()).await;
            self.metrics.asked(&answer, begun.elapsed());
            answer
        };
        let answer = async {
            let _place = self.places.acquire().await.map_err(|e| e.to_string())?;
            let pauses = ExponentialBuilder::new()
                .with_min_delay(PAUSE)
                .with_factor(PAUSE_FACTOR)
                .with_max_times(REPETITIONS)
                .with_jitter();
            let answer = asked.retry(pauses).when(may_pass).await;
            answer.map_err(|error| error.to_string())
        };
        let answer = tokio::time::timeout(ANSWER_WITHIN, answer).await;
        answer.unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }

    async fn post(&self, question: Vec<u8>) -> Result<K, kube::Error> {
        let path = K::url_path(&(), None);
        let request = kube::core::Request::new(path).create(&PostParams::default(), question);
        #[cfg_attr(
            not(feature = "otlp"),
            expect(unused_mut, reason = "only traces add a header")
        )]
        let mut request = request.map_err(kube::Error::BuildRequest)?;
        #[cfg(feature = "otlp")]
        crate::traces::name_current_span(request.headers_mut());
        self.client.request(request).await
    }
}

/// Whether an error may be another one a moment later: no answer at all, or one that says so.
fn may_pass(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => matches!(status.code, 429 | 500 | 503 | 504),
        _ => true,
    }
}
