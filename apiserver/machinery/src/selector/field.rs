//! Field selectors: `metadata.name=a,spec.source!=b`.
//!
//! Mirrors `k8s.io/apimachinery/pkg/fields`: only equality, joined by "and"; `\`, `,` and `=` in a
//! value are escaped by `\`. Which fields exist is the resource's own business.

use std::fmt;

/// A conjunction of comparisons; the empty one matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    /// The comparisons.
    pub requirements: Vec<FieldRequirement>,
}

/// One comparison of a field with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRequirement {
    /// Path such as `metadata.name`.
    pub field: String,
    /// `false` for `!=`.
    pub equal: bool,
    /// The value, unescaped.
    pub value: String,
}

impl FieldSelector {
    /// Parses a selector; the error is a sentence for the client.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut terms = split_terms(text);
        terms.sort_unstable();
        let terms = terms.into_iter().filter(|term| !term.is_empty());
        let requirements = terms.map(|term| {
            parse_term(term)
                .ok_or_else(|| format!("invalid selector: '{text}'; can't understand '{term}'"))?
        });
        Ok(Self {
            requirements: requirements.collect::<Result<_, String>>()?,
        })
    }

    /// Whether every comparison holds; `lookup` gives a field's value, empty when it is unset.
    pub fn matches<'a>(&self, lookup: impl Fn(&str) -> &'a str) -> bool {
        self.requirements
            .iter()
            .all(|r| (lookup(&r.field) == r.value) == r.equal)
    }

    /// The value that `field` is required to equal, if there is one.
    pub fn required_value(&self, field: &str) -> Option<&str> {
        self.requirements
            .iter()
            .find(|r| r.equal && r.field == field)
            .map(|r| r.value.as_str())
    }

    /// Whether the selector matches everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (
            i,
            FieldRequirement {
                field,
                equal,
                value,
            },
        ) in self.requirements.iter().enumerate()
        {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{field}{}", if *equal { "=" } else { "!=" })?;
            for c in value.chars() {
                if matches!(c, '\\' | ',' | '=') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

/// Splits at commas that are not escaped.
fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

/// Splits at the first operator; none, if there is no operator.
fn parse_term(term: &str) -> Option<Result<FieldRequirement, String>> {
    let (at, operator) = term.char_indices().find_map(|(i, _)| {
        ["!=", "==", "="]
            .into_iter()
            .find(|op| term[i..].starts_with(op))
            .map(|op| (i, op))
    })?;
    let value = unescape(&term[at + operator.len()..]);
    Some(value.map(|value| FieldRequirement {
        field: term[..at].to_owned(),
        equal: operator != "!=",
        value,
    }))
}

fn unescape(value: &str) -> Result<String, String> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                other => {
                    let sequence: String = other.into_iter().collect();
                    return Err(format!(
                        "invalid field selector: invalid escape sequence: \\{sequence}"
                    ));
                }
            },
            '=' => {
                return Err(format!(
                    "invalid field selector: unescaped character in value: {}",
                    u32::from(c)
                ));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// L6: equality and inequality on declared fields.
    #[test]
    fn compares_fields() {
        let selector = FieldSelector::parse("metadata.name=a,metadata.namespace!=b").unwrap();
        let at = |name: &'static str, namespace: &'static str| {
            selector.matches(|f| {
                if f == "metadata.name" {
                    name
                } else {
                    namespace
                }
            })
        };
        assert!(at("a", "c"));
        assert!(!at("a", "b"));
        assert!(!at("x", "c"));
        assert_eq!(selector.required_value("metadata.name"), Some("a"));
        assert_eq!(selector.required_value("metadata.namespace"), None);
    }

    #[test]
    fn a_term_without_an_operator_is_refused() {
        assert!(FieldSelector::parse("metadata.name").is_err());
    }

    #[derive(serde::Deserialize)]
    struct Case {
        text: String,
        error: Option<String>,
        printed: Option<String>,
        matches: Option<bool>,
    }

    /// L6: what Kubernetes 1.36 says about the same selectors, on the fields a=b and c=`x,=\\`.
    #[test]
    fn selectors_are_read_printed_and_refused_as_upstream() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../testdata/field_selectors.json")).unwrap();
        for case in cases {
            match FieldSelector::parse(&case.text) {
                Err(error) => assert_eq!(Some(error), case.error, "{:?}", case.text),
                Ok(selector) => {
                    assert_eq!(case.error, None, "{:?}", case.text);
                    assert_eq!(Some(selector.to_string()), case.printed, "{:?}", case.text);
                    let matches = selector.matches(|field| match field {
                        "a" => "b",
                        "c" => "x,=\\",
                        _ => "",
                    });
                    assert_eq!(Some(matches), case.matches, "{:?}", case.text);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn every_selector_survives_printing(
            terms in prop::collection::vec(("[a-z.]{1,6}", any::<bool>(), "[a,=\\\\! é]{0,6}"), 0..4),
        ) {
            let requirements = terms
                .into_iter()
                .map(|(field, equal, value)| FieldRequirement { field, equal, value })
                .collect();
            let printed = FieldSelector { requirements }.to_string();
            let parsed = FieldSelector::parse(&printed).unwrap();
            prop_assert_eq!(FieldSelector::parse(&parsed.to_string()).unwrap(), parsed);
        }

        #[test]
        fn round_trips(value in "\\PC{0,20}") {
            let selector = FieldSelector {
                requirements: vec![FieldRequirement { field: "spec.a".to_owned(), equal: true, value }],
            };
            prop_assert_eq!(FieldSelector::parse(&selector.to_string()).unwrap(), selector);
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = FieldSelector::parse(&text);
        }
    }
}
