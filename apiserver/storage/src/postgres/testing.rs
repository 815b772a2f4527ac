//! Throw-away clusters of PostgreSQL for tests, on free ports of the loopback address.
//!
//! A cluster ends with the process that made it, however that ends: a small shell waits for the
//! process to close its pipe, and then stops the server by its id and removes its directory.

use std::{
    env,
    ffi::OsString,
    fs,
    io::Write,
    net::{IpAddr, Ipv4Addr, TcpListener},
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, anyhow, bail, ensure};
use tokio_postgres::NoTls;

/// Who owns the files when the tests run as root, as which PostgreSQL does not run.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];
/// How often a server is started: another process may take its port, and after a crash the last
/// server's children may still hold its memory.
const START_ATTEMPTS: u32 = 50;

/// Not synced to the disk, which is about crashes of the machine only.
const FAST: &str = "fsync = off\nfull_page_writes = off\n";

/// Roles other than this one need a password.
const SUPERUSER: &str = "postgres";

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

const OPEN_ACCESS: &str = "host all all all trust\n";

const ACCESS: &str = "hostssl all certified 127.0.0.1/32 cert\n\
    host all postgres 127.0.0.1/32 trust\n\
    hostssl all tls_only 127.0.0.1/32 scram-sha-256\n\
    hostnossl all tls_only 127.0.0.1/32 reject\n\
    host all all 127.0.0.1/32 scram-sha-256\n";

/// Waits until the pipe is closed, and tidies up. $1 is the directory.
const GUARD: &str = r#"
    trap '' INT TERM HUP
    cat >/dev/null
    pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
    if [ -n "$pid" ]; then
        kill -QUIT "$pid" 2>/dev/null
        while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
    fi
    rm -rf "$1"
"#;

/// A running server with its files.
#[derive(Debug)]
pub struct Cluster {
    programs: PathBuf,
    owner: Option<&'static str>,
    directory: PathBuf,
    /// The namespace that the server listens in, if it is not this process' own.
    network: Option<PathBuf>,
    address: IpAddr,
    port: u16,
    guard: Child,
    databases: AtomicU32,
}

static SHARED: LazyLock<Cluster> =
    LazyLock::new(|| Cluster::start().expect("a cluster of PostgreSQL starts"));

