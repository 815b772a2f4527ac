//! An object of any kind as JSON, with the accessors that machinery needs.
//!
//! An object has two encodings. The *stored* one starts with `apiVersion`, `kind` and `metadata`,
//! in this order, and has no `metadata.resourceVersion`: that is the store's revision, which is
//! known only once the write is done. The *served* one is made of the stored one by [`ServedForm`](crate::served::ServedForm),
//! without parsing: it has the revision, and the version that the client asked for.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::object_meta::coerce_object_meta;

pub(crate) const METADATA_OPENING: &[u8] = b"\"metadata\":{";

/// A Kubernetes object: a JSON object whose `metadata` is a JSON object.
#[derive(Clone, Debug, PartialEq)]
pub struct Object(Map<String, Value>);

/// What selectors look at, read from a stored encoding without building the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectHeader {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`; empty for cluster-scoped kinds.
    pub namespace: String,
    /// `metadata.labels`.
    pub labels: Labels,
}

/// Labels in the order of their keys, in as little memory as they need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(Box<[(Box<str>, Box<str>)]>);

impl Object {
    /// Takes a JSON object and brings its `metadata` into form, as [`Object::decode`] does, without
    /// saying which unknown fields were removed.
    pub fn from_value(value: Value) -> Result<Self, String> {
        Self::decode(value).map(|(object, _)| object)
    }

    /// Takes a JSON object and gives the paths of unknown fields of its `metadata`, such as
    /// `metadata.colour`, which are removed. A missing or null `metadata` becomes an empty one. The
    /// error is a sentence for the client.
    pub fn decode(value: Value) -> Result<(Self, Vec<String>), String> {
        let Value::Object(mut map) = value else {
            return Err("the body must be a JSON object".to_owned());
        };
        let metadata = map.entry("metadata").or_insert(Value::Null);
        let unknown = coerce_object_meta(metadata)?
            .into_iter()
            .map(|field| format!("metadata.{field}"))
            .collect();
        Ok((Self(map), unknown))
    }

    /// Takes a JSON object as it is: what a client applies, where an unknown field is no mistake to
    /// be dropped but one to be refused.
    pub fn as_sent(value: Value) -> Result<Self, String> {
        let Value::Object(mut map) = value else {
            return Err("the body must be a JSON object".to_owned());
        };
        let metadata = map.entry("metadata").or_insert(Value::Null);
        if metadata.is_null() {
            *metadata = Value::Object(Map::new());
        }
        if !metadata.is_object() {
            return Err("metadata must be an object".to_owned());
        }
        Ok(Self(map))
    }

