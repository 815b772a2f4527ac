//! The parsers, each with good inputs of its own.

use apimachinery::{
    ContinueToken, ListOptions, Object, ResourceDefinition, decode,
    fieldpath::Set,
    managed_fields::{FieldManager, manager_from_user_agent},
    object::ObjectHeader,
    schema::Schema,
    selector::{FieldSelector, LabelSelector},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

use super::fuzz;
use crate::{
    audit::Policy,
    authentication::{Authenticator, PresentedCertificates, Trust, TrustStore},
    encoding::Encoding,
    endpoints::delete::sent_options,
    negotiation,
    registry::Patch,
    request::RequestInfo,
    testing::thing_definition,
};

/// Nodes that aliases may add to a YAML document.
const ALIASED_MAX: usize = 100_000;

const OBJECTS: &[&str] = &[
    r#"{"apiVersion":"test.io/v1","kind":"Thing","metadata":{"name":"a","namespace":"n","uid":"u",
        "labels":{"l":"x"},"annotations":{"k":"v"},"finalizers":["a/b"],"generation":1,
        "creationTimestamp":"2020-01-01T00:00:00Z","deletionTimestamp":null,"resourceVersion":"7",
        "ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"p","uid":"u","controller":true}]},
        "spec":{"size":1,"colour":"red","any":{"a":[1,{"b":null}]}},"status":{"phase":"ready"}}"#,
    r#"{"metadata":{"managedFields":[{"manager":"m","operation":"Apply","apiVersion":"test.io/v1",
        "time":"2020-01-01T00:00:00Z","fieldsType":"FieldsV1","subresource":"status",
        "fieldsV1":{"f:spec":{".":{},"f:size":{},"k:{\"a\":1}":{},"v:1":{},"i:0":{}}}}]}}"#,
];
const YAML: &[&str] = &[
    "apiVersion: test.io/v1\nkind: Thing\nmetadata:\n  name: a\n  labels: {l: x}\nspec:\n  size: 1\n",
    "a: &a [x, y]\nb: *a\nc:\n  <<: {d: |\n    text\n  }\ne: !!str 1\n? f\n: \"g\\u0041\"\n---\nh: 0x1F\n",
    "a0: &a0 [x,x,x,x]\na1: &a1 [*a0,*a0,*a0,*a0]\na2: &a2 [*a1,*a1,*a1,*a1]\na3: [*a2,*a2,*a2,*a2]\n",
];

/// A kind that takes anything somewhere.
fn definition() -> ResourceDefinition {
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "size": {"type": "integer", "minimum": 0, "default": 3},
            "colour": {"type": "string", "pattern": "^[a-z]*$", "maxLength": 9},
            "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }},
        "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
    }});
    ResourceDefinition {
        schema: Schema::parse(schema).unwrap(),
        ..thing_definition()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Object(members) => members.values().map(nodes).sum(),
        _ => 0,
    }
}

/// What comes out of a decoder can be stored and read again.
fn readable(value: &Value) {
    let bytes = serde_json::to_vec(value).unwrap();
    assert_eq!(decode::json(&bytes).as_ref().map(|d| &d.value), Ok(value));
}

fn headers(name: HeaderName, bytes: &[u8]) -> Option<HeaderMap> {
    let value = HeaderValue::from_bytes(bytes).ok()?;
    Some(HeaderMap::from_iter([(name, value)]))
}

/// P12, P13: a path is read in one way, and what is no resource path names no resource.
#[cfg_attr(test, test)]
pub(super) fn request_lines() {
    let seeds = &[
        "/apis/test.io/v1/namespaces/n/things/a/status?watch=true&labelSelector=a%3Db&x",
        "/apis/test.io/v1/watch/things?fieldSelector=metadata.name%3Da",
        "/openapi/v3/apis/test.io/v1?hash=A",
    ];
    fuzz("request_lines", seeds, move |bytes| {
        let line = text(bytes);
        let (path, query) = line.split_once('?').unwrap_or((&line, ""));
        for method in [Method::GET, Method::DELETE, Method::PATCH] {
            let info = RequestInfo::parse(&method, path, Some(query));
            assert_eq!(info.path, path);
            let Some(resource) = info.resource else {
                continue;
            };
            for part in [resource.group, resource.version, resource.resource] {
                assert!(
                    !matches!(part.as_str(), "" | "." | "..") && !part.contains('/'),
                    "{path}"
                );
            }
            assert!(
                !resource.name.contains('/') && !resource.namespace.contains('/'),
                "{path}"
            );
        }
    });
}

