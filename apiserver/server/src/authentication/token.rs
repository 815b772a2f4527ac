//! Bearer tokens, checked by kube-apiserver: TokenReview.
//!
//! Answers are kept for ten seconds, good and bad ones; failures to get an answer are not. The
//! cache's key is a keyed hash, so that a memory dump shows no token.

use std::{fmt, time::Duration};

use apimachinery::{ApiError, StatusReason};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::Client;
use moka::future::Cache;
use ring::hmac;
use tokio::time::Instant;

use crate::{
    metrics::{ReviewMetrics, TokenCacheMetrics},
    request::UserInfo,
    review::Reviews,
};

/// How long an answer counts, as upstream's delegated authentication keeps it.
const CACHE_TTL: Duration = Duration::from_secs(10);
/// Most answers that are kept, so that random tokens cannot fill the memory.
const CACHE_CAPACITY: u64 = 10_000;

/// Asks kube-apiserver who a token belongs to.
pub struct TokenReviewer {
    reviews: Reviews<TokenReview>,
    cache: Cache<[u8; 32], Option<UserInfo>>,
    key: hmac::Key,
    cache_metrics: TokenCacheMetrics,
}

impl fmt::Debug for TokenReviewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenReviewer").finish_non_exhaustive()
    }
}

impl TokenReviewer {
    /// A reviewer with an empty cache.
    pub fn new(client: Client) -> Self {
        let cache = Cache::builder()
            .max_capacity(CACHE_CAPACITY)
            .time_to_live(CACHE_TTL)
            .build();
        Self {
            reviews: Reviews::new(client),
            cache,
            key: hmac::Key::new(hmac::HMAC_SHA256, &rand::random::<[u8; 32]>()),
            cache_metrics: TokenCacheMetrics::default(),
        }
    }

    /// What was asked so far.
    pub(crate) fn reviews(&self) -> &ReviewMetrics {
        self.reviews.metrics()
    }

    /// What the cache did so far.
    pub(crate) fn cache_metrics(&self) -> &TokenCacheMetrics {
        &self.cache_metrics
    }

    /// The token's user, or `None` for a token that is not valid.
    ///
    /// # Errors
    /// 503 when kube-apiserver does not say.
    pub async fn review(&self, token: String) -> Result<Option<UserInfo>, ApiError> {
        let mut key = [0; 32];
        key.copy_from_slice(hmac::sign(&self.key, token.as_bytes()).as_ref());
        let begun = Instant::now();
        if let Some(answer) = self.cache.get(&key).await {
            self.cache_metrics.hit(begun.elapsed());
            return Ok(answer);
        }
        let blocked = self.cache_metrics.blocked();
        let asked = Box::pin(self.ask(token));
        let answer = self.cache.try_get_with(key, asked).await;
        drop(blocked);
        self.cache_metrics.missed(begun.elapsed());
        answer.map_err(|error| {
            ApiError::new(
                StatusReason::ServiceUnavailable,
                "the bearer token cannot be checked now, please try again",
            )
            .with_retry_after(1)
            .with_internal(format!("TokenReview: {error}"))
        })
    }

    async fn ask(&self, token: String) -> Result<Option<UserInfo>, String> {
        let spec = TokenReviewSpec {
            token: Some(token),
            audiences: None,
        };
        let review = TokenReview {
            spec,
            ..TokenReview::default()
        };
        let _in_flight = self.cache_metrics.in_flight();
        let answer = self.reviews.ask(&review).await;
        self.cache_metrics.fetched(&answer);
        Ok(answer?.status.and_then(user))
    }
}

fn user(status: TokenReviewStatus) -> Option<UserInfo> {
    let user = status.user.filter(|_| status.authenticated == Some(true))?;
    Some(UserInfo {
        name: user.username.filter(|name| !name.is_empty())?,
        uid: user.uid.unwrap_or_default(),
        groups: user.groups.unwrap_or_default(),
        extra: user.extra.unwrap_or_default(),
    })
}
