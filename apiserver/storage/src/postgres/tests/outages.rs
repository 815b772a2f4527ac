//! A database that goes away and comes back.

use std::{
    env,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use futures::future::join_all;

use super::{
    super::connection::{Connection, Connector, Purpose},
    *,
};

/// Clients that write while the database goes away.
const WRITERS: usize = 16;

/// How often the database is killed: a few times, or as often as the environment says.
fn rounds() -> u32 {
    let wanted = env::var("STORAGE_OUTAGE_ROUNDS").ok();
    wanted.and_then(|rounds| rounds.parse().ok()).unwrap_or(3)
}

/// What one client knows of its key.
#[derive(Default)]
struct Known {
    /// Revision and value of every write that was acknowledged.
    acknowledged: Vec<(Revision, Bytes)>,
    /// Values of writes whose outcome was not told.
    unknown: Vec<Bytes>,
}

/// Writes one key until it is told to stop, as a client does: where the outcome is not known, it
/// reads before it goes on.
async fn client(
    store: &PostgresStorage,
    key: String,
    stop: &AtomicBool,
    count: &AtomicU32,
) -> Known {
    let mut known = Known::default();
    let mut expected = None;
    for number in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let value = Bytes::from(format!("{key} {number}"));
        let written = match expected {
            None => store.create(key.clone(), value.clone()).await,
            Some(revision) => store.update(key.clone(), value.clone(), revision).await,
        };
        match written {
            Ok(revision) => {
                known.acknowledged.push((revision, value));
                expected = Some(revision);
                count.fetch_add(1, Ordering::Relaxed);
            }
            Err(StorageError::Unavailable(reason)) => {
                if !reason.starts_with("nothing was written") {
                    known.unknown.push(value);
                }
                let answers = async || match store.get(key.clone()).await {
                    Ok(record) => Some(record.map(|record| record.revision)),
                    Err(_) => None,
                };
                expected = loop {
                    if let Some(found) = answers().await {
                        break found;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                };
            }
            Err(error) => panic!("only this client writes {key}: {error}"),
        }
    }
    known
}

/// The database is killed under load, as by a power cut but for the disk's cache.
/// Whatever was acknowledged is there; what was said not to be written is not; and watches of both
/// servers, which live through it all, see every event once, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_database_is_killed() {
    let cluster = Cluster::start_durable().expect("a cluster starts");
    let database = counted_from_zero(&cluster).await;
    let stores = [
        open(&cluster, &database, 1_000_000),
        open(&cluster, &database, 1_000_000),
    ];
    let mut watches: Vec<_> = stores
        .iter()
        .map(|store| store.watch("/a/".to_owned(), Revision(0)))
        .collect();
    let mut histories = vec![Vec::new(); watches.len()];
    for round in 0..rounds() {
        let (stop, count) = (AtomicBool::new(false), AtomicU32::new(0));
        let clients = join_all((0..WRITERS).map(|number| {
            let key = format!("/a/{round}-{number}");
            client(&stores[number % 2], key, &stop, &count)
        }));
        let outage = async {
            let is_busy = async || count.load(Ordering::Relaxed) > 300;
            eventually("there is load", is_busy).await.expect("load");
            cluster.kill().expect("killed");
            let is_noticed = async || stores.iter().all(|store| store.condition().is_err());
            eventually("it is noticed", is_noticed)
                .await
                .expect("noticed");
            cluster.resume().expect("started");
            let before = count.load(Ordering::Relaxed);
            let is_busy = async || count.load(Ordering::Relaxed) > before + 100;
            eventually("writes go on", is_busy).await.expect("load");
            stop.store(true, Ordering::Relaxed);
        };
        let (known, ()) = tokio::join!(clients, outage);
        let last = stores[0].current_revision().await.expect("it is known");
        for (watch, history) in watches.iter_mut().zip(&mut histories) {
            history.extend(events_until(watch, last).await);
        }
        assert_eq!(histories[0], histories[1]);
        judge(&histories[0], &known, last);
    }
}

