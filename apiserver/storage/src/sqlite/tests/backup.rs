//! A copy that is made while the store is written to.

use super::*;

/// The copy is one state, and a server on it begins a new history.
#[tokio::test]
async fn a_backup_under_writes_is_one_state_and_a_new_history() {
    let directory = TempDir::new().expect("a directory");
    let copy = directory.path().join("copy.db");
    let store = open(&directory.path().join("records.db"));
    for number in 0..200 {
        create(&store, &format!("/a/{number}"), "x").await;
    }
    let writing = async {
        let mut last = Revision(0);
        for number in 200..400 {
            last = create(&store, &format!("/a/{number}"), "x").await;
        }
        last
    };
    let (made, last) = tokio::join!(store.backup(&copy), writing);
    let at = Range {
        at: Some(made.expect("it is made")),
        ..Range::prefix("")
    };
    let original = store.list(at).await.expect("listed").records;
    let again = store.backup(&copy).await.expect_err("it is there");
    assert!(again.contains("name a new file"), "{again}");

    let restored = open(&copy);
    let page = restored.list(Range::prefix("")).await.expect("listed");
    assert_eq!(page.records, original);
    assert!(page.revision > last, "{} {last}", page.revision);
    let item = restored.watch(String::new(), last).next().await;
    let is_compacted = matches!(item, Some(Err(StorageError::Compacted { .. })));
    assert!(is_compacted, "{item:?}");
    let newest = create(&restored, "/a/new", "y").await;
    drop(restored);
    let restored = open(&copy);
    assert_eq!(restored.current_revision().await, Ok(newest));
}

#[tokio::test]
async fn a_backup_that_cannot_be_made_leaves_nothing() {
    let directory = TempDir::new().expect("a directory");
    let store = open(&directory.path().join("records.db"));
    let copy = directory.path().join("missing/copy.db");
    let refused = store.backup(&copy).await.expect_err("no directory");
    assert!(
        refused.contains("missing/copy.db cannot be opened"),
        "{refused}"
    );
    assert_eq!(store.condition(), Ok(()));
}
