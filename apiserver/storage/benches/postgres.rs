//! What the PostgreSQL backend does on this machine, with a server that syncs to the disk: creates
//! by 32 clients, the time until another process's watch has an event, and the newest revision.
//!
//! Figures, no bars: they are the disk's and the machine's more than the program's.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, future::join_all};
use storage::{
    PostgresStorage, Revision, Storage,
    postgres::{DatabaseUrl, UrlSource, testing::Cluster},
};
use tokio::time::Instant;

const CLIENTS: usize = 32;
const CREATES_EACH: usize = 300;
const EVENTS: usize = 300;
const READERS: usize = 32;
const LOOK_UPS_EACH: usize = 500;
/// As large as a DataRecord with its managed fields.
const OBJECT_BYTES: usize = 980;

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let cluster = Cluster::start_durable()?;
    let database = cluster.database().await?;
    let url = cluster.url("postgres", &database);
    let open = || -> anyhow::Result<Arc<PostgresStorage>> {
        let url = DatabaseUrl::parse(&url).map_err(anyhow::Error::msg)?;
        let source = UrlSource::Fixed(Box::new(url));
        Ok(Arc::new(PostgresStorage::start(source)))
    };
    let (writer, other) = (open()?, open()?);
    let value = Bytes::from(vec![b'x'; OBJECT_BYTES]);
    let mut newest = writer.create("/warm".to_owned(), value.clone()).await?;
    other.current_revision().await?;

    for clients in [1, CLIENTS] {
        let begun = Instant::now();
        let creates = join_all((0..clients).map(|client| {
            let (writer, value) = (Arc::clone(&writer), value.clone());
            tokio::spawn(async move {
                let mut last = Revision::default();
                for number in 0..CREATES_EACH {
                    let key = format!("/creates/{clients}/{client}/{number}");
                    last = writer.create(key, value.clone()).await?;
                }
                anyhow::Ok(last)
            })
        }));
        for last in creates.await {
            newest = newest.max(last??);
        }
        let count = clients * CREATES_EACH;
        report(
            &format!("create, {clients} clients"),
            count,
            begun.elapsed(),
        );
    }

    let mut watch = other.watch("/events/".to_owned(), newest);
    let mut delays = Vec::with_capacity(EVENTS);
    for number in 0..EVENTS {
        let written = writer
            .create(format!("/events/{number}"), value.clone())
            .await?;
        let acknowledged = Instant::now();
        while watch
            .next()
            .await
            .ok_or_else(|| anyhow::anyhow!("it ended"))??
            .revision
            < written
        {}
        delays.push(acknowledged.elapsed());
    }
    delays.sort_unstable();
    for (name, share) in [("median", 50), ("99 of 100", 99)] {
        let delay = delays[EVENTS * share / 100].as_secs_f64() * 1e3;
        println!(
            "{:<34} {delay:>10.2} ms",
            format!("event at the other process, {name}")
        );
    }

    let begun = Instant::now();
    let look_ups = join_all((0..READERS).map(|_| {
        let other = Arc::clone(&other);
        tokio::spawn(async move {
            for _ in 0..LOOK_UPS_EACH {
                other.current_revision().await?;
            }
            anyhow::Ok(())
        })
    }));
    for done in look_ups.await {
        done??;
    }
    let count = READERS * LOOK_UPS_EACH;
    report(
        &format!("newest revision, {READERS} readers"),
        count,
        begun.elapsed(),
    );
    Ok(())
}

fn report(what: &str, count: usize, took: Duration) {
    let rate = f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / took.as_secs_f64();
    println!("{what:<34} {rate:>10.0} /s");
}
