//! The served encoding of an object, made from its stored one without parsing.

use std::io::Write;

use serde_json::Value;

use crate::object::{METADATA_OPENING, push_json};

/// How objects of one kind are served in one version: what each starts with, up to its resource
/// version. The rest is the stored encoding from [`tail_offset`](Self::tail_offset) on.
#[derive(Clone, Debug)]
pub struct ServedForm {
    head: Vec<u8>,
}

impl ServedForm {
    /// The form of a kind in a version, such as `data.kubedojo.io/v1alpha1`.
    pub fn new(api_version: &str, kind: &str) -> Self {
        let mut head = b"{\"apiVersion\":".to_vec();
        push_json(&mut head, &Value::from(api_version));
        head.extend_from_slice(b",\"kind\":");
        push_json(&mut head, &Value::from(kind));
        head.push(b',');
        head.extend_from_slice(METADATA_OPENING);
        head.extend_from_slice(b"\"resourceVersion\":\"");
        Self { head }
    }

    /// Where the metadata of a stored encoding begins; `None` for bytes that
    /// [`Object::encode_stored`](crate::Object::encode_stored) did not make.
    pub fn tail_offset(stored: &[u8]) -> Option<usize> {
        let opening = METADATA_OPENING.len();
        let mut windows = stored.windows(opening);
        Some(windows.position(|w| w == METADATA_OPENING)? + opening)
    }

    /// How long a served object with this tail is, in bytes.
    pub fn served_len(&self, tail: &[u8], revision: u64) -> usize {
        self.head.len() + decimal_digits(revision) + 1 + separator(tail).len() + tail.len()
    }

    /// Appends a served object.
    pub fn write(&self, tail: &[u8], revision: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        // Writing into memory cannot fail.
        let _ = write!(out, "{revision}");
        out.push(b'"');
        out.extend_from_slice(separator(tail));
        out.extend_from_slice(tail);
    }
}

fn separator(tail: &[u8]) -> &'static [u8] {
    if tail.first() == Some(&b'}') {
        b""
    } else {
        b","
    }
}

fn decimal_digits(number: u64) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::Object;

    fn serve(form: &ServedForm, object: &Object, revision: u64) -> Object {
        let stored = object.encode_stored();
        assert!(!stored.windows(17).any(|w| w == b"\"resourceVersion\""));
        let tail = &stored[ServedForm::tail_offset(&stored).unwrap()..];
        let mut served = Vec::new();
        form.write(tail, revision, &mut served);
        assert_eq!(served.len(), form.served_len(tail, revision));
        Object::from_slice(&served).unwrap()
    }

    #[test]
    fn a_served_object_is_the_stored_one_with_its_revision() {
        let object = Object::from_value(json!({
            "data": {"metadata": {"x": "\"metadata\":{"}},
            "kind": "K", "apiVersion": "g/v",
            "metadata": {"name": "a", "resourceVersion": "7", "labels": {"l": "1"}},
        }))
        .unwrap();
        let served = serve(&ServedForm::new("g/v2", "K"), &object, 12);
        let mut expected = object;
        expected.set("apiVersion", Some(json!("g/v2")));
        expected.set_metadata_field("resourceVersion", Some(json!("12")));
        assert_eq!(served, expected);
    }

    proptest! {
        #[test]
        fn any_string_survives_the_two_encodings(text in "\\PC{0,20}", revision: u64) {
            let object = Object::from_value(json!({
                "apiVersion": text, "kind": text, "metadata": {"name": text}, "spec": {"a": text},
            })).unwrap();
            let served = serve(&ServedForm::new(&text, "K"), &object, revision);
            prop_assert_eq!(served.name(), text.as_str());
            prop_assert_eq!(served.api_version(), text.as_str());
            prop_assert_eq!(served.resource_version(), revision.to_string());
            prop_assert_eq!(served.get("spec"), object.get("spec"));
        }
    }
}