fn judge(history: &[Event], known: &[Known], last: Revision) {
    let revisions: Vec<u64> = history.iter().map(|event| event.revision.0).collect();
    assert_eq!(revisions, (1..=last.0).collect::<Vec<_>>());
    let values: std::collections::HashMap<_, _> = history
        .iter()
        .map(|event| (event.revision, event.value.clone().expect("no deletes")))
        .collect();
    for client in known {
        for (revision, value) in &client.acknowledged {
            assert_eq!(values.get(revision), Some(value), "acknowledged and lost");
        }
    }
    // Nothing is in the store that was neither acknowledged nor unknown.
    let may_be: std::collections::HashSet<_> = known
        .iter()
        .flat_map(|client| {
            let acknowledged = client.acknowledged.iter().map(|(_, value)| value);
            acknowledged.chain(&client.unknown)
        })
        .collect();
    let round = known.iter().filter_map(|c| c.acknowledged.first());
    let first = round.map(|(revision, _)| *revision).min().unwrap_or(last);
    for event in history.iter().filter(|event| event.revision >= first) {
        let value = event.value.as_ref().expect("no deletes");
        assert!(may_be.contains(value), "nobody was told of {event:?}");
    }
}

/// An orderly restart: connections are made anew, and a watch that lives through it goes on.
#[tokio::test]
async fn a_restart_of_the_database_is_survived() {
    let cluster = Cluster::start().expect("a cluster starts");
    let database = counted_from_zero(&cluster).await;
    let store = open(&cluster, &database, 100);
    let mut watch = store.watch("/a/".to_owned(), Revision(0));
    let write = async |number: u32| {
        let key = format!("/a/{number}");
        store.create(key, Bytes::new()).await.expect("create")
    };
    let first = write(1).await;
    events_until(&mut watch, first).await;
    cluster.stop().expect("stopped");
    let down = store.get("/a/1".to_owned()).await;
    assert!(
        matches!(down, Err(StorageError::Unavailable(_))),
        "{down:?}"
    );
    complaint(&store, "Connection refused").await;
    cluster.resume().expect("started");
    // All of them find their old connections dead, and none of them may show it.
    let second = write(2).await;
    let read = store.get("/a/1".to_owned()).await.expect("get");
    assert_eq!(read.expect("it is there").revision, first);
    assert_eq!(events_until(&mut watch, second).await.len(), 1);
    let is_good = async || store.condition().is_ok();
    eventually("the store is ready", is_good)
        .await
        .expect("it is");
}

/// Who only loses its connections, not the database, does not even see an error.
#[tokio::test]
async fn connections_that_were_cut_are_made_anew_without_an_error() {
    let cluster = Cluster::shared();
    let database = counted_from_zero(cluster).await;
    let store = open(cluster, &database, 100);
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    for number in 0..5 {
        let key = format!("/a/{number}");
        let write = store.create(key.clone(), Bytes::new()).await;
        write.expect("create");
        cluster.execute(&database, cut).await.expect("cut");
        let read = store.get(key).await.expect("get");
        assert!(read.is_some());
        store.current_revision().await.expect("it is known");
    }
}

/// A connection that holds the lock of the revision, as another server's transaction does.
async fn with_the_lock(cluster: &Cluster, database: &str) -> Connection {
    let connector = Connector::new(fixed(&cluster.url("postgres", database)));
    let holder = connector.connect(Purpose::Write).await.expect("connected");
    let lock = "BEGIN; SELECT revision FROM extension_api.meta FOR UPDATE";
    holder.batch_execute(lock).await.expect("locked");
    holder
}

