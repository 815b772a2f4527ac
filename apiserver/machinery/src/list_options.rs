//! The query parameters of list, watch and deletecollection: `metav1.ListOptions`.
//!
//! Rules and messages mirror `k8s.io/apimachinery/pkg/apis/meta/internalversion/validation`.

use serde_json::json;

use crate::{
    field::FieldError,
    selector::{FieldSelector, LabelSelector},
    status::ApiError,
};

/// What a client asks of a list or a watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// Which labels.
    pub label_selector: LabelSelector,
    /// Which fields.
    pub field_selector: FieldSelector,
    /// A watch instead of a list.
    pub watch: bool,
    /// The client can take `BOOKMARK` events.
    pub allow_watch_bookmarks: bool,
    /// The resource version to serve; `None` asks for the newest state.
    pub resource_version: Option<u64>,
    /// How [`Self::resource_version`] is meant.
    pub resource_version_match: Option<ResourceVersionMatch>,
    /// After how many seconds a watch or the request ends.
    pub timeout_seconds: Option<u64>,
    /// Most items in one answer.
    pub limit: Option<usize>,
    /// The token of the page before.
    pub continue_token: Option<String>,
    /// A watch that begins with the current state and marks its end.
    pub send_initial_events: Option<bool>,
}

/// How a resource version is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceVersionMatch {
    /// Exactly this state.
    Exact,
    /// This state or a newer one.
    NotOlderThan,
}

impl ListOptions {
    /// Reads decoded query parameters and checks their rules. Unknown parameters are ignored, of a
    /// repeated one the first counts.
    pub fn from_query(query: &[(String, String)]) -> Result<Self, ApiError> {
        let get = |key: &str| {
            query
                .iter()
                .find(|(k, _)| k == key)
                .map(|(_, v)| v.as_str())
        };
        let text = |key: &str| get(key).filter(|v| !v.is_empty());
        let flag = |key: &str| get(key).map(is_true);
        let number = |key: &str| -> Result<Option<i64>, ApiError> {
            get(key)
                .map(|v| {
                    v.parse().map_err(|_| {
                        ApiError::bad_request(format!("{key}: {v:?} is not a whole number"))
                    })
                })
                .transpose()
        };
        let resource_version = text("resourceVersion")
            .map(|v| {
                v.parse::<u64>().map_err(|_| {
                    ApiError::bad_request(format!(
                        "resourceVersion: Invalid value: {v:?}: must be a whole number"
                    ))
                })
            })
            .transpose()?;
        let mut matching = text("resourceVersionMatch");
        let mut send_initial_events = flag("sendInitialEvents");
        let watch = flag("watch").unwrap_or_default();
        // Upstream's `SetListOptionsDefaults`: such a watch begins with the current state anyway.
        let from_current = matches!(resource_version, None | Some(0));
        if watch && from_current && send_initial_events.is_none() && matching.is_none() {
            send_initial_events = Some(true);
            matching = Some("NotOlderThan");
        }
        let options = Self {
            label_selector: LabelSelector::parse(get("labelSelector").unwrap_or_default())
                .map_err(ApiError::bad_request)?,
            field_selector: FieldSelector::parse(get("fieldSelector").unwrap_or_default())
                .map_err(ApiError::bad_request)?,
            watch,
            allow_watch_bookmarks: flag("allowWatchBookmarks").unwrap_or_default(),
            resource_version,
            resource_version_match: matching.and_then(ResourceVersionMatch::parse),
            timeout_seconds: number("timeoutSeconds")?.and_then(|n| u64::try_from(n).ok()),
            limit: number("limit")?
                .and_then(|n| usize::try_from(n).ok())
                .filter(|n| *n > 0),
            continue_token: text("continue").map(str::to_owned),
            send_initial_events,
        };
        let errors = if options.watch {
            options.watch_errors(matching)
        } else {
            options.list_errors(matching)
        };
        if errors.is_empty() {
            Ok(options)
        } else {
            Err(ApiError::invalid("meta.k8s.io", "ListOptions", "", &errors))
        }
    }

