//! The rules of a structural schema.
//!
//! Mirrors `schema/validation.go`, `schema/complete.go` and `schema/defaulting/validation.go` of
//! `k8s.io/apiextensions-apiserver/pkg/apiserver`, and of its
//! `pkg/apis/apiextensions/validation/validation.go` what concerns one level. Errors are sorted, as
//! upstream's first half of them is.

use serde_json::{Value, json};

use super::{ListType, MapType, Node, Schema, ValueType, embedded, join, prune};
use crate::field::FieldError;

/// Every rule that a parsed schema breaks.
pub(super) fn check(root: &Node) -> Vec<FieldError> {
    let mut errors = Vec::new();
    level(root, Place::Root, "", &mut errors);
    complete_validation(root, Some(root), "", "", &mut errors);
    if root.nullable {
        errors.push(FieldError::forbidden(
            "nullable",
            "nullable cannot be true at the root",
        ));
    }
    if errors.is_empty() {
        defaults(root, Inside::Resource, "", &mut errors);
    }
    errors.sort_by_cached_key(ToString::to_string);
    errors
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Root,
    Item,
    Field,
}

fn level(node: &Node, place: Place, path: &str, errors: &mut Vec<FieldError>) {
    let at = |keyword: &str| join(path, keyword);
    let x = &node.extensions;
    if node.value_type == Some(ValueType::Array) && node.items.is_none() {
        errors.push(FieldError::required(at("items"), "must be specified"));
    }
    if let Some(items) = &node.items {
        level(items, Place::Item, &at("items"), errors);
    }
    for (name, child) in &node.properties {
        level(
            child,
            Place::Field,
            &at(&format!("properties[{name}]")),
            errors,
        );
    }
    if let Some(child) = &node.additional_properties {
        additional_properties(node, child, place, path, errors);
    }
    if x.int_or_string && x.preserve_unknown_fields {
        let path = at("x-kubernetes-preserve-unknown-fields");
        let problem = "must be false if x-kubernetes-int-or-string is true";
        errors.push(FieldError::invalid(path, &json!(true), problem));
    }
    if x.int_or_string && x.embedded_resource {
        let path = at("x-kubernetes-embedded-resource");
        let problem = "must be false if x-kubernetes-int-or-string is true";
        errors.push(FieldError::invalid(path, &json!(true), problem));
    }
    let rules = &node.validation;
    let any_of = (!is_int_or_string(&rules.any_of)).then_some(&rules.any_of);
    let first_of_all = rules.all_of.first();
    let skip_in_first = first_of_all.is_some_and(|f| is_int_or_string(&f.validation.any_of));
    nested_lists(node, any_of, skip_in_first, path, errors);
    type_rules(node, place, path, errors);
    list_and_map_rules(node, path, errors);
    if place == Place::Root || x.embedded_resource {
        for name in ["kind", "apiVersion"] {
            let child = node.properties.get(name);
            if child.is_some_and(|c| c.value_type != Some(ValueType::String)) {
                let path = at(&format!("properties[{name}].type"));
                errors.push(FieldError::invalid(path, &type_of(child), "must be string"));
            }
        }
        if let Some(metadata) = node.properties.get("metadata") {
            metadata_rules(metadata, place, &at("properties[metadata]"), errors);
        }
    }
    if x.embedded_resource && !x.preserve_unknown_fields && node.properties.is_empty() {
        errors.push(FieldError::required(
            at("properties"),
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
        ));
    }
}

fn type_of(node: Option<&Node>) -> Value {
    json!(node.and_then(|n| n.value_type).map_or("", ValueType::name))
}

fn additional_properties(
    node: &Node,
    child: &Node,
    place: Place,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    let at = join(path, "additionalProperties");
    if place == Place::Root {
        errors.push(FieldError::forbidden(
            at.as_str(),
            "must not be used at the root",
        ));
    }
    level(child, Place::Field, &at, errors);
    if node.extensions.embedded_resource {
        errors.push(FieldError::forbidden(
            at.as_str(),
            "must not be used if x-kubernetes-embedded-resource is set",
        ));
    }
    if !node.properties.is_empty() {
        errors.push(FieldError::forbidden(
            at,
            "additionalProperties and properties are mutual exclusive",
        ));
    }
}

