//! Discovery path by path: `APIGroupList`, `APIGroup` and `APIResourceList`.

use apimachinery::ResourceDefinition;
use serde_json::{Value, json};

use super::{STATUS_VERBS, VERBS, by_version, storage_version_hash};

/// Every document with its path.
pub(super) fn documents(definitions: &[ResourceDefinition]) -> Vec<(String, Value)> {
    let mut documents = Vec::new();
    let mut groups = Vec::new();
    for (group, versions) in by_version(definitions) {
        let listed: Vec<Value> = versions
            .iter()
            .map(|(v, _)| json!({ "groupVersion": format!("{group}/{v}"), "version": v }))
            .collect();
        let described = json!({
            "name": group, "versions": listed, "preferredVersion": listed.first(),
        });
        groups.push(described.clone());
        let mut one = described;
        one["kind"] = json!("APIGroup");
        one["apiVersion"] = json!("v1");
        documents.push((format!("/apis/{group}"), one));
        for (version, served) in versions {
            let list = json!({
                "kind": "APIResourceList", "apiVersion": "v1",
                "groupVersion": format!("{group}/{version}"),
                "resources": served.iter().flat_map(|d| resources(definitions, d)).collect::<Vec<_>>(),
            });
            documents.push((format!("/apis/{group}/{version}"), list));
        }
    }
    let list = json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups });
    documents.push(("/apis".to_owned(), list));
    documents
}

fn resources(definitions: &[ResourceDefinition], definition: &ResourceDefinition) -> Vec<Value> {
    let names = &definition.names;
    let namespaced = definition.is_namespaced();
    let mut resource = json!({
        "name": names.plural, "singularName": names.singular, "namespaced": namespaced,
        "kind": names.kind, "verbs": VERBS,
        "storageVersionHash": storage_version_hash(definitions, definition),
    });
    if !names.short_names.is_empty() {
        resource["shortNames"] = json!(names.short_names);
    }
    if !names.categories.is_empty() {
        resource["categories"] = json!(names.categories);
    }
    let mut resources = vec![resource];
    if definition.status_subresource {
        resources.push(json!({
            "name": format!("{}/status", names.plural), "singularName": "",
            "namespaced": namespaced, "kind": names.kind, "verbs": STATUS_VERBS,
        }));
    }
    if definition.scale.is_some() {
        resources.push(json!({
            "name": format!("{}/scale", names.plural), "singularName": "",
            "namespaced": namespaced, "group": "autoscaling", "version": "v1", "kind": "Scale",
            "verbs": STATUS_VERBS,
        }));
    }
    for subresource in &definition.subresources {
        let (group, version, kind) = &subresource.group_version_kind;
        resources.push(json!({
            "name": format!("{}/{}", names.plural, subresource.name), "singularName": "",
            "namespaced": namespaced, "group": group, "version": version, "kind": kind,
            "verbs": subresource.verbs,
        }));
    }
    resources
}
