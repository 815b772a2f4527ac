//! What is recorded of which request: `audit.k8s.io/v1` `Policy`.
//!
//! The first rule that matches a request counts; what no rule matches is not recorded. Pure code.
//! Mirrors `k8s.io/apiserver/pkg/audit/policy/checker.go`.

mod parse;

use crate::request::{RequestInfo, ResourceRequest, UserInfo};

/// How much is recorded of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    None,
    /// Who did what, when and with which result.
    Metadata,
    /// The object that was sent, too.
    Request,
    /// The object that was answered, too.
    RequestResponse,
}

/// A moment of a request at which an event is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is known who sends it; nothing was done yet.
    RequestReceived,
    /// The answer begins: for watches, and where authentication failed.
    ResponseStarted,
    /// The answer is complete.
    ResponseComplete,
    /// The handler panicked.
    Panic,
}

/// A set of stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stages(u8);

/// What is recorded of which request.
#[derive(Clone, Debug)]
pub struct Policy {
    rules: Vec<Rule>,
    omit_managed_fields: bool,
}

/// Requests that are recorded in one way. What is empty matches everything.
#[derive(Clone, Debug)]
struct Rule {
    level: Level,
    users: Vec<String>,
    user_groups: Vec<String>,
    verbs: Vec<String>,
    resources: Vec<GroupResources>,
    namespaces: Vec<String>,
    non_resource_urls: Vec<String>,
    /// The policy's own ones included.
    omit_stages: Stages,
    omit_managed_fields: Option<bool>,
}

#[derive(Clone, Debug)]
struct GroupResources {
    group: String,
    resources: Vec<String>,
    resource_names: Vec<String>,
}

/// What a policy says about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How much is recorded.
    pub level: Level,
    /// Moments that make no event.
    pub omit_stages: Stages,
    /// Whether objects are recorded without `managedFields`.
    pub omit_managed_fields: bool,
}

// === impl Level ===

impl Level {
    /// As policies and events write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Metadata => "Metadata",
            Self::Request => "Request",
            Self::RequestResponse => "RequestResponse",
        }
    }
}

// === impl Stage ===

impl Stage {
    /// As policies and events write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RequestReceived => "RequestReceived",
            Self::ResponseStarted => "ResponseStarted",
            Self::ResponseComplete => "ResponseComplete",
            Self::Panic => "Panic",
        }
    }
}

// === impl Stages ===

impl Stages {
    /// Whether the set has this one.
    pub fn contains(self, stage: Stage) -> bool {
        self.0 & (1 << stage as u8) != 0
    }

    fn insert(&mut self, stage: Stage) {
        self.0 |= 1 << stage as u8;
    }

    fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

// === impl Policy ===

impl Policy {
    /// What is recorded of this request, whose user is unknown when authentication failed.
    pub fn evaluate(&self, user: Option<&UserInfo>, request: &RequestInfo) -> Verdict {
        match self.rules.iter().find(|rule| rule.matches(user, request)) {
            Some(rule) => Verdict {
                level: rule.level,
                omit_stages: rule.omit_stages,
                omit_managed_fields: rule.omit_managed_fields.unwrap_or(self.omit_managed_fields),
            },
            None => Verdict {
                level: Level::None,
                omit_stages: Stages::default(),
                omit_managed_fields: self.omit_managed_fields,
            },
        }
    }
}

// === impl Rule ===

impl Rule {
    fn matches(&self, user: Option<&UserInfo>, request: &RequestInfo) -> bool {
        if !self.users.is_empty() && !user.is_some_and(|user| self.users.contains(&user.name)) {
            return false;
        }
        let in_group = |user: &UserInfo| user.groups.iter().any(|g| self.user_groups.contains(g));
        if !self.user_groups.is_empty() && !user.is_some_and(in_group) {
            return false;
        }
        if !self.verbs.is_empty() && !self.verbs.contains(&request.verb) {
            return false;
        }
        if !self.namespaces.is_empty() || !self.resources.is_empty() {
            let resource = request.resource.as_ref();
            return resource.is_some_and(|resource| self.matches_resource(resource));
        }
        if !self.non_resource_urls.is_empty() {
            let matches = |url: &String| path_matches(&request.path, url);
            return request.resource.is_none() && self.non_resource_urls.iter().any(matches);
        }
        true
    }

    fn matches_resource(&self, resource: &ResourceRequest) -> bool {
        // A resource that is in no namespace has the empty one.
        if !self.namespaces.is_empty() && !self.namespaces.contains(&resource.namespace) {
            return false;
        }
        let matches = |group: &GroupResources| group.matches(resource);
        self.resources.is_empty() || self.resources.iter().any(matches)
    }
}

// === impl GroupResources ===

impl GroupResources {
    fn matches(&self, request: &ResourceRequest) -> bool {
        if self.group != "*" && self.group != request.group {
            return false;
        }
        if self.resources.is_empty() {
            return true;
        }
        if !self.resource_names.is_empty() && !self.resource_names.contains(&request.name) {
            return false;
        }
        let whole = request.qualified_resource();
        self.resources.iter().any(|pattern| {
            if *pattern == "*" || *pattern == whole {
                return true;
            }
            match pattern.split_once('/') {
                Some(("*", sub)) if !request.subresource.is_empty() => sub == request.subresource,
                Some((resource, "*")) => resource == request.resource,
                _ => false,
            }
        })
    }
}

fn path_matches(path: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == pattern,
    }
}

#[cfg(test)]
mod tests;
