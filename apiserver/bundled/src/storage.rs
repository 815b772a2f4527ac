//! Where records are kept, as it is named on the command line.

use std::{fs, path::PathBuf, sync::Arc};

use clap::Args;
#[cfg(feature = "postgres")]
use storage::postgres::{DatabaseUrl, PostgresStorage, UrlSource};
#[cfg(feature = "sqlite")]
use storage::sqlite::SqliteStorage;
use storage::{MemoryStorage, Storage};

/// What `--storage` can be in this build.
const BACKENDS: &str = match (cfg!(feature = "sqlite"), cfg!(feature = "postgres")) {
    (true, true) => "memory, sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE",
    (true, false) => "memory or sqlite:PATH",
    (false, true) => "memory or postgres://USER:PASSWORD@HOST/DATABASE",
    (false, false) => "memory",
};

/// The flags as they are typed. They are judged later, by [`StorageFlags::backend`], because an
/// error about a flag repeats its value, which may hold a password.
#[derive(Args, Clone)]
pub(crate) struct StorageFlags {
    /// Where records are kept: memory, a file of this server alone as sqlite:PATH, or a database as
    /// `postgres://USER:PASSWORD@HOST/DATABASE`.
    #[arg(
        long,
        env = "STORAGE",
        default_value = "memory",
        hide_env_values = true
    )]
    storage: String,

    /// File that says where records are kept, in place of --storage, such as that of a mounted
    /// Secret with the URL of a database; read again for every new connection.
    #[arg(
        long,
        env = "STORAGE_SECRET_FILE",
        value_name = "FILE",
        conflicts_with = "storage"
    )]
    storage_secret_file: Option<PathBuf>,
}

/// A storage backend that can be started. Its `Debug` shows no password.
#[derive(Debug)]
pub(crate) enum Backend {
    /// Lost when the process ends.
    Memory,
    /// In a file that this server alone has.
    #[cfg(feature = "sqlite")]
    Sqlite(PathBuf),
    /// In a database that other servers may share.
    #[cfg(feature = "postgres")]
    Postgres(UrlSource),
}

impl StorageFlags {
    /// What the flags mean.
    ///
    /// # Errors
    /// A sentence that says what to write; it never repeats the value.
    pub(crate) fn backend(&self) -> Result<Backend, String> {
        match &self.storage_secret_file {
            None => backend(&self.storage, None).map_err(|e| format!("--storage: {e}")),
            Some(path) => {
                let named = |e: &dyn std::fmt::Display| {
                    format!("--storage-secret-file {}: {e}", path.display())
                };
                let text = fs::read_to_string(path).map_err(|e| named(&e))?;
                backend(text.trim(), Some(path)).map_err(|e| named(&e))
            }
        }
    }
}

impl std::fmt::Debug for StorageFlags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StorageFlags")
            .field("storage_secret_file", &self.storage_secret_file)
            .finish_non_exhaustive()
    }
}

#[cfg_attr(
    not(feature = "postgres"),
    expect(unused_variables, reason = "only a database's URL is read again")
)]
fn backend(text: &str, file: Option<&PathBuf>) -> Result<Backend, String> {
    match text {
        "memory" => Ok(Backend::Memory),
        #[cfg(feature = "sqlite")]
        "sqlite:" => Err("name the file, such as sqlite:/var/lib/records.db".to_owned()),
        #[cfg(feature = "sqlite")]
        named if named.starts_with("sqlite:") => {
            let path = named.strip_prefix("sqlite:").unwrap_or_default();
            Ok(Backend::Sqlite(path.into()))
        }
        #[cfg(feature = "postgres")]
        url if url.starts_with("postgres") => {
            let url = DatabaseUrl::parse(url)?;
            Ok(Backend::Postgres(match file {
                Some(path) => UrlSource::File(path.clone()),
                None => UrlSource::Fixed(Box::new(url)),
            }))
        }
        _ => Err(format!(
            "this is no storage that this release has: use {BACKENDS}"
        )),
    }
}

impl Backend {
    /// The store; a database need not be there yet.
    ///
    /// # Errors
    /// A sentence that names the file that cannot be used, and says what to do.
    pub(crate) fn start(self) -> Result<Arc<dyn Storage>, String> {
        Ok(match self {
            Self::Memory => Arc::new(MemoryStorage::since_now()),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => Arc::new(SqliteStorage::open(&path)?),
            #[cfg(feature = "postgres")]
            Self::Postgres(source) => Arc::new(PostgresStorage::start(source)),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::flags::Flags;

    fn parsed(flags: &[&str]) -> Result<Backend, String> {
        let flags = Flags::try_parse_from([&["x"], flags].concat()).map_err(|e| e.to_string())?;
        let shown = format!("{flags:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        flags.storage.backend()
    }

    #[test]
    fn records_are_in_memory_unless_a_flag_says_otherwise() {
        assert!(matches!(parsed(&[]), Ok(Backend::Memory)));
        assert!(matches!(parsed(&["--storage=memory"]), Ok(Backend::Memory)));
    }

    #[test]
    fn an_unknown_storage_is_refused_with_the_remedy_and_without_its_password() {
        for wrong in ["redis", "mysql://me:hunter2@a/b", "postgres:hunter2"] {
            let error = parsed(&["--storage", wrong]).unwrap_err();
            assert!(error.contains("--storage: "), "{error}");
            assert!(error.contains("postgres://USER"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn a_file_is_named_and_what_is_wrong_with_it_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("missing/records.db");
        let flag = format!("--storage=sqlite:{}", path.display());
        let backend = parsed(&[&flag]).unwrap();
        assert!(matches!(&backend, Backend::Sqlite(named) if *named == path));
        let error = backend.start().unwrap_err();
        assert!(error.contains("missing/records.db"), "{error}");
        assert!(error.contains("make it"), "{error}");
        let error = parsed(&["--storage=sqlite:"]).unwrap_err();
        assert!(error.contains("name the file"), "{error}");
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn a_database_is_named_by_a_flag_or_by_a_file_but_not_by_both() {
        let url = "postgres://me:hunter2@db/records";
        let backend = parsed(&["--storage", url]).unwrap();
        assert!(matches!(&backend, Backend::Postgres(UrlSource::Fixed(_))));
        assert!(!format!("{backend:?}").contains("hunter2"), "{backend:?}");
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), format!("{url}\n")).unwrap();
        let path = file.path().to_str().unwrap();
        let backend = parsed(&["--storage-secret-file", path]).unwrap();
        assert!(matches!(&backend, Backend::Postgres(UrlSource::File(_))));
        let both = parsed(&["--storage", "memory", "--storage-secret-file", path]);
        assert!(both.unwrap_err().contains("cannot be used with"));
        let missing = parsed(&["--storage-secret-file", "/nowhere"]).unwrap_err();
        assert!(missing.contains("/nowhere"), "{missing}");
    }
}
