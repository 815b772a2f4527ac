//! OpenAPI v3 and v2, made from the definitions: what `kubectl explain`, `kubectl apply` and dry-run
//! verification read.
//!
//! Mirrors `k8s.io/kube-openapi/pkg/handler3` and the extensions of
//! `k8s.io/apiserver/pkg/endpoints/openapi`. Known deviation: no protobuf form.

mod paths;
mod v2;

use std::collections::BTreeMap;

use apimachinery::{ApiError, ResourceDefinition};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use k8s_openapi::{
    api::autoscaling::v1::Scale,
    apimachinery::pkg::apis::meta::v1::{DeleteOptions, ListMeta, ObjectMeta, Patch, Status},
};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::{
    document::Document,
    negotiation,
    response::{self, Body},
};

const ROOT: &str = "/openapi/v3";
const V2: &str = "/openapi/v2";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
/// Where schemars puts what it refers to, and where OpenAPI has it.
const COMPONENTS: &str = "#/components/schemas/";

/// The OpenAPI documents.
#[derive(Debug)]
pub(crate) struct OpenApi {
    root: Document,
    /// By `apis/GROUP/VERSION`.
    versions: BTreeMap<String, Document>,
    v2: Document,
}

impl OpenApi {
    pub(crate) fn new(definitions: &[ResourceDefinition]) -> Self {
        let mut by_version: BTreeMap<String, Vec<&ResourceDefinition>> = BTreeMap::new();
        for definition in definitions {
            let path = format!("apis/{}", definition.api_version());
            by_version.entry(path).or_default().push(definition);
        }
        let documents: Vec<(String, Value)> = by_version
            .into_iter()
            .map(|(path, d)| (path, document(&d)))
            .collect();
        let all: Vec<&Value> = documents.iter().map(|(_, document)| document).collect();
        let v2 = Document::new(&v2::document(&all), response::JSON);
        let versions: BTreeMap<String, Document> = documents
            .into_iter()
            .map(|(path, document)| (path, Document::new(&document, response::JSON)))
            .collect();
        let paths: Map<String, Value> = versions
            .iter()
            .map(|(path, document)| {
                let url = format!("{ROOT}/{path}?hash={}", document.hash());
                (path.clone(), json!({ "serverRelativeURL": url }))
            })
            .collect();
        Self {
            root: Document::new(&json!({ "paths": paths }), response::JSON),
            versions,
            v2,
        }
    }

    /// The answer for `/openapi/v2`, `/openapi/v3` and what is below; `None` for other paths.
    pub(crate) fn respond(
        &self,
        path: &str,
        hash: Option<&str>,
        headers: &HeaderMap,
    ) -> Option<Result<Response<Body>, ApiError>> {
        if path == V2 {
            return Some(negotiation::accepts_json(headers).map(|()| self.v2.respond(headers)));
        }
        let rest = path.strip_prefix(ROOT)?;
        if let Err(error) = negotiation::accepts_json(headers) {
            return Some(Err(error));
        }
        if rest.is_empty() || rest == "/" {
            return Some(Ok(self.root.respond(headers)));
        }
        let path = rest.strip_prefix('/')?;
        let document = self.versions.get(path)?;
        Some(Ok(match hash {
            None => document.respond(headers),
            Some(hash) if hash == document.hash() => immutable(document.respond(headers)),
            Some(_) => moved(path, document.hash()),
        }))
    }
}

/// What a client may keep for ever, since its hash is in its address.
fn immutable(mut response: Response<Body>) -> Response<Body> {
    let forever = HeaderValue::from_static("public, immutable");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, forever);
    response
}

