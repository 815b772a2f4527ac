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
        let mut requirements = Vec::new();
        for term in split_terms(text) {
            if !term.is_empty() {
                requirements.push(parse_term(term)?);
            }
        }
        Ok(Self { requirements })
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

fn parse_term(term: &str) -> Result<FieldRequirement, String> {
    let (at, operator) = term
        .char_indices()
        .find_map(|(i, _)| {
            ["!=", "==", "="]
                .into_iter()
                .find(|op| term[i..].starts_with(op))
                .map(|op| (i, op))
        })
        .ok_or_else(|| {
            format!("invalid selector: '{term}'; can't understand '{term}': write field=value")
        })?;
    Ok(FieldRequirement {
        field: term[..at].to_owned(),
        equal: operator != "!=",
        value: unescape(&term[at + operator.len()..])?,
    })
}

fn unescape(value: &str) -> Result<String, String> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                Some(c) => {
                    return Err(format!(
                        "invalid field selector: invalid escape sequence: \\{c}"
                    ));
                }
                None => return Err("invalid field selector: it ends in a backslash".to_owned()),
            },
            '=' => {
                return Err(format!(
                    "invalid field selector: unescaped '=' in the value {value:?}: write '\\='"
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

    proptest! {
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
