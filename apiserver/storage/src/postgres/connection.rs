//! One connection to the database: made anew from the URL each time, with the session's settings.

use std::{fmt, fs, future::poll_fn, ops::Deref, path::PathBuf, time::Duration};

use tokio::{sync::watch, task::JoinHandle};
use tokio_postgres::{
    AsyncMessage, Client, Connection as Driver, NoTls, Socket, error::SqlState, tls::TlsStream,
};

use super::{
    error::{because, is_denied},
    schema,
    tls::MakeRustls,
    url::{DatabaseUrl, Tls},
};
use crate::Revision;

/// Where the URL of the database comes from.
#[derive(Clone)]
pub enum UrlSource {
    /// It does not change.
    Fixed(Box<DatabaseUrl>),
    /// A file that is read for every new connection: a mounted Secret, whose password may change.
    File(PathBuf),
}

/// What the session is for; each has limits of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Single statements that change nothing.
    Read,
    /// Transactions that change objects.
    Write,
}

/// Time for the TCP connection to a host, and once more for TLS and the password. In a cluster
/// these take milliseconds; whoever waits has other replicas to ask.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The kernel gives a connection up when what was sent is not acknowledged for this long; without
/// it a host that vanished is noticed after a quarter of an hour.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);
/// An idle connection is probed after this long, before the idle limit of most load balancers.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// Time between probes that are not answered, and how many of them.
const KEEPALIVE_PROBES: (Duration, u32) = (Duration::from_secs(5), 3);
/// Longest statement that reads: loading everything takes seconds for a million objects.
const READ_TIMEOUT: &str = "30s";
/// Longest wait for the row that writers lock: other replicas hold it for milliseconds.
const LOCK_TIMEOUT: &str = "5s";
/// A transaction whose client vanished is ended after this long, and with it the lock.
const IDLE_IN_TRANSACTION_TIMEOUT: &str = "5s";
/// The channel that says that there are new events; its payload is the newest revision.
pub(super) const CHANNEL: &str = "extension_api";

/// A connection. When it is dropped, the socket is closed at once.
pub(super) struct Connection {
    client: Client,
    driver: JoinHandle<()>,
}

/// Makes connections.
#[derive(Debug)]
pub(super) struct Connector {
    source: UrlSource,
    /// The newest revision that this process has heard of.
    pub(super) heard: watch::Sender<Revision>,
}

impl UrlSource {
    fn url(&self) -> Result<DatabaseUrl, String> {
        match self {
            Self::Fixed(url) => Ok((**url).clone()),
            Self::File(path) => {
                let text = fs::read_to_string(path).map_err(|e| {
                    format!(
                        "cannot read the database's URL from {}: {e}",
                        path.display()
                    )
                })?;
                DatabaseUrl::parse(text.trim()).map_err(|e| format!("{}: {e}", path.display()))
            }
        }
    }
}

impl fmt::Debug for UrlSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(url) => url.fmt(f),
            Self::File(path) => path.fmt(f),
        }
    }
}

impl Connector {
    pub(super) fn new(source: UrlSource) -> Self {
        Self {
            source,
            heard: watch::Sender::new(Revision::default()),
        }
    }

    /// A revision was given out somewhere: whoever follows the log should look.
    pub(super) fn hear(&self, revision: Revision) {
        hear(&self.heard, revision);
    }