    /// What a document lacks to say what it is, by the name that upstream's errors use: `Kind` or
    /// `apiVersion`.
    pub fn missing_type(value: &Value) -> Option<&'static str> {
        let is_set = |field: &str| value[field].as_str().is_some_and(|text| !text.is_empty());
        match (is_set("kind"), is_set("apiVersion")) {
            (false, _) => Some("Kind"),
            (true, false) => Some("apiVersion"),
            (true, true) => None,
        }
    }

    /// Reads an encoded object. One that is nested more than 127 levels deep is refused, so that no
    /// function over a value can run out of stack. Upstream reads 10,000 levels, which no schema needs:
    /// only fields that are preserved without a schema could be that deep.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes)
            .map_err(|e| e.to_string())
            .and_then(Self::from_value)
    }

    /// The object as JSON.
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    /// A top-level field.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field)
    }

    /// Sets a top-level field, or removes it when there is no value.
    pub fn set(&mut self, field: &str, value: Option<Value>) {
        match value {
            Some(value) => self.0.insert(field.to_owned(), value),
            None => self.0.remove(field),
        };
    }

    /// The fields at the top.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The fields at the top, to change.
    pub fn fields_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.0
    }

    /// `apiVersion`, empty when unset.
    pub fn api_version(&self) -> &str {
        self.get("apiVersion")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// `kind`, empty when unset.
    pub fn kind(&self) -> &str {
        self.get("kind").and_then(Value::as_str).unwrap_or_default()
    }

    /// A field of `metadata`.
    pub fn metadata_field(&self, field: &str) -> Option<&Value> {
        self.0.get("metadata")?.get(field)
    }

    /// Sets a field of `metadata`, or removes it when there is no value.
    pub fn set_metadata_field(&mut self, field: &str, value: Option<Value>) {
        let Some(metadata) = self.0.get_mut("metadata").and_then(Value::as_object_mut) else {
            return;
        };
        match value {
            Some(value) => metadata.insert(field.to_owned(), value),
            None => metadata.remove(field),
        };
    }

    /// A string in `metadata`, empty when unset.
    pub fn metadata_str(&self, field: &str) -> &str {
        self.metadata_field(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// `metadata.name`, empty when unset.
    pub fn name(&self) -> &str {
        self.metadata_str("name")
    }

    /// `metadata.namespace`, empty when unset.
    pub fn namespace(&self) -> &str {
        self.metadata_str("namespace")
    }

    /// `metadata.uid`, empty when unset.
    pub fn uid(&self) -> &str {
        self.metadata_str("uid")
    }

    /// `metadata.resourceVersion`, empty when unset.
    pub fn resource_version(&self) -> &str {
        self.metadata_str("resourceVersion")
    }

    /// `metadata.generation`, 0 when unset.
    pub fn generation(&self) -> i64 {
        self.metadata_field("generation")
            .and_then(Value::as_i64)
            .unwrap_or_default()
    }

    /// Whether the object waits for its finalizers.
    pub fn is_terminating(&self) -> bool {
        self.metadata_field("deletionTimestamp")
            .is_some_and(|t| !t.is_null())
    }

    /// `metadata.finalizers`.
    pub fn finalizers(&self) -> impl Iterator<Item = &str> {
        self.metadata_field("finalizers")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
    }

    /// A map of strings in `metadata`, such as `labels`.
    pub fn string_map(&self, field: &str) -> impl Iterator<Item = (&str, &str)> {
        self.metadata_field(field)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
    }

    /// The stored encoding.
    pub fn encode_stored(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(b"{\"apiVersion\":");
        push_json(&mut out, &Value::from(self.api_version()));
        out.extend_from_slice(b",\"kind\":");
        push_json(&mut out, &Value::from(self.kind()));
        out.push(b',');
        out.extend_from_slice(METADATA_OPENING);
        let metadata = self.0.get("metadata").and_then(Value::as_object);
        let mut first = true;
        for (key, value) in metadata.into_iter().flatten() {
            if key != "resourceVersion" {
                push_member(&mut out, key, value, &mut first);
            }
        }
        out.push(b'}');
        first = false;
        for (key, value) in &self.0 {
            if !matches!(key.as_str(), "apiVersion" | "kind" | "metadata") {
                push_member(&mut out, key, value, &mut first);
            }
        }
        out.push(b'}');
        out
    }
}

impl ObjectHeader {
    /// Reads the header of an encoded object; everything else is skipped.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Encoded {
            metadata: Metadata,
        }
        #[derive(Deserialize)]
        struct Metadata {
            name: String,
            #[serde(default)]
            namespace: String,
            #[serde(default)]
            labels: Option<BTreeMap<Box<str>, Box<str>>>,
        }
        let Encoded {
            metadata:
                Metadata {
                    name,
                    namespace,
                    labels,
                },
        } = serde_json::from_slice(bytes)?;
        Ok(Self {
            name,
            namespace,
            labels: Labels(labels.into_iter().flatten().collect()),
        })
    }
}

impl Labels {
    /// The value of a label.
    pub fn get(&self, key: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(own, _)| (**own).cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| &**value)
    }
}

pub(crate) fn push_json(out: &mut Vec<u8>, value: &Value) {
    serde_json::to_writer(out, value).expect("a JSON value always encodes into memory");
}

fn push_member(out: &mut Vec<u8>, key: &str, value: &Value, first: &mut bool) {
    if !std::mem::take(first) {
        out.push(b',');
    }
    push_json(out, &Value::from(key));
    out.push(b':');
    push_json(out, value);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_header_is_read_without_the_rest() {
        let bytes = br#"{"metadata":{"name":"a","namespace":"n","labels":{"l":"1"}},"spec":{}}"#;
        let header = ObjectHeader::from_slice(bytes).unwrap();
        assert_eq!(
            (header.name.as_str(), header.namespace.as_str()),
            ("a", "n")
        );
        assert_eq!(header.labels.get("l"), Some("1"));
        assert_eq!(header.labels.get("m"), None);
    }

    #[test]
    fn metadata_of_a_wrong_type_is_refused_by_field() {
        let error = Object::from_value(json!({"metadata": {"labels": {"a": 1}}})).unwrap_err();
        assert_eq!(
            error,
            "json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string"
        );
    }

    /// V14: an object that is nested too deeply is refused, whatever it is made of.
    #[test]
    fn deep_nesting_is_refused_before_it_can_do_harm() {
        for depth in [128, 10_000, 1_000_000] {
            for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
                let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
                let object = format!("{{\"metadata\":{{}},\"spec\":{deep}}}");
                let error = Object::from_slice(object.as_bytes()).unwrap_err();
                assert!(error.starts_with("recursion limit exceeded"), "{error}");
            }
        }
        let deep = format!("{}1{}", "[".repeat(126), "]".repeat(126));
        assert!(Object::from_slice(format!("{{\"spec\":{deep}}}").as_bytes()).is_ok());
    }

    /// A5: an unknown field of metadata is removed and named.
    #[test]
    fn unknown_metadata_goes_and_is_named() {
        let (object, unknown) =
            Object::decode(json!({"metadata": {"name": "a", "colour": "red"}})).unwrap();
        assert_eq!(unknown, ["metadata.colour"]);
        assert_eq!(object.get("metadata"), Some(&json!({"name": "a"})));
    }
}
