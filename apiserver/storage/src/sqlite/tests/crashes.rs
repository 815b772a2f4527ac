//! A process that is killed while it writes: what it has acknowledged is there.

use std::{
    collections::{BTreeMap, HashMap},
    env,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use super::*;

/// Names the file for the process that is to be killed.
const FILE: &str = "SQLITE_CRASH_FILE";
/// How often a process is killed; more by the environment variable.
const ROUNDS: u32 = 5;
const ROUNDS_VARIABLE: &str = "SQLITE_CRASH_ROUNDS";
/// Acknowledgements of a process before it is killed, and more in later rounds, so that some
/// processes have copied their write-ahead log into the file.
const WRITES: usize = 40;
const MORE_WRITES: usize = 300;
const WRITERS: usize = 8;

/// A key and its new value; a dash for a delete.
type Written = (String, String);

/// Not a test by itself: what the process that is killed does. Writes without end, and says what
/// was acknowledged.
#[tokio::test]
async fn writer_that_is_killed() {
    let Ok(path) = env::var(FILE) else { return };
    let store = open(Path::new(&path));
    let round = std::process::id();
    let writers = (0..WRITERS).map(async |writer| {
        let mut number = 0;
        loop {
            let key = format!("/a/{round}-{writer}-{number}");
            let mut revision = create(&store, &key, "first").await;
            acknowledge(&key, revision, "first");
            if number % 3 == 1 {
                let updated = store.update(key.clone(), Bytes::from_static(b"second"), revision);
                revision = updated.await.expect("nobody else writes it");
                acknowledge(&key, revision, "second");
            }
            if number % 3 == 2 {
                let deleted = store.delete(key.clone(), revision).await;
                acknowledge(&key, deleted.expect("nobody else writes it"), "-");
            }
            number += 1;
        }
    });
    futures::future::join_all(writers.collect::<Vec<_>>()).await;
}

fn acknowledge(key: &str, revision: Revision, value: &str) {
    // In one piece, since the other end counts whole lines only.
    let line = format!("acknowledged {key} {revision} {value}\n");
    let mut out = std::io::stdout().lock();
    let said = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    said.expect("somebody listens");
}

/// Every write that was acknowledged before SIGKILL is there with its revision, and no revision
/// is given twice.
#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("records.db");
    let rounds = env::var(ROUNDS_VARIABLE).map_or(ROUNDS, |text| text.parse().expect("a number"));
    let begin = open(&path).current_revision().await.expect("known");
    let mut acknowledged = HashMap::new();
    for round in 0..rounds {
        let enough = WRITES + usize::try_from(round % 5).expect("small") * MORE_WRITES;
        for (revision, write) in acknowledged_before_a_kill(&path, enough) {
            let other = acknowledged.insert(revision, write);
            assert_eq!(other, None, "revision {revision} was given twice");
        }
        check(&path, begin, &acknowledged).await;
    }
}

fn acknowledged_before_a_kill(path: &Path, enough: usize) -> Vec<(Revision, Written)> {
    let program = env::current_exe().expect("it has a file");
    let mut child = Command::new(program)
        .args(["--exact", "--nocapture"])
        .arg("sqlite::tests::crashes::writer_that_is_killed")
        .env(FILE, path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut all = Vec::new();
    let mut line = String::new();
    loop {
        line.clear();
        let length = out.read_line(&mut line).expect("it can be read");
        if length == 0 || !line.ends_with('\n') {
            break;
        }
        // The test harness may have begun the line.
        let Some((_, said)) = line.trim_end().split_once("acknowledged ") else {
            continue;
        };
        let words: Vec<_> = said.split(' ').collect();
        let [key, revision, value] = words[..] else {
            panic!("{line}");
        };
        let revision = Revision(revision.parse().expect("a number"));
        all.push((revision, (key.to_owned(), value.to_owned())));
        if all.len() == enough {
            child.kill().expect("it is killed");
        }
    }
    child.wait().expect("it has ended");
    assert!(all.len() >= enough, "it ended by itself: {}", all.len());
    all
}

/// The log has every revision once and every write as it was acknowledged, and what is there is what
/// it leads to.
async fn check(path: &Path, begin: Revision, acknowledged: &HashMap<Revision, Written>) {
    let store = open(path);
    let page = store.list(Range::prefix("")).await.expect("listed");
    let log = events_until(&mut store.watch(String::new(), begin), page.revision).await;
    let numbers: Vec<_> = log.iter().map(|event| event.revision.0).collect();
    assert_eq!(numbers, (begin.0 + 1..=page.revision.0).collect::<Vec<_>>());
    let mut replayed = BTreeMap::new();
    let mut found = 0;
    for event in log {
        if let Some((key, value)) = acknowledged.get(&event.revision) {
            let written = event.value.as_deref().unwrap_or(b"-");
            assert_eq!((&*event.key, written), (key.as_str(), value.as_bytes()));
            found += 1;
        }
        replayed.insert(event.key, event.value.map(|value| (value, event.revision)));
    }
    assert_eq!(found, acknowledged.len(), "acknowledged writes are lost");
    replayed.retain(|_, state| state.is_some());
    let there = page.records.into_iter();
    let there: BTreeMap<_, _> = there
        .map(|record| (record.key, Some((record.value, record.revision))))
        .collect();
    assert_eq!(there, replayed);
}
