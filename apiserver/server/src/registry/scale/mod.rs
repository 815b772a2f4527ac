//! The `scale` subresource: `autoscaling/v1` `Scale` as a window on an object.
//!
//! Mirrors `ScaleREST` of `k8s.io/apiextensions-apiserver/pkg/registry/customresource/etcd.go`. Known
//! deviation: who owns the replicas is kept in the object's own terms, so `managedFields` of a `Scale`
//! are not shown.

use apimachinery::{
    ApiError, FieldError, Object, PrinterColumn, ResourceDefinition, ResourceNames, ScalePaths,
    Scope, schema::Schema, table::TableConverter,
};
use serde_json::{Map, Value, json};

use super::{
    Apply, Current, Patch, Store, Subresource, WriteOptions, Written,
    create::{FieldOwnership, is_conflict},
    patch::ATTEMPTS,
    update::Change,
};

const API_VERSION: &str = "autoscaling/v1";
const KIND: &str = "Scale";

/// Where `scale` reads and writes in an object, and how it is printed.
#[derive(Debug)]
pub(super) struct Scale {
    spec_replicas: Vec<String>,
    status_replicas: Vec<String>,
    label_selector: Option<Vec<String>>,
    pub(super) table: TableConverter,
}

/// A change of a scale, as a client sends it.
#[derive(Clone, Copy, Debug)]
pub enum ScaleChange<'a> {
    /// A whole `Scale`.
    Replace(&'a Object),
    /// A patch of one.
    Patch(&'a Patch),
    /// A `Scale` to apply.
    Apply(&'a Apply),
}

impl Scale {
    /// # Errors
    /// A sentence that names the path which is no chain of members.
    pub(super) fn new(paths: &ScalePaths) -> Result<Self, String> {
        Ok(Self {
            spec_replicas: segments(&paths.spec_replicas)?,
            status_replicas: segments(&paths.status_replicas)?,
            label_selector: paths.label_selector.as_deref().map(segments).transpose()?,
            table: TableConverter::new(&printed()?)?,
        })
    }

    /// The scale of an object; its `spec` is empty where the object says nothing.
    fn of(&self, object: &Object) -> Value {
        let at = |path: &[String]| look_up(object.fields(), path);
        let mut metadata = Map::new();
        for field in [
            "name",
            "namespace",
            "uid",
            "resourceVersion",
            "creationTimestamp",
        ] {
            if let Some(value) = object.metadata_field(field) {
                metadata.insert(field.to_owned(), value.clone());
            }
        }
        let mut spec = Map::new();
        if let Some(replicas) = at(&self.spec_replicas).filter(|v| v.is_i64()) {
            spec.insert("replicas".to_owned(), replicas.clone());
        }
        let replicas = at(&self.status_replicas).and_then(Value::as_i64);
        let mut status = json!({ "replicas": replicas.unwrap_or_default() });
        let selector = self.label_selector.as_ref().and_then(|path| at(path));
        if let Some(selector) = selector.filter(|v| v.is_string()) {
            status["selector"] = selector.clone();
        }
        json!({
            "kind": KIND, "apiVersion": API_VERSION, "metadata": metadata,
            "spec": spec, "status": status,
        })
    }
}

impl Store {
    /// The scale of an object.
    ///
    /// # Errors
    /// 404 for an object that does not exist or has no scale.
    pub async fn scale(
        &self,
        namespace: &str,
        name: &str,
        resource_version: Option<u64>,
    ) -> Result<Value, ApiError> {
        let scale = self.scale_paths(name)?;
        let entry = self.get(namespace, name, resource_version).await?;
        let object = Object::from_slice(&entry.served()).map_err(ApiError::internal)?;
        Ok(scale.of(&object))
    }

    /// Changes the replicas of an object and gives its scale.
    ///
    /// # Errors
    /// As [`Store::update`]; 422 for replicas that are no number of replicas.
    pub async fn update_scale(
        &self,
        namespace: &str,
        name: &str,
        change: ScaleChange<'_>,
        options: &WriteOptions,
    ) -> Result<Written, ApiError> {
        let scale = self.scale_paths(name)?;
        let key = self.key(namespace, name);
        let mut attempt = 1;
        loop {
            let current = self.current(&key, name).await?;
            let (object, ownership, has_version) =
                self.scaled(scale, name, &current, change, options)?;
            let change = Change {
                key: key.clone(),
                name,
                current,
                object,
                subresource: Subresource::Scale,
                ownership,
            };
            match self.replace(change, options).await {
                Err(error) if is_conflict(&error) && !has_version && attempt < ATTEMPTS => {
                    attempt += 1;
                }
                Err(error) => return Err(error),
                Ok(written) => {
                    let object = Object::from_slice(&written.object).map_err(ApiError::internal)?;
                    let object = scale.of(&object).to_string().into();
                    return Ok(Written { object, ..written });
                }
            }
        }
    }

    fn scale_paths(&self, name: &str) -> Result<&Scale, ApiError> {
        let scale = self.scale.as_ref();
        scale.ok_or_else(|| ApiError::not_found(&self.resource, name))
    }

    /// The object with the replicas that the change asks for, who keeps its owners, and whether the
    /// client named the version that it changes.
    fn scaled(
        &self,
        scale: &Scale,
        name: &str,
        current: &Current,
        change: ScaleChange<'_>,
        options: &WriteOptions,
    ) -> Result<(Object, FieldOwnership, bool), ApiError> {
        let live = current.as_served(self);
        let version = live.resource_version().to_owned();
        let sent = match change {
            ScaleChange::Replace(sent) => sent.clone(),
            ScaleChange::Apply(apply) => apply.object.clone(),
            ScaleChange::Patch(patch) => {
                let mut value = scale.of(&live);
                patch.apply(&mut value)?;
                Object::from_value(value).map_err(ApiError::bad_request)?
            }
        };
        let replicas = wanted_replicas(&sent, name)?;
        let sent_version = sent.resource_version();
        let has_version = !sent_version.is_empty() && sent_version != version;
        if let ScaleChange::Apply(apply) = change {
            let mut wanted = Object::from_value(json!({
                "apiVersion": live.api_version(), "kind": live.kind(),
                "metadata": { "name": name },
            }))
            .map_err(ApiError::internal)?;
            put(wanted.fields_mut(), &scale.spec_replicas, replicas);
            let (manager, force) = (&options.manager, apply.force);
            let now = jiff::Timestamp::now();
            let fields = &self.field_manager;
            let merged = fields.apply(Some(&live), &wanted, manager, "scale", force, now)?;
            return Ok((merged, FieldOwnership::Settled, has_version));
        }
        let mut object = live;
        put(object.fields_mut(), &scale.spec_replicas, replicas);
        if has_version {
            object.set_metadata_field("resourceVersion", Some(json!(sent_version)));
        }
        Ok((object, FieldOwnership::Track, has_version))
    }
}

/// The replicas that a `Scale` asks for.
fn wanted_replicas(scale: &Object, name: &str) -> Result<Value, ApiError> {
    let invalid = |error: FieldError| ApiError::invalid("autoscaling", KIND, name, &[error]);
    if scale.kind() != KIND || scale.api_version() != API_VERSION {
        return Err(ApiError::bad_request(format!(
            "the scale of an object is written as {API_VERSION} {KIND}, not as {:?} {:?}",
            scale.api_version(),
            scale.kind()
        )));
    }
    if scale.name() != name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({name})",
            scale.name()
        )));
    }
    let replicas = scale.get("spec").and_then(|spec| spec.get("replicas"));
    let Some(replicas) = replicas.filter(|replicas| !replicas.is_null()) else {
        return Err(ApiError::bad_request(
            "the spec replicas field \"spec.replicas\" cannot be empty",
        ));
    };
    match replicas.as_i64() {
        Some(count) if count < 0 => Err(invalid(FieldError::invalid(
            "spec.replicas",
            replicas,
            "must be greater than or equal to 0",
        ))),
        Some(count) if i32::try_from(count).is_ok() => Ok(replicas.clone()),
        _ => Err(invalid(FieldError::invalid(
            "spec.replicas",
            replicas,
            "must be a whole number of at most 2147483647",
        ))),
    }
}