/// V14: JSON that is accepted can be read again.
#[cfg_attr(test, test)]
pub(super) fn json_bodies() {
    fuzz("json_bodies", OBJECTS, move |bytes| {
        if let Ok(decoded) = decode::json(bytes) {
            readable(&decoded.value);
            assert!(nodes(&decoded.value) <= bytes.len());
        }
    });
}

/// V14: YAML that is accepted can be read again, and aliases make no more of it than they may.
#[cfg_attr(test, test)]
pub(super) fn yaml_bodies() {
    fuzz("yaml_bodies", YAML, move |bytes| {
        if let Ok(decoded) = decode::yaml(bytes) {
            readable(&decoded.value);
            assert!(nodes(&decoded.value) <= ALIASED_MAX + 2 * bytes.len() + 1);
        }
    });
}

/// L6: selectors are read or refused.
#[cfg_attr(test, test)]
pub(super) fn selectors() {
    let seeds = &[
        "a=b,c!=d,e in (f,g),h notin (i),j,!k",
        "metadata.name=a,spec.x!=b\\,c",
    ];
    fuzz("selectors", seeds, move |bytes| {
        let text = text(bytes);
        let _ = (LabelSelector::parse(&text), FieldSelector::parse(&text));
    });
}

/// L4: a token is read or refused, and never leads out of its prefix.
#[cfg_attr(test, test)]
pub(super) fn continue_tokens() {
    let seeds = &[r#"{"v":"meta.k8s.io/v1","rv":7,"start":"n/a"}"#];
    fuzz("continue_tokens", seeds, move |bytes| {
        let _ = ContinueToken::decode(&text(bytes));
        if let Ok(token) = ContinueToken::decode(&URL_SAFE_NO_PAD.encode(bytes)) {
            assert_ne!(token.revision, Some(0));
            assert!(
                token
                    .start_after
                    .split('/')
                    .all(|part| !matches!(part, "" | "." | ".."))
            );
            assert_eq!(ContinueToken::decode(&token.encode()).ok(), Some(token));
        }
    });
}

/// L1, L3: the options of a list are read or refused with 400 or 422.
#[cfg_attr(test, test)]
pub(super) fn list_options() {
    let seeds = &[
        "limit=5&continue=x&resourceVersion=7&resourceVersionMatch=Exact&timeoutSeconds=3",
        "watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
        "labelSelector=a%3Db&fieldSelector=metadata.name%3Dc",
    ];
    fuzz("list_options", seeds, move |bytes| {
        let info = RequestInfo::parse(&Method::GET, "/", Some(&text(bytes)));
        if let Err(error) = ListOptions::from_query(&info.query) {
            assert!(matches!(error.code(), 400 | 422), "{error}");
        }
    });
}

/// R3: an Accept header chooses something or is 406.
#[cfg_attr(test, test)]
pub(super) fn accept_headers() {
    let seeds = &[
        "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;q=0.5, */*",
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/yaml;pretty=1",
    ];
    fuzz("accept_headers", seeds, move |bytes| {
        let Some(headers) = headers(header::ACCEPT, bytes) else {
            return;
        };
        let chosen = [
            negotiation::representation(&headers).map(|_| ()),
            negotiation::watch_representation(&headers).map(|_| ()),
            negotiation::wants_aggregated_discovery(&headers).map(|_| ()),
            negotiation::accepts_plain(&headers),
            negotiation::accepts_json(&headers),
        ];
        for refused in chosen.iter().filter_map(|chosen| chosen.as_ref().err()) {
            assert_eq!(refused.code(), 406);
        }
        let _ = (
            negotiation::syntax(&headers),
            negotiation::wants_pretty(&headers),
        );
    });
}

/// R4: an Accept-Encoding or User-Agent header is read or ignored; a default manager is one.
#[cfg_attr(test, test)]
pub(super) fn encodings_and_user_agents() {
    let seeds = &[
        "gzip;q=0.5, br, *",
        "kubectl/v1.36.0 (linux/amd64) kubernetes/abc",
    ];
    fuzz("encodings_and_user_agents", seeds, move |bytes| {
        let info = RequestInfo::parse(&Method::GET, "/apis", None);
        for name in [header::ACCEPT_ENCODING, header::USER_AGENT] {
            if let Some(headers) = headers(name, bytes) {
                let _ = Encoding::requested(&headers, &info);
            }
        }
        assert!(manager_from_user_agent(&text(bytes)).chars().count() <= 128);
    });
}

/// A1, V14: whatever operations do, the object can be stored and read again.
#[cfg_attr(test, test)]
pub(super) fn json_patches() {
    let seeds = &[
        r#"[{"op":"add","path":"/spec/a","value":{"b":[1]}},{"op":"move","from":"/spec/a","path":"/c"},
            {"op":"copy","from":"/spec","path":"/spec/x"},{"op":"test","path":"/kind","value":"Thing"},
            {"op":"replace","path":"/metadata/labels/l","value":null},{"op":"remove","path":"/c"}]"#,
        r#"[{"op":"copy","from":"","path":"/a"},{"op":"move","from":"/a","path":"/spec/a~1b~0"},
            {"op":"add","path":"/metadata/finalizers/-","value":"x"}]"#,
    ];
    let object = decode::json(OBJECTS[0].as_bytes()).unwrap().value;
    fuzz("json_patches", seeds, move |bytes| {
        let mut object = object.clone();
        let patched = Patch::json(bytes).and_then(|patch| patch.apply(&mut object));
        if patched.is_ok() {
            readable(&object);
        }
    });
}

