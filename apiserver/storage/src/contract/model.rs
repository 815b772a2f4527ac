//! The same random writes on a backend and on the memory backend, which is the reference.

use proptest::{prelude::*, test_runner::TestRunner};

use futures::StreamExt;

use crate::{MemoryStorage, Range, Revision, Storage, StorageError};

/// Histories that are compared; each has a store of its own.
const CASES: u32 = 12;

#[derive(Clone, Debug)]
enum Step {
    /// Key and value; the expected revision is that of the key, moved by the last number.
    Create(u8, u8),
    Update(u8, u8, u64),
    Delete(u8, u64),
    Compact(u64),
}

fn step() -> impl Strategy<Value = Step> {
    // Mostly the right revision, sometimes an older one.
    let off = || prop_oneof![4 => Just(0_u64), 1 => 1..3_u64];
    prop_oneof![
        4 => (0..6_u8, any::<u8>()).prop_map(|(key, value)| Step::Create(key, value)),
        4 => (0..6_u8, any::<u8>(), off()).prop_map(|(key, value, off)| Step::Update(key, value, off)),
        2 => (0..6_u8, off()).prop_map(|(key, off)| Step::Delete(key, off)),
        1 => (0..4_u64).prop_map(Step::Compact),
    ]
}

fn key(number: u8) -> String {
    // Of different lengths and outside of ASCII, where orders differ.
    let names = ["/a/B", "/a/a", "/a/a-", "/a/a/b", "/a/ä", "/b/a"];
    names[usize::from(number) % names.len()].to_owned()
}

async fn act(store: &dyn Storage, step: &Step) -> Result<Revision, StorageError> {
    let at = async |key: &str| {
        let record = store.get(key.to_owned()).await.expect("get");
        record.map_or(Revision(1), |record| record.revision)
    };
    let back = |revision: Revision, off: u64| Revision(revision.0.saturating_sub(off));
    match *step {
        Step::Create(name, value) => store.create(key(name), vec![value].into()).await,
        Step::Update(name, value, off) => {
            let expected = back(at(&key(name)).await, off);
            store.update(key(name), vec![value].into(), expected).await
        }
        Step::Delete(name, off) => {
            let expected = back(at(&key(name)).await, off);
            store.delete(key(name), expected).await
        }
        Step::Compact(off) => {
            let newest = store.current_revision().await.expect("it is known");
            let compacted = store.compact(back(newest, off)).await;
            compacted.map(|()| newest)
        }
    }
}

/// Everything that can be asked about a store after some writes.
async fn everything(store: &dyn Storage) -> Vec<String> {
    let newest = store.current_revision().await.expect("it is known");
    let mut all = vec![format!("{newest}")];
    for at in (0..=newest.0 + 1)
        .map(|at| Some(Revision(at)))
        .chain([None])
    {
        for (prefix, start_after, limit) in [
            ("/a/", None, None),
            ("/a/", Some("/a/a"), Some(2)),
            ("", None, Some(3)),
            ("/", Some("/"), Some(0)),
            ("/b/", Some("/a/a"), None),
        ] {
            let range = Range {
                prefix: prefix.to_owned(),
                start_after: start_after.map(str::to_owned),
                limit,
                at,
            };
            all.push(format!("{at:?} {prefix} {:?}", store.list(range).await));
        }
        let Some(after) = at.filter(|after| *after < newest) else {
            continue;
        };
        let mut watch = store.watch("/a/".to_owned(), after);
        let mut seen = Vec::new();
        loop {
            match watch.next().await.expect("it goes on") {
                Ok(batch) => {
                    seen.extend(batch.events);
                    if batch.revision == newest {
                        break;
                    }
                }
                Err(error) => {
                    all.push(error.to_string());
                    break;
                }
            }
        }
        all.push(format!("{after} {seen:?}"));
    }
    all
}

/// Compares the answers; `new` makes an empty store as for the contract's tests.
pub(crate) fn compare<S: Storage>(new: impl AsyncFn(usize) -> S) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime starts");
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let steps = prop::collection::vec(step(), 1..40);
    let compared = TestRunner::new(config).run(&steps, |steps| {
        runtime.block_on(async {
            let (memory, store) = (MemoryStorage::with_log_capacity(20), new(20).await);
            for step in &steps {
                let answers = (act(&memory, step).await, act(&store, step).await);
                prop_assert_eq!(answers.0, answers.1, "{:?}", step);
            }
            prop_assert_eq!(everything(&memory).await, everything(&store).await);
            Ok(())
        })
    });
    compared.expect("both backends answer alike");
}
