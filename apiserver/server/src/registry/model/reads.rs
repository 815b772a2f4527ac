//! Reads, lists and watches of the store beside those of the model.

use std::time::Duration;

use super::*;
use crate::cacher::Entry;

const ALL: [Selector; 4] = [
    Selector::Everything,
    Selector::Label,
    Selector::NotLabel,
    Selector::Name,
];

pub(super) fn selected(query: &[(String, String)]) -> (ListOptions, Selection) {
    let options = ListOptions::from_query(query).unwrap();
    let selection = Selection::from_options(&options, &thing_definition()).unwrap();
    (options, selection)
}

fn states(entries: &[Arc<Entry>]) -> Vec<State> {
    entries.iter().map(|entry| read(&entry.served())).collect()
}

fn model_states(selected: &[(Key, State)]) -> Vec<State> {
    selected.iter().map(|(_, state)| state.clone()).collect()
}

impl Run {
    pub(super) async fn watch(&mut self, store: &Arc<Store>, since: u64, what: Follow) {
        store.wait_for(None, "watch").await.unwrap();
        let now = self.model.revision();
        let start = match what.from {
            From::Back(revisions) => WatchStart::After(Revision(now.saturating_sub(revisions))),
            From::Initial => WatchStart::Current {
                mark_end: what.bookmarks,
            },
            From::Now => WatchStart::Now,
        };
        let parameters = WatchParameters {
            prefix: store.prefix(what.namespace),
            selection: selected(what.selector.query().as_slice()).1,
            bookmarks: what.bookmarks,
            start,
            view: View::Object(Arc::new(("test.io/v1".to_owned(), "Thing".to_owned()))),
            deadline: Instant::now() + Duration::from_hours(24),
            shutdown: CancellationToken::new(),
        };
        match (Watcher::start(store.cacher(), parameters), start) {
            (Err(error), WatchStart::After(revision)) => {
                assert!(revision.0 < since, "{error}");
                assert_eq!(error.code(), 410);
            }
            (watcher, _) => {
                let frames = watcher.unwrap().into_stream();
                self.followers
                    .push(Follower::new(frames, what, &self.model));
            }
        }
    }

    pub(super) async fn begin_list(
        &mut self,
        store: &Store,
        namespace: &'static str,
        selector: Selector,
        back: Option<u64>,
        limit: usize,
    ) {
        let now = self.model.revision();
        let past = back
            .map(|back| now.saturating_sub(back))
            .filter(|revision| *revision > 0);
        let revision = past.unwrap_or(now);
        let mut query: Vec<(String, String)> = selector.query().into_iter().collect();
        if limit > 0 {
            query.push(("limit".to_owned(), limit.to_string()));
        }
        if let Some(past) = past {
            query.push(("resourceVersion".to_owned(), past.to_string()));
            query.push(("resourceVersionMatch".to_owned(), "Exact".to_owned()));
        }
        let pages = Pages {
            namespace,
            rest: self.model.selected(revision, namespace, selector),
            is_everything: selector == Selector::Everything,
            query,
            revision,
        };
        self.next_page(store, pages).await;
    }

    pub(super) async fn next_page(&mut self, store: &Store, mut pages: Pages) {
        let (options, selection) = selected(&pages.query);
        let page = store
            .list(pages.namespace, &selection, &options)
            .await
            .unwrap();
        let limit = options.limit.unwrap_or(usize::MAX).min(pages.rest.len());
        let wanted: Vec<_> = pages.rest.drain(..limit).collect();
        assert_eq!(
            states(&page.entries),
            model_states(&wanted),
            "{:?}",
            pages.query
        );
        assert_eq!(page.revision.0, pages.revision);
        let rest = pages.rest.len();
        assert_eq!(page.continue_token.is_some(), rest > 0);
        assert_eq!(
            page.remaining,
            (rest > 0 && pages.is_everything).then_some(rest)
        );
        if let Some(token) = page.continue_token {
            let selectors = |(name, _): &(String, String)| !name.starts_with("resourceVersion");
            pages.query.retain(selectors);
            pages.query.retain(|(name, _)| name != "continue");
            pages.query.push(("continue".to_owned(), token));
            self.pages.push(pages);
        }
    }

