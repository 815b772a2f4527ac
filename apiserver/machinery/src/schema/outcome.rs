//! What came out of checking a value: the broken rules, and how much of it fitted.

use crate::field::{FieldError, FieldErrorKind};

/// Most broken rules that one request reports. More make an object no less invalid.
pub(super) const REPORTED_MAX: usize = 256;

/// One broken rule on its way up.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Broken {
    /// The path of the field; `None` for a rule about several fields, which upstream reports
    /// without one.
    pub(super) path: Option<String>,
    pub(super) kind: FieldErrorKind,
    pub(super) detail: String,
}

/// The broken rules of a value and of all that is in it, each once.
///
/// Mirrors `k8s.io/kube-openapi/pkg/validation/validate/result.go`. `matches` is how the best one
/// of several alternatives is found, whose errors are then told.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) broken: Vec<Broken>,
    pub(super) matches: usize,
}

impl Outcome {
    pub(super) fn is_valid(&self) -> bool {
        self.broken.is_empty()
    }

    pub(super) fn push(&mut self, broken: Broken) {
        if self.broken.len() < REPORTED_MAX && !self.broken.contains(&broken) {
            self.broken.push(broken);
        }
    }

    /// A broken rule about the field at `path`.
    pub(super) fn at(&mut self, path: &str, kind: FieldErrorKind, detail: impl Into<String>) {
        self.push(Broken {
            path: Some(path.to_owned()),
            kind,
            detail: detail.into(),
        });
    }

    /// A broken rule that is told without a field.
    pub(super) fn whole(&mut self, detail: String) {
        self.push(Broken {
            path: None,
            kind: FieldErrorKind::Invalid("".into()),
            detail,
        });
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.matches += other.matches;
        for broken in other.broken {
            self.push(broken);
        }
    }

    /// The errors, with paths under `root`.
    pub(super) fn into_errors(self, root: &str) -> Vec<FieldError> {
        let field = |path: Option<String>| match path.as_deref().map(|p| p.trim_start_matches('.'))
        {
            None | Some("") if root.is_empty() => "<nil>".to_owned(),
            None | Some("") => root.to_owned(),
            Some(path) => super::join(root, path),
        };
        self.broken
            .into_iter()
            .map(|broken| FieldError {
                field: field(broken.path),
                kind: broken.kind,
                detail: broken.detail,
            })
            .collect()
    }
}