fn type_rules(node: &Node, place: Place, path: &str, errors: &mut Vec<FieldError>) {
    let at = join(path, "type");
    let x = &node.extensions;
    match node.value_type {
        Some(ValueType::Object) => {}
        found if x.embedded_resource => {
            let problem = "must be object if x-kubernetes-embedded-resource is true";
            errors.push(match found {
                None => FieldError::required(at.as_str(), problem),
                Some(found) => FieldError::invalid(at.as_str(), &json!(found.name()), problem),
            });
        }
        None if !x.int_or_string && !x.preserve_unknown_fields => {
            let problem = match place {
                Place::Root => "must not be empty at the root",
                Place::Item => "must not be empty for specified array items",
                Place::Field => "must not be empty for specified object fields",
            };
            errors.push(FieldError::required(at.as_str(), problem));
        }
        _ => {}
    }
    if let Some(found) = node.value_type
        && place == Place::Root
        && found != ValueType::Object
    {
        errors.push(FieldError::invalid(
            at,
            &json!(found.name()),
            "must be object at the root",
        ));
    }
}

/// At the root only the names may be restricted, since the rest of `metadata` is what it is.
fn metadata_rules(metadata: &Node, place: Place, path: &str, errors: &mut Vec<FieldError>) {
    if metadata.value_type != Some(ValueType::Object) {
        let path = join(path, "type");
        errors.push(FieldError::invalid(
            path,
            &type_of(Some(metadata)),
            "must be object",
        ));
    }
    let named = |name: &String| matches!(name.as_str(), "name" | "generateName");
    let plain = metadata.properties.keys().all(named)
        && metadata.items.is_none()
        && metadata.additional_properties.is_none()
        && !metadata.nullable
        && metadata.extensions == super::Extensions::default()
        && metadata.validation.is_empty();
    if place == Place::Root && !plain {
        errors.push(FieldError::forbidden(
            path,
            "must not specify anything other than name and generateName, but metadata is implicitly specified",
        ));
    }
}

/// The one junctor that may speak of types: `anyOf: [{type: integer}, {type: string}]`.
fn is_int_or_string(any_of: &[Node]) -> bool {
    let [integer, string] = any_of else {
        return false;
    };
    let only = |node: &Node, value_type| {
        node.value_type == Some(value_type)
            && node.is_value_validation()
            && node.validation.is_empty()
    };
    only(integer, ValueType::Integer) && only(string, ValueType::String)
}

impl Node {
    /// Whether the level says nothing of structure, apart from its type and its members.
    fn is_value_validation(&self) -> bool {
        self.additional_properties.is_none()
            && self.default.is_none()
            && !self.nullable
            && self.properties.is_empty()
            && self.items.is_none()
            && self.extensions == super::Extensions::default()
    }
}

fn nested_lists(
    node: &Node,
    any_of: Option<&Vec<Node>>,
    skip_in_first: bool,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    let rules = &node.validation;
    for (i, child) in any_of.into_iter().flatten().enumerate() {
        nested(
            child,
            Some(&child.validation.any_of),
            &join(path, &format!("anyOf[{i}]")),
            errors,
        );
    }
    for (i, child) in rules.all_of.iter().enumerate() {
        let any_of = (i > 0 || !skip_in_first).then_some(&child.validation.any_of);
        nested(child, any_of, &join(path, &format!("allOf[{i}]")), errors);
    }
    for (i, child) in rules.one_of.iter().enumerate() {
        nested(
            child,
            Some(&child.validation.any_of),
            &join(path, &format!("oneOf[{i}]")),
            errors,
        );
    }
    if let Some(child) = &rules.not {
        nested(
            child,
            Some(&child.validation.any_of),
            &join(path, "not"),
            errors,
        );
    }
}

/// A level under a junctor may validate values only.
fn nested(node: &Node, any_of: Option<&Vec<Node>>, path: &str, errors: &mut Vec<FieldError>) {
    nested_lists(node, any_of, false, path, errors);
    if let Some(items) = &node.items {
        nested(
            items,
            Some(&items.validation.any_of),
            &join(path, "items"),
            errors,
        );
    }
    for (name, child) in &node.properties {
        let at = join(path, &format!("properties[{name}]"));
        nested(child, Some(&child.validation.any_of), &at, errors);
    }
    let x = &node.extensions;
    let forbidden = [
        (node.value_type.is_some(), "type", "empty"),
        (
            node.additional_properties.is_some(),
            "additionalProperties",
            "undefined",
        ),
        (node.default.is_some(), "default", "undefined"),
        (node.nullable, "nullable", "false"),
        (
            x.preserve_unknown_fields,
            "x-kubernetes-preserve-unknown-fields",
            "false",
        ),
        (
            x.embedded_resource,
            "x-kubernetes-embedded-resource",
            "false",
        ),
        (x.int_or_string, "x-kubernetes-int-or-string", "false"),
        (
            !x.list_map_keys.is_empty(),
            "x-kubernetes-list-map-keys",
            "empty",
        ),
        (
            x.list_type != ListType::Atomic,
            "x-kubernetes-list-type",
            "undefined",
        ),
        (
            x.map_type != MapType::Granular,
            "x-kubernetes-map-type",
            "undefined",
        ),
    ];
    for (present, keyword, wanted) in forbidden {
        if present {
            let problem = format!("must be {wanted} to be structural");
            errors.push(FieldError::forbidden(join(path, keyword), problem));
        }
    }
    list_and_map_rules(node, path, errors);
    if node.properties.contains_key("metadata") {
        errors.push(FieldError::forbidden(
            join(path, "properties[metadata]"),
            "must not be specified in a nested context",
        ));
    }
}

