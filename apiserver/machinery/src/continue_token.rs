//! The token that asks for the next page of a list: `k8s.io/apiserver/pkg/storage/continue.go`.
//!
//! It is opaque to clients. Inside are the revision of the first page, so that all pages show one
//! state, and the key after which the next page starts. Where that state is forgotten, the client is
//! offered a token without a revision: its next page shows the newest state.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::ApiError;

const VERSION: &str = "meta.k8s.io/v1";
/// In the place of a revision.
const NEWEST: i64 = -1;

/// Where a list goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContinueToken {
    /// The revision that every page shows; `None` for the newest state, whatever came between.
    pub revision: Option<u64>,
    /// The last key of the page before, without the list's prefix.
    pub start_after: String,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Encoded {
    v: String,
    rv: i64,
    start: String,
}

impl ContinueToken {
    /// The token as it goes to the client.
    pub fn encode(&self) -> String {
        let encoded = Encoded {
            v: VERSION.to_owned(),
            rv: self.revision.map_or(NEWEST, u64::cast_signed),
            start: self.start_after.clone(),
        };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&encoded).unwrap_or_default())
    }

    /// Reads a client's token.
    ///
    /// # Errors
    /// 400 for anything that this server did not make.
    pub fn decode(text: &str) -> Result<Self, ApiError> {
        let invalid = |what: &str| {
            ApiError::bad_request(format!(
                "invalid continue token: continue key is not valid: {what}"
            ))
        };
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|e| invalid(&e.to_string()))?;
        let Encoded { v, rv, start } =
            serde_json::from_slice(&bytes).map_err(|e| invalid(&e.to_string()))?;
        if v != VERSION {
            return Err(invalid(&format!(
                "server does not recognize this encoded version {v}"
            )));
        }
        if rv == 0 {
            return Err(invalid(
                "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            ));
        }
        if start.is_empty() {
            return Err(invalid("encoded start key empty (version meta.k8s.io/v1)"));
        }
        if start.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(invalid(&start));
        }
        Ok(Self {
            revision: u64::try_from(rv).ok(),
            start_after: start,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::{option, prelude::*};
    use rstest::rstest;

    use super::*;

    /// L4: a token that the server did not make is 400, also one that climbs out of its prefix.
    #[rstest]
    #[case("")]
    #[case("!")]
    #[case(&URL_SAFE_NO_PAD.encode(r#"{"v":"v9","rv":1,"start":"a"}"#))]
    #[case(&URL_SAFE_NO_PAD.encode(r#"{"v":"meta.k8s.io/v1","rv":0,"start":"a"}"#))]
    #[case(&URL_SAFE_NO_PAD.encode(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"a/../b"}"#))]
    fn a_foreign_token_is_a_bad_request(#[case] text: &str) {
        assert_eq!(ContinueToken::decode(text).unwrap_err().code(), 400);
    }

    proptest! {
        #[test]
        fn round_trips(revision in option::of(1..=i64::MAX as u64), start_after in "[a-z0-9-]{1,9}/[a-z0-9-]{1,9}") {
            let token = ContinueToken { revision, start_after };
            prop_assert_eq!(ContinueToken::decode(&token.encode()).unwrap(), token);
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = ContinueToken::decode(&text);
        }
    }
}
