//! Get and list.

use std::sync::Arc;

use apimachinery::{ApiError, ContinueToken, ListOptions, ResourceVersionMatch};
use storage::{Range, Revision, StorageError};

use super::Store;
use crate::cacher::{Entry, PastPage, PastRange, Selection};

/// Records that are read from the store at a time while a page is filtered.
const STORE_PAGE: usize = 1000;
/// Upstream's words, which clients look for.
const CONTINUE_EXPIRED: &str = "The provided continue parameter is too old to display a consistent \
    list result. You can start a new list without the continue parameter, or use the continue token \
    in this response to retrieve the remainder of the results. Continuing with the provided token \
    results in an inconsistent list - objects that were created, modified, or deleted between the \
    time the first chunk was returned and now may show up in the list.";

/// What a list found.
#[derive(Debug)]
pub struct ListResult {
    /// The objects in the order of their keys.
    pub entries: Vec<Arc<Entry>>,
    /// The revision whose state this is.
    pub revision: Revision,
    /// The token of the next page, if there is one.
    pub continue_token: Option<String>,
    /// How many objects follow, if that is known.
    pub remaining: Option<usize>,
}

impl Store {
    /// One object, at least as new as everything acknowledged before the call, or as
    /// `resource_version` asks.
    ///
    /// # Errors
    /// 404, or an error of the store.
    pub async fn get(
        &self,
        namespace: &str,
        name: &str,
        resource_version: Option<u64>,
    ) -> Result<Arc<Entry>, ApiError> {
        self.wait_for(resource_version, "get").await?;
        self.cacher
            .get(&self.key(namespace, name))
            .ok_or_else(|| ApiError::not_found(self.resource(), name))
    }

    /// The selected objects of a namespace, or of all namespaces when it is empty.
    ///
    /// # Errors
    /// 400 for a bad token, 410 for a state that is forgotten, 504 for one in the future.
    pub async fn list(
        &self,
        namespace: &str,
        selection: &Selection,
        options: &ListOptions,
    ) -> Result<ListResult, ApiError> {
        let limit = options
            .limit
            .filter(|_| options.resource_version != Some(0));
        if let Some(token) = &options.continue_token {
            let token = ContinueToken::decode(token)?;
            if options.resource_version.is_some_and(|version| version != 0) {
                return Err(ApiError::bad_request(
                    "specifying resource version is not allowed when using continue",
                ));
            }
            return self.list_at(namespace, selection, limit, token).await;
        }
        let exact = match (options.resource_version, options.resource_version_match) {
            (None | Some(0), _) | (_, Some(ResourceVersionMatch::NotOlderThan)) => None,
            (Some(version), Some(ResourceVersionMatch::Exact)) => Some(version),
            (Some(version), None) => limit.map(|_| version),
        };
        if let Some(revision) = exact {
            let token = ContinueToken {
                revision: Some(revision),
                start_after: String::new(),
            };
            return self.list_at(namespace, selection, limit, token).await;
        }
        self.wait_for(options.resource_version, "list").await?;
        let (mut entries, revision) = self.cacher.list(&self.prefix(namespace), selection);
        let selected = entries.len();
        entries.truncate(limit.unwrap_or(usize::MAX));
        let page = PastPage {
            remaining: selected - entries.len(),
            is_counted: true,
            entries,
        };
        Ok(self.list_result(namespace, selection, page, revision))
    }

    /// Waits until the cache shows everything that was acknowledged before the call.
    async fn wait_for_current(&self, verb: &str) -> Result<(), ApiError> {
        let revision = self.storage.current_revision().await;
        self.cacher
            .wait_until(revision.map_err(|e| self.storage_error(e, verb, ""))?)
            .await
    }

    /// Waits until the cache is as new as a read asks; `None` asks for the newest state.
    pub async fn wait_for(&self, version: Option<u64>, verb: &str) -> Result<(), ApiError> {
        match version {
            None => self.wait_for_current(verb).await,
            Some(version) => self.cacher.wait_until(Revision(version)).await,
        }
    }

    /// A page of an older state: from the cache as far as it reaches back, else from the store.
    async fn list_at(
        &self,
        namespace: &str,
        selection: &Selection,
        limit: Option<usize>,
        token: ContinueToken,
    ) -> Result<ListResult, ApiError> {
        self.wait_for(token.revision, "list").await?;
        let revision = token
            .revision
            .map_or_else(|| self.cacher.revision(), Revision);
        let prefix = self.prefix(namespace);
        let start_after =
            (!token.start_after.is_empty()).then(|| prefix.clone() + &token.start_after);
        let range = PastRange {
            prefix: &prefix,
            start_after: start_after.as_deref(),
            limit,
            at: revision,
        };
        let page = match self.cacher.list_past(range, selection) {
            Some(page) => page,
            None => self.list_stored(range, selection).await?,
        };
        Ok(self.list_result(namespace, selection, page, revision))
    }

    /// A part of an older state from the store, where the cache does not reach back to it.
    async fn list_stored(
        &self,
        range: PastRange<'_>,
        selection: &Selection,
    ) -> Result<PastPage, ApiError> {
        let mut start_after = range.start_after.map(str::to_owned);
        let limit = range.limit.unwrap_or(usize::MAX);
        let mut entries = Vec::new();
        loop {
            let stored = Range {
                prefix: range.prefix.to_owned(),
                start_after: start_after.take(),
                limit: Some(STORE_PAGE),
                at: Some(range.at),
            };
            let page = self.storage.list(stored).await;
            let page = page.map_err(|error| self.list_error(error, &range))?;
            start_after = page.records.last().map(|record| record.key.to_string());
            for record in page.records {
                let entry = self.codec.read(record).map_err(ApiError::internal)?;
                if selection.matches(&entry) {
                    entries.push(Arc::new(entry));
                }
            }
            if !page.more || entries.len() > limit {
                let remaining = entries.len().saturating_sub(limit);
                entries.truncate(limit);
                return Ok(PastPage {
                    entries,
                    remaining,
                    is_counted: !page.more,
                });
            }
        }
    }

    /// Of a page whose state is forgotten: the client may start anew, or go on at the newest state.
    fn list_error(&self, error: StorageError, range: &PastRange<'_>) -> ApiError {
        let start_after = range.start_after;
        let start_after = start_after.and_then(|key| key.strip_prefix(range.prefix));
        match (&error, start_after) {
            (StorageError::Compacted { .. }, Some(start_after)) => {
                let token = ContinueToken {
                    revision: None,
                    start_after: start_after.to_owned(),
                };
                ApiError::expired(CONTINUE_EXPIRED)
                    .with_continue(token.encode())
                    .with_internal(error)
            }
            _ => self.storage_error(error, "list", ""),
        }
    }

    fn list_result(
        &self,
        namespace: &str,
        selection: &Selection,
        page: PastPage,
        revision: Revision,
    ) -> ListResult {
        let PastPage {
            entries,
            remaining,
            is_counted,
        } = page;
        let prefix = self.prefix(namespace);
        let next = entries.last().filter(|_| remaining > 0);
        let continue_token = next.map(|last| {
            let start_after = last.key.strip_prefix(&prefix).unwrap_or(&last.key);
            let token = ContinueToken {
                revision: Some(revision.0),
                start_after: start_after.to_owned(),
            };
            token.encode()
        });
        ListResult {
            entries,
            revision,
            continue_token,
            remaining: (remaining > 0 && is_counted && selection.is_everything())
                .then_some(remaining),
        }
    }
}