/// `.spec.replicas` as its members.
fn segments(path: &str) -> Result<Vec<String>, String> {
    let members = path.strip_prefix('.').filter(|p| !p.contains(['[', '*']));
    let members: Vec<String> = members
        .unwrap_or_default()
        .split('.')
        .map(str::to_owned)
        .collect();
    if members.iter().any(String::is_empty) {
        return Err(format!(
            "scale: the path {path:?} must be a chain of members such as .spec.replicas"
        ));
    }
    Ok(members)
}

fn look_up<'a>(fields: &'a Map<String, Value>, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let start = fields.get(first)?;
    rest.iter()
        .try_fold(start, |value, member| value.get(member))
}

/// Sets a member, with the objects on the way to it.
fn put(fields: &mut Map<String, Value>, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if rest.is_empty() {
        fields.insert(first.clone(), value);
        return;
    }
    let child = fields.entry(first.clone()).or_insert_with(|| json!({}));
    if !child.is_object() {
        *child = json!({});
    }
    if let Some(child) = child.as_object_mut() {
        put(child, rest, value);
    }
}

/// `Scale` as a kind, for its columns in `kubectl get --subresource=scale`.
fn printed() -> Result<ResourceDefinition, String> {
    let column =
        |name: &str, column_type: &str, json_path: &str, description: &str| PrinterColumn {
            name: name.to_owned(),
            column_type: column_type.to_owned(),
            json_path: json_path.to_owned(),
            description: description.to_owned(),
            priority: 0,
        };
    Ok(ResourceDefinition {
        group: "autoscaling".to_owned(),
        version: "v1".to_owned(),
        names: ResourceNames {
            kind: KIND.to_owned(),
            list_kind: "ScaleList".to_owned(),
            plural: "scales".to_owned(),
            singular: "scale".to_owned(),
            short_names: Vec::new(),
            categories: Vec::new(),
        },
        scope: Scope::Namespaced,
        schema: Schema::parse(json!({ "type": "object" }))?,
        status_subresource: false,
        scale: None,
        subresources: Vec::new(),
        selectable_fields: Vec::new(),
        columns: vec![
            column(
                "Desired",
                "integer",
                ".spec.replicas",
                "Replicas that are wanted.",
            ),
            column(
                "Available",
                "integer",
                ".status.replicas",
                "Replicas that there are.",
            ),
            column(
                "Age",
                "date",
                ".metadata.creationTimestamp",
                "When the object was made.",
            ),
        ],
    })
}

#[cfg(test)]
mod tests;
