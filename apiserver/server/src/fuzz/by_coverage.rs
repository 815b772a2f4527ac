//! The targets for libFuzzer.

use std::cell::OnceCell;

use super::targets;

/// The targets by name. Each of them only prepares itself: see [`fuzz`].
pub const TARGETS: [(&str, fn()); 16] = [
    ("request_lines", targets::request_lines),
    ("json_bodies", targets::json_bodies),
    ("yaml_bodies", targets::yaml_bodies),
    ("selectors", targets::selectors),
    ("continue_tokens", targets::continue_tokens),
    ("list_options", targets::list_options),
    ("accept_headers", targets::accept_headers),
    (
        "encodings_and_user_agents",
        targets::encodings_and_user_agents,
    ),
    ("json_patches", targets::json_patches),
    ("merge_patches", targets::merge_patches),
    ("field_sets", targets::field_sets),
    (
        "managed_fields_and_applies",
        targets::managed_fields_and_applies,
    ),
    ("objects", targets::objects),
    ("delete_options", targets::delete_options),
    ("audit_policies", targets::audit_policies),
    ("identity_headers", targets::identity_headers),
];

type Seeds = &'static [&'static str];
type Target = Box<dyn Fn(&[u8])>;

thread_local! {
    static PREPARED: OnceCell<(Seeds, Target)> = const { OnceCell::new() };
}

/// Keeps the target for the inputs that come.
pub(super) fn fuzz(_name: &str, seeds: Seeds, target: impl Fn(&[u8]) + 'static) {
    PREPARED.with(|cell| cell.set((seeds, Box::new(target))).is_ok());
}

/// Good inputs of the target that was prepared on this thread.
pub fn seeds() -> Seeds {
    PREPARED.with(|cell| cell.get().map_or(&[][..], |(seeds, _)| seeds))
}

/// Runs the target that was prepared on this thread on an input.
pub fn run(input: &[u8]) {
    PREPARED.with(|cell| {
        if let Some((_, target)) = cell.get() {
            target(input);
        }
    });
}
