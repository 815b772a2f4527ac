//! The selectors of a list, as a SubjectAccessReview asks about them.
//!
//! An authorizer may allow only lists that select, so what is asked here is what the list then does:
//! both read the first value of the parameter. A selector that cannot be read is left out, since the
//! question is then about every object; the list itself is refused later.

use apimachinery::selector::{FieldSelector, LabelSelector, label::Operator};
use k8s_openapi::{
    api::authorization::v1::{FieldSelectorAttributes, LabelSelectorAttributes},
    apimachinery::pkg::apis::meta::v1::{FieldSelectorRequirement, LabelSelectorRequirement},
};

use crate::request::RequestInfo;

/// The field selector of a request for a collection.
pub(super) fn fields(request: &RequestInfo) -> Option<FieldSelectorAttributes> {
    let selector = FieldSelector::parse(parameter(request, "fieldSelector")?).ok()?;
    let requirements = selector.requirements.into_iter().map(|requirement| {
        let operator = if requirement.equal { "In" } else { "NotIn" };
        FieldSelectorRequirement {
            key: requirement.field,
            operator: operator.to_owned(),
            values: Some(vec![requirement.value]),
        }
    });
    let requirements: Vec<_> = requirements.collect();
    (!requirements.is_empty()).then_some(FieldSelectorAttributes {
        raw_selector: None,
        requirements: Some(requirements),
    })
}

/// The label selector of a request for a collection. Comparisons by size are left out: no review can
/// ask about them, and without them the question is only the broader one.
pub(super) fn labels(request: &RequestInfo) -> Option<LabelSelectorAttributes> {
    let selector = LabelSelector::parse(parameter(request, "labelSelector")?).ok()?;
    let requirements = selector.requirements.into_iter().filter_map(|requirement| {
        let (operator, values) = match requirement.operator {
            Operator::Exists => ("Exists", None),
            Operator::DoesNotExist => ("DoesNotExist", None),
            Operator::Equals(value) => ("In", Some(vec![value])),
            Operator::NotEquals(value) => ("NotIn", Some(vec![value])),
            Operator::In(values) => ("In", Some(values)),
            Operator::NotIn(values) => ("NotIn", Some(values)),
            Operator::GreaterThan(_) | Operator::LessThan(_) => return None,
        };
        Some(LabelSelectorRequirement {
            key: requirement.key,
            operator: operator.to_owned(),
            values,
        })
    });
    let requirements: Vec<_> = requirements.collect();
    (!requirements.is_empty()).then_some(LabelSelectorAttributes {
        raw_selector: None,
        requirements: Some(requirements),
    })
}

fn parameter<'a>(request: &'a RequestInfo, name: &str) -> Option<&'a str> {
    let selects = matches!(request.verb.as_str(), "list" | "watch" | "deletecollection");
    request.parameter(name).filter(|_| selects)
}

#[cfg(test)]
mod tests {
    use apimachinery::ListOptions;
    use http::Method;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn asked(method: &Method, query: &str) -> Value {
        let request = RequestInfo::parse(method, "/apis/g/v/namespaces/n/rs", Some(query));
        json!([fields(&request), labels(&request)])
    }

    /// M13: whoever may list only what a selector selects is asked about with it.
    #[rstest]
    #[case("fieldSelector=spec.a%3Db,spec.c!%3Dd", json!([{"requirements": [
        {"key": "spec.a", "operator": "In", "values": ["b"]},
        {"key": "spec.c", "operator": "NotIn", "values": ["d"]}]}, null]))]
    #[case("labelSelector=a%3Db,!c,d,e in (f,g),h notin (i),j!%3Dk", json!([null, {"requirements": [
        {"key": "a", "operator": "In", "values": ["b"]},
        {"key": "c", "operator": "DoesNotExist"},
        {"key": "d", "operator": "Exists"},
        {"key": "e", "operator": "In", "values": ["f", "g"]},
        {"key": "h", "operator": "NotIn", "values": ["i"]},
        {"key": "j", "operator": "NotIn", "values": ["k"]}]}]))]
    #[case("labelSelector=a>1", json!([null, null]))]
    #[case("labelSelector=a>1,b", json!([null, {"requirements": [{"key": "b", "operator": "Exists"}]}]))]
    #[case("labelSelector=(&fieldSelector=a", json!([null, null]))]
    #[case("", json!([null, null]))]
    fn a_list_is_asked_about_with_its_selectors(#[case] query: &str, #[case] expected: Value) {
        for method in [Method::GET, Method::DELETE] {
            assert_eq!(asked(&method, query), expected);
        }
        assert_eq!(asked(&Method::POST, query), json!([null, null]));
    }

    /// M13: the selector that was asked about is the one that selects.
    #[test]
    fn of_two_selectors_the_list_takes_the_one_that_was_asked_about() {
        let query = "labelSelector=a&labelSelector=b&fieldSelector=c%3Dd&fieldSelector=e%3Df";
        let request = RequestInfo::parse(&Method::GET, "/apis/g/v/rs", Some(query));
        let options = ListOptions::from_query(&request.query).unwrap();
        let listed = (
            options.label_selector.to_string(),
            options.field_selector.to_string(),
        );
        assert_eq!(listed, ("a".to_owned(), "c=d".to_owned()));
        let asked = json!([fields(&request), labels(&request)]).to_string();
        assert!(
            asked.contains("\"a\"") && asked.contains("\"c\""),
            "{asked}"
        );
        assert!(
            !asked.contains("\"b\"") && !asked.contains("\"e\""),
            "{asked}"
        );
    }
}
