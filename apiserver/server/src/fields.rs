//! Reads the fields of a document one by one, and says by path what is wrong.

use apimachinery::decode::{self, Decoded};
use serde_json::{Map, Value};

/// An object whose fields are taken out until none is left.
pub(crate) struct Fields {
    path: String,
    members: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Fields {
    /// A document of YAML or JSON of this kind.
    ///
    /// # Errors
    /// A sentence that says what else it is.
    pub(crate) fn of_document(bytes: &[u8], versions: &[&str], kind: &str) -> Result<Self, String> {
        let Decoded { value, duplicates } = decode::yaml(bytes)?;
        if let Some(path) = duplicates.first() {
            return Err(format!("{path}: stands there twice: remove one"));
        }
        let mut fields = Self::new(String::new(), value)?;
        for (name, known) in [("apiVersion", versions), ("kind", &[kind])] {
            let found = fields.text(name)?;
            if !known.contains(&found.as_str()) {
                let known = known.join(" or ");
                return Err(format!("{name}: must be {known}, not {found:?}"));
            }
        }
        // As of every object of Kubernetes; it says nothing here.
        fields.take("metadata");
        Ok(fields)
    }

    /// The object at a path; the path of the document itself is empty.
    pub(crate) fn new(path: String, value: Value) -> Result<Self, String> {
        match value {
            Value::Object(members) => Ok(Self {
                path,
                members,
                known: Vec::new(),
            }),
            other => Err(format!("{}: must be an object, not {other}", shown(&path))),
        }
    }

    /// The path of one of its fields.
    pub(crate) fn path(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// A field; none where it is absent or null.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.members.remove(name).filter(|value| !value.is_null())
    }

    /// A text; empty where it is absent.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<String, String> {
        match self.take(name) {
            None => Ok(String::new()),
            Some(value) => text(&self.path(name), value),
        }
    }

    /// A boolean.
    pub(crate) fn boolean(&mut self, name: &'static str) -> Result<Option<bool>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(other) => Err(format!(
                "{}: must be true or false, not {other}",
                self.path(name)
            )),
        }
    }

    /// A list, each item with its path; empty where it is absent.
    pub(crate) fn list<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(String, Value) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let items = match self.take(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(other) => {
                return Err(format!("{}: must be a list, not {other}", self.path(name)));
            }
        };
        let path = self.path(name);
        let items = items.into_iter().enumerate();
        items
            .map(|(index, item)| read(format!("{path}[{index}]"), item))
            .collect()
    }

    /// A list of texts; empty where it is absent.
    pub(crate) fn texts(&mut self, name: &'static str) -> Result<Vec<String>, String> {
        self.list(name, |path, value| text(&path, value))
    }

    /// Refuses what nobody took.
    pub(crate) fn end(self) -> Result<(), String> {
        match self.members.keys().next() {
            None => Ok(()),
            Some(name) => Err(format!(
                "{}: there is no such field: use one of {}",
                self.path(name),
                self.known.join(", ")
            )),
        }
    }
}

fn shown(path: &str) -> &str {
    if path.is_empty() {
        "the document"
    } else {
        path
    }
}

fn text(path: &str, value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(format!("{path}: must be a string, not {other}: quote it")),
    }
}
