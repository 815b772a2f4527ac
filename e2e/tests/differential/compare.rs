//! Finds differences, and holds them against the lists of those that are known.

use std::fmt;

use serde_json::{Map, Value, json};

use super::{case::Case, differences::DELIBERATE};

/// One field of one step that is not the same on both sides.
#[derive(Debug)]
pub(crate) struct Difference {
    /// `case #step field`.
    pub(crate) place: String,
    step: String,
    reference: Value,
    ours: Value,
}

/// What `compare` stands in for a field that is not there.
const ABSENT: &str = "<absent>";
/// Longest value that a report shows whole, in characters.
const SHOWN_MAX: usize = 600;

/// The differences of a case.
pub(crate) fn compare(case: &Case, reference: &[Value], ours: &[Value]) -> Vec<Difference> {
    let mut found = Vec::new();
    for (index, step) in case.steps.iter().enumerate() {
        let mut fields = Vec::new();
        let (reference, ours) = (&reference[index], &ours[index]);
        if reference["status"] == ours["status"] {
            walk(reference, ours, String::new(), &mut fields);
        } else {
            fields.push(("status".to_owned(), summary(reference), summary(ours)));
        }
        found.extend(
            fields
                .into_iter()
                .map(|(field, reference, ours)| Difference {
                    place: format!("{} #{} {field}", case.name, index + 1),
                    step: step.title(),
                    reference,
                    ours,
                }),
        );
    }
    found
}

/// What is told of answers with different codes, which have nothing else in common.
fn summary(outcome: &Value) -> Value {
    let failure = outcome.get("failure").cloned();
    failure.unwrap_or_else(|| match outcome["body"].get("message") {
        Some(message) => json!([outcome["status"], outcome["body"]["reason"], message]),
        None => json!([outcome["status"], outcome["body"]]),
    })
}

fn walk(reference: &Value, ours: &Value, path: String, found: &mut Vec<(String, Value, Value)>) {
    if reference == ours {
        return;
    }
    let absent = json!(ABSENT);
    let at = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    match (reference, ours) {
        (Value::Object(left), Value::Object(right)) => {
            for key in keys(left, right) {
                let (left, right) = (left.get(key), right.get(key));
                let (left, right) = (left.unwrap_or(&absent), right.unwrap_or(&absent));
                walk(left, right, at(key), found);
            }
        }
        (Value::Array(left), Value::Array(right)) => {
            for index in 0..left.len().max(right.len()) {
                let (left, right) = (left.get(index), right.get(index));
                let (left, right) = (left.unwrap_or(&absent), right.unwrap_or(&absent));
                walk(left, right, at(&index.to_string()), found);
            }
        }
        _ => found.push((path, reference.clone(), ours.clone())),
    }
}

fn keys<'a>(left: &'a Map<String, Value>, right: &'a Map<String, Value>) -> Vec<&'a str> {
    let more = right.keys().filter(|key| !left.contains_key(*key));
    left.keys().chain(more).map(String::as_str).collect()
}

/// A listed place, and how many differences belong to it.
struct Place {
    pattern: &'static str,
    why: &'static str,
    instead: &'static [&'static str],
    count: usize,
}

/// Holds the differences against the list and gives what is wrong: those that it does not have or
/// that are other than listed, and listed ones that are none. A difference belongs to the first
/// place that it fits. Only if all cases ran can be told which places have none.
pub(crate) fn judge(found: &[Difference], all_ran: bool) -> Vec<String> {
    let mut places: Vec<Place> = listed().collect();
    let mut wrong = Vec::new();
    for difference in found {
        let mut places = places.iter_mut();
        let Some(place) = places.find(|place| matches(place.pattern, &difference.place)) else {
            wrong.push(difference.to_string());
            continue;
        };
        place.count += 1;
        let ours = difference.ours.to_string();
        if !place.instead.iter().any(|text| ours.contains(text)) {
            wrong.push(format!(
                "{difference}\n  not as is listed: {:?}",
                place.instead
            ));
        }
    }
    let none = places.iter().filter(|place| all_ran && place.count == 0);
    wrong.extend(none.map(|Place { pattern, why, .. }| {
        format!("{pattern}\n  is listed ({why}), but nothing differs there that an earlier place has not")
    }));
    wrong
}

fn listed() -> impl Iterator<Item = Place> {
    DELIBERATE.iter().flat_map(|known| {
        known.places.iter().map(|pattern| Place {
            pattern,
            why: known.why,
            instead: known.instead,
            count: 0,
        })
    })
}

/// Whether a place fits a pattern, in which `*` stands for any text.
fn matches(pattern: &str, place: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == place,
        Some((before, after)) => place.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|rest| matches(after, rest)))
        }),
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reference, ours) = (shown(&self.reference), shown(&self.ours));
        writeln!(f, "{}\n  {}", self.place, self.step)?;
        write!(f, "  reference: {reference}\n  ours:      {ours}")
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    let cut: String = text.chars().take(SHOWN_MAX).collect();
    if cut.len() < text.len() {
        cut + "…"
    } else {
        cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(matches(
            "create: * #1 body.*",
            "create: a name #1 body.metadata.uid"
        ));
        assert!(!matches(
            "create: * #1 body.*",
            "create: a name #2 body.metadata.uid"
        ));
        assert!(!matches("a", "ab"));
    }

    #[test]
    fn only_the_fields_that_differ_are_found() {
        let mut found = Vec::new();
        let (reference, ours) = (json!({ "a": 1, "b": [1, 2] }), json!({ "a": 1, "b": [1] }));
        walk(&reference, &ours, String::new(), &mut found);
        assert_eq!(found, [("b.1".to_owned(), json!(2), json!(ABSENT))]);
    }
}