    /// What every server shows now.
    pub(super) async fn compare(&mut self, ticked: bool) {
        let now = self.model.revision();
        for (store, _) in &self.replicas {
            for selector in ALL {
                let (options, selection) = selected(selector.query().as_slice());
                let list = store.list("", &selection, &options).await.unwrap();
                let wanted = self.model.selected(now, "", selector);
                assert_eq!(states(&list.entries), model_states(&wanted));
                assert_eq!(list.revision.0, now);
            }
            for namespace in ["n1", "n2"] {
                for name in ["a", "b", "c"] {
                    let key = (namespace, name.to_owned());
                    let got = store.get(namespace, name, None).await;
                    match (self.model.objects().get(&key), got) {
                        (Some(state), Ok(entry)) => assert_eq!(*state, read(&entry.served())),
                        (None, Err(error)) => assert_eq!(error.code(), 404),
                        (state, got) => panic!("{state:?}, but {got:?}"),
                    }
                }
            }
        }
        // The servers' own tasks have to notice that time has passed.
        for _ in 0..8 * usize::from(ticked) {
            tokio::task::yield_now().await;
        }
        for follower in &mut self.followers {
            follower.compare(&self.model, ticked);
        }
    }

    /// Every revision, as the caches and the store itself show it.
    pub(super) async fn compare_the_past(&self) {
        for revision in 0..=self.model.revision() {
            let range = Range {
                at: Some(Revision(revision)),
                ..Range::prefix("/test.io/things/")
            };
            let stored = self.storage.list(range).await.unwrap().records;
            let stored: Vec<_> = stored
                .into_iter()
                .map(|r| (r.key, r.value, r.revision))
                .collect();
            for (store, since) in &self.replicas {
                self.compare_past(store, *since, revision);
                let range = past("/test.io/things/", revision);
                let Some(page) = store.cacher().list_past(range, &Selection::default()) else {
                    continue;
                };
                let served = |key: &str, value: &Bytes, revision| {
                    (key.into(), store.served(value, revision).unwrap())
                };
                let cached = page.entries.iter().map(|e| (e.key.clone(), e.served()));
                let stored = stored.iter().map(|(key, value, r)| served(key, value, *r));
                assert!(cached.eq(stored));
            }
        }
    }

    fn compare_past(&self, store: &Store, since: u64, revision: u64) {
        for selector in ALL {
            let (_, selection) = selected(selector.query().as_slice());
            for namespace in ["", "n1"] {
                let wanted = self.model.selected(revision, namespace, selector);
                let prefix = store.prefix(namespace);
                let range = PastRange {
                    limit: Some(2),
                    ..past(&prefix, revision)
                };
                let Some(first) = store.cacher().list_past(range, &selection) else {
                    assert!(revision < since);
                    continue;
                };
                let start_after = first.entries.last().map(|entry| &*entry.key);
                let range = PastRange {
                    start_after,
                    ..past(&prefix, revision)
                };
                let rest = start_after.and_then(|_| store.cacher().list_past(range, &selection));
                assert_eq!(
                    first.remaining,
                    rest.as_ref().map_or(0, |rest| rest.entries.len())
                );
                let mut all = states(&first.entries);
                all.extend(rest.iter().flat_map(|rest| states(&rest.entries)));
                assert_eq!(all, model_states(&wanted), "{revision} {selector:?}");
            }
        }
    }
}

fn past(prefix: &str, revision: u64) -> PastRange<'_> {
    PastRange {
        prefix,
        start_after: None,
        limit: None,
        at: Revision(revision),
    }
}
