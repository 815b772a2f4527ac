//! A disk without space, on a small file system of its own in a mount namespace.

use std::{
    env, fs,
    process::{Command, Stdio},
};

use super::*;

/// Names the directory for the process that has the small file system.
const DIRECTORY_VARIABLE: &str = "SQLITE_FULL_DISK";

const MOUNT: &str = r#"mount -t tmpfs -o size=6m none "$0" && exec "$@""#;

/// S2: Without space nothing is written and what was acknowledged stays, is served, and can be
/// added to once there is space.
#[test]
fn a_full_disk_loses_nothing_and_is_recovered_from() {
    let may_mount = Command::new("unshare")
        .args(["--mount", "--map-root-user", "true"])
        .stderr(Stdio::null())
        .status();
    if !may_mount.is_ok_and(|status| status.success()) {
        eprintln!("not tested: this system does not let its users mount in a namespace");
        return;
    }
    let directory = TempDir::new().expect("a directory");
    let status = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", MOUNT])
        .arg(directory.path())
        .arg(env::current_exe().expect("it has a file"))
        .args(["--exact", "sqlite::tests::full_disk::on_a_small_disk"])
        .env(DIRECTORY_VARIABLE, directory.path())
        .status()
        .expect("it runs");
    assert!(status.success());
}

/// Not a test by itself: what is done on the small file system.
#[tokio::test]
async fn on_a_small_disk() {
    let Ok(directory) = env::var(DIRECTORY_VARIABLE) else {
        return;
    };
    let directory = Path::new(&directory);
    let (path, ballast) = (directory.join("records.db"), directory.join("ballast"));
    fs::write(&ballast, vec![0; 3 << 20]).expect("there is space");
    let store = open(&path);
    let mut written = Vec::new();
    let reason = loop {
        assert!(written.len() < 1000, "the disk takes everything");
        let key = format!("/a/{:04}", written.len());
        let value = Bytes::from(vec![b'x'; 20_000]);
        match store.create(key.clone(), value).await {
            Ok(revision) => written.push((key, revision)),
            Err(error) => break error.to_string(),
        }
    };
    assert!(
        reason.contains("nothing was written: the disk of /"),
        "{reason}"
    );
    assert!(reason.contains("is full: free space there"), "{reason}");
    // Who reads is served on.
    assert_eq!(store.condition(), Ok(()));
    check(&store, &written).await;
    fs::remove_file(&ballast).expect("removed");
    written.push(("/b".to_owned(), create(&store, "/b", "y").await));
    check(&store, &written).await;
    drop(store);

    // Nothing that is left of the failure is there later.
    check(&open(&path), &written).await;
    let filler = fs::File::create(directory.join("filler")).expect("made");
    while std::io::Write::write(&mut &filler, &[0; 4096]).is_ok() {}
    drop(filler);
    // At the start it is said, or nothing has to be written.
    match SqliteStorage::open(&path) {
        Ok(store) => check(&store, &written).await,
        Err(refused) => assert!(refused.contains("is full: free space"), "{refused}"),
    }
    let refused = refusal(&directory.join("new.db"));
    assert!(refused.contains("is full: free space"), "{refused}");
    fs::remove_file(directory.join("filler")).expect("removed");
    check(&open(&path), &written).await;
    drop(open(&directory.join("new.db")));
}

/// Exactly these are there, and in the log.
async fn check(store: &SqliteStorage, written: &[(String, Revision)]) {
    let page = store.list(Range::prefix("")).await.expect("listed");
    let there = page.records.iter().map(|r| (r.key.to_string(), r.revision));
    assert_eq!(there.collect::<Vec<_>>(), written);
    let begin = Revision(written[0].1.0 - 1);
    let log = events_until(&mut store.watch(String::new(), begin), page.revision).await;
    let logged = log.iter().map(|e| (e.key.to_string(), e.revision));
    assert_eq!(logged.collect::<Vec<_>>(), written);
}
