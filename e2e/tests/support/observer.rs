//! The watch: it begins again where it ended, and writes down all that it sees.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, ListParams, WatchEvent, WatchParams},
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::traffic::{Traffic, records};

/// How long each stream lasts: short, so that beginning again is part of the test.
const STREAM_SECONDS: u32 = 11;
/// Nothing comes for this long after the load has ended: then all has come.
const QUIET: Duration = Duration::from_secs(3);

/// A watch that has not begun.
pub(crate) struct Observer {
    api: Api<DynamicObject>,
    version: String,
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Verb and name, in the order of arrival.
    pub(crate) events: Vec<String>,
    /// How often the watch began.
    pub(crate) streams: usize,
}

impl Observer {
    /// From now on.
    pub(crate) async fn begin(client: Client, namespace: &str) -> Result<Self> {
        let api = records(client, namespace);
        let list = api.list(&ListParams::default()).await?;
        let version = list
            .metadata
            .resource_version
            .context("a list has a version")?;
        Ok(Self { api, version })
    }

    /// Until all is quiet after the stop.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<Seen> {
        let mut seen = Seen::default();
        loop {
            seen.streams += 1;
            let parameters = WatchParams::default().timeout(STREAM_SECONDS);
            let mut events = self.api.watch(&parameters, &self.version).await?.boxed();
            loop {
                match timeout(QUIET, events.try_next()).await {
                    Err(_) if stop.is_cancelled() => return Ok(seen),
                    Err(_) => {}
                    Ok(event) => match event? {
                        None => break,
                        Some(event) => self.note(&mut seen, event)?,
                    },
                }
            }
        }
    }

    fn note(&mut self, seen: &mut Seen, event: WatchEvent<DynamicObject>) -> Result<()> {
        let (verb, object) = match event {
            WatchEvent::Added(object) => ("added", object),
            WatchEvent::Modified(object) => ("modified", object),
            WatchEvent::Deleted(object) => ("deleted", object),
            WatchEvent::Bookmark(bookmark) => {
                self.version = bookmark.metadata.resource_version;
                return Ok(());
            }
            WatchEvent::Error(error) => bail!("the watch failed: {error:?}"),
        };
        let version = object.resource_version().context("it has a version")?;
        let (before, after): (u64, u64) = (self.version.parse()?, version.parse()?);
        ensure!(
            after > before,
            "{verb} {}: {after} came after {before}",
            object.name_any()
        );
        self.version = version;
        seen.events.push(format!("{verb} {}", object.name_any()));
        Ok(())
    }
}

impl Seen {
    /// Whether this is all that a client did, once and in order; the label is that of its records.
    pub(crate) fn is_all_of(&self, label: &str, traffic: &Traffic) -> Result<()> {
        let of_it = |event: &&String| {
            let name = event
                .split(' ')
                .nth(1)
                .and_then(|name| name.rsplit_once('-'));
            name.is_some_and(|(prefix, _)| prefix == label)
        };
        let seen: Vec<_> = self.events.iter().filter(of_it).collect();
        let mut pairs = traffic.expected.iter().zip(&seen);
        let differs = pairs.position(|(expected, seen)| expected != *seen);
        ensure!(
            differs.is_none(),
            "{label}: event {differs:?} is the first that differs"
        );
        let (seen, expected) = (seen.len(), traffic.expected.len());
        ensure!(
            seen == expected,
            "{label}: {seen} events were seen of {expected}"
        );
        Ok(())
    }
}
