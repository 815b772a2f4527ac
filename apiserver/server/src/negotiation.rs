//! Which representation a client gets: the `Accept` header.
//!
//! The first entry that the server can give wins; a parameter that it does not know makes an entry
//! fall through to the next, never to 406 while another entry fits. Mirrors
//! `k8s.io/apiserver/pkg/endpoints/handlers/negotiation`. Known deviation: JSON is the only
//! encoding; YAML, protobuf and CBOR fall through.

use apimachinery::{ApiError, StatusReason};
use http::{HeaderMap, header};

/// How an object or a list is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Representation {
    /// As it is.
    Object,
    /// As rows and columns.
    Table,
    /// Only its metadata.
    PartialObjectMetadata,
}

/// One entry of an `Accept` header.
#[derive(Debug, PartialEq, Eq)]
struct MediaType<'a> {
    name: String,
    parameters: Vec<(&'a str, &'a str)>,
}

/// What the client of an object, a list or a watch gets.
///
/// # Errors
/// 406 with the types that the server has.
pub(crate) fn representation(headers: &HeaderMap) -> Result<Representation, ApiError> {
    first_match(headers, Representation::Object, |media| {
        if !media.is_json() {
            return None;
        }
        match (
            media.parameter("as"),
            media.parameter("g"),
            media.parameter("v"),
        ) {
            (None, _, _) => Some(Representation::Object),
            (Some("Table"), Some("meta.k8s.io"), Some("v1")) => Some(Representation::Table),
            (
                Some("PartialObjectMetadata" | "PartialObjectMetadataList"),
                Some("meta.k8s.io"),
                Some("v1"),
            ) => Some(Representation::PartialObjectMetadata),
            _ => None,
        }
    })
}

/// Whether a client of `/apis` wants aggregated discovery (`true`) or the list of groups.
///
/// # Errors
/// 406 when it wants neither.
pub(crate) fn wants_aggregated_discovery(headers: &HeaderMap) -> Result<bool, ApiError> {
    first_match(headers, false, |media| {
        if !media.is_json() {
            return None;
        }
        let wanted = (
            media.parameter("as"),
            media.parameter("g"),
            media.parameter("v"),
        );
        match wanted {
            (None, _, _) => Some(false),
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => {
                media.parameter("profile").is_none().then_some(true)
            }
            _ => None,
        }
    })
}

/// Refuses a client that does not take JSON.
///
/// # Errors
/// 406 with the types that the server has.
pub(crate) fn accepts_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let plain =
        |media: &MediaType<'_>| (media.is_json() && media.parameter("as").is_none()).then_some(());
    first_match(headers, (), plain)
}

/// What the first entry that fits means; `default` without an `Accept` header.
fn first_match<T>(
    headers: &HeaderMap,
    default: T,
    choose: impl Fn(&MediaType<'_>) -> Option<T>,
) -> Result<T, ApiError> {
    let values = headers.get_all(header::ACCEPT).iter();
    let texts: Vec<&str> = values
        .filter_map(|v| v.to_str().ok())
        .filter(|v| !v.trim().is_empty())
        .collect();
    if texts.is_empty() {
        return Ok(default);
    }
    let mut entries = texts
        .iter()
        .flat_map(|text| text.split(','))
        .map(MediaType::parse);
    entries
        .find_map(|media| choose(&media))
        .ok_or_else(not_acceptable)
}

fn not_acceptable() -> ApiError {
    ApiError::new(
        StatusReason::NotAcceptable,
        "only the following media types are accepted: application/json, \
         application/json;as=Table;v=v1;g=meta.k8s.io, \
         application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    )
}

impl<'a> MediaType<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters = parts
            .filter_map(|part| part.split_once('='))
            .map(|(key, value)| (key.trim(), value.trim().trim_matches('"')))
            .collect();
        Self { name, parameters }
    }

    fn is_json(&self) -> bool {
        let refused = self.parameter("q").and_then(|q| q.parse::<f32>().ok()) == Some(0.0);
        !refused
            && matches!(
                self.name.as_str(),
                "application/json" | "application/*" | "*/*"
            )
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn headers(accept: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !accept.is_empty() {
            headers.insert(header::ACCEPT, accept.parse().unwrap());
        }
        headers
    }

    /// R1, R2, R3: what kubectl, the garbage collector and curl send.
    #[rstest]
    #[case("", Some(Representation::Object))]
    #[case("*/*", Some(Representation::Object))]
    #[case(
        "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
        Some(Representation::Table)
    )]
    #[case(
        "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
        Some(Representation::Object)
    )]
    #[case(
        "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
        Some(Representation::PartialObjectMetadata)
    )]
    #[case(
        "application/vnd.kubernetes.protobuf, */*",
        Some(Representation::Object)
    )]
    #[case("application/vnd.kubernetes.protobuf", None)]
    #[case("application/json;q=0", None)]
    #[case("text/html", None)]
    fn the_first_entry_that_fits_wins(
        #[case] accept: &str,
        #[case] expected: Option<Representation>,
    ) {
        assert_eq!(representation(&headers(accept)).ok(), expected);
    }

    /// D1: an unknown profile falls through to the next entry.
    #[rstest]
    #[case(
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json",
        Some(true)
    )]
    #[case(
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json",
        Some(false)
    )]
    #[case(
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList;profile=nopeer,application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        Some(true)
    )]
    #[case("", Some(false))]
    #[case("text/html", None)]
    fn aggregated_discovery_is_given_to_who_asks(
        #[case] accept: &str,
        #[case] expected: Option<bool>,
    ) {
        assert_eq!(wants_aggregated_discovery(&headers(accept)).ok(), expected);
    }
}
