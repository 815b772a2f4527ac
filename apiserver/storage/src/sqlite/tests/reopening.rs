//! What a later process finds.

use super::*;

/// Everything is there again, and revisions go on where they were.
#[tokio::test]
async fn reopening_keeps_everything() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("records.db");
    let store = open(&path);
    let first = create(&store, "/a/1", "x").await;
    let second = create(&store, "/a/2", "y").await;
    store
        .delete("/a/1".to_owned(), first)
        .await
        .expect("deleted");
    let newest = store.current_revision().await.expect("known");
    let page = store.list(Range::prefix("")).await.expect("listed");
    drop(store);

    let store = open(&path);
    assert_eq!(store.current_revision().await, Ok(newest));
    let again = store.list(Range::prefix("")).await.expect("listed");
    assert_eq!((again.records, again.revision), (page.records, newest));
    let past = Range {
        at: Some(second),
        ..Range::prefix("")
    };
    let past = store.list(past).await.expect("listed");
    assert_eq!(past.records.len(), 2);
    assert_eq!(create(&store, "/a/3", "z").await, Revision(newest.0 + 1));
}

/// W8: A watch goes on in a later process where it was: nothing is missed, nothing comes twice.
#[tokio::test]
async fn a_watch_resumes_in_a_later_process() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("records.db");
    let mut store = open(&path);
    let mut position = store.current_revision().await.expect("known");
    let (mut written, mut seen) = (Vec::new(), Vec::new());
    for round in 0..4 {
        for number in 0..10 {
            written.push(create(&store, &format!("/a/{round}-{number}"), "x").await);
        }
        // Half of the round is seen by this process, the other half by the next one.
        let middle = written[written.len() - 5];
        let mut watch = store.watch("/a/".to_owned(), position);
        seen.extend(
            events_until(&mut watch, middle)
                .await
                .into_iter()
                .filter(|event| event.revision <= middle),
        );
        position = middle;
        drop(store);
        store = open(&path);
    }
    let mut watch = store.watch("/a/".to_owned(), position);
    seen.extend(events_until(&mut watch, *written.last().expect("some")).await);
    let seen: Vec<_> = seen.iter().map(|event| event.revision).collect();
    assert_eq!(seen, written);
}

/// Two processes on one file would tell their clients different things.
#[tokio::test]
async fn a_second_server_on_the_file_is_refused_until_the_first_has_ended() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("records.db");
    let store = open(&path);
    let other_name = directory.path().join("link.db");
    std::os::unix::fs::symlink(&path, &other_name).expect("linked");
    for name in [&path, &other_name] {
        let refusal = refusal(name);
        let expected = format!("another process has {} open: end it", path.display());
        assert!(refusal.starts_with(&expected), "{refusal}");
    }
    let watch = store.watch(String::new(), Revision(0));
    drop(store);
    // A watch that nobody has dropped yet does not hold the file.
    drop(open(&path));
    drop(watch);
}

#[test]
fn a_file_of_a_newer_release_or_of_another_program_is_refused_and_left_as_it_is() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("records.db");
    drop(open(&path));
    execute(&path, "PRAGMA user_version = 2");
    let before = std::fs::read(&path).expect("read");
    let refused = refusal(&path);
    let expected = format!(
        "{} has version 2 of the tables and this release knows version 1: run the release that \
         wrote it, or a newer one",
        path.display()
    );
    assert_eq!(refused, expected);
    assert_eq!(std::fs::read(&path).expect("read"), before);

    let foreign = directory.path().join("foreign.db");
    execute(&foreign, "CREATE TABLE customers (name TEXT)");
    let refused = refusal(&foreign);
    let expected = "foreign.db is a database of another program: name another file";
    assert!(refused.ends_with(expected), "{refused}");
}

/// W2: Revisions of a new file are later than those of one that was thrown away.
#[tokio::test]
async fn a_new_file_goes_on_from_the_clock() {
    let directory = TempDir::new().expect("a directory");
    let earlier = open(&directory.path().join("1.db"));
    let held = create(&earlier, "/a/1", "x").await;
    let later = open(&directory.path().join("2.db"));
    assert!(later.current_revision().await.expect("known") > held);
    let item = later.watch("/a/".to_owned(), held).next().await;
    let is_compacted = matches!(item, Some(Err(StorageError::Compacted { .. })));
    assert!(is_compacted, "{item:?}");
}

/// A process that was killed while it made the file left an empty one.
#[test]
fn an_empty_file_is_made_use_of() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("records.db");
    std::fs::write(&path, b"").expect("written");
    drop(open(&path));
}
