//! Fields that somebody else owns with another value.

use std::{collections::BTreeMap, fmt::Write as _};

use super::encoding::{ManagerId, Operation};
use crate::{
    fieldpath::{PathElement, Set, path_string},
    go_format::quote,
    status::ApiError,
};

/// What each manager loses if the apply is forced; no set is empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Conflicts(pub(super) BTreeMap<ManagerId, Set>);

impl Conflicts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Without the conflicts about these paths.
    pub(super) fn without(self, allowed: &Set) -> Self {
        let rest = self.0.into_iter().filter_map(|(manager, set)| {
            let set = set.difference(allowed);
            (!set.is_empty()).then_some((manager, set))
        });
        Self(rest.collect())
    }

    /// 409 in the words that kubectl shows, with a cause per field.
    pub(super) fn to_error(&self) -> ApiError {
        let mut causes = Vec::new();
        for (manager, set) in &self.0 {
            let manager = describe(manager);
            set.for_each(&mut |path: &[PathElement]| {
                causes.push((manager.clone(), path_string(path)));
            });
        }
        let mut message = format!("Apply failed with {} conflict", causes.len());
        if let [(manager, path)] = causes.as_slice() {
            push(
                &mut message,
                format_args!(": conflict with {manager}: {path}"),
            );
        } else {
            message.push_str("s: ");
            let mut last = None;
            for (manager, path) in &causes {
                if last != Some(manager) {
                    let line_end = if last.is_some() { "\n" } else { "" };
                    push(
                        &mut message,
                        format_args!("{line_end}conflicts with {manager}:"),
                    );
                    last = Some(manager);
                }
                push(&mut message, format_args!("\n- {path}"));
            }
        }
        let causes = causes
            .into_iter()
            .map(|(manager, path)| (format!("conflict with {manager}"), path));
        ApiError::apply_conflict(message, causes)
    }
}

fn push(message: &mut String, text: std::fmt::Arguments<'_>) {
    message.write_fmt(text).expect("a string takes every write");
}

fn describe(id: &ManagerId) -> String {
    let mut text = quote(&id.manager);
    if !id.subresource.is_empty() {
        text.push_str(" with subresource ");
        text.push_str(&quote(&id.subresource));
    }
    if id.operation == Operation::Update {
        text.push_str(" using ");
        text.push_str(&id.api_version);
    }
    text
}
