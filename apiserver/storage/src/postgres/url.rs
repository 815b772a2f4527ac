//! The URL of a database: what it says, and in which words it is wrong.
//!
//! `postgres://USER:PASSWORD@HOST:PORT/DATABASE?PARAMETER=VALUE`, with several hosts separated by
//! commas. The driver parses all but the parameters, of which only those are taken that mean
//! something here: one that is ignored would mislead.

use std::{borrow::Cow, fmt, path::PathBuf};

use percent_encoding::percent_decode_str;
use tokio_postgres::{
    Config,
    config::{Host, SslMode, TargetSessionAttrs},
};

/// How to reach a database. Its `Debug` shows no password.
#[derive(Clone)]
pub struct DatabaseUrl {
    pub(super) config: Config,
    pub(super) tls: Tls,
}

/// Whether the connection is encrypted. There is nothing in between: a connection that may be plain
/// text, or whose server may be anybody, gives the password away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tls {
    /// `sslmode=disable`.
    Disabled,
    /// The server shows a certificate for its host name, from an authority that is trusted.
    VerifyFull(TlsFiles),
}

/// Files in PEM; they are read for every new connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TlsFiles {
    /// Authorities to trust, in place of the system's.
    pub(super) root_certificates: Option<PathBuf>,
    /// The client's certificate chain and its key.
    pub(super) client: Option<(PathBuf, PathBuf)>,
}

impl DatabaseUrl {
    /// Parses a URL.
    ///
    /// # Errors
    /// A sentence that names what is wrong and what to write. It never holds the password.
    pub fn parse(url: &str) -> Result<Self, String> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        if !base.starts_with("postgres://") && !base.starts_with("postgresql://") {
            return Err("the database's URL begins with postgres://: write \
                 postgres://USER:PASSWORD@HOST:PORT/DATABASE"
                .to_owned());
        }
        let mut config: Config = base.parse().map_err(|_| {
            "the database's URL cannot be read: write postgres://USER:PASSWORD@HOST:PORT/DATABASE, \
             with %40 for @, %2F for / and %25 for % in the password"
                .to_owned()
        })?;
        if config.get_hosts().is_empty() {
            return Err("the database's URL names no host: write it after //USER:PASSWORD@".into());
        }
        if config.get_user().is_none_or(str::is_empty) {
            return Err("the database's URL names no user: write it after //".to_owned());
        }
        if config.get_dbname().is_none_or(str::is_empty) {
            return Err("the database's URL names no database: write it after HOST:PORT/".into());
        }
        let tls = tls(&parameters(query)?)?;
        config.ssl_mode(match tls {
            Tls::Disabled => SslMode::Disable,
            Tls::VerifyFull(_) => SslMode::Require,
        });
        // A standby shows what was, which is no answer to who asks for the newest state.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        Ok(Self { config, tls })
    }

    /// The hosts with their ports, for messages.
    pub(super) fn hosts(&self) -> String {
        let ports = self.config.get_ports();
        let named = self.config.get_hosts().iter().enumerate();
        let named = named.map(|(index, host)| {
            let port = ports
                .get(index)
                .or_else(|| ports.first())
                .copied()
                .unwrap_or(5432);
            match host {
                Host::Tcp(name) => format!("{name}:{port}"),
                #[cfg(unix)]
                Host::Unix(path) => path.display().to_string(),
            }
        });
        named.collect::<Vec<_>>().join(",")
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseUrl")
            .field("hosts", &self.hosts())
            .field("user", &self.config.get_user())
            .field("database", &self.config.get_dbname())
            .field("tls", &self.tls)
            .finish()
    }
}

#[derive(Debug, Default)]
struct Parameters {
    mode: Option<String>,
    root: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

fn parameters(query: &str) -> Result<Parameters, String> {
    let mut found = Parameters::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_decode_str(value)
            .decode_utf8()
            .map(Cow::into_owned)
            .map_err(|_| format!("{name} in the database's URL is not UTF-8"))?;
        if value.is_empty() {
            return Err(format!("{name} in the database's URL has no value"));
        }
        match name {
            "sslmode" => found.mode = Some(value),
            "sslrootcert" => found.root = Some(value.into()),
            "sslcert" => found.certificate = Some(value.into()),
            "sslkey" => found.key = Some(value.into()),
            _ => {
                // What does not look like a name may be of a password that has a question mark.
                let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
                let named = if is_name { name } else { "what follows the ?" };
                return Err(format!(
                    "{named} in the database's URL is no parameter here: there are sslmode, \
                     sslrootcert, sslcert and sslkey; write %3F for ? in a password"
                ));
            }
        }
    }
    Ok(found)
}