    /// A new connection whose schema was checked.
    ///
    /// # Errors
    /// A sentence that says what to change.
    pub(super) async fn connect(&self, purpose: Purpose) -> Result<Connection, String> {
        let mut url = self.source.url()?;
        url.config
            .application_name("extension-apiserver")
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(TCP_USER_TIMEOUT)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_PROBES.0)
            .keepalives_retries(KEEPALIVE_PROBES.1);
        let place = format!("the database at {}", url.hosts());
        let opening = self.open(&url, purpose);
        // The driver's own limit is for each host, and does not hold for TLS and the password.
        let hosts = u32::try_from(url.config.get_hosts().len()).unwrap_or(1);
        match tokio::time::timeout(CONNECT_TIMEOUT * (hosts + 1), opening).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(reason)) => Err(format!("cannot use {place}: {reason}")),
            Err(_) => Err(format!("{place} did not answer in time")),
        }
    }

    async fn open(&self, url: &DatabaseUrl, purpose: Purpose) -> Result<Connection, String> {
        let mut connection = match &url.tls {
            Tls::Disabled => {
                let connected = url.config.connect(NoTls).await;
                let (client, driver) = connected.map_err(|e| refused(&e))?;
                self.drive(client, driver)
            }
            Tls::VerifyFull(files) => {
                let connected = url.config.connect(MakeRustls::read(files)?).await;
                let (client, driver) = connected.map_err(|e| refused(&e))?;
                self.drive(client, driver)
            }
        };
        let settings = match purpose {
            Purpose::Read => format!("SET statement_timeout = '{READ_TIMEOUT}'"),
            // A limit on statements would also end the wait of a commit for a synchronous standby,
            // and report as done what may be lost with this server.
            Purpose::Write => "SET statement_timeout = 0".to_owned(),
        };
        // A role or database may have other defaults, one of which would lose acknowledged writes.
        // Compiling a statement takes longer than any of ours, and the database does it where it
        // has no statistics yet.
        let settings = format!(
            "{settings}; SET lock_timeout = '{LOCK_TIMEOUT}'; \
             SET idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION_TIMEOUT}'; \
             SET default_transaction_isolation = 'read committed'; \
             SET jit = off; SET max_parallel_workers_per_gather = 0; \
             SELECT set_config('synchronous_commit', 'on', false) \
                 WHERE current_setting('synchronous_commit') = 'off'"
        );
        let set = connection.client.batch_execute(&settings).await;
        set.map_err(|e| because(&e))?;
        schema::ensure(&mut connection.client).await?;
        Ok(connection)
    }

    fn drive<T>(&self, client: Client, mut driver: Driver<Socket, T>) -> Connection
    where
        T: TlsStream + Unpin + Send + 'static,
    {
        let heard = self.heard.clone();
        let driver = tokio::spawn(async move {
            while let Some(message) = poll_fn(|cx| driver.poll_message(cx)).await {
                match message {
                    Ok(AsyncMessage::Notification(notification)) => {
                        let revision = notification.payload().parse().map(Revision);
                        hear(&heard, revision.unwrap_or_default());
                    }
                    Ok(AsyncMessage::Notice(notice)) => {
                        tracing::debug!(notice = notice.message(), "the database says");
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::debug!(error = because(&error), "a connection ended");
                        return;
                    }
                }
            }
        });
        Connection { client, driver }
    }
}

fn hear(heard: &watch::Sender<Revision>, revision: Revision) {
    heard.send_if_modified(|newest| {
        let is_newer = revision > *newest;
        *newest = revision.max(*newest);
        is_newer
    });
}

/// Why a connection was not made, with what to change where that is known.
fn refused(error: &tokio_postgres::Error) -> String {
    let reason = because(error);
    let remedy = match error.code() {
        Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
            "; put user and password of the URL right, or what pg_hba.conf allows"
        }
        Some(&SqlState::INVALID_CATALOG_NAME) => "; create it, or name another one in the URL",
        Some(_) if is_denied(error) => "; GRANT CONNECT ON DATABASE to the role",
        None if reason.contains("does not support TLS") => {
            "; turn ssl on in the server, or write sslmode=disable in the URL"
        }
        None if reason.contains("UnknownIssuer") => {
            "; name the file of the authority with sslrootcert in the URL"
        }
        None if reason.contains("does not allow writes") => "; name the primary server in the URL",
        None if reason.contains("not valid for name") => {
            "; write the host in the URL as the server's certificate has it"
        }
        Some(_) | None => "",
    };
    format!("{reason}{remedy}")
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
