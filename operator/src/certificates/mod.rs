//! The authority and the serving certificate of one API: what is there, what is due, what is new.
//!
//! Every decision is a function of the time and of the stored objects; nothing is remembered
//! between calls, so a restart changes nothing and a valid certificate is kept across one.
//!
//! Trust comes before use. A new authority joins the bundle while the old one stays in it, and no
//! certificate of the new one is issued before every registered bundle has held it for a while
//! ([`PROPAGATION_SECONDS`]). The order of library-go's `pkg/operator/certrotation` is the same.
//! The old authority's certificates end before it does (they last at most a third as long and it
//! is replaced at two thirds), so keeping its certificate, without its key, is enough.

mod inspect;
mod issue;

use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

pub(crate) use inspect::roots;
pub use inspect::{CertificateFacts, InspectError};

/// How far the start of validity lies in the past, for nodes whose clocks are behind.
pub const BACKDATE_SECONDS: i64 = 600;

/// How long a new authority is in the registered bundle before it signs: each API server watches
/// `APIService` objects on its own.
pub const PROPAGATION_SECONDS: i64 = 120;

/// The longest time between two looks at the clock. Timers stop while a machine sleeps.
const LOOK_SECONDS_MAX: i64 = 3600;

/// A certificate and its key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS #8.
    pub key: String,
}

/// The authority as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Signs new certificates.
    pub current: KeyPair,
    /// The certificate of the authority before, trusted until it ends.
    pub previous: Option<String>,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The life of the authority.
    pub ca_seconds: i64,
    /// The life of the serving certificate.
    pub serving_seconds: i64,
    /// The names that the serving certificate is valid for; the first is the one that the
    /// aggregator asks for.
    pub dns_names: Vec<String>,
}

/// What is there.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The authority, if one is stored whole.
    pub authority: Option<Authority>,
    /// The serving certificate, if one is stored whole.
    pub serving: Option<KeyPair>,
    /// The bundles of the registered `APIService` objects.
    pub registered_bundles: Vec<String>,
}

/// What has to be there, and until when.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The authority to store.
    pub authority: Authority,
    /// The serving certificate to store.
    pub serving: KeyPair,
    /// The certificates that clients have to trust.
    pub bundle: String,
    /// The end of the authority.
    pub ca_not_after: Timestamp,
    /// The end of the serving certificate.
    pub serving_not_after: Timestamp,
    /// When to look again.
    pub next_look: Timestamp,
}

/// Why certificates could not be made.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// The generator refused.
    #[error("cannot issue a certificate")]
    Issue(#[source] rcgen::Error),
    /// A new certificate cannot be read back.
    #[error("cannot read a certificate")]
    Inspect(#[from] InspectError),
    /// A date is outside what certificates can hold.
    #[error("a date of the certificate is out of range")]
    Date,
}

/// What to do about the authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaDecision {
    /// It is good for now.
    Keep,
    /// It is due: a new one beside it.
    Rotate,
    /// There is none that could sign: a new one instead of it, at once.
    Replace,
}

/// What to do about the serving certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServingDecision {
    /// It is good for now.
    Keep,
    /// It is due, but the new authority is not trusted everywhere yet.
    Hold,
    /// A new one, now.
    Issue,
}

/// Decides about the authority from its dates. `None` stands for an authority that is missing or
/// cannot be read.
pub fn decide_ca(now: Timestamp, authority: Option<&CertificateFacts>) -> CaDecision {
    match authority {
        None => CaDecision::Replace,
        Some(facts) if facts.not_after <= now => CaDecision::Replace,
        Some(facts) if facts.renewal_time() <= now => CaDecision::Rotate,
        Some(_) => CaDecision::Keep,
    }
}

/// Decides about the serving certificate. `None` stands for a certificate that is missing, that
/// does not match its key, or that a client with the bundle would refuse.
pub fn decide_serving(
    now: Timestamp,
    serving: Option<&CertificateFacts>,
    authority_is_distributed: bool,
) -> ServingDecision {
    match serving {
        None => ServingDecision::Issue,
        Some(facts) if facts.renewal_time() > now => ServingDecision::Keep,
        Some(_) if authority_is_distributed => ServingDecision::Issue,
        Some(_) => ServingDecision::Hold,
    }
}