fn tls(parameters: &Parameters) -> Result<Tls, String> {
    let Parameters {
        mode,
        root,
        certificate,
        key,
    } = parameters;
    match mode.as_deref() {
        // Both ask for less than is done.
        None | Some("verify-full" | "verify-ca" | "require") => {}
        Some("disable") if root.is_none() && certificate.is_none() && key.is_none() => {
            return Ok(Tls::Disabled);
        }
        Some("disable") => {
            return Err(
                "the database's URL has sslmode=disable and names TLS files: leave one of them out"
                    .to_owned(),
            );
        }
        Some(other) => {
            return Err(format!(
                "sslmode={other} in the database's URL is not to be had: write verify-full, or \
                 disable for no TLS at all"
            ));
        }
    }
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
        (None, None) => None,
        _ => {
            return Err(
                "sslcert and sslkey in the database's URL go together: name both files".to_owned(),
            );
        }
    };
    Ok(Tls::VerifyFull(TlsFiles {
        root_certificates: root.clone(),
        client,
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(url: &str) -> String {
        let error = DatabaseUrl::parse(url).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
        error
    }

    #[test]
    fn a_url_says_all_there_is_to_say() {
        let url = "postgresql://me:hunter2@a:5433,b:5434/records?sslrootcert=%2Fca.crt";
        let url = DatabaseUrl::parse(url).unwrap();
        assert_eq!(url.hosts(), "a:5433,b:5434");
        assert_eq!(url.config.get_password(), Some(&b"hunter2"[..]));
        assert_eq!(url.config.get_ssl_mode(), SslMode::Require);
        let files = TlsFiles {
            root_certificates: Some("/ca.crt".into()),
            client: None,
        };
        assert_eq!(url.tls, Tls::VerifyFull(files));
        assert!(!format!("{url:?}").contains("hunter2"), "{url:?}");
    }

    #[test]
    fn a_connection_is_verified_unless_the_url_says_that_it_is_plain() {
        for verified in [
            "",
            "?sslmode=require",
            "?sslmode=verify-ca",
            "?sslmode=verify-full",
        ] {
            let url = DatabaseUrl::parse(&format!("postgres://me@a/records{verified}")).unwrap();
            assert_eq!(url.tls, Tls::VerifyFull(TlsFiles::default()), "{verified}");
        }
        let plain = DatabaseUrl::parse("postgres://me@a/records?sslmode=disable").unwrap();
        assert_eq!(plain.config.get_ssl_mode(), SslMode::Disable);
    }

    #[test]
    fn mistakes_are_named_without_the_password() {
        for (url, said) in [
            ("mysql://me:hunter2@a/records", "begins with postgres://"),
            ("hunter2", "begins with postgres://"),
            ("postgres://me:hunter2@a:port/records", "cannot be read"),
            ("postgres://me:hunter2@/records", "names no host"),
            ("postgres://a/records", "names no user"),
            ("postgres://me:hunter2@a", "names no database"),
            ("postgres://me:hunter2@a/", "names no database"),
            (
                "postgres://me:hunter2@a/r?sslmode=prefer",
                "write verify-full",
            ),
            ("postgres://me:hunter2@a/r?sslcert=x", "name both files"),
            (
                "postgres://me:hunter2@a/r?sslmode=disable&sslrootcert=x",
                "leave one of them out",
            ),
            ("postgres://me:hunter2@a/r?sslmode", "has no value"),
            ("postgres://me:hunter2@a/r?sslrootcert=%ff", "not UTF-8"),
            ("postgres://me:hunter2@a/r?pool=5", "is no parameter"),
        ] {
            let error = refused(url);
            assert!(error.contains(said), "{url}: {error}");
        }
    }

    proptest! {
        /// Whatever stands around it, also where it was not escaped.
        #[test]
        fn an_error_never_shows_a_password(
            before in "(postgres://)?[a-z:@/?%.]{0,8}",
            after in "[a-z0-9:@/?&=%.]{0,16}(@host/db)?(\\?sslmode=disable)?",
        ) {
            let url = format!("{before}:HUNTER2{after}");
            if let Err(error) = DatabaseUrl::parse(&url) {
                prop_assert!(!error.contains("HUNTER2"), "{}: {}", url, error);
            }
        }
    }
}
