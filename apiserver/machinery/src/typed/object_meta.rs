//! The type of `metadata`: the merge keys of `k8s.io/apimachinery/pkg/apis/meta/v1.ObjectMeta`.

use std::{collections::BTreeMap, sync::Arc};

use super::schema::{Atom, Field, List, ListRelationship, Map, Scalar, TypeRef};

const STRINGS: &[&str] = &[
    "generateName",
    "name",
    "namespace",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// `ObjectMeta`, with this type for `managedFields`.
pub(super) fn atom(managed_fields: TypeRef) -> Atom {
    let string = || TypeRef::scalar(Scalar::String);
    let mut fields: Vec<(&str, TypeRef)> = STRINGS.iter().map(|name| (*name, string())).collect();
    for name in ["annotations", "labels"] {
        fields.push((name, TypeRef::inlined(map([], string(), Merge::ByMember))));
    }
    for name in ["creationTimestamp", "deletionTimestamp"] {
        fields.push((name, TypeRef::scalar(Scalar::Untyped)));
    }
    for name in ["deletionGracePeriodSeconds", "generation"] {
        fields.push((name, TypeRef::scalar(Scalar::Numeric)));
    }
    let owners = ListRelationship::Keys(vec![Arc::from("uid")]);
    fields.push(("finalizers", list(string(), ListRelationship::Set)));
    fields.push(("managedFields", managed_fields));
    fields.push(("ownerReferences", list(owner_reference(), owners)));
    map(fields, TypeRef::UNDECLARED, Merge::ByMember)
}

/// `managedFields` of an embedded resource: an atomic list of `ManagedFieldsEntry`.
pub(super) fn managed_fields() -> Atom {
    let strings = [
        "apiVersion",
        "fieldsType",
        "manager",
        "operation",
        "subresource",
    ];
    let mut fields: Vec<(&str, TypeRef)> = strings
        .iter()
        .map(|name| (*name, TypeRef::scalar(Scalar::String)))
        .collect();
    fields.push((
        "fieldsV1",
        TypeRef::inlined(map([], TypeRef::DEDUCED, Merge::ByMember)),
    ));
    fields.push(("time", TypeRef::scalar(Scalar::Untyped)));
    let entry = map(fields, TypeRef::UNDECLARED, Merge::ByMember);
    Atom {
        list: Some(List {
            element: TypeRef::inlined(entry),
            relationship: ListRelationship::Atomic,
        }),
        ..Atom::default()
    }
}

fn owner_reference() -> TypeRef {
    let mut fields: Vec<(&str, TypeRef)> = ["apiVersion", "kind", "name", "uid"]
        .iter()
        .map(|name| (*name, TypeRef::scalar(Scalar::String)))
        .collect();
    for name in ["blockOwnerDeletion", "controller"] {
        fields.push((name, TypeRef::scalar(Scalar::Boolean)));
    }
    TypeRef::inlined(map(fields, TypeRef::UNDECLARED, Merge::Atomic))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Merge {
    Atomic,
    ByMember,
}

fn map<'a>(
    fields: impl IntoIterator<Item = (&'a str, TypeRef)>,
    element: TypeRef,
    merge: Merge,
) -> Atom {
    let fields: BTreeMap<String, Field> = fields
        .into_iter()
        .map(|(name, type_ref)| {
            let default = None;
            (name.to_owned(), Field { type_ref, default })
        })
        .collect();
    Atom {
        map: Some(Map {
            fields,
            element,
            atomic: merge == Merge::Atomic,
        }),
        ..Atom::default()
    }
}

fn list(element: TypeRef, relationship: ListRelationship) -> TypeRef {
    TypeRef::inlined(Atom {
        list: Some(List {
            element,
            relationship,
        }),
        ..Atom::default()
    })
}
