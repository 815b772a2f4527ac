//! What server-side apply costs for an object of 2 kB: `cargo bench -p apimachinery`.

use apimachinery::{
    Object, ResourceDefinition, ResourceNames, Scope, managed_fields::FieldManager, schema::Schema,
};
use divan::Bencher;
use jiff::Timestamp;
use serde_json::{Value, json};

const OBJECT_BYTES: std::ops::Range<usize> = 1900..2200;

fn main() {
    divan::main();
}

/// A manager that never wrote takes a share in fields that another one owns.
#[divan::bench]
fn new_manager(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    let applied = object("v");
    bencher.bench(|| bench.apply(&applied, "two"));
}

/// The owner applies the same again.
#[divan::bench]
fn same_again(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    let applied = object("v");
    bencher.bench(|| bench.apply(&applied, "one"));
}

/// The owner changes every value.
#[divan::bench]
fn change(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    let applied = object("w");
    bencher.bench(|| bench.apply(&applied, "one"));
}

/// The owner gives up a list item and a member of a map.
#[divan::bench]
fn give_up(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    let mut applied = object("v");
    let spec = applied.fields_mut().get_mut("spec");
    let spec = spec.and_then(Value::as_object_mut).expect("made with one");
    let rows = spec.get_mut("rows").and_then(Value::as_array_mut);
    rows.expect("made with rows").pop();
    let data = spec.get_mut("data").and_then(Value::as_object_mut);
    data.expect("made with data").remove("key-0");
    bencher.bench(|| bench.apply(&applied, "one"));
}

/// Another manager wants other values.
#[divan::bench]
fn conflict(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    let applied = object("w");
    bencher.bench(|| bench.apply(&applied, "two"));
}

/// An update changes every value.
#[divan::bench]
fn update(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    bencher.with_inputs(|| object("w")).bench_values(|mut new| {
        let live = Some(&bench.live);
        bench
            .manager
            .update(live, &mut new, "ctl", "", Timestamp::UNIX_EPOCH);
        new
    });
}

struct Bench {
    manager: FieldManager,
    live: Object,
}

impl Bench {
    fn new() -> Self {
        let manager = FieldManager::new(&definition());
        let applied = object("v");
        let bytes = applied.encode_stored().len();
        assert!(
            OBJECT_BYTES.contains(&bytes),
            "the object has {bytes} bytes"
        );
        let now = Timestamp::UNIX_EPOCH;
        let mut live = manager
            .apply(None, &applied, "one", "", false, now)
            .expect("the object fits the schema");
        live.set_metadata_field("uid", Some(json!("u")));
        Self { manager, live }
    }

    fn apply(&self, applied: &Object, manager: &str) -> Result<Object, apimachinery::ApiError> {
        let now = Timestamp::UNIX_EPOCH;
        self.manager
            .apply(Some(&self.live), applied, manager, "", false, now)
    }
}

fn definition() -> ResourceDefinition {
    let string = json!({"type": "string"});
    let row = json!({"type": "object", "required": ["name"], "properties": {
        "name": string, "value": string, "count": {"type": "integer"},
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": string},
    }});
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "source": string,
        "data": {"type": "object", "additionalProperties": string},
        "rows": {"type": "array", "items": row,
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    }}}});
    ResourceDefinition {
        group: "bench.example.com".to_owned(),
        version: "v1".to_owned(),
        names: ResourceNames {
            kind: "Bench".to_owned(),
            list_kind: "BenchList".to_owned(),
            plural: "benches".to_owned(),
            singular: "bench".to_owned(),
            short_names: Vec::new(),
            categories: Vec::new(),
        },
        scope: Scope::Namespaced,
        schema: Schema::parse(schema).expect("every keyword is supported"),
        status_subresource: true,
        scale: None,
        subresources: Vec::new(),
        selectable_fields: Vec::new(),
        columns: Vec::new(),
    }
}

fn object(value: &str) -> Object {
    let text = value.repeat(24);
    let data: serde_json::Map<String, Value> =
        (0..20).map(|i| (format!("key-{i}"), json!(text))).collect();
    let rows: Vec<Value> = (0..14)
        .map(|i| json!({"name": format!("row-{i}"), "value": text, "count": i, "tags": ["a", "b"]}))
        .collect();
    Object::from_value(json!({
        "apiVersion": "bench.example.com/v1", "kind": "Bench",
        "metadata": {"name": "a", "namespace": "default", "labels": {"app": "bench", "tier": "test"}},
        "spec": {"source": value, "data": data, "rows": rows},
    }))
    .expect("it is an object")
}
