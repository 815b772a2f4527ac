//! `metadata.managedFields`, read and written.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    fieldpath::{FieldsError, Set},
    time::format_time,
};

/// The only way of writing field sets.
const FIELDS_TYPE: &str = "FieldsV1";

/// How a manager wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// What tells entries apart. Those of apply have no version: a manager has one whatever it applies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ManagerId {
    pub(super) manager: String,
    pub(super) operation: Operation,
    /// Empty for apply.
    pub(super) api_version: String,
    pub(super) subresource: String,
}

/// The fields of one manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VersionedSet {
    pub(super) set: Set,
    pub(super) api_version: String,
}

/// Every manager's fields, and when each last wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Managed {
    pub(super) fields: BTreeMap<ManagerId, VersionedSet>,
    pub(super) times: BTreeMap<ManagerId, Timestamp>,
}

/// Why `metadata.managedFields` cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError(String);

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DecodeError {}

impl From<FieldsError> for DecodeError {
    fn from(error: FieldsError) -> Self {
        Self(format!("error decoding set: {error}"))
    }
}

/// What a client did with `metadata.managedFields` of an object that it wrote.
pub(super) enum Sent<'a> {
    /// Nothing, an empty list, which decoding a custom resource drops, or no list of entries.
    Nothing,
    /// Asked for a fresh start, by one empty entry.
    Reset,
    Entries(&'a [Value]),
}

impl<'a> Sent<'a> {
    pub(super) fn of(managed_fields: Option<&'a Value>) -> Self {
        let Some(Value::Array(entries)) = managed_fields else {
            return Self::Nothing;
        };
        match entries.as_slice() {
            [] => Self::Nothing,
            [Value::Object(entry)] if entry.values().all(is_unset) => Self::Reset,
            entries => Self::Entries(entries),
        }
    }
}

impl ManagerId {
    pub(super) fn new(
        manager: &str,
        operation: Operation,
        version: &str,
        subresource: &str,
    ) -> Self {
        let api_version = match operation {
            Operation::Apply => "",
            Operation::Update => version,
        };
        Self {
            manager: manager.to_owned(),
            operation,
            api_version: api_version.to_owned(),
            subresource: subresource.to_owned(),
        }
    }
}

impl Managed {
    /// Reads the entries of an object.
    pub(super) fn decode(entries: &[Value]) -> Result<Self, DecodeError> {
        let mut managed = Self::default();
        for (i, entry) in entries.iter().enumerate() {
            let operation = match text(entry, "operation")? {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => {
                    return Err(DecodeError(
                        "operation must be `Apply` or `Update`".to_owned(),
                    ));
                }
            };
            let api_version = text(entry, "apiVersion")?;
            if api_version.is_empty() {
                return Err(DecodeError("apiVersion must not be empty".to_owned()));
            }
            match text(entry, "fieldsType")? {
                FIELDS_TYPE => {}
                "" => {
                    let message = format!("missing fieldsType in managed fields entry {i}");
                    return Err(DecodeError(message));
                }
                other => {
                    let message =
                        format!("invalid fieldsType {other:?} in managed fields entry {i}");
                    return Err(DecodeError(message));
                }
            }
            let subresource = text(entry, "subresource")?;
            let id = ManagerId::new(text(entry, "manager")?, operation, api_version, subresource);
            let time = text(entry, "time")?;
            if !time.is_empty() {
                let time = time
                    .parse()
                    .map_err(|e| DecodeError(format!("time {time:?}: {e}")))?;
                managed.times.insert(id.clone(), time);
            }
            let set = entry.get("fieldsV1").map(Set::from_fields).transpose()?;
            let fields = VersionedSet {
                set: set.unwrap_or_default(),
                api_version: api_version.to_owned(),
            };
            managed.fields.insert(id, fields);
        }
        Ok(managed)
    }

    /// Reads the entries of a stored object; those that cannot be read count as none.
    pub(super) fn decode_or_empty(managed_fields: Option<&Value>) -> Self {
        match managed_fields {
            Some(Value::Array(entries)) => Self::decode(entries).unwrap_or_default(),
            _ => Self::default(),
        }
    }

    /// The entries as they stand in an object; `None` when there are none.
    pub(super) fn encode(&self) -> Option<Value> {
        let mut entries: Vec<(&ManagerId, i64, &VersionedSet)> = self
            .fields
            .iter()
            .map(|(id, fields)| (id, self.seconds(id), fields))
            .collect();
        entries.sort_by(|(l, l_seconds, l_fields), (r, r_seconds, r_fields)| {
            (l.operation.cmp(&r.operation))
                .then(l_seconds.cmp(r_seconds))
                .then_with(|| l.manager.cmp(&r.manager))
                .then_with(|| l_fields.api_version.cmp(&r_fields.api_version))
                .then_with(|| l.subresource.cmp(&r.subresource))
        });
        let entries: Vec<Value> = entries
            .into_iter()
            .map(|(id, _, fields)| self.encode_entry(id, fields))
            .collect();
        (!entries.is_empty()).then_some(Value::Array(entries))
    }

    /// When the manager last wrote, in seconds; 0 when nobody knows.
    pub(super) fn seconds(&self, id: &ManagerId) -> i64 {
        self.times.get(id).map_or(0, |time| time.as_second())
    }

    fn encode_entry(&self, id: &ManagerId, fields: &VersionedSet) -> Value {
        let operation = match id.operation {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        };
        let mut entry = json!({
            "apiVersion": fields.api_version,
            "fieldsType": FIELDS_TYPE,
            "fieldsV1": fields.set.to_fields(),
            "operation": operation,
        });
        if let Value::Object(entry) = &mut entry {
            for (key, value) in [("manager", &id.manager), ("subresource", &id.subresource)] {
                if !value.is_empty() {
                    entry.insert(key.to_owned(), Value::from(value.as_str()));
                }
            }
            if let Some(time) = self.times.get(id) {
                entry.insert("time".to_owned(), Value::from(format_time(*time)));
            }
        }
        entry
    }
}

/// Whether a field of an entry counts as absent.
fn is_unset(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(str::is_empty)
}

/// A string of an entry; empty when absent or null.
fn text<'a>(entry: &'a Value, key: &str) -> Result<&'a str, DecodeError> {
    match entry.as_object().and_then(|e: &Map<_, _>| e.get(key)) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(DecodeError(format!("{key} must be a string"))),
    }
}
