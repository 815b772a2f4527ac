//! The operations of a resource.

use apimachinery::{ResourceDefinition, SubresourceDefinition};
use serde_json::{Map, Value, json};

use super::{COMPONENTS, META, component};

/// Query parameters of writes.
const WRITE: [(&str, &str); 3] = [
    ("dryRun", "All: do everything but write."),
    ("fieldManager", "Name of who makes these changes."),
    (
        "fieldValidation",
        "What to do about unknown fields: Ignore, Warn or Strict.",
    ),
];
/// Query parameters of patches.
const PATCH: [(&str, &str); 4] = [
    WRITE[0],
    WRITE[1],
    WRITE[2],
    ("force", "An apply takes fields that others own."),
];
/// What `scale` reads and writes.
const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";
/// Query parameters of lists and watches.
const LIST: [(&str, &str); 10] = [
    (
        "allowWatchBookmarks",
        "The client can take BOOKMARK events.",
    ),
    ("continue", "Token of the next page."),
    ("fieldSelector", "Restricts the answer by fields."),
    ("labelSelector", "Restricts the answer by labels."),
    ("limit", "Most items of one page."),
    ("resourceVersion", "Which state to serve."),
    ("resourceVersionMatch", "How resourceVersion is meant."),
    (
        "sendInitialEvents",
        "A watch begins with the current state and marks its end.",
    ),
    ("timeoutSeconds", "When the call ends."),
    ("watch", "Watch for changes instead."),
];
const DELETE: [(&str, &str); 4] = [
    ("dryRun", "All: do everything but delete."),
    (
        "gracePeriodSeconds",
        "Ignored: objects are deleted at once.",
    ),
    ("orphanDependents", "Deprecated: use propagationPolicy."),
    ("propagationPolicy", "Orphan, Background or Foreground."),
];

/// Every path of a resource with its operations.
pub(super) fn paths(definition: &ResourceDefinition) -> Vec<(String, Value)> {
    let base = format!("/apis/{}", definition.api_version());
    let plural = &definition.names.plural;
    let (collection, path_parameters) = if definition.is_namespaced() {
        (
            format!("{base}/namespaces/{{namespace}}/{plural}"),
            vec!["namespace"],
        )
    } else {
        (format!("{base}/{plural}"), Vec::new())
    };
    let named: Vec<&str> = path_parameters.iter().copied().chain(["name"]).collect();
    let operations = Operations {
        subject: reference(&component(definition, &definition.names.kind)),
        kind: json!({
            "group": definition.group, "version": definition.version,
            "kind": definition.names.kind,
        }),
        definition,
    };
    let mut paths = vec![
        (collection.clone(), operations.collection(&path_parameters)),
        (
            format!("{collection}/{{name}}"),
            operations.object(&named, ""),
        ),
    ];
    if definition.status_subresource {
        paths.push((
            format!("{collection}/{{name}}/status"),
            operations.object(&named, "Status"),
        ));
    }
    if definition.scale.is_some() {
        let scale = Operations {
            subject: reference(SCALE),
            kind: json!({ "group": "autoscaling", "version": "v1", "kind": "Scale" }),
            definition,
        };
        paths.push((
            format!("{collection}/{{name}}/scale"),
            scale.object(&named, "Scale"),
        ));
    }
    for subresource in &definition.subresources {
        let (group, version, kind) = &subresource.group_version_kind;
        let is_own = (group, version) == (&definition.group, &definition.version);
        let custom = Operations {
            subject: if is_own {
                reference(&component(definition, kind))
            } else {
                json!({ "type": "object" })
            },
            kind: json!({ "group": group, "version": version, "kind": kind }),
            definition,
        };
        paths.push((
            format!("{collection}/{{name}}/{}", subresource.name),
            custom.custom(&named, subresource),
        ));
    }
    if definition.is_namespaced() {
        paths.push((format!("{base}/{plural}"), operations.all_namespaces()));
    }
    paths
}

struct Operations<'a> {
    definition: &'a ResourceDefinition,
    /// The schema of what is read and written.
    subject: Value,
    /// Its group, version and kind.
    kind: Value,
}