fn moved(path: &str, hash: &str) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(location) = HeaderValue::from_str(&format!("{ROOT}/{path}?hash={hash}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn document(definitions: &[&ResourceDefinition]) -> Value {
    let mut schemas = meta_schemas(definitions.iter().any(|d| d.scale.is_some()));
    let mut all_paths = Map::new();
    for definition in definitions {
        schemas.extend(schemas_of(definition));
        all_paths.extend(paths::paths(definition));
    }
    for definition in definitions {
        for subresource in &definition.subresources {
            let (group, version, kind) = &subresource.group_version_kind;
            if (group, version) == (&definition.group, &definition.version) {
                let schema = schemas.entry(component(definition, kind));
                schema.or_insert_with(|| open_schema(definition, kind));
            }
        }
    }
    json!({
        "openapi": "3.0.0",
        "info": { "title": "Kubernetes extension API", "version": env!("CARGO_PKG_VERSION") },
        "paths": all_paths,
        "components": { "schemas": schemas },
    })
}

/// The schemas of the Kubernetes types that every kind refers to.
fn meta_schemas(with_scale: bool) -> Map<String, Value> {
    let mut generator = SchemaSettings::openapi3().into_generator();
    generator.subschema_for::<ObjectMeta>();
    generator.subschema_for::<ListMeta>();
    generator.subschema_for::<DeleteOptions>();
    generator.subschema_for::<Status>();
    generator.subschema_for::<Patch>();
    if with_scale {
        generator.subschema_for::<Scale>();
    }
    generator.take_definitions(true)
}

/// The name of a component: the group's parts backwards, version and kind.
fn component(definition: &ResourceDefinition, kind: &str) -> String {
    let parts: Vec<&str> = definition.group.rsplit('.').collect();
    format!("{}.{}.{kind}", parts.join("."), definition.version)
}

/// A kind of a subresource: what its fields are, only its handler knows.
fn open_schema(definition: &ResourceDefinition, kind: &str) -> Value {
    let (group, version) = (&definition.group, &definition.version);
    json!({
        "type": "object",
        "properties": { "apiVersion": api_version(), "kind": kind_name() },
        "x-kubernetes-preserve-unknown-fields": true,
        "x-kubernetes-group-version-kind": [{ "group": group, "version": version, "kind": kind }],
    })
}

fn api_version() -> Value {
    json!({
        "type": "string", "description": "Versioned schema of this representation of an object.",
    })
}

fn kind_name() -> Value {
    json!({
        "type": "string", "description": "The kind of resource that this object represents.",
    })
}

fn schemas_of(definition: &ResourceDefinition) -> [(String, Value); 2] {
    let names = &definition.names;
    let extension = |kind: &str| json!([{ "group": definition.group, "version": definition.version, "kind": kind }]);
    let mut object = definition.schema.json().clone();
    if !object["properties"].is_object() {
        object["properties"] = json!({});
    }
    object["properties"]["apiVersion"] = api_version();
    object["properties"]["kind"] = kind_name();
    object["properties"]["metadata"] = json!({
        "allOf": [{ "$ref": format!("{COMPONENTS}{META}.ObjectMeta") }],
        "default": {}, "description": "Standard object's metadata.",
    });
    object["x-kubernetes-group-version-kind"] = extension(&names.kind);
    let item = format!("{COMPONENTS}{}", component(definition, &names.kind));
    let list = json!({
        "type": "object", "required": ["items"],
        "description": format!("{} is a list of {}", names.list_kind, names.kind),
        "properties": {
            "apiVersion": object["properties"]["apiVersion"],
            "kind": object["properties"]["kind"],
            "metadata": {
                "allOf": [{ "$ref": format!("{COMPONENTS}{META}.ListMeta") }],
                "default": {}, "description": "Standard list metadata.",
            },
            "items": { "type": "array", "items": { "allOf": [{ "$ref": item }] },
                       "description": format!("List of {}.", names.plural) },
        },
        "x-kubernetes-group-version-kind": extension(&names.list_kind),
    });
    [
        (component(definition, &names.kind), object),
        (component(definition, &names.list_kind), list),
    ]
}

#[cfg(test)]
mod tests {
    use apimachinery::Scope;

    use super::*;
    use crate::testing::thing_definition;

    fn respond(path: &str, hash: Option<&str>) -> Response<Body> {
        let openapi = OpenApi::new(&[thing_definition()]);
        openapi
            .respond(path, hash, &HeaderMap::new())
            .unwrap()
            .unwrap()
    }

    /// O2, O3: the root leads to the document; a wrong hash leads to the right one.
    #[test]
    fn the_root_leads_to_a_document_that_can_be_kept() {
        let openapi = OpenApi::new(&[thing_definition()]);
        let hash = openapi.versions["apis/test.io/v1"].hash().to_owned();
        assert_eq!(hash.len(), 128);
        let path = "/openapi/v3/apis/test.io/v1";
        assert_eq!(respond("/openapi/v3", None).status(), 200);
        let right = respond(path, Some(&hash));
        assert_eq!(right.headers()[header::CACHE_CONTROL], "public, immutable");
        let wrong = respond(path, Some("0"));
        assert_eq!(wrong.status(), 301);
        assert_eq!(
            wrong.headers()[header::LOCATION],
            format!("{path}?hash={hash}")
        );
    }

    /// O4: kubectl looks for these parameters on PATCH before it trusts dry run and validation.
    #[test]
    fn every_operation_has_its_action_and_patch_its_parameters() {
        let document = document(&[&thing_definition()]);
        let patch =
            &document["paths"]["/apis/test.io/v1/namespaces/{namespace}/things/{name}"]["patch"];
        let names: Vec<_> = patch["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|p| p["name"].as_str())
            .collect();
        assert!(
            names.contains(&"fieldValidation") && names.contains(&"dryRun"),
            "{names:?}"
        );
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                if method == "parameters" {
                    continue;
                }
                assert!(
                    operation["x-kubernetes-action"].is_string(),
                    "{method} {path}"
                );
                assert_eq!(
                    operation["x-kubernetes-group-version-kind"]["kind"],
                    "Thing"
                );
            }
        }
    }

    /// O1: the v2 document has the same operations and refers only to what it defines.
    #[test]
    fn openapi_v2_says_the_same_as_v3() {
        let v3 = document(&[&thing_definition()]);
        let v2 = v2::document(&[&v3]);
        assert_eq!(v2["swagger"], "2.0");
        let text = v2.to_string();
        assert!(!text.contains(COMPONENTS) && !text.contains("\"allOf\""));
        let (old, new) = (
            v2["paths"].as_object().unwrap(),
            v3["paths"].as_object().unwrap(),
        );
        assert!(old.keys().eq(new.keys()));
        for reference in text.split("\"#/definitions/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(v2["definitions"][name].is_object(), "{name} is missing");
        }
        let create = &v2["paths"]["/apis/test.io/v1/namespaces/{namespace}/things"]["post"];
        let body = create["parameters"].as_array().unwrap().last().unwrap();
        assert_eq!(body["schema"]["$ref"], "#/definitions/io.test.v1.Thing");
        assert_eq!(create["parameters"][0]["type"], "string");
        assert_eq!(create["responses"]["200"]["schema"], body["schema"]);
    }

    /// P6: an empty list of parameters would not survive kube-openapi's Go types, which omit it.
    #[test]
    fn no_list_of_parameters_is_empty() {
        for scope in [Scope::Namespaced, Scope::Cluster] {
            let definition = ResourceDefinition {
                scope,
                ..thing_definition()
            };
            let text = document(&[&definition]).to_string();
            assert!(text.contains(r#""parameters":[{"#));
            assert!(!text.contains(r#""parameters":[]"#), "{scope:?}");
        }
    }

    /// O6, N14: no boolean `additionalProperties`, no reference that leads nowhere.
    #[test]
    fn schemas_are_of_the_form_that_every_client_can_read() {
        fn check(value: &Value, schemas: &Value) {
            match value {
                Value::Object(map) => {
                    assert!(
                        !map.get("additionalProperties")
                            .is_some_and(Value::is_boolean)
                    );
                    if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                        let name = reference.strip_prefix(COMPONENTS).expect("a component");
                        assert!(schemas[name].is_object(), "{name} is missing");
                    }
                    map.values().for_each(|v| check(v, schemas));
                }
                Value::Array(list) => list.iter().for_each(|v| check(v, schemas)),
                _ => {}
            }
        }
        let document = document(&[&thing_definition()]);
        check(&document, &document["components"]["schemas"]);
    }
}
