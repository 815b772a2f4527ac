//! From OpenAPI v3 JSON to the tree.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{
    Extensions, ListType, MapType, Node, NumberFormat, Pattern, Schema, StringFormat, ValueType,
    ValueValidation, structural,
};
use crate::field::FieldError;

/// Deepest nesting of a schema: far more than any kind has, little enough for the stack.
const DEPTH_MAX: usize = 64;

impl Schema {
    /// Parses a structural schema. The error names every broken rule with its path, as the
    /// messages of a CustomResourceDefinition do: `properties[spec].type: Required value: …`.
    pub fn parse(json: Value) -> Result<Self, String> {
        let mut errors = Vec::new();
        let top = Position {
            path: "",
            depth: 0,
            nested: false,
        };
        let root = parse_node(&json, &mut errors, top);
        if errors.is_empty() {
            errors = structural::check(&root);
        }
        if errors.is_empty() {
            return Ok(Self { root, json });
        }
        let sentences: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Err(sentences.join("; "))
    }
}

/// Where a level stands.
#[derive(Clone, Copy)]
struct Position<'a> {
    path: &'a str,
    depth: usize,
    /// Whether it stands under a junctor.
    nested: bool,
}

/// Reads one level. What is not understood stands in `errors` and is left out of the level.
fn parse_node(json: &Value, errors: &mut Vec<FieldError>, position: Position<'_>) -> Node {
    let mut node = Node::default();
    let Position { path, depth, .. } = position;
    let Some(map) = json.as_object() else {
        errors.push(FieldError::type_invalid(
            path,
            json,
            "a schema must be an object",
        ));
        return node;
    };
    if depth > DEPTH_MAX {
        let problem = format!("must not be nested more than {DEPTH_MAX} levels deep");
        errors.push(FieldError::forbidden(path, problem));
        return node;
    }
    let mut level = Level {
        map,
        errors,
        path,
        position,
    };
    node.value_type = level.value_type();
    node.nullable = level.boolean("nullable");
    node.default = map.get("default").filter(|d| !d.is_null()).cloned();
    for (name, child) in level.members("properties") {
        let child = level.child(child, &format!("properties[{name}]"));
        node.properties.insert(name.clone(), child);
    }
    node.additional_properties = level.boxed("additionalProperties");
    node.items = level.boxed("items");
    node.extensions = level.extensions();
    node.validation = level.validation(&node);
    level.refuse_others();
    node
}

/// One level on its way from JSON.
struct Level<'a> {
    map: &'a Map<String, Value>,
    errors: &'a mut Vec<FieldError>,
    path: &'a str,
    position: Position<'a>,
}

impl<'a> Level<'a> {
    fn at(&self, keyword: &str) -> String {
        super::join(self.path, keyword)
    }

    fn child(&mut self, json: &Value, place: &str) -> Node {
        let position = Position {
            path: &self.at(place),
            depth: self.position.depth + 1,
            nested: self.position.nested || is_junctor(place),
        };
        parse_node(json, self.errors, position)
    }

    fn boxed(&mut self, keyword: &str) -> Option<Box<Node>> {
        let json = self.map.get(keyword)?;
        Some(Box::new(self.child(json, keyword)))
    }

    fn list(&mut self, keyword: &str) -> Vec<Node> {
        let Some(json) = self.map.get(keyword) else {
            return Vec::new();
        };
        let Some(list) = json.as_array() else {
            self.refuse(keyword, json, "must be a list of schemas");
            return Vec::new();
        };
        let nodes = list.iter().enumerate();
        nodes
            .map(|(i, json)| self.child(json, &format!("{keyword}[{i}]")))
            .collect()
    }

