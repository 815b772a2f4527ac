//! Which representation a client gets: the `Accept` header.
//!
//! The entries count by their weight, then in their order; a parameter that the server does not know
//! makes an entry fall through to the next, never to 406 while another entry fits. Mirrors
//! `k8s.io/apiserver/pkg/endpoints/handlers/negotiation`. Known deviation: protobuf and CBOR are not
//! served and fall through, so the sentence of a 406 does not name them.

use std::cmp::Reverse;

use apimachinery::{ApiError, StatusReason};
use http::{HeaderMap, header};

/// How an object or a list is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Representation {
    /// As it is.
    Object,
    /// As rows and columns, in a version of `meta.k8s.io`.
    Table(&'static str),
    /// Only its metadata, in a version of `meta.k8s.io`; as one object or as a list.
    PartialObjectMetadata {
        version: &'static str,
        is_list: bool,
    },
}

/// How JSON is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Syntax {
    #[default]
    Json,
    Yaml,
}

/// One entry of an `Accept` header.
#[derive(Debug, PartialEq, Eq)]
struct MediaType<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

/// What the client of an object or a list gets.
///
/// # Errors
/// 406 with the types that the server has.
pub(crate) fn representation(headers: &HeaderMap) -> Result<Representation, ApiError> {
    let chosen = first_match(headers, Representation::Object, |media| {
        media.syntax().and_then(|_| media.representation())
    });
    chosen.ok_or_else(|| not_acceptable("application/json, application/yaml"))
}

/// What the client of a watch gets: events come as JSON only.
///
/// # Errors
/// 406 with the types that the server has.
pub(crate) fn watch_representation(headers: &HeaderMap) -> Result<Representation, ApiError> {
    representation(headers)?;
    let chosen = first_match(headers, Representation::Object, |media| {
        let syntax = media.syntax().filter(|syntax| *syntax == Syntax::Json);
        syntax.and_then(|_| media.representation())
    });
    chosen.ok_or_else(|| not_acceptable("application/json;stream=watch"))
}

/// How the client wants an answer that is JSON to be written.
pub(crate) fn syntax(headers: &HeaderMap) -> Syntax {
    let choose = |media: &MediaType<'_>| media.representation().and_then(|_| media.syntax());
    first_match(headers, Syntax::Json, choose).unwrap_or_default()
}

/// Whether the client asks for indented JSON by a parameter of the type that it gets.
pub(crate) fn wants_pretty(headers: &HeaderMap) -> bool {
    let choose = |media: &MediaType<'_>| {
        media.syntax().and_then(|_| media.representation())?;
        Some(media.parameter("pretty") == Some("1"))
    };
    first_match(headers, false, choose).unwrap_or_default()
}

/// Whether a client of `/apis` wants aggregated discovery (`true`) or the list of groups.
///
/// # Errors
/// 406 when it wants neither.
pub(crate) fn wants_aggregated_discovery(headers: &HeaderMap) -> Result<bool, ApiError> {
    let chosen = first_match(headers, false, |media| {
        media.syntax()?;
        match media.kind() {
            (None, _, _) => Some(false),
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => {
                media.parameter("profile").is_none().then_some(true)
            }
            _ => None,
        }
    });
    chosen.ok_or_else(|| not_acceptable("application/json, application/yaml"))
}

/// Refuses a client that takes neither JSON nor YAML.
///
/// # Errors
/// 406 with the types that the server has.
pub(crate) fn accepts_plain(headers: &HeaderMap) -> Result<(), ApiError> {
    let plain = |media: &MediaType<'_>| {
        (media.syntax().is_some() && media.kind().0.is_none()).then_some(())
    };
    first_match(headers, (), plain)
        .ok_or_else(|| not_acceptable("application/json, application/yaml"))
}

/// Refuses a client that does not take JSON.
///
/// # Errors
/// 406 with the type that the server has.
pub(crate) fn accepts_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let plain = |media: &MediaType<'_>| {
        (media.syntax() == Some(Syntax::Json) && media.kind().0.is_none()).then_some(())
    };
    first_match(headers, (), plain).ok_or_else(|| not_acceptable("application/json"))
}