impl Operations<'_> {
    fn collection(&self, path_parameters: &[&str]) -> Value {
        let mut operations = json!({
            "get": self.operation("list", "list", "", &LIST, None, self.list_reference()),
            "post": self.operation("post", "create", "", &WRITE, Some(self.body()), self.reference()),
            "delete": self.operation(
                "deletecollection", "deleteCollection", "", &LIST, Some(delete_options()), meta("Status"),
            ),
        });
        if !path_parameters.is_empty() {
            operations["parameters"] = in_path(path_parameters);
        }
        operations
    }

    fn all_namespaces(&self) -> Value {
        json!({
            "get": self.operation("list", "list", "ForAllNamespaces", &LIST, None, self.list_reference()),
        })
    }

    fn object(&self, path_parameters: &[&str], suffix: &str) -> Value {
        let mut operations = json!({
            "parameters": in_path(path_parameters),
            "get": self.operation("get", "read", suffix, &[], None, self.reference()),
            "put": self.operation("put", "replace", suffix, &WRITE, Some(self.body()), self.reference()),
            "patch": self.operation("patch", "patch", suffix, &PATCH, Some(patch()), self.reference()),
        });
        if suffix.is_empty() {
            operations["delete"] = self.operation(
                "delete",
                "delete",
                "",
                &DELETE,
                Some(delete_options()),
                meta("Status"),
            );
        }
        operations
    }

    fn custom(&self, path_parameters: &[&str], subresource: &SubresourceDefinition) -> Value {
        let mut operations = json!({ "parameters": in_path(path_parameters) });
        for (verb, method, word) in [
            ("get", "get", "read"),
            ("create", "post", "create"),
            ("update", "put", "replace"),
            ("patch", "patch", "patch"),
            ("delete", "delete", "delete"),
        ] {
            if subresource.verbs.iter().any(|known| known == verb) {
                let body = (method == "post" || method == "put").then(|| self.body());
                let (suffix, answer) = (title(&subresource.name), self.reference());
                operations[method] = self.operation(method, word, &suffix, &[], body, answer);
            }
        }
        operations
    }

    fn operation(
        &self,
        action: &str,
        word: &str,
        suffix: &str,
        parameters: &[(&str, &str)],
        body: Option<Value>,
        answer: Value,
    ) -> Value {
        let d = self.definition;
        let scope = if d.is_namespaced() && suffix != "ForAllNamespaces" {
            "Namespaced"
        } else {
            ""
        };
        let group = d.group.split('.').map(title).collect::<String>();
        let id = format!(
            "{word}{group}{}{scope}{}{suffix}",
            title(&d.version),
            d.names.kind
        );
        let mut operation = Map::new();
        operation.insert("operationId".to_owned(), json!(id));
        operation.insert(
            "description".to_owned(),
            json!(format!("{word} {}", d.names.plural)),
        );
        operation.insert(
            "tags".to_owned(),
            json!([format!("{}_{}", d.group.replace('.', "_"), d.version)]),
        );
        // Go's types write no empty list, so one here would not survive them.
        if !parameters.is_empty() {
            operation.insert("parameters".to_owned(), in_query(parameters));
        }
        if let Some(body) = body {
            operation.insert("requestBody".to_owned(), body);
        }
        let answers = json!({
            "200": { "description": "OK", "content": { "application/json": { "schema": answer } } },
            "401": { "description": "Unauthorized" },
        });
        operation.insert("responses".to_owned(), answers);
        operation.insert("x-kubernetes-action".to_owned(), json!(action));
        let kind = self.kind.clone();
        operation.insert("x-kubernetes-group-version-kind".to_owned(), kind);
        Value::Object(operation)
    }

    fn reference(&self) -> Value {
        self.subject.clone()
    }

    fn list_reference(&self) -> Value {
        reference(&component(
            self.definition,
            &self.definition.names.list_kind,
        ))
    }

    fn body(&self) -> Value {
        json!({ "required": true, "content": { "application/json": { "schema": self.reference() } } })
    }
}

/// A word as a part of an operation's name.
fn title(text: &str) -> String {
    let mut chars = text.chars().filter(char::is_ascii_alphanumeric);
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("{COMPONENTS}{name}") })
}

fn meta(kind: &str) -> Value {
    reference(&format!("{META}.{kind}"))
}

fn delete_options() -> Value {
    json!({ "content": { "application/json": { "schema": meta("DeleteOptions") } } })
}

fn patch() -> Value {
    json!({ "required": true, "content": {
        "application/json-patch+json": { "schema": meta("Patch") },
        "application/merge-patch+json": { "schema": meta("Patch") },
        "application/apply-patch+yaml": { "schema": meta("Patch") },
    } })
}

fn in_path(names: &[&str]) -> Value {
    let parameter = |name: &&str| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "uniqueItems": true } });
    names.iter().map(parameter).collect()
}

fn in_query(parameters: &[(&str, &str)]) -> Value {
    let parameter = |(name, description): &(&str, &str)| {
        let value_type = match *name {
            "watch"
            | "allowWatchBookmarks"
            | "sendInitialEvents"
            | "orphanDependents"
            | "force" => "boolean",
            "limit" | "timeoutSeconds" | "gracePeriodSeconds" => "integer",
            _ => "string",
        };
        json!({ "name": name, "in": "query", "description": description,
                "schema": { "type": value_type, "uniqueItems": true } })
    };
    parameters.iter().map(parameter).collect()
}