    fn list_errors(&self, matching: Option<&str>) -> Vec<FieldError> {
        let forbid = |detail: &str| FieldError::forbidden("resourceVersionMatch", detail);
        let mut errors = Vec::new();
        if let Some(matching) = matching {
            if self.resource_version.is_none() {
                errors.push(forbid(
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                ));
            }
            if self.continue_token.is_some() {
                errors.push(forbid(
                    "resourceVersionMatch is forbidden when continue is provided",
                ));
            }
            if self.resource_version_match.is_none() {
                errors.push(match_not_supported(
                    matching,
                    &["Exact", "NotOlderThan", ""],
                ));
            }
            let exact = self.resource_version_match == Some(ResourceVersionMatch::Exact);
            if exact && self.resource_version == Some(0) {
                errors.push(forbid(
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                ));
            }
        }
        if self.send_initial_events.is_some() {
            errors.push(FieldError::forbidden(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for list",
            ));
        }
        errors
    }

    fn watch_errors(&self, matching: Option<&str>) -> Vec<FieldError> {
        let forbid = |detail: &str| FieldError::forbidden("resourceVersionMatch", detail);
        let mut errors = Vec::new();
        let not_older = self.resource_version_match == Some(ResourceVersionMatch::NotOlderThan);
        if self.send_initial_events.is_some() && !not_older {
            errors.push(forbid(
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ));
        }
        if let Some(matching) = matching {
            if self.send_initial_events.is_none() {
                errors.push(forbid(
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                ));
            }
            if !not_older {
                errors.push(match_not_supported(matching, &["NotOlderThan"]));
            }
            if self.continue_token.is_some() {
                errors.push(forbid(
                    "resourceVersionMatch is forbidden when continue is provided",
                ));
            }
        }
        errors
    }
}

impl ResourceVersionMatch {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "Exact" => Some(Self::Exact),
            "NotOlderThan" => Some(Self::NotOlderThan),
            _ => None,
        }
    }
}

fn match_not_supported(matching: &str, supported: &[&str]) -> FieldError {
    FieldError::not_supported("resourceVersionMatch", &json!(matching), supported)
}

/// How Kubernetes reads a flag in a query: everything but `false` and `0` is true.
pub fn is_true(value: &str) -> bool {
    !matches!(value.to_ascii_lowercase().as_str(), "false" | "0")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<ListOptions, ApiError> {
        let query: Vec<_> = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        ListOptions::from_query(&query)
    }

    /// L1: combinations that mean nothing are 422.
    #[rstest]
    #[case::match_alone(&[("resourceVersionMatch", "Exact")])]
    #[case::match_with_continue(&[("resourceVersionMatch", "Exact"), ("resourceVersion", "1"), ("continue", "x")])]
    #[case::exact_zero(&[("resourceVersionMatch", "Exact"), ("resourceVersion", "0")])]
    #[case::unknown(&[("resourceVersionMatch", "Newest"), ("resourceVersion", "1")])]
    #[case::initial_events_on_list(&[("sendInitialEvents", "true")])]
    fn contradictions_are_invalid(#[case] query: &[(&str, &str)]) {
        assert_eq!(parse(query).unwrap_err().code(), 422);
    }

    /// W6: initial events need a resourceVersionMatch, and a match alone is wrong on a watch.
    #[rstest]
    #[case(&[("watch", "true"), ("sendInitialEvents", "true")], false)]
    #[case(&[("watch", "true"), ("sendInitialEvents", "true"), ("resourceVersionMatch", "NotOlderThan")], true)]
    #[case(&[("watch", "1"), ("resourceVersionMatch", "NotOlderThan"), ("resourceVersion", "5")], false)]
    fn initial_events_need_not_older_than(#[case] query: &[(&str, &str)], #[case] good: bool) {
        assert_eq!(parse(query).is_ok(), good);
    }

    /// L3, L6: what cannot be parsed is 400.
    #[rstest]
    #[case("resourceVersion", "x")]
    #[case("labelSelector", "a in")]
    #[case("fieldSelector", "a")]
    #[case("limit", "")]
    #[case("timeoutSeconds", "soon")]
    fn unreadable_parameters_are_bad_requests(#[case] key: &str, #[case] value: &str) {
        assert_eq!(parse(&[(key, value)]).unwrap_err().code(), 400);
    }

    #[test]
    fn flags_are_true_unless_they_say_false() {
        assert!(parse(&[("watch", "")]).unwrap().watch);
        assert!(parse(&[("watch", "yes")]).unwrap().watch);
        assert!(!parse(&[("watch", "False")]).unwrap().watch);
        assert_eq!(parse(&[("limit", "-1")]).unwrap().limit, None);
    }
}
