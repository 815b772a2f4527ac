//! Discovery in one document: `apidiscovery.k8s.io/v2` `APIGroupDiscoveryList`.

use apimachinery::{ResourceDefinition, Scope};
use serde_json::{Value, json};

use super::{STATUS_VERBS, VERBS, by_version};

pub(super) fn document(definitions: &[ResourceDefinition]) -> Value {
    let groups = by_version(definitions)
        .into_iter()
        .map(|(group, versions)| {
            let versions = versions.into_iter().map(|(version, definitions)| {
                let resources: Vec<Value> = definitions.into_iter().map(resource).collect();
                json!({ "version": version, "freshness": "Current", "resources": resources })
            });
            json!({ "metadata": { "name": group }, "versions": versions.collect::<Vec<_>>() })
        });
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {},
        "items": groups.collect::<Vec<_>>(),
    })
}

fn resource(definition: &ResourceDefinition) -> Value {
    let names = &definition.names;
    let kind = json!({
        "group": definition.group, "version": definition.version, "kind": names.kind,
    });
    let scope = match definition.scope {
        Scope::Namespaced => "Namespaced",
        Scope::Cluster => "Cluster",
    };
    let mut resource = json!({
        "resource": names.plural, "responseKind": kind, "scope": scope,
        "singularResource": names.singular, "verbs": VERBS,
    });
    if !names.short_names.is_empty() {
        resource["shortNames"] = json!(names.short_names);
    }
    if !names.categories.is_empty() {
        resource["categories"] = json!(names.categories);
    }
    let mut subresources = Vec::new();
    if definition.status_subresource {
        subresources
            .push(json!({ "subresource": "status", "responseKind": kind, "verbs": STATUS_VERBS }));
    }
    if definition.scale.is_some() {
        let kind = json!({ "group": "autoscaling", "version": "v1", "kind": "Scale" });
        subresources
            .push(json!({ "subresource": "scale", "responseKind": kind, "verbs": STATUS_VERBS }));
    }
    for subresource in &definition.subresources {
        let (group, version, kind) = &subresource.group_version_kind;
        let kind = json!({ "group": group, "version": version, "kind": kind });
        subresources.push(json!({
            "subresource": subresource.name, "responseKind": kind,
            "acceptedTypes": [kind], "verbs": subresource.verbs,
        }));
    }
    if !subresources.is_empty() {
        resource["subresources"] = json!(subresources);
    }
    resource
}
