//! The chart's dashboard and alerts ask only for metrics that there are.
//!
//! What there is stands in `docs/metrics.md`, which the server's and the operator's own tests compare with
//! what they expose.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

const DASHBOARD: &str = include_str!("../../charts/extension-api-operator/files/dashboard.json");
const RULES: &str = include_str!("../../charts/extension-api-operator/files/rules.yaml");
const DOCUMENT: &str = include_str!("../../docs/metrics.md");

/// What Prometheus itself adds for everything that it scrapes.
const OF_PROMETHEUS: &str = "up";
/// Words of PromQL that stand where a metric could.
const KEYWORDS: [&str; 4] = ["and", "bool", "or", "unless"];
/// Words that a list of labels follows.
const BEFORE_LABELS: [&str; 6] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];

/// Every string under these keys, however deep.
fn texts<'a>(value: &'a Value, keys: &[&str], found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str() {
                    Some(text) if keys.contains(&key.as_str()) => found.push(text),
                    _ => texts(value, keys, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, keys, found)),
        _ => {}
    }
}

/// The names of the metrics in an expression of PromQL, as far as the chart needs it.
fn metrics(expression: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '$');
        let after = |end: char| rest.split_once(end).map_or("", |(_, after)| after);
        if first == '{' {
            rest = after('}');
            continue;
        }
        if first == '[' {
            rest = after(']');
            continue;
        }
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(length.max(first.len_utf8()));
        rest = tail;
        if !first.is_ascii_alphabetic() {
            continue;
        }
        let next = tail.trim_start();
        let is_call = ["(", "by ", "without "]
            .iter()
            .any(|begin| next.starts_with(begin));
        if BEFORE_LABELS.contains(&word) {
            rest = tail.split_once(')').map_or("", |(_, after)| after);
        } else if !is_call && !KEYWORDS.contains(&word) {
            names.insert(word.to_owned());
        }
    }
    names
}

/// Every series name that the document promises.
fn documented() -> BTreeSet<String> {
    let mut names = BTreeSet::from([OF_PROMETHEUS.to_owned()]);
    for row in DOCUMENT.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        if let [_, name, "histogram", ..] = cells[..] {
            names.extend(["bucket", "count", "sum"].map(|suffix| format!("{name}_{suffix}")));
        } else if let [_, name, ..] = cells[..] {
            names.insert(name.to_owned());
        }
    }
    names
}

fn unknown(content: &Value, keys: &[&str]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    texts(content, keys, &mut found);
    let expressions = found.iter().map(|query| {
        // What Grafana asks for a variable's values: the label is no metric.
        let values = query.strip_prefix("label_values(");
        values.map_or(*query, |values| {
            values.rsplit_once(',').map_or("", |(metric, _)| metric)
        })
    });
    let used: BTreeSet<_> = expressions
        .filter(|e| *e != "prometheus")
        .flat_map(metrics)
        .collect();
    ensure!(!used.is_empty(), "no metric is used at all");
    Ok(used.difference(&documented()).cloned().collect())
}

/// X11: a panel of a metric that is not there would show nothing for ever.
#[test]
fn the_dashboard_shows_metrics_that_there_are() -> Result<()> {
    let dashboard: Value = serde_json::from_str(DASHBOARD)?;
    assert_eq!(
        unknown(&dashboard, &["expr", "query"])?,
        Vec::<String>::new()
    );
    Ok(())
}

/// X11: an alert on a metric that is not there would never fire.
#[test]
fn the_alerts_watch_metrics_that_there_are() -> Result<()> {
    let rules: Value = serde_saphyr::from_str(RULES).context("the rules are YAML")?;
    assert_eq!(unknown(&rules, &["expr"])?, Vec::<String>::new());
    Ok(())
}

#[test]
fn the_names_of_metrics_are_found_in_an_expression() {
    let expression = "histogram_quantile(0.99, sum by (le, job) (rate(a_bucket{job=~\"x\", b!=\"c\"}[5m]))) \
                      / on (job) group_left () sum(d_total) > 1000 or absent(e)";
    let expected = ["a_bucket", "d_total", "e"].map(str::to_owned);
    assert_eq!(metrics(expression), BTreeSet::from(expected));
}
