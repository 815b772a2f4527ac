//! Bearer tokens, checked by kube-apiserver: TokenReview.
//!
//! Answers are kept for ten seconds, good and bad ones; failures to get an answer are not. The
//! cache's key is a keyed hash, so that a memory dump shows no token.

use std::{fmt, time::Duration};

use apimachinery::{ApiError, StatusReason};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::Client;
use moka::future::Cache;
use sha2::{Digest, Sha256};

use crate::{request::UserInfo, review::Reviews};

/// How long an answer counts, as upstream's delegated authentication keeps it.
const CACHE_TTL: Duration = Duration::from_secs(10);
/// Most answers that are kept, so that random tokens cannot fill the memory.
const CACHE_CAPACITY: u64 = 10_000;

/// Asks kube-apiserver who a token belongs to.
pub struct TokenReviewer {
    reviews: Reviews<TokenReview>,
    cache: Cache<[u8; 32], Option<UserInfo>>,
    salt: [u8; 16],
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
            salt: *uuid::Uuid::new_v4().as_bytes(),
        }
    }

    /// The token's user, or `None` for a token that is not valid.
    ///
    /// # Errors
    /// 503 when kube-apiserver does not say.
    pub async fn review(&self, token: String) -> Result<Option<UserInfo>, ApiError> {
        let key = Sha256::new()
            .chain_update(self.salt)
            .chain_update(&token)
            .finalize()
            .into();
        let answer = self
            .cache
            .try_get_with(key, Box::pin(self.ask(token)))
            .await;
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
        Ok(self.reviews.ask(&review).await?.status.and_then(user))
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