/// A1, V14: the same of merge patches.
#[cfg_attr(test, test)]
pub(super) fn merge_patches() {
    let object = decode::json(OBJECTS[0].as_bytes()).unwrap().value;
    fuzz("merge_patches", OBJECTS, move |bytes| {
        let Ok(decoded) = decode::json(bytes) else {
            return;
        };
        let mut object = object.clone();
        if let Ok(patch) = Patch::merge(decoded.value) {
            patch.apply(&mut object).unwrap();
            readable(&object);
        }
    });
}

/// A3: sets of fields survive being written and read again.
#[cfg_attr(test, test)]
pub(super) fn field_sets() {
    let seeds = &[r#"{"f:spec":{".":{},"f:a":{},"k:{\"b\":1}":{"v:[1,2]":{}},"i:3":{}}}"#];
    fuzz("field_sets", seeds, move |bytes| {
        let Ok(decoded) = decode::json(bytes) else {
            return;
        };
        if let Ok(set) = Set::from_fields(&decoded.value) {
            let fields = set.to_fields();
            let again = Set::from_fields(&fields).map(|set| set.to_fields());
            assert_eq!(again.ok(), Some(fields));
        }
    });
}

/// A2, A3: managed fields that a client made up are taken, dropped or refused; the result can be
/// read again.
#[cfg_attr(test, test)]
pub(super) fn managed_fields_and_applies() {
    let manager = FieldManager::new(&definition());
    fuzz("managed_fields_and_applies", OBJECTS, move |bytes| {
        let Ok(decoded) = decode::yaml(bytes) else {
            return;
        };
        let Ok(sent) = Object::as_sent(decoded.value.clone()) else {
            return;
        };
        let applied = manager.apply(None, &sent, "m", "", true, Timestamp::UNIX_EPOCH);
        let Ok(mut object) = Object::from_value(decoded.value) else {
            return;
        };
        let before = applied.ok();
        manager.update(before.as_ref(), &mut object, "n", "", Timestamp::UNIX_EPOCH);
        let _ = manager.apply(Some(&object), &sent, "m", "", false, Timestamp::UNIX_EPOCH);
        let _ = manager.extract(&object, "m", "");
    });
}

/// V14, A5: an object that is pruned and valid has a stored form that is read again.
#[cfg_attr(test, test)]
pub(super) fn objects() {
    let definition = definition();
    fuzz("objects", OBJECTS, move |bytes| {
        let Ok(decoded) = decode::yaml(bytes) else {
            return;
        };
        let Ok((mut object, _)) = Object::decode(decoded.value) else {
            return;
        };
        let schema = &definition.schema;
        schema.prune(object.fields_mut());
        schema.apply_defaults(object.fields_mut());
        let _ = schema.validate(object.fields());
        let _ = schema.validate_update(object.fields(), object.fields());
        let _ = apimachinery::validation::validate_object_meta(&object, true);
        let stored = object.encode_stored();
        let again = Object::from_slice(&stored).unwrap();
        assert_eq!(again.encode_stored(), stored);
        if !object.name().is_empty() {
            assert_eq!(
                ObjectHeader::from_slice(&stored).unwrap().name,
                object.name()
            );
        }
    });
}

/// V10: the options of a delete are read, or refused with 400.
#[cfg_attr(test, test)]
pub(super) fn delete_options() {
    let seeds = &[
        r#"{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":0,"dryRun":["All"],
            "preconditions":{"uid":"u","resourceVersion":"7"},"propagationPolicy":"Orphan"}"#,
        r#"{"orphanDependents":true}"#,
    ];
    fuzz("delete_options", seeds, move |bytes| {
        if let Err(error) = sent_options(&HeaderMap::new(), bytes) {
            assert_eq!(error.code(), 400);
        }
    });
}