fn list_and_map_rules(node: &Node, path: &str, errors: &mut Vec<FieldError>) {
    let at = |keyword: &str| join(path, keyword);
    let x = &node.extensions;
    if x.map_type != MapType::Granular && node.value_type != Some(ValueType::Object) {
        let problem = "must be object if x-kubernetes-map-type is specified";
        errors.push(wrong_type(node, at("type"), problem));
    }
    if x.list_type != ListType::Atomic && node.value_type != Some(ValueType::Array) {
        let problem = "must be array if x-kubernetes-list-type is specified";
        errors.push(wrong_type(node, at("type"), problem));
    } else if x.list_type == ListType::Set {
        let items = node.items.as_deref();
        let problem = "must be atomic as item of a list with x-kubernetes-list-type=set";
        match items.map(|i| (i.value_type, &i.extensions)) {
            Some((Some(ValueType::Array), of)) if of.list_type != ListType::Atomic => {
                let path = at("items.x-kubernetes-list-type");
                errors.push(FieldError::invalid(
                    path,
                    &list_type_name(of.list_type),
                    problem,
                ));
            }
            Some((Some(ValueType::Object), of)) if of.map_type != MapType::Atomic => {
                let path = at("items.x-kubernetes-map-type");
                errors.push(FieldError::invalid(path, &Value::Null, problem));
            }
            _ => {}
        }
    }
    if !x.list_map_keys.is_empty() && x.list_type != ListType::Map {
        let problem = "must be map if x-kubernetes-list-map-keys is non-empty";
        errors.push(match x.list_type {
            ListType::Set => {
                FieldError::invalid(at("x-kubernetes-list-type"), &json!("set"), problem)
            }
            _ => FieldError::required(at("x-kubernetes-list-type"), problem),
        });
    }
    if x.list_type != ListType::Atomic && node.items.as_ref().is_some_and(|i| i.nullable) {
        let name = list_type_name(x.list_type);
        let name = name.as_str().unwrap_or_default();
        let problem = format!("cannot be nullable when x-kubernetes-list-type is {name}");
        errors.push(FieldError::forbidden(at("items.nullable"), problem));
    }
    if x.list_type == ListType::Map {
        map_list_rules(node, path, errors);
    }
}

fn list_type_name(list_type: ListType) -> Value {
    json!(match list_type {
        ListType::Atomic => "atomic",
        ListType::Set => "set",
        ListType::Map => "map",
    })
}

fn wrong_type(node: &Node, path: String, problem: &str) -> FieldError {
    match node.value_type {
        None => FieldError::required(path, problem),
        Some(found) => FieldError::invalid(path, &json!(found.name()), problem),
    }
}

