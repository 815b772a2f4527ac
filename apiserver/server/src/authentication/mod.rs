//! Who sends a request: front proxy, client certificate, bearer token, anonymous, in this order.
//!
//! A credential that is presented and wrong is 401, never anonymous. Mirrors
//! `k8s.io/apiserver/pkg/authentication/authenticatorfactory`.

mod certificates;
mod config_map;
mod front_proxy;
mod presented;
mod token;
mod trust;
mod websocket;

use std::sync::Arc;

use apimachinery::ApiError;
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

use self::presented::Owners;
use crate::{
    authorization::is_always_allowed,
    request::{RequestInfo, UserInfo},
};

pub use certificates::CertificatePool;
pub use config_map::follow_authentication_config;
pub use presented::PresentedCertificates;
pub use token::TokenReviewer;
pub use trust::{FrontProxyTrust, Trust, TrustStore};

/// Finds out who sends a request.
#[derive(Debug)]
pub struct Authenticator {
    trust: Arc<TrustStore>,
    tokens: Option<TokenReviewer>,
    takes_anonymous: bool,
}

/// What one way of authentication found.
#[derive(Debug)]
enum Outcome {
    /// This is who it is.
    User(UserInfo),
    /// No credential of this kind was presented.
    Absent,
    /// A credential was presented and is wrong; the reason is for the log.
    Rejected(String),
}

impl Authenticator {
    /// An authenticator over the trusted authorities; without a reviewer every token is wrong.
    pub fn new(trust: Arc<TrustStore>, tokens: Option<TokenReviewer>) -> Self {
        Self {
            trust,
            tokens,
            takes_anonymous: true,
        }
    }

    /// Who shows no credential is refused from now on, but for the health checks.
    #[must_use]
    pub fn without_anonymous(self) -> Self {
        Self {
            takes_anonymous: false,
            ..self
        }
    }

    /// The trust that certificates are checked against.
    pub fn trust(&self) -> &Arc<TrustStore> {
        &self.trust
    }

    /// Who is asked about bearer tokens.
    pub(crate) fn token_reviewer(&self) -> Option<&TokenReviewer> {
        self.tokens.as_ref()
    }

    /// Who sends a request with these headers over a connection with these certificates.
    ///
    /// Identity headers and the bearer token are removed from the headers in every case.
    ///
    /// # Errors
    /// 401 when a credential is wrong, or absent where the request needs one; 503 when a token
    /// cannot be checked.
    pub async fn authenticate(
        &self,
        headers: &mut HeaderMap,
        certificates: &PresentedCertificates,
        request: &RequestInfo,
    ) -> Result<UserInfo, ApiError> {
        let trust = self.trust.load();
        let presented = front_proxy::take_identity_headers(headers, trust.front_proxy.as_ref());
        let authorization = headers.remove(AUTHORIZATION);
        let subprotocol = websocket::take_token(headers);

        let mut rejections = Vec::new();
        let owners = certificates.owners(&trust);
        for outcome in by_certificate(&trust, owners.as_deref(), &presented) {
            match outcome {
                Outcome::User(user) => return Ok(user.authenticated()),
                Outcome::Rejected(reason) => rejections.push(reason),
                Outcome::Absent => {}
            }
        }
        let header = authorization.as_ref().map_or(Ok(None), bearer);
        for token in [header, subprotocol] {
            match self.by_token(token).await? {
                Outcome::User(user) => return Ok(user.authenticated()),
                Outcome::Rejected(reason) => rejections.push(reason),
                Outcome::Absent => {}
            }
        }
        if rejections.is_empty() {
            if self.takes_anonymous || is_always_allowed(request) {
                return Ok(UserInfo::anonymous());
            }
            rejections.push("no credential was shown".to_owned());
        }
        Err(ApiError::unauthorized().with_internal(rejections.join("; ")))
    }

    async fn by_token(&self, token: Result<Option<String>, String>) -> Result<Outcome, ApiError> {
        let token = match token {
            Ok(Some(token)) => token,
            Ok(None) => return Ok(Outcome::Absent),
            Err(reason) => return Ok(Outcome::Rejected(reason)),
        };
        let Some(reviewer) = &self.tokens else {
            return Ok(Outcome::Rejected("tokens are not accepted here".to_owned()));
        };
        Ok(match reviewer.review(token).await? {
            Some(user) => Outcome::User(user),
            None => Outcome::Rejected("the bearer token is not valid".to_owned()),
        })
    }
}

/// Who a certificate belongs to: first a user that the aggregator speaks for, then its owner.
fn by_certificate(
    trust: &Trust,
    owners: Option<&Owners>,
    presented: &HeaderMap,
) -> impl Iterator<Item = Outcome> {
    let aggregator = trust.front_proxy.as_ref().zip(owners);
    let by_front_proxy = aggregator.and_then(|(front_proxy, owners)| {
        let owner = owners.front_proxy.as_ref()?;
        Some(front_proxy::authenticate(front_proxy, owner, presented))
    });
    let by_owner = owners.map(|owners| certificates::authenticate(owners.client.as_ref()));
    by_front_proxy.into_iter().chain(by_owner)
}

/// The token of an Authorization header, if it has one.
fn bearer(authorization: &HeaderValue) -> Result<Option<String>, String> {
    let mut words = authorization.as_bytes().splitn(2, |byte| *byte == b' ');
    let scheme = words.next().unwrap_or_default();
    let token = words.next().unwrap_or_default().trim_ascii();
    if !scheme.eq_ignore_ascii_case(b"bearer") || token.is_empty() {
        return Ok(None);
    }
    let token = str::from_utf8(token).map_err(|_| "the bearer token is no text".to_owned())?;
    Ok(Some(token.to_owned()))
}

#[cfg(test)]
mod tests;