    fn members(
        &mut self,
        keyword: &str,
    ) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
        let json = self.map.get(keyword);
        let members = json.and_then(Value::as_object);
        if let (Some(json), None) = (json, members) {
            self.refuse(keyword, json, "must be a map of schemas");
        }
        members.into_iter().flatten()
    }

    fn refuse(&mut self, keyword: &str, value: &Value, problem: &str) {
        let path = self.at(keyword);
        self.errors.push(FieldError::invalid(path, value, problem));
    }

    /// A value of a plain type; null is as good as no keyword.
    fn plain<T: DeserializeOwned>(&mut self, keyword: &str, wanted: &str) -> Option<T> {
        let json = self.map.get(keyword).filter(|v| !v.is_null())?;
        let value = serde_json::from_value(json.clone()).ok();
        if value.is_none() {
            self.refuse(keyword, json, &format!("must be {wanted}"));
        }
        value
    }

    fn boolean(&mut self, keyword: &str) -> bool {
        self.plain(keyword, "true or false").unwrap_or_default()
    }

    fn count(&mut self, keyword: &str) -> Option<u64> {
        self.plain(keyword, "an integer that is not negative")
    }

    fn value_type(&mut self) -> Option<ValueType> {
        let text: String = self.plain("type", "a string")?;
        if text.is_empty() {
            return None;
        }
        let value_type = ValueType::of(&text);
        if value_type.is_none() {
            self.errors.push(FieldError::not_supported(
                super::join(self.path, "type"),
                &json!(text),
                &["array", "boolean", "integer", "number", "object", "string"],
            ));
        }
        value_type
    }

    fn extensions(&mut self) -> Extensions {
        let preserve = self.plain("x-kubernetes-preserve-unknown-fields", "true or false");
        if preserve == Some(false) {
            let keyword = "x-kubernetes-preserve-unknown-fields";
            self.refuse(keyword, &json!(false), "must be true or undefined");
        }
        Extensions {
            preserve_unknown_fields: preserve.unwrap_or_default(),
            embedded_resource: self.boolean("x-kubernetes-embedded-resource"),
            int_or_string: self.boolean("x-kubernetes-int-or-string"),
            list_type: self.choice(
                "x-kubernetes-list-type",
                &[
                    ("atomic", ListType::Atomic),
                    ("set", ListType::Set),
                    ("map", ListType::Map),
                ],
            ),
            list_map_keys: self
                .plain("x-kubernetes-list-map-keys", "a list of names")
                .unwrap_or_default(),
            map_type: self.choice(
                "x-kubernetes-map-type",
                &[("atomic", MapType::Atomic), ("granular", MapType::Granular)],
            ),
        }
    }

    fn choice<T: Copy + Default>(&mut self, keyword: &str, choices: &[(&str, T)]) -> T {
        let Some(text) = self.plain::<String>(keyword, "a string") else {
            return T::default();
        };
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
            return *value;
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let path = self.at(keyword);
        self.errors
            .push(FieldError::not_supported(path, &json!(text), &names));
        T::default()
    }

    fn validation(&mut self, node: &Node) -> ValueValidation {
        let format: Option<String> = self.plain("format", "a string");
        let format = format.unwrap_or_default();
        let of_strings = matches!(node.types(), [] | [ValueType::String] | [_, _]);
        ValueValidation {
            required: self
                .plain("required", "a list of names")
                .unwrap_or_default(),
            allowed: self.plain("enum", "a list").unwrap_or_default(),
            string_format: StringFormat::of(&format).filter(|_| of_strings),
            number_format: match (node.types(), format.as_str()) {
                ([ValueType::Integer], "int32") => Some(NumberFormat::Int32),
                ([ValueType::Integer], "int64") => Some(NumberFormat::Int64),
                ([ValueType::Number], "float") => Some(NumberFormat::Float),
                ([ValueType::Number], "double") => Some(NumberFormat::Double),
                _ => None,
            },
            pattern: self.pattern(),
            max_length: self.count("maxLength"),
            min_length: self.count("minLength"),
            max_items: self.count("maxItems"),
            min_items: self.count("minItems"),
            max_properties: self.count("maxProperties"),
            min_properties: self.count("minProperties"),
            minimum: self.plain("minimum", "a number"),
            exclusive_minimum: self.boolean("exclusiveMinimum"),
            maximum: self.plain("maximum", "a number"),
            exclusive_maximum: self.boolean("exclusiveMaximum"),
            multiple_of: self.plain("multipleOf", "a number"),
            all_of: self.list("allOf"),
            any_of: self.list("anyOf"),
            one_of: self.list("oneOf"),
            not: self.boxed("not"),
        }
    }

    fn pattern(&mut self) -> Option<Pattern> {
        let source: String = self.plain("pattern", "a string")?;
        if source.is_empty() {
            return None;
        }
        match Pattern::compile(&source) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let problem = format!(
                    "must be a valid regular expression, but isn't: error parsing regexp: {error}"
                );
                self.refuse("pattern", &json!(source), &problem);
                None
            }
        }
    }

    /// Refuses what no other function of a level reads.
    fn refuse_others(&mut self) {
        for (keyword, value) in self.map {
            let problem = match keyword.as_str() {
                "uniqueItems" if value == &Value::Bool(false) => continue,
                "uniqueItems" => {
                    "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
                        .to_owned()
                }
                "x-kubernetes-validations" => {
                    "rules in CEL are not evaluated: use minimum, pattern, enum or another keyword"
                        .to_owned()
                }
                "id" | "additionalItems" | "patternProperties" | "definitions" | "dependencies"
                | "$ref" | "$schema" => format!("{keyword} is not supported"),
                "description" | "title" if self.position.nested && value != "" => {
                    "must be empty to be structural".to_owned()
                }
                known if KEYWORDS.contains(&known) => continue,
                _ => format!("the keyword {keyword:?} is not supported"),
            };
            let path = super::join(self.path, keyword);
            self.errors.push(FieldError::forbidden(path, problem));
        }
    }
}

/// Whether a place in a level, such as `allOf[0]`, is that of a junctor.
fn is_junctor(place: &str) -> bool {
    let keyword = place.split('[').next().unwrap_or_default();
    matches!(keyword, "allOf" | "anyOf" | "oneOf" | "not")
}

/// What a level may say, apart from what [`Level::refuse_others`] names.
const KEYWORDS: [&str; 36] = [
    "additionalProperties",
    "allOf",
    "anyOf",
    "default",
    "description",
    "enum",
    "example",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "externalDocs",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "nullable",
    "oneOf",
    "pattern",
    "properties",
    "required",
    "title",
    "type",
    "uniqueItems",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
];

impl ValueType {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "object" => Self::Object,
            "array" => Self::Array,
            "string" => Self::String,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            _ => return None,
        })
    }
}
