//! What the server holds: by its own metrics, and by the kernel's table of connections.

use std::fmt;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{
    GROWTH_MAX, LocalServer, SETTLED_WITHIN,
    traffic::{record, records},
};

/// Requests at a time that fill the ring.
const WRITERS: usize = 32;
/// Connections that may come and go meanwhile: those of the aggregator, and of whoever asks for the
/// figures.
const CONNECTIONS_SPARE: usize = 6;

/// What is held at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    resident: u64,
    descriptors: u64,
    connections: usize,
}

/// The figures once nothing is left of what came and went: as they are when the connections do not get
/// fewer any more, or when they are within what `before` allows.
pub(crate) async fn settled(server: &LocalServer, before: Option<&Figures>) -> Result<Figures> {
    let client = server.direct_as_admin().await?;
    let mut last = None;
    let mut shown = String::new();
    let settled = server
        .cluster
        .wait_for("the server to settle", SETTLED_WITHIN, async || {
            let now = Figures::read(server, &client).await.ok()?;
            shown = now.to_string();
            let is_good = match before {
                Some(before) => now.is_within(before),
                None => now.connections <= CONNECTIONS_SPARE,
            };
            last = Some(now);
            is_good.then_some(now)
        });
    let settled = settled.await;
    settled.with_context(|| match before {
        Some(before) => format!("{before} before, {shown} at last"),
        None => format!("{shown} at last"),
    })
}

/// Writes until the ring of the watch cache is full: from then on an event takes the place of another.
pub(crate) async fn fill_ring(server: &LocalServer, namespace: &str) -> Result<()> {
    let client = server.direct_as_admin().await?;
    let text = metrics(&client).await?;
    let capacity = value(&text, "watch_cache_capacity")?;
    let api = records(client, namespace);
    for writer in 0..WRITERS {
        let record = record(&format!("ring-{writer}"), "0");
        api.create(&PostParams::default(), &record).await?;
    }
    let writes = (0..capacity).map(|write| {
        let api = &api;
        async move {
            let name = format!("ring-{}", write % WRITERS as u64);
            let patch = json!({ "spec": { "query": write.to_string() } });
            api.patch(&name, &PatchParams::default(), &Patch::Merge(patch))
                .await
                .map(drop)
        }
    });
    let sent = stream::iter(writes).buffer_unordered(WRITERS);
    sent.try_collect::<Vec<()>>().await?;
    Ok(())
}

impl Figures {
    async fn read(server: &LocalServer, client: &Client) -> Result<Self> {
        let text = metrics(client).await?;
        Ok(Self {
            resident: value(&text, "process_resident_memory_bytes")?,
            descriptors: value(&text, "process_open_fds")?,
            connections: connections(server.port)?,
        })
    }

    fn is_within(&self, before: &Self) -> bool {
        let spare = CONNECTIONS_SPARE as u64;
        self.resident <= before.resident * (100 + GROWTH_MAX) / 100
            && self.connections <= before.connections + CONNECTIONS_SPARE
            && self.descriptors <= before.descriptors + spare
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            resident,
            descriptors,
            connections,
        } = self;
        let mebibytes = resident >> 20;
        write!(
            f,
            "{mebibytes} MiB, {descriptors} descriptors, {connections} connections"
        )
    }
}

async fn metrics(client: &Client) -> Result<String> {
    let request = http::Request::get("/metrics").body(Vec::new())?;
    Ok(client.request_text(request).await?)
}

/// The value of the first series of that name; they are whole numbers.
fn value(text: &str, name: &str) -> Result<u64> {
    let is_it = |line: &&str| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with([' ', '{']))
    };
    let line = text.lines().find(is_it);
    let value = line.and_then(|line| line.rsplit(' ').next());
    let value = value.with_context(|| format!("no {name} among the metrics"))?;
    let whole = value.split('.').next().unwrap_or(value);
    whole.parse().with_context(|| format!("{name} is {value}"))
}

/// Connections to a port of this machine that the kernel has as established, or as closed by the other
/// end only.
fn connections(port: u16) -> Result<usize> {
    const ESTABLISHED: &str = "01";
    const CLOSE_WAIT: &str = "08";
    let local = format!(":{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp")?;
    let of_server = table.lines().filter(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let (address, state) = (columns.next(), columns.nth(1));
        address.is_some_and(|address| address.ends_with(&local))
            && state.is_some_and(|state| [ESTABLISHED, CLOSE_WAIT].contains(&state))
    });
    Ok(of_server.count())
}
