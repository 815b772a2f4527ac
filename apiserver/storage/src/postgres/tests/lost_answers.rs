//! Answers that are lost on their way, through a proxy that cuts the connection at a word.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;

/// Passes everything on until it is told to cut.
struct Proxy {
    port: u16,
    cut: Arc<Mutex<Option<Cut>>>,
    cuts: Arc<AtomicUsize>,
}

/// When to cut a connection, once.
#[derive(Clone, Copy)]
enum Cut {
    /// When the client sends the word, which then does not arrive.
    Request(&'static str),
    /// When the server answers with the word, which then does not arrive.
    Answer(&'static str),
}

impl Proxy {
    async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let proxy = Self {
            port: listener.local_addr().expect("an address").port(),
            cut: Arc::default(),
            cuts: Arc::default(),
        };
        let (cut, cuts) = (Arc::clone(&proxy.cut), Arc::clone(&proxy.cuts));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (cut, cuts) = (Arc::clone(&cut), Arc::clone(&cuts));
                tokio::spawn(async move {
                    if pass_on(client, server, &cut).await.is_none() {
                        cuts.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        proxy
    }
}

/// `None` when it cut the connection.
async fn pass_on(mut client: TcpStream, server: u16, cut: &Mutex<Option<Cut>>) -> Option<()> {
    let mut server = TcpStream::connect(("127.0.0.1", server)).await.ok()?;
    let (mut asked, mut answered) = (vec![0; 65536], vec![0; 65536]);
    let says = |bytes: &[u8], word: &str| bytes.windows(word.len()).any(|w| w == word.as_bytes());
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let bytes = &asked[..read.ok()?];
                if bytes.is_empty() {
                    return Some(());
                }
                if matches!(*cut.lock(), Some(Cut::Request(word)) if says(bytes, word)) {
                    cut.lock().take();
                    return None;
                }
                server.write_all(bytes).await.ok()?;
            }
            read = server.read(&mut answered) => {
                let bytes = &answered[..read.ok()?];
                if bytes.is_empty() {
                    return Some(());
                }
                if matches!(*cut.lock(), Some(Cut::Answer(word)) if says(bytes, word)) {
                    cut.lock().take();
                    return None;
                }
                client.write_all(bytes).await.ok()?;
            }
        }
    }
}

async fn through_a_proxy() -> (PostgresStorage, Proxy) {
    let cluster = Cluster::shared();
    let database = counted_from_zero(cluster).await;
    let proxy = Proxy::start(cluster.port()).await;
    let port = proxy.port;
    let url = format!("postgres://postgres@127.0.0.1:{port}/{database}?sslmode=disable");
    let store = PostgresStorage::with_log_capacity(fixed(&url), 100);
    let first = store.create("/a/first".to_owned(), Bytes::new()).await;
    first.expect("create");
    (store, proxy)
}

/// N5: A write whose acknowledgement is lost has happened, and its client is told that nobody knows:
/// neither that it failed, nor, by a second attempt, that the name is taken.
#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_not_tried_again() {
    let (store, proxy) = through_a_proxy().await;
    *proxy.cut.lock() = Some(Cut::Answer("COMMIT\0"));
    let written = store.create("/a/1".to_owned(), Bytes::new()).await;
    let Err(StorageError::Unavailable(reason)) = &written else {
        panic!("{written:?}");
    };
    assert!(
        reason.starts_with("the write may have happened"),
        "{reason}"
    );
    let there = store.get("/a/1".to_owned()).await.expect("get");
    assert_eq!(there.expect("it happened").revision, Revision(2));
    assert_eq!(store.current_revision().await, Ok(Revision(2)));
    let next = store.create("/a/2".to_owned(), Bytes::new()).await;
    assert_eq!(next, Ok(Revision(3)));
}

/// The same where the commit itself is lost: it has not happened, but that is not known either.
#[tokio::test]
async fn a_commit_that_is_lost_is_not_tried_again() {
    let (store, proxy) = through_a_proxy().await;
    *proxy.cut.lock() = Some(Cut::Request("COMMIT\0"));
    let written = store.create("/a/1".to_owned(), Bytes::new()).await;
    let Err(StorageError::Unavailable(reason)) = &written else {
        panic!("{written:?}");
    };
    assert!(
        reason.starts_with("the write may have happened"),
        "{reason}"
    );
    assert_eq!(store.get("/a/1".to_owned()).await, Ok(None));
    assert_eq!(store.current_revision().await, Ok(Revision(1)));
}

/// Before the commit nothing can have happened, so it is done on another connection, once.
#[tokio::test]
async fn a_connection_that_ends_before_the_commit_costs_the_client_nothing() {
    let (store, proxy) = through_a_proxy().await;
    *proxy.cut.lock() = Some(Cut::Request("BEGIN"));
    let written = store.create("/a/1".to_owned(), Bytes::new()).await;
    assert_eq!(written, Ok(Revision(2)));
    assert_eq!(proxy.cuts.load(Ordering::Relaxed), 1);
    let events = store.watch("/a/".to_owned(), Revision(0)).next().await;
    assert_eq!(events.expect("an item").expect("healthy").events.len(), 2);
}

/// A connection that lay idle may be dead without a sign; a read may be done twice.
#[tokio::test]
async fn a_read_whose_answer_is_lost_is_done_again() {
    let (store, proxy) = through_a_proxy().await;
    let value = Bytes::from_static(b"a needle");
    let written = store.create("/a/1".to_owned(), value.clone()).await;
    written.expect("create");
    store.get("/a/first".to_owned()).await.expect("get");
    *proxy.cut.lock() = Some(Cut::Answer("needle"));
    let found = store.get("/a/1".to_owned()).await.expect("get");
    assert_eq!(found.expect("it is there").value, value);
    assert_eq!(proxy.cuts.load(Ordering::Relaxed), 1);
}
