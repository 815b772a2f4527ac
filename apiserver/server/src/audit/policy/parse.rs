//! Reads a policy, strictly: a field that is misspelt would record less than was meant.
//!
//! Mirrors `pkg/audit/policy/reader.go` and `pkg/apis/audit/validation`. Deviation: upstream falls
//! back to ignoring unknown and doubled fields.

use apimachinery::validation::dns1123_subdomain_problems;
use serde_json::Value;

use super::{GroupResources, Level, Policy, Rule, Stage, Stages};
use crate::fields::Fields;

const LEVELS: [Level; 4] = [
    Level::None,
    Level::Metadata,
    Level::Request,
    Level::RequestResponse,
];
const STAGES: [Stage; 4] = [
    Stage::RequestReceived,
    Stage::ResponseStarted,
    Stage::ResponseComplete,
    Stage::Panic,
];
const API_VERSION: &str = "audit.k8s.io/v1";

impl Policy {
    /// Reads a policy from YAML or JSON.
    ///
    /// # Errors
    /// A sentence that names the field that is wrong, and what to write instead.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut fields = Fields::of_document(bytes, &[API_VERSION], "Policy")?;
        let omit_stages = stages(fields.list("omitStages", stage)?);
        let omit_managed_fields = fields.boolean("omitManagedFields")?.unwrap_or_default();
        let rules = fields.list("rules", |path, value| rule(path, value, omit_stages))?;
        fields.end()?;
        if rules.is_empty() {
            return Err("rules: must have at least one: without any, nothing is recorded".into());
        }
        Ok(Self {
            rules,
            omit_managed_fields,
        })
    }
}

fn rule(path: String, value: Value, omit_stages: Stages) -> Result<Rule, String> {
    let mut fields = Fields::new(path, value)?;
    let rule = Rule {
        level: level(&fields.path("level"), &fields.text("level")?)?,
        users: fields.texts("users")?,
        user_groups: fields.texts("userGroups")?,
        verbs: fields.texts("verbs")?,
        resources: fields.list("resources", group_resources)?,
        namespaces: fields.texts("namespaces")?,
        non_resource_urls: fields.list("nonResourceURLs", non_resource_url)?,
        omit_stages: omit_stages.union(stages(fields.list("omitStages", stage)?)),
        omit_managed_fields: fields.boolean("omitManagedFields")?,
    };
    let is_about_resources = !rule.resources.is_empty() || !rule.namespaces.is_empty();
    if is_about_resources && !rule.non_resource_urls.is_empty() {
        return Err(format!(
            "{}: cannot stand beside resources or namespaces: make two rules",
            fields.path("nonResourceURLs")
        ));
    }
    fields.end()?;
    Ok(rule)
}

fn group_resources(path: String, value: Value) -> Result<GroupResources, String> {
    let mut fields = Fields::new(path, value)?;
    let found = GroupResources {
        group: fields.text("group")?,
        resources: fields.texts("resources")?,
        resource_names: fields.texts("resourceNames")?,
    };
    let is_usual = matches!(found.group.as_str(), "" | "*");
    if !is_usual && !dns1123_subdomain_problems(&found.group).is_empty() {
        return Err(format!(
            "{}: {:?} is no group: write its name without the version, such as apps, or *",
            fields.path("group"),
            found.group
        ));
    }
    if !found.resource_names.is_empty() && found.resources.is_empty() {
        return Err(format!(
            "{}: needs resources beside it that have these names",
            fields.path("resourceNames")
        ));
    }
    fields.end()?;
    Ok(found)
}

fn non_resource_url(path: String, value: Value) -> Result<String, String> {
    let Value::String(url) = value else {
        return Err(format!("{path}: must be a string, not {value}: quote it"));
    };
    if url == "*" {
        return Ok(url);
    }
    if !url.starts_with('/') {
        return Err(format!("{path}: {url:?} must begin with /, or be *"));
    }
    if url.find('*').is_some_and(|at| at + 1 != url.len()) {
        return Err(format!("{path}: {url:?} may have a * at its end only"));
    }
    Ok(url)
}

fn level(path: &str, text: &str) -> Result<Level, String> {
    let found = LEVELS.into_iter().find(|level| level.as_str() == text);
    found.ok_or_else(|| one_of(path, text, LEVELS.map(Level::as_str)))
}

fn stage(path: String, value: Value) -> Result<Stage, String> {
    let text = value.as_str().unwrap_or_default();
    let found = STAGES.into_iter().find(|stage| stage.as_str() == text);
    found.ok_or_else(|| one_of(&path, &value.to_string(), STAGES.map(Stage::as_str)))
}

fn stages(list: Vec<Stage>) -> Stages {
    let mut set = Stages::default();
    for stage in list {
        set.insert(stage);
    }
    set
}

fn one_of(path: &str, found: &str, known: [&str; 4]) -> String {
    let known = known.join(", ");
    if found.is_empty() {
        format!("{path}: is missing: use one of {known}")
    } else {
        format!("{path}: {found} is none of {known}")
    }
}
