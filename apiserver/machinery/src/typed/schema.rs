//! The types that walks follow, made from a structural schema.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use serde_json::Value;

use super::object_meta;
use crate::fieldpath::PathElement;
use crate::schema::{ListType, MapType, Node, Schema, ValueType};

/// What a value may be: any of these.
#[derive(Debug, Default)]
pub(super) struct Atom {
    pub(super) scalar: Option<Scalar>,
    pub(super) list: Option<List>,
    pub(super) map: Option<Map>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Numeric,
    String,
    Boolean,
    Untyped,
}

#[derive(Debug)]
pub(super) struct List {
    pub(super) element: TypeRef,
    pub(super) relationship: ListRelationship,
}

/// How the items of a list are told apart.
#[derive(Debug)]
pub(super) enum ListRelationship {
    /// They are not: the list is one value.
    Atomic,
    /// By their value.
    Set,
    /// By these members, in the order of the schema.
    Keys(Vec<Arc<str>>),
}

#[derive(Debug)]
pub(super) struct Map {
    pub(super) fields: BTreeMap<String, Field>,
    /// The type of members that are no field.
    pub(super) element: TypeRef,
    /// Whether the map is one value.
    pub(super) atomic: bool,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) type_ref: TypeRef,
    pub(super) default: Option<Value>,
}

/// The type of the objects of a resource.
#[derive(Debug)]
pub(crate) struct ObjectType(Atom);

/// The type of a part of an object.
#[derive(Debug)]
pub(super) struct TypeRef(Kind);

#[derive(Debug)]
enum Kind {
    /// There is no such field.
    Undeclared,
    /// The field is there, and no walk looks at it.
    Ignored,
    Inlined(Box<Atom>),
    /// Anything, as one value.
    AtomicUntyped,
    /// Anything, with maps merged by member.
    Deduced,
    ObjectMeta,
}

static NOTHING: LazyLock<Atom> = LazyLock::new(Atom::default);
static ATOMIC_UNTYPED: LazyLock<Atom> =
    LazyLock::new(|| any(|| TypeRef::ATOMIC_UNTYPED, Merge::Atomic));
static DEDUCED: LazyLock<Atom> = LazyLock::new(|| any(|| TypeRef::DEDUCED, Merge::ByMember));
static OBJECT_META: LazyLock<Atom> = LazyLock::new(|| {
    object_meta::atom(TypeRef(Kind::Inlined(Box::new(
        object_meta::managed_fields(),
    ))))
});

#[derive(Clone, Copy, PartialEq, Eq)]
enum Merge {
    Atomic,
    ByMember,
}

fn any(element: fn() -> TypeRef, merge: Merge) -> Atom {
    Atom {
        scalar: Some(Scalar::Untyped),
        list: Some(List {
            element: TypeRef::ATOMIC_UNTYPED,
            relationship: ListRelationship::Atomic,
        }),
        map: Some(Map {
            fields: BTreeMap::new(),
            element: element(),
            atomic: merge == Merge::Atomic,
        }),
    }
}

impl ObjectType {
    /// The type of the objects with this schema.
    pub(crate) fn new(schema: &Schema) -> Self {
        let mut map = map_of(schema.root(), Unknown::of(schema.root(), Unknown::Refused));
        let metadata = object_meta::atom(TypeRef(Kind::Ignored));
        map.declare_object(TypeRef::inlined(metadata));
        map.atomic = false;
        Self(Atom {
            map: Some(map),
            ..Atom::default()
        })
    }

    pub(super) fn atom(&self) -> &Atom {
        &self.0
    }

    pub(super) fn map(&self) -> &Map {
        self.0.map.as_ref().expect("the type of an object is a map")
    }
}

impl Atom {
    /// Whether the element is a field that the schema names.
    pub(super) fn names(&self, element: &PathElement) -> bool {
        match (element, &self.map) {
            (PathElement::Field(name), Some(map)) => map.fields.contains_key(&**name),
            _ => false,
        }
    }

    /// What may be below a member or an item.
    pub(super) fn below(&self, element: &PathElement) -> &Self {
        match (element, &self.map, &self.list) {
            (PathElement::Field(name), Some(map), _) => map.type_of(name).resolve(),
            (PathElement::Key(_), _, Some(list)) => list.element.resolve(),
            _ => &NOTHING,
        }
    }
}

impl TypeRef {
    pub(super) const UNDECLARED: Self = Self(Kind::Undeclared);
    pub(super) const ATOMIC_UNTYPED: Self = Self(Kind::AtomicUntyped);
    pub(super) const DEDUCED: Self = Self(Kind::Deduced);
    pub(super) const OBJECT_META: Self = Self(Kind::ObjectMeta);

    pub(super) fn inlined(atom: Atom) -> Self {
        Self(Kind::Inlined(Box::new(atom)))
    }

    pub(super) fn scalar(scalar: Scalar) -> Self {
        Self::inlined(Atom {
            scalar: Some(scalar),
            ..Atom::default()
        })
    }

    pub(super) fn resolve(&self) -> &Atom {
        match &self.0 {
            Kind::Undeclared | Kind::Ignored => &NOTHING,
            Kind::Inlined(atom) => atom,
            Kind::AtomicUntyped => &ATOMIC_UNTYPED,
            Kind::Deduced => &DEDUCED,
            Kind::ObjectMeta => &OBJECT_META,
        }
    }

    pub(super) fn is_undeclared(&self) -> bool {
        matches!(self.0, Kind::Undeclared)
    }

    pub(super) fn is_ignored(&self) -> bool {
        matches!(self.0, Kind::Ignored)
    }