/// Brings what is stored to what has to be there. It keeps all that is still good.
pub fn renew(now: Timestamp, stored: &Stored, policy: &Policy) -> Result<Tls, CertificateError> {
    let readable = stored.authority.as_ref().and_then(|authority| {
        let facts = inspect::authority(&authority.current).ok()?;
        Some((authority, facts))
    });
    let decision = decide_ca(now, readable.as_ref().map(|(_, facts)| facts));
    let (authority, ca) = match (decision, readable) {
        (CaDecision::Keep, Some((authority, facts))) => (
            Authority {
                previous: still_valid(now, authority.previous.as_ref()),
                ..authority.clone()
            },
            facts,
        ),
        (CaDecision::Rotate, Some((old, _))) => {
            let current = issue::authority(now, policy)?;
            let facts = inspect::authority(&current)?;
            (
                Authority {
                    current,
                    previous: Some(old.current.certificate.clone()),
                },
                facts,
            )
        }
        (CaDecision::Replace | CaDecision::Keep | CaDecision::Rotate, _) => {
            let current = issue::authority(now, policy)?;
            let facts = inspect::authority(&current)?;
            (
                Authority {
                    current,
                    previous: None,
                },
                facts,
            )
        }
    };
    let bundle = bundle(&authority);

    let usable = stored.serving.as_ref().and_then(|pair| {
        let facts = inspect::serving(now, pair, &bundle, &policy.dns_names).ok()?;
        Some((pair, facts))
    });
    let distributed = is_distributed(now, &authority, &ca, &stored.registered_bundles, policy);
    let (serving, leaf) = match (
        decide_serving(now, usable.as_ref().map(|(_, f)| f), distributed),
        usable,
    ) {
        (ServingDecision::Keep | ServingDecision::Hold, Some((pair, facts))) => {
            (pair.clone(), facts)
        }
        (ServingDecision::Issue | ServingDecision::Keep | ServingDecision::Hold, _) => {
            let pair = issue::serving(now, &authority.current, &ca, policy)?;
            let facts = inspect::certificate(&pair.certificate)?;
            (pair, facts)
        }
    };
    let held_until = now + SignedDuration::from_secs(propagation_seconds(policy));
    let next_look = [ca.renewal_time(), leaf.renewal_time()]
        .into_iter()
        .map(|due| if due <= now { held_until } else { due })
        .fold(
            now + SignedDuration::from_secs(LOOK_SECONDS_MAX),
            Timestamp::min,
        );
    Ok(Tls {
        bundle,
        ca_not_after: ca.not_after,
        serving_not_after: leaf.not_after,
        next_look,
        authority,
        serving,
    })
}

/// The certificates that clients have to trust: the current authority, then the one before.
fn bundle(authority: &Authority) -> String {
    let mut bundle = authority.current.certificate.clone();
    bundle.extend(authority.previous.iter().map(String::as_str));
    bundle
}

fn still_valid(now: Timestamp, previous: Option<&String>) -> Option<String> {
    previous
        .filter(|pem| inspect::certificate(pem).is_ok_and(|facts| facts.not_after > now))
        .cloned()
}

/// Whether every registered bundle holds the current authority and has had time to arrive.
fn is_distributed(
    now: Timestamp,
    authority: &Authority,
    ca: &CertificateFacts,
    registered_bundles: &[String],
    policy: &Policy,
) -> bool {
    let everywhere = registered_bundles
        .iter()
        .all(|bundle| bundle.contains(authority.current.certificate.trim()));
    let settled = ca.issued_at() + SignedDuration::from_secs(propagation_seconds(policy)) <= now;
    everywhere && (settled || authority.previous.is_none())
}

/// Minutes-long lifetimes leave less room for waiting.
fn propagation_seconds(policy: &Policy) -> i64 {
    PROPAGATION_SECONDS.min(policy.serving_seconds / 10)
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPair")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
