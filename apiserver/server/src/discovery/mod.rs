//! What the server serves, in the two forms that clients read.
//!
//! All documents are made at the start and answered from memory, so that nothing outside the server
//! can make discovery slow or wrong. Mirrors `k8s.io/apiserver/pkg/endpoints/discovery`.

mod aggregated;
mod legacy;

use std::collections::BTreeMap;

use apimachinery::{ApiError, ResourceDefinition};
use base64::prelude::{BASE64_STANDARD, Engine};
use http::{HeaderMap, HeaderValue, Response};
use sha2::{Digest, Sha256};

use crate::{
    document::Document,
    negotiation,
    response::{self, Body},
};

/// The content type by which the aggregator recognises aggregated discovery.
const AGGREGATED_TYPE: HeaderValue = HeaderValue::from_static(
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
);

/// The discovery documents by path.
#[derive(Debug)]
pub(crate) struct Discovery {
    aggregated: Document,
    legacy: BTreeMap<String, Document>,
}

impl Discovery {
    pub(crate) fn new(definitions: &[ResourceDefinition]) -> Self {
        let documents = legacy::documents(definitions).into_iter();
        Self {
            aggregated: Document::new(&aggregated::document(definitions), AGGREGATED_TYPE),
            legacy: documents
                .map(|(p, value)| (p, Document::new(&value, response::JSON)))
                .collect(),
        }
    }

    /// The answer for `/apis`, `/apis/GROUP` or `/apis/GROUP/VERSION`; `None` for other paths.
    pub(crate) fn respond(
        &self,
        path: &str,
        headers: &HeaderMap,
    ) -> Option<Result<Response<Body>, ApiError>> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let legacy = self.legacy.get(path)?;
        let aggregated = if path == "/apis" {
            negotiation::wants_aggregated_discovery(headers)
        } else {
            negotiation::accepts_plain(headers).map(|()| false)
        };
        Some(aggregated.map(|aggregated| {
            if aggregated {
                self.aggregated.respond(headers)
            } else {
                legacy.respond(headers)
            }
        }))
    }
}

/// The verbs of a resource, and of its status.
const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];
const STATUS_VERBS: [&str; 3] = ["get", "patch", "update"];

/// By which clients notice that the version in which objects are stored has changed: upstream's
/// `StorageVersionHash` of `k8s.io/apiserver/pkg/endpoints/discovery`. The versions of a resource share
/// one storage, so they have the hash of the first of them.
fn storage_version_hash(
    definitions: &[ResourceDefinition],
    definition: &ResourceDefinition,
) -> String {
    let resource = definition.group_resource();
    let mut versions = definitions.iter();
    let first = versions.find(|other| other.group_resource() == resource);
    let stored = first.unwrap_or(definition);
    let kind = format!("{}/{}", stored.api_version(), stored.names.kind);
    let hash = Sha256::digest(kind);
    BASE64_STANDARD.encode(hash.get(..8).unwrap_or_default())
}

/// Names with what belongs to them, in their order.
type Named<'a, T> = Vec<(&'a str, T)>;

/// The definitions by group and version, groups and versions in their order.
fn by_version(
    definitions: &[ResourceDefinition],
) -> Named<'_, Named<'_, Vec<&ResourceDefinition>>> {
    let mut groups: Named<'_, Named<'_, _>> = Vec::new();
    for definition in definitions {
        let group = position(&mut groups, &definition.group);
        let version = position(&mut groups[group].1, &definition.version);
        let list: &mut Vec<_> = &mut groups[group].1[version].1;
        list.push(definition);
    }
    groups
}

/// Where a name stands in a list of names with their content; added at the end if it is new.
fn position<'a, T: Default>(list: &mut Named<'a, T>, name: &'a str) -> usize {
    list.iter()
        .position(|(n, _)| *n == name)
        .unwrap_or_else(|| {
            list.push((name, T::default()));
            list.len() - 1
        })
}

#[cfg(test)]
mod tests;