    /// Whether the members of a map without fields and of this type are anything at all.
    pub(super) fn is_untyped_or_deduced(&self) -> bool {
        match &self.0 {
            Kind::Deduced => true,
            Kind::Inlined(atom) => atom.scalar == Some(Scalar::Untyped),
            _ => false,
        }
    }
}

impl Map {
    pub(super) fn type_of(&self, name: &str) -> &TypeRef {
        self.fields.get(name).map_or(&self.element, |f| &f.type_ref)
    }

    /// Declares the fields that every object has.
    fn declare_object(&mut self, metadata: TypeRef) {
        for name in ["apiVersion", "kind"] {
            self.declare(name, TypeRef::scalar(Scalar::String));
        }
        self.declare("metadata", metadata);
    }

    fn declare(&mut self, name: &str, type_ref: TypeRef) {
        let default = None;
        self.fields
            .insert(name.to_owned(), Field { type_ref, default });
    }
}

/// Whether the members that a schema does not name are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Kept,
    Refused,
}

impl Unknown {
    /// What holds at a level and below it.
    fn of(node: &Node, inherited: Self) -> Self {
        if node.extensions.preserve_unknown_fields {
            Self::Kept
        } else {
            inherited
        }
    }
}

fn atom_of(node: &Node, inherited: Unknown) -> Atom {
    let unknown = Unknown::of(node, inherited);
    match node.value_type {
        // An integer or a string has no type in the schema, and is taken for anything.
        None => Atom {
            scalar: Some(Scalar::Untyped),
            list: Some(list_of(node, unknown)),
            map: Some(map_of(node, unknown)),
        },
        Some(ValueType::Object) => Atom {
            map: Some(map_of(node, unknown)),
            ..Atom::default()
        },
        Some(ValueType::Array) => Atom {
            list: Some(list_of(node, unknown)),
            ..Atom::default()
        },
        Some(ValueType::String) => Atom {
            scalar: Some(Scalar::String),
            ..Atom::default()
        },
        Some(ValueType::Integer | ValueType::Number) => Atom {
            scalar: Some(Scalar::Numeric),
            ..Atom::default()
        },
        Some(ValueType::Boolean) => Atom {
            scalar: Some(Scalar::Boolean),
            ..Atom::default()
        },
    }
}

fn map_of(node: &Node, unknown: Unknown) -> Map {
    let fields = node.properties.iter().map(|(name, child)| {
        let field = Field {
            type_ref: TypeRef::inlined(atom_of(child, unknown)),
            default: child.default.clone(),
        };
        (name.clone(), field)
    });
    let mut map = Map {
        fields: fields.collect(),
        element: TypeRef::UNDECLARED,
        atomic: node.extensions.map_type == MapType::Atomic,
    };
    if node.extensions.embedded_resource {
        map.declare_object(TypeRef::OBJECT_META);
    }
    map.element = match &node.additional_properties {
        Some(child) => TypeRef::inlined(atom_of(child, unknown)),
        None if unknown == Unknown::Kept || map.fields.is_empty() => TypeRef::DEDUCED,
        None => TypeRef::UNDECLARED,
    };
    map
}

fn list_of(node: &Node, unknown: Unknown) -> List {
    let element = match &node.items {
        Some(items) => TypeRef::inlined(atom_of(items, unknown)),
        None => TypeRef::ATOMIC_UNTYPED,
    };
    let keys = &node.extensions.list_map_keys;
    let relationship = match node.extensions.list_type {
        ListType::Atomic => ListRelationship::Atomic,
        ListType::Set => ListRelationship::Set,
        ListType::Map => {
            ListRelationship::Keys(keys.iter().map(|k| Arc::from(k.as_str())).collect())
        }
    };
    List {
        element,
        relationship,
    }
}

/// What of a type a value can be.
#[derive(Clone, Copy)]
pub(super) struct Shape<'s> {
    map: Option<&'s Map>,
    scalar: Option<Scalar>,
    list: Option<&'s List>,
}

/// What a walk does with a value.
pub(super) enum Handle<'s> {
    Map(&'s Map),
    Scalar(Scalar),
    List(&'s List),
    /// The type allows nothing.
    Nothing,
}

impl<'s> Shape<'s> {
    /// A value of several possible types is what it is; a missing or null one stays open.
    pub(super) fn of(atom: &'s Atom, value: Option<&Value>) -> Self {
        let open = Self {
            map: atom.map.as_ref(),
            scalar: atom.scalar,
            list: atom.list.as_ref(),
        };
        let nothing = Self {
            map: None,
            scalar: None,
            list: None,
        };
        match value {
            Some(Value::Object(_)) if open.map.is_some() => Self {
                map: open.map,
                ..nothing
            },
            Some(Value::Array(_)) if open.list.is_some() => Self {
                list: open.list,
                ..nothing
            },
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) if open.scalar.is_some() => {
                Self {
                    scalar: open.scalar,
                    ..nothing
                }
            }
            _ => open,
        }
    }

    pub(super) fn handle(self) -> Handle<'s> {
        match self {
            Self { map: Some(map), .. } => Handle::Map(map),
            Self {
                scalar: Some(scalar),
                ..
            } => Handle::Scalar(scalar),
            Self {
                list: Some(list), ..
            } => Handle::List(list),
            _ => Handle::Nothing,
        }
    }

    /// Whether two shapes of one atom are the same.
    pub(super) fn same_as(self, other: Self) -> bool {
        self.map.is_some() == other.map.is_some()
            && self.scalar.is_some() == other.scalar.is_some()
            && self.list.is_some() == other.list.is_some()
    }
}

/// What upstream says of a value whose type allows nothing.
pub(super) const INVALID_ATOM: &str = "schema error: invalid atom: inlined";
