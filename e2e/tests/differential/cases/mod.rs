//! The table of cases, by topic.

mod access;
mod apply;
mod apply_refusals;
mod create;
mod delete;
mod delete_collection;
mod dry_run;
mod field_validation;
mod finalizers;
mod generation;
mod get;
mod json_patch;
mod list;
mod merge_patch;
mod metadata;
mod negotiation;
mod nulls;
mod owners;
mod paging;
mod partial_metadata;
mod paths;
mod schema;
mod selectors;
mod snapshots;
mod status;
mod table;
mod timeouts;
mod update;
mod watch;
mod watch_list;

use super::case::Case;

/// All cases.
pub(crate) fn all() -> Vec<Case> {
    [
        access::cases(),
        apply::cases(),
        apply_refusals::cases(),
        create::cases(),
        create::refusals(),
        delete::cases(),
        delete_collection::cases(),
        dry_run::cases(),
        field_validation::cases(),
        finalizers::cases(),
        generation::cases(),
        get::cases(),
        json_patch::cases(),
        list::cases(),
        merge_patch::cases(),
        metadata::cases(),
        negotiation::cases(),
        nulls::cases(),
        owners::cases(),
        paging::cases(),
        partial_metadata::cases(),
        paths::cases(),
        schema::cases(),
        selectors::cases(),
        snapshots::cases(),
        status::cases(),
        table::cases(),
        timeouts::cases(),
        update::cases(),
        watch::cases(),
        watch_list::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
