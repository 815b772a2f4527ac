//! One step of a path.

use std::{cmp::Ordering, fmt, sync::Arc};

use serde_json::Value;

use super::value::{compare, display};

/// One step from a value to a part of it. Cheap to clone.
#[derive(Clone, Debug)]
pub enum PathElement {
    /// A member of an object or a map: `.name`.
    Field(Arc<str>),
    /// The item of a list of type map with these keys, sorted by name: `[name="a",port=80]`.
    Key(Arc<[(Arc<str>, Value)]>),
    /// The item of a list of type set with this value: `[="a"]`.
    Value(Arc<Value>),
    /// The item of a list at this position: `[0]`.
    Index(i64),
}

impl PathElement {
    /// A member of an object.
    pub fn field(name: &str) -> Self {
        Self::Field(Arc::from(name))
    }

    /// The item with these keys, in any order.
    pub fn key(mut keys: Vec<(Arc<str>, Value)>) -> Self {
        keys.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self::Key(Arc::from(keys))
    }

    /// The item with this value.
    pub fn value(value: Value) -> Self {
        Self::Value(Arc::new(value))
    }

    /// The order against the member of an object with this name.
    pub(super) fn cmp_field(&self, name: &str) -> Ordering {
        match self {
            Self::Field(own) => (**own).cmp(name),
            _ => Ordering::Greater,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }
}

impl Ord for PathElement {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(l), Self::Field(r)) => l.cmp(r),
            (Self::Key(l), Self::Key(r)) => l
                .iter()
                .zip(r.iter())
                .map(|((l_name, l), (r_name, r))| l_name.cmp(r_name).then_with(|| compare(l, r)))
                .find(|order| order.is_ne())
                .unwrap_or_else(|| l.len().cmp(&r.len())),
            (Self::Value(l), Self::Value(r)) => compare(l, r),
            (Self::Index(l), Self::Index(r)) => l.cmp(r),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for PathElement {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for PathElement {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for PathElement {}

impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(keys) => {
                f.write_str("[")?;
                for (i, (name, value)) in keys.iter().enumerate() {
                    let comma = if i > 0 { "," } else { "" };
                    write!(f, "{comma}{name}={}", display(value))?;
                }
                f.write_str("]")
            }
            Self::Value(value) => write!(f, "[={}]", display(value)),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn elements_print_as_clients_know_them() {
        let path = [
            PathElement::field("spec"),
            PathElement::key(vec![
                ("port".into(), json!(80)),
                ("name".into(), json!("a\"b")),
            ]),
            PathElement::value(json!("x")),
            PathElement::Index(3),
        ];
        assert_eq!(
            super::super::path_string(&path),
            r#".spec[name="a\"b",port=80][="x"][3]"#
        );
    }

    #[test]
    fn fields_come_before_keys_before_values_before_positions() {
        let mut elements = [
            PathElement::Index(0),
            PathElement::value(json!(1)),
            PathElement::key(vec![("a".into(), json!(2))]),
            PathElement::key(vec![("a".into(), json!(1)), ("b".into(), json!(0))]),
            PathElement::field("z"),
            PathElement::field("a"),
        ];
        elements.sort();
        let texts: Vec<String> = elements.iter().map(ToString::to_string).collect();
        assert_eq!(texts, [".a", ".z", "[a=1,b=0]", "[a=2]", "[=1]", "[0]"]);
    }
}