impl Cluster {
    /// The one of this process, for tests that neither stop it nor change its settings.
    pub fn shared() -> &'static Self {
        &SHARED
    }

    /// A new one that does not wait for the disk.
    ///
    /// # Errors
    /// What is missing, or what the server's log says.
    pub fn start() -> anyhow::Result<Self> {
        Self::with_settings(FAST, None, LOCALHOST)
    }

    /// A new one in another network namespace, as a file such as `/proc/1/ns/net`, on one of its
    /// addresses. Whoever is in there gets in without a password.
    ///
    /// # Errors
    /// What is missing, or what the server's log says.
    pub fn start_in(network: &Path, address: IpAddr) -> anyhow::Result<Self> {
        Self::with_settings(FAST, Some(network), address)
    }

    /// A new one that syncs to the disk as a real one does.
    ///
    /// # Errors
    /// What is missing, or what the server's log says.
    pub fn start_durable() -> anyhow::Result<Self> {
        Self::with_settings("", None, LOCALHOST)
    }

    fn with_settings(
        settings: &str,
        network: Option<&Path>,
        address: IpAddr,
    ) -> anyhow::Result<Self> {
        let programs = find_programs()?;
        let directory = tempfile::Builder::new()
            .prefix("postgres-")
            .tempdir()?
            .keep();
        let guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(&directory)
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("cannot run sh")?;
        let mut cluster = Self {
            programs,
            owner: None,
            directory,
            network: network.map(Path::to_owned),
            address,
            port: 0,
            guard,
            databases: AtomicU32::new(0),
        };
        cluster.owner = cluster.choose_owner()?;
        cluster.run("initdb", |command| {
            let options = [
                "--auth=trust",
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
            ];
            command.args(options).args(["-U", SUPERUSER, "-D"]);
            command.arg(cluster.data());
        })?;
        let access = network.map_or(ACCESS, |_| OPEN_ACCESS);
        fs::write(cluster.data().join("pg_hba.conf"), access)?;
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(cluster.data().join("postgresql.conf"))?;
        let common = format!(
            "listen_addresses = '{address}'\nunix_socket_directories = ''\n\
            max_connections = 300\nshared_buffers = 32MB\n"
        );
        file.write_all(format!("{common}{settings}").as_bytes())?;
        cluster.port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        cluster.resume()?;
        Ok(cluster)
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a database for a role, as `user` or `user:password`.
    pub fn url(&self, credentials: &str, database: &str) -> String {
        let (address, port) = (self.address, self.port);
        format!("postgres://{credentials}@{address}:{port}/{database}?sslmode=disable")
    }

    /// Makes a new, empty database.
    ///
    /// # Errors
    /// What the server says.
    pub async fn database(&self) -> anyhow::Result<String> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test{number}");
        self.execute("postgres", &format!("CREATE DATABASE {name}"))
            .await?;
        Ok(name)
    }

    /// Runs statements as the superuser; gives the first column of the last rows.
    ///
    /// # Errors
    /// What the server says.
    pub async fn execute(&self, database: &str, statements: &str) -> anyhow::Result<Vec<String>> {
        let url = self.url(SUPERUSER, database);
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
        let connection = tokio::spawn(connection);
        let messages = client.simple_query(statements).await.map_err(|error| {
            let message = error.as_db_error().map(ToString::to_string);
            anyhow!(
                "{statements}: {}",
                message.unwrap_or_else(|| error.to_string())
            )
        });
        drop(client);
        let _ = connection.await;
        let rows = messages?.into_iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// Writes a file that only the server may read, beside its data.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn write_file(&self, name: &str, content: &str) -> anyhow::Result<PathBuf> {
        use std::os::unix::fs::{PermissionsExt, chown};
        let path = self.directory.join(name);
        fs::write(&path, content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let owner = fs::metadata(self.data())?;
        chown(&path, Some(owner.uid()), Some(owner.gid()))?;
        Ok(path)
    }

    /// Ends the server as a crash does: nothing is written any more.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&self) -> anyhow::Result<()> {
        let status = Command::new("kill")
            .args(["-KILL", &self.pid()?])
            .status()?;
        ensure!(status.success(), "the server could not be killed");
        Ok(())
    }

    /// Ends the server in an orderly way, with all of its connections.
    ///
    /// # Errors
    /// When it does not run.
    pub fn stop(&self) -> anyhow::Result<()> {
        self.run("pg_ctl", |command| {
            command
                .args(["stop", "-w", "-m", "fast", "-D"])
                .arg(self.data());
        })
    }

    /// Starts the server again, after it was stopped or killed.
    ///
    /// # Errors
    /// What the server's log says.
    pub fn resume(&self) -> anyhow::Result<()> {
        let mut last = anyhow!("it was not tried");
        for _ in 0..START_ATTEMPTS {
            let started = self.run("pg_ctl", |command| {
                command
                    .args(["start", "-w", "-t", "30", "-D"])
                    .arg(self.data());
                command.arg("-l").arg(self.data().join("server.log"));
                command.args(["-o", &format!("-p {}", self.port)]);
            });
            match started {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
            // A pause without the thread: the shell's.
            let _ = Command::new("sleep").arg("0.1").status();
        }
        let log = fs::read_to_string(self.data().join("server.log")).unwrap_or_default();
        Err(last.context(log))
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn pid(&self) -> anyhow::Result<String> {
        let file = fs::read_to_string(self.data().join("postmaster.pid"))?;
        let pid = file.lines().next().context("the pid file is empty")?;
        Ok(pid.to_owned())
    }

    /// Makes the data's directory; `None` when this process may own it itself.
    fn choose_owner(&self) -> anyhow::Result<Option<&'static str>> {
        fs::create_dir(self.data())?;
        if fs::metadata("/proc/self")?.uid() != 0 {
            return Ok(None);
        }
        for owner in UNPRIVILEGED {
            let mut chown = Command::new("chown");
            chown.arg("-R").arg(owner).arg(&self.directory);
            if chown.stderr(Stdio::null()).status()?.success() {
                return Ok(Some(owner));
            }
        }
        bail!("there is neither of the users {UNPRIVILEGED:?}")
    }

    fn run(&self, program: &str, arguments: impl FnOnce(&mut Command)) -> anyhow::Result<()> {
        let program = self.programs.join(program);
        let mut words: Vec<OsString> = Vec::new();
        if let Some(network) = &self.network {
            let mut enter = OsString::from("--net=");
            enter.push(network);
            words.extend(["nsenter".into(), enter, "--".into()]);
        }
        if let Some(owner) = self.owner {
            words.extend(["setpriv", "--reuid", owner, "--clear-groups", "--"].map(Into::into));
        }
        words.push(program.clone().into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        arguments(&mut command);
        // A directory that the owner may enter.
        let output = command.current_dir("/").stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("cannot run {}", program.display()))?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said).into_owned();
            bail!("{} failed: {said}", program.display());
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// The directory of the newest PostgreSQL: Debian has them beside each other, and not in PATH.
fn find_programs() -> anyhow::Result<PathBuf> {
    let has_all = |directory: &Path| {
        let programs = ["initdb", "pg_ctl", "postgres"];
        programs
            .iter()
            .all(|program| directory.join(program).is_file())
    };
    let path = env::var_os("PATH").unwrap_or_default();
    if let Some(directory) = env::split_paths(&path).find(|directory| has_all(directory)) {
        return Ok(directory);
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let installed = versions.filter_map(|entry| {
        let directory = entry.ok()?.path().join("bin");
        let version = directory
            .parent()?
            .file_name()?
            .to_str()?
            .parse::<u32>()
            .ok()?;
        has_all(&directory).then_some((version, directory))
    });
    let newest = installed.max().map(|(_, directory)| directory);
    newest.context("PostgreSQL is missing: run apt-get install -y postgresql")
}

/// Waits until a condition holds.
///
/// # Errors
/// When it does not within half a minute.
pub async fn eventually(what: &str, holds: impl AsyncFn() -> bool) -> anyhow::Result<()> {
    let polling = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, polling)
        .await
        .with_context(|| format!("not within {limit:?}: {what}"))
}