fn map_list_rules(node: &Node, path: &str, errors: &mut Vec<FieldError>) {
    let at = |keyword: &str| join(path, keyword);
    let keys = &node.extensions.list_map_keys;
    if keys.is_empty() {
        errors.push(FieldError::required(
            at("x-kubernetes-list-map-keys"),
            "must not be empty if x-kubernetes-list-type is map",
        ));
    }
    let Some(items) = &node.items else {
        errors.push(FieldError::required(
            at("items"),
            "must have a schema if x-kubernetes-list-type is map",
        ));
        return;
    };
    if items.value_type != Some(ValueType::Object) {
        let problem = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(FieldError::invalid(
            at("items.type"),
            &type_of(Some(items)),
            problem,
        ));
    }
    for (i, key) in keys.iter().enumerate() {
        if keys.iter().take(i).any(|earlier| earlier == key) {
            let path = at("x-kubernetes-list-map-keys");
            let problem = "must not contain duplicate entries";
            errors.push(FieldError::invalid(path, &json!(keys), problem));
        }
        let Some(property) = items.properties.get(key) else {
            let path = at("x-kubernetes-list-map-keys");
            let problem = "entries must all be names of item properties";
            errors.push(FieldError::invalid(path, &json!(keys), problem));
            continue;
        };
        let at_key = |keyword: &str| at(&format!("items.properties[{key}].{keyword}"));
        if matches!(
            property.value_type,
            Some(ValueType::Array | ValueType::Object)
        ) {
            let problem = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            errors.push(FieldError::invalid(
                at_key("type"),
                &type_of(Some(items)),
                problem,
            ));
        }
        if !items.validation.required.contains(key) && property.default.is_none() {
            errors.push(FieldError::required(
                at_key("default"),
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
            ));
        }
        if property.nullable {
            errors.push(FieldError::forbidden(
                at_key("nullable"),
                "this property is in x-kubernetes-list-map-keys, so it cannot be nullable",
            ));
        }
    }
}

/// Every value validation needs the level that it is about: `node` holds junctors, `of` is the level.
fn complete_validation(
    node: &Node,
    of: Option<&Node>,
    of_path: &str,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    let rules = &node.validation;
    let lists = [
        ("allOf", &rules.all_of),
        ("anyOf", &rules.any_of),
        ("oneOf", &rules.one_of),
    ];
    if let Some(child) = &rules.not {
        complete(child, of, of_path, &join(path, "not"), errors);
    }
    for (keyword, list) in lists {
        for (i, child) in list.iter().enumerate() {
            let path = join(path, &format!("{keyword}[{i}]"));
            complete(child, of, of_path, &path, errors);
        }
    }
}

fn complete(
    node: &Node,
    of: Option<&Node>,
    of_path: &str,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    let Some(level) = of else {
        let problem = format!("because it is defined in {path}");
        errors.push(FieldError::required(of_path, problem));
        return;
    };
    complete_validation(node, of, of_path, path, errors);
    if let Some(items) = &node.items {
        let of = level.items.as_deref();
        complete(
            items,
            of,
            &join(of_path, "items"),
            &join(path, "items"),
            errors,
        );
    }
    for (name, child) in &node.properties {
        let place = format!("properties[{name}]");
        let of = level.properties.get(name);
        complete(
            child,
            of,
            &join(of_path, &place),
            &join(path, &place),
            errors,
        );
    }
}

/// What surrounds a default, which decides whether there may be one.
#[derive(Clone, Copy, PartialEq)]
enum Inside {
    /// An object with a type and metadata of its own: its members `apiVersion`, `kind` and
    /// `metadata` have no defaults.
    Resource,
    Other,
}

/// Defaults must be pruned and valid themselves.
fn defaults(node: &Node, inside: Inside, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(default) = &node.default {
        let at = join(path, "default");
        if Schema::has_unknown_fields(node, default) {
            let problem = "must not have unknown fields";
            errors.push(FieldError::invalid(at.as_str(), default, problem));
        }
        if let Err(error) = Schema::coerce_default(node, default, &at) {
            errors.push(error);
        } else {
            let problems = embedded::validate_value(node, default, &at);
            let problems = if problems.is_empty() {
                Schema::validate_default(node, default, &at)
            } else {
                problems
            };
            errors.extend(problems);
        }
    }
    if let Some(items) = &node.items {
        defaults(items, Inside::Other, &join(path, "items"), errors);
    }
    if let Some(child) = &node.additional_properties {
        defaults(
            child,
            Inside::Other,
            &join(path, "additionalProperties"),
            errors,
        );
    }
    for (name, child) in &node.properties {
        let at = join(path, &format!("properties[{name}]"));
        let is_resource = inside == Inside::Resource || node.extensions.embedded_resource;
        if is_resource && prune::is_type_or_object_meta(name) {
            if path.is_empty() {
                no_defaults(child, name, &at, errors);
            }
            continue;
        }
        defaults(child, Inside::Other, &at, errors);
    }
}

fn no_defaults(node: &Node, top: &str, path: &str, errors: &mut Vec<FieldError>) {
    if node.default.is_some() {
        let problem = format!("must not be set in top-level {top}");
        errors.push(FieldError::forbidden(join(path, "default"), problem));
    }
    for (name, child) in &node.properties {
        let path = join(path, &format!("properties[{name}]"));
        no_defaults(child, top, &path, errors);
    }
}
