//! From bytes that a client sent to JSON: JSON and YAML, with the keys that stand there twice.
//!
//! Mirrors `sigs.k8s.io/json` and `sigs.k8s.io/yaml`, where the last of equal keys counts and strict
//! field validation refuses the others. Known deviation: nesting deeper than [`DEPTH_MAX`] is
//! refused, where upstream allows about 10,000 levels.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Deepest nesting that is read: what `serde_json` allows, and far more than any kind has.
pub const DEPTH_MAX: usize = 127;
/// Deepest nesting of YAML that is not JSON: its reader needs ten times the stack for each level.
const YAML_DEPTH_MAX: usize = 64;
/// Most doubled keys that one body reports.
const DUPLICATES_MAX: usize = 64;
/// Nodes that the aliases of a YAML document may repeat, all in all: many for a manifest that a
/// person wrote, few for the memory.
const REPLAYED_MAX: usize = 100_000;

/// A decoded body.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The value; of equal keys the last one counts.
    pub value: Value,
    /// Paths of the keys that stand there more than once, such as `spec.source`.
    pub duplicates: Vec<String>,
}

/// Decodes JSON.
///
/// # Errors
/// A sentence with the position.
pub fn json(bytes: &[u8]) -> Result<Decoded, String> {
    let mut duplicates = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Node::root(&mut duplicates)
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value));
    let value = value.map_err(|e| e.to_string())?;
    Ok(Decoded { value, duplicates })
}

/// Decodes one YAML document. JSON is YAML too, and is read as what it is: most clients that say YAML
/// send it.
///
/// # Errors
/// A sentence with the position; also for aliases that repeat too much.
pub fn yaml(bytes: &[u8]) -> Result<Decoded, String> {
    if bytes.trim_ascii_start().starts_with(b"{")
        && let Ok(decoded) = json(bytes)
    {
        return Ok(decoded);
    }
    let mut duplicates = Vec::new();
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: YAML_DEPTH_MAX },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: REPLAYED_MAX },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
        with_snippet: false,
    };
    let value = serde_saphyr::with_deserializer_from_slice_with_options(bytes, options, |reader| {
        Node::root(&mut duplicates).deserialize(reader)
    });
    let value = value.map_err(|e| match e.without_snippet() {
        serde_saphyr::Error::MultipleDocuments { .. } => {
            "yaml: there is more than one document: send one".to_owned()
        }
        _ => format!("yaml: {e}"),
    })?;
    Ok(Decoded { value, duplicates })
}

/// The place of a value, and where doubled keys are noted.
struct Node<'a> {
    path: Option<&'a Path<'a>>,
    depth: usize,
    duplicates: &'a mut Vec<String>,
}

struct Path<'a> {
    parent: Option<&'a Self>,
    segment: Segment<'a>,
}

enum Segment<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> Node<'a> {
    fn root(duplicates: &'a mut Vec<String>) -> Self {
        Self {
            path: None,
            depth: 0,
            duplicates,
        }
    }

    fn child<'b>(&'b mut self, path: &'b Path<'b>) -> Node<'b> {
        Node {
            path: Some(path),
            depth: self.depth + 1,
            duplicates: self.duplicates,
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.segment {
            Segment::Index(index) => write!(f, "[{index}]"),
            Segment::Key(key) if self.parent.is_none() => f.write_str(key),
            Segment::Key(key) => write!(f, ".{key}"),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value);
        number
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        check_depth(self.depth)?;
        let mut list = Vec::new();
        loop {
            let path = Path {
                parent: self.path,
                segment: Segment::Index(list.len()),
            };
            match items.next_element_seed(self.child(&path))? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Value, A::Error> {
        check_depth(self.depth)?;
        let mut map = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            let path = Path {
                parent: self.path,
                segment: Segment::Key(&key),
            };
            let value = members.next_value_seed(self.child(&path))?;
            if map.contains_key(&key) && self.duplicates.len() < DUPLICATES_MAX {
                let path = path.to_string();
                if !self.duplicates.contains(&path) {
                    self.duplicates.push(path);
                }
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

fn check_depth<E: Error>(depth: usize) -> Result<(), E> {
    if depth >= DEPTH_MAX {
        return Err(E::custom(format_args!(
            "nested deeper than {DEPTH_MAX} levels"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    /// A5: of equal keys the last one counts, and each is told once by its path.
    #[rstest]
    #[case::json(json(br#"{"a":1,"b":[{"c":1,"c":2,"c":3}],"a":{"d":null}}"#))]
    #[case::yaml(yaml(b"a: 1\nb:\n- c: 1\n  c: 2\n  c: 3\na: {d: null}\n"))]
    fn doubled_keys_are_told_by_path(#[case] decoded: Result<Decoded, String>) {
        let Decoded { value, duplicates } = decoded.unwrap();
        assert_eq!(value, json!({"a": {"d": null}, "b": [{"c": 3}]}));
        assert_eq!(duplicates, ["b[0].c", "a"]);
    }

    /// V14: what is malformed says where.
    #[rstest]
    #[case::json(json(b"{\"a\": }"), "line 1 column 7")]
    #[case::two_values(json(b"{} {}"), "line 1 column 4")]
    #[case::yaml(yaml(b"a: b: c"), "line 1, column")]
    #[case::two_documents(yaml(b"a: 1\n---\na: 2\n"), "document")]
    #[case::not_finite(yaml(b"a: .inf"), "line 1, column")]
    #[case::no_text(yaml(b"\xff"), "UTF-8")]
    fn what_is_malformed_says_where(#[case] decoded: Result<Decoded, String>, #[case] part: &str) {
        let error = decoded.unwrap_err();
        assert!(error.contains(part), "{error}");
    }

    /// V14: neither nesting nor aliases can exhaust the server.
    #[test]
    fn nesting_and_alias_bombs_are_refused() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        for depth in [DEPTH_MAX + 2, 10_000, 1_000_000] {
            assert!(json(nested(depth).as_bytes()).is_err(), "{depth}");
            assert!(yaml(nested(depth).as_bytes()).is_err(), "{depth}");
        }
        assert!(json(nested(100).as_bytes()).is_ok());
        assert!(yaml(nested(60).as_bytes()).is_ok());
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
            bomb.extend([format!("a{level}: &a{level} [{aliases}]\n")]);
        }
        assert!(yaml(bomb.as_bytes()).is_err());
    }

    /// R3: YAML means what it means to kubectl.
    #[test]
    fn yaml_scalars_have_their_types() {
        let decoded = yaml(b"a: 5\nb: 1.5\nc: true\nd: text\ne: \"5\"\nf:\ng: ~\n7: x\n").unwrap();
        let expected = json!({"a": 5, "b": 1.5, "c": true, "d": "text", "e": "5", "f": null,
            "g": null, "7": "x"});
        assert_eq!(decoded.value, expected);
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (json(&bytes), yaml(&bytes));
        }

        #[test]
        fn any_text_is_decoded_or_refused(text in "[-a-c:\\[\\]{}&*, \n\"'#|>?!%0-9]{0,60}") {
            let _ = (json(text.as_bytes()), yaml(text.as_bytes()));
        }
    }
}