/// What the first entry that fits means; `default` without an `Accept` header.
fn first_match<T>(
    headers: &HeaderMap,
    default: T,
    choose: impl Fn(&MediaType<'_>) -> Option<T>,
) -> Option<T> {
    let values = headers.get_all(header::ACCEPT).iter();
    let texts = values.filter_map(|v| v.to_str().ok());
    let mut entries: Vec<MediaType<'_>> = texts
        .filter(|v| !v.trim().is_empty())
        .flat_map(|text| text.split(','))
        .map(MediaType::parse)
        .collect();
    if entries.is_empty() {
        return Some(default);
    }
    entries.sort_by_key(|media| Reverse(media.weight()));
    entries.iter().find_map(choose)
}

fn not_acceptable(types: &str) -> ApiError {
    ApiError::new(
        StatusReason::NotAcceptable,
        format!("only the following media types are accepted: {types}"),
    )
}

impl<'a> MediaType<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let parameters = parts
            .filter_map(|part| part.split_once('='))
            .map(|(key, value)| (key.trim(), value.trim().trim_matches('"')))
            .collect();
        Self { name, parameters }
    }

    /// The weight in thousandths; 0 is the least, not a refusal, as upstream has it.
    fn weight(&self) -> u16 {
        let weight = self.parameter("q").and_then(|q| q.parse::<f32>().ok());
        let thousandths = weight.unwrap_or(1.0).clamp(0.0, 1.0) * 1000.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to 0..=1000"
        )]
        let whole = thousandths as u16;
        whole
    }

    fn syntax(&self) -> Option<Syntax> {
        match self.name {
            "application/json" | "application/*" | "*/*" => Some(Syntax::Json),
            "application/yaml" => Some(Syntax::Yaml),
            _ => None,
        }
    }

    /// The kind that is asked for: its name, group and version.
    fn kind(&self) -> (Option<&'a str>, Option<&'a str>, Option<&'a str>) {
        (
            self.parameter("as"),
            self.parameter("g"),
            self.parameter("v"),
        )
    }

    fn representation(&self) -> Option<Representation> {
        let (kind, group, version) = self.kind();
        let Some(kind) = kind else {
            return Some(Representation::Object);
        };
        let version = match version? {
            "v1" => "v1",
            "v1beta1" => "v1beta1",
            _ => return None,
        };
        match (kind, group?) {
            ("Table", "meta.k8s.io") => Some(Representation::Table(version)),
            ("PartialObjectMetadata", "meta.k8s.io") => {
                Some(Representation::PartialObjectMetadata {
                    version,
                    is_list: false,
                })
            }
            ("PartialObjectMetadataList", "meta.k8s.io") => {
                Some(Representation::PartialObjectMetadata {
                    version,
                    is_list: true,
                })
            }
            _ => None,
        }
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
    #[case("", Some("Object"))]
    #[case("*/*", Some("Object"))]
    #[case(
        "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
        Some("Table(\"v1\")")
    )]
    #[case(
        "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
        Some("Table(\"v1beta1\")")
    )]
    #[case(
        "application/json;as=Table;v=v2;g=meta.k8s.io,application/json",
        Some("Object")
    )]
    #[case(
        "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
        Some("PartialObjectMetadata { version: \"v1\", is_list: true }")
    )]
    #[case("application/vnd.kubernetes.protobuf, */*", Some("Object"))]
    #[case("application/vnd.kubernetes.protobuf", None)]
    #[case("application/json;q=0", Some("Object"))]
    #[case("APPLICATION/JSON", None)]
    #[case("text/html", None)]
    fn the_first_entry_that_fits_wins(#[case] accept: &str, #[case] expected: Option<&str>) {
        let chosen = representation(&headers(accept)).ok();
        assert_eq!(chosen.map(|c| format!("{c:?}")).as_deref(), expected);
    }

    /// R3: the weight decides between YAML and JSON, then the order; a watch is JSON only.
    #[rstest]
    #[case("application/yaml", Syntax::Yaml, false)]
    #[case("application/json;q=0.5,application/yaml", Syntax::Yaml, true)]
    #[case("application/json,application/yaml", Syntax::Json, true)]
    #[case("application/cbor,application/yaml", Syntax::Yaml, false)]
    fn the_weight_chooses_the_syntax(
        #[case] accept: &str,
        #[case] expected: Syntax,
        #[case] watchable: bool,
    ) {
        let headers = headers(accept);
        assert_eq!(syntax(&headers), expected);
        assert_eq!(watch_representation(&headers).is_ok(), watchable);
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