/// X9: a policy is read, or refused with a sentence.
#[cfg_attr(test, test)]
pub(super) fn audit_policies() {
    let seeds = &[
        r#"{"apiVersion":"audit.k8s.io/v1","kind":"Policy","metadata":{"name":"a"},"omitStages":["Panic"],
            "omitManagedFields":true,"rules":[{"level":"Metadata","users":["a"],"userGroups":["b"],
            "verbs":["get"],"resources":[{"group":"g","resources":["*","a/*"],"resourceNames":["n"]}],
            "namespaces":[""],"omitStages":["RequestReceived"],"omitManagedFields":false}]}"#,
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n  nonResourceURLs: [/a*]\n\
         - level: Request\n",
    ];
    let requests = [
        "/apis/g/v1/namespaces/n/rs/a/s",
        "/apis/g/v1/rs",
        "/healthz",
    ];
    let requests = requests.map(|path| RequestInfo::parse(&Method::GET, path, None));
    fuzz("audit_policies", seeds, move |bytes| {
        match Policy::parse(bytes) {
            Ok(policy) => {
                for request in &requests {
                    let _ = policy.evaluate(None, request);
                }
            }
            Err(error) => assert!(!error.is_empty()),
        }
    });
}

/// Whatever the headers say, nobody but nobody comes of them without a certificate, and nothing of
/// them is left.
#[cfg_attr(test, test)]
pub(super) fn identity_headers() {
    let seeds = &[
        "x-remote-user: jane\nx-remote-group: a\nx-remote-extra-k%2Fy: v\nx-remote-uid: u\naccept: x",
        "authorization: Bearer abc.def\nX-Remote-User: system:admin",
    ];
    let trust = Arc::new(TrustStore::new(Trust::default()));
    let authenticator = Authenticator::new(trust, None);
    let request = RequestInfo::parse(&Method::GET, "/", None);
    fuzz("identity_headers", seeds, move |bytes| {
        let mut headers = HeaderMap::new();
        for line in bytes.split(|byte| *byte == b'\n') {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                continue;
            };
            let name = HeaderName::from_bytes(&line[..colon]);
            let value = HeaderValue::from_bytes(&line[colon + 1..]);
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.append(name, value);
            }
        }
        let user = authenticator
            .authenticate(&mut headers, &PresentedCertificates::default(), &request)
            .now_or_never();
        match user.expect("nothing is asked") {
            Ok(user) => assert_eq!(user.name, "system:anonymous"),
            Err(error) => assert_eq!(error.code(), 401),
        }
        let left = |name: &HeaderName| name.as_str().starts_with("x-remote-");
        assert!(!headers.contains_key("authorization") && !headers.keys().any(left));
    });
}