/// Waits for a transaction that waits for a lock, and does something with its process id, `pid`.
async fn to_who_waits(cluster: &Cluster, database: &str, done: &str) {
    let query = format!(
        "SELECT {done} FROM pg_stat_activity \
            WHERE datname = current_database() AND wait_event_type = 'Lock'"
    );
    let waits = async || {
        let rows = cluster.execute(database, &query).await;
        !rows.expect("it can be asked").is_empty()
    };
    eventually("it waits", waits).await.expect("it does");
}

/// A transaction that the database ends before it has written anything is done on another connection.
#[tokio::test]
async fn a_transaction_that_was_ended_while_it_waited_is_done_again() {
    let cluster = Cluster::shared();
    let database = counted_from_zero(cluster).await;
    let store = open(cluster, &database, 100);
    let first = store.create("/a/0".to_owned(), Bytes::new()).await;
    assert_eq!(first, Ok(Revision(1)));
    let holder = with_the_lock(cluster, &database).await;
    let ended = async {
        to_who_waits(cluster, &database, "pg_terminate_backend(pid)").await;
        holder.batch_execute("ROLLBACK").await.expect("released");
    };
    let (written, ()) = tokio::join!(store.create("/a/1".to_owned(), Bytes::new()), ended);
    assert_eq!(written, Ok(Revision(2)));
}

/// A write that waits for another server's goes by what that has left.
#[tokio::test]
async fn a_write_that_waited_sees_what_was_written_meanwhile() {
    let cluster = Cluster::shared();
    let database = counted_from_zero(cluster).await;
    let store = open(cluster, &database, 100);
    let holder = with_the_lock(cluster, &database).await;
    let meanwhile = async {
        to_who_waits(cluster, &database, "pid").await;
        let write = "UPDATE extension_api.meta SET revision = 1; \
            INSERT INTO extension_api.objects VALUES ('/a/1', 'theirs', 1); \
            INSERT INTO extension_api.events VALUES (1, '/a/1', 'theirs', NULL, NULL); COMMIT";
        holder.batch_execute(write).await.expect("written");
    };
    let create = store.create("/a/1".to_owned(), Bytes::new());
    let (written, ()) = tokio::join!(create, meanwhile);
    assert_eq!(written, Err(StorageError::AlreadyExists("/a/1".to_owned())));
    let kept = store.get("/a/1".to_owned()).await.expect("get");
    assert_eq!(kept.expect("it is there").value, "theirs");
}

/// A server that hangs in a transaction does not stop the others for longer than the limit.
#[tokio::test]
async fn a_writer_that_hangs_is_ended_by_the_database() {
    let cluster = Cluster::shared();
    let database = counted_from_zero(cluster).await;
    let _hanging = with_the_lock(cluster, &database).await;
    let store = open(cluster, &database, 100);
    let is_free = async || store.create("/a/1".to_owned(), Bytes::new()).await.is_ok();
    eventually("the lock is free", is_free)
        .await
        .expect("it is");
}

/// A database that was put back while this server runs: the watch ends with an error, from which
/// the watch cache loads everything anew.
#[tokio::test]
async fn a_database_that_goes_back_ends_watches() {
    let cluster = Cluster::shared();
    let database = counted_from_zero(cluster).await;
    let store = open(cluster, &database, 100);
    let mut watch = store.watch("/a/".to_owned(), Revision(0));
    for number in 0..5 {
        let write = store.create(format!("/a/{number}"), Bytes::new());
        write.await.expect("create");
    }
    events_until(&mut watch, Revision(5)).await;
    let back = "DELETE FROM extension_api.objects WHERE revision > 3; \
        DELETE FROM extension_api.events WHERE revision > 3; \
        UPDATE extension_api.meta SET revision = 3;";
    cluster.execute(&database, back).await.expect("put back");
    let ended = tokio::time::timeout(Duration::from_secs(20), watch.next()).await;
    let ended = ended.expect("in time");
    assert!(
        matches!(ended, Some(Err(StorageError::FutureRevision { .. }))),
        "{ended:?}"
    );
}
