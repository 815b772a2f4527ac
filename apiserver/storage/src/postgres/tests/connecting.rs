//! What the store says where it cannot use a database, and that it recovers by itself.

use std::fs;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};

use super::{
    super::connection::{Connector, Purpose},
    *,
};

/// A database of the shared cluster with a role of its own, and the role's password.
async fn with_role(cluster: &Cluster, role: &str) -> String {
    let database = cluster.database().await.expect("a database is made");
    let made = format!("CREATE ROLE {role} LOGIN PASSWORD 'right'");
    cluster
        .execute(&database, &made)
        .await
        .expect("a role is made");
    database
}

async fn works(store: &PostgresStorage) {
    let is_good = async || store.condition().is_ok();
    let good = eventually("the store can be used", is_good).await;
    good.unwrap_or_else(|e| panic!("{e}: {:?}", store.condition()));
    let key = format!("/a/{}", store.current_revision().await.expect("known"));
    let written = store.create(key, Bytes::new()).await;
    written.expect("it takes writes");
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_named() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = unused.local_addr().expect("an address");
    drop(unused);
    let url = format!("postgres://me@{address}/records?sslmode=disable");
    let store = PostgresStorage::start(fixed(&url));
    let expected = format!("cannot use the database at {address}: Connection refused");
    complaint(&store, &expected).await;
    let written = store.create("/a/1".to_owned(), Bytes::new()).await;
    let expected = format!("nothing was written: {expected}");
    let Err(StorageError::Unavailable(reason)) = written else {
        panic!("{written:?}");
    };
    assert!(reason.starts_with(&expected), "{reason}");
}

#[tokio::test]
async fn a_host_that_says_nothing_is_given_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    let url = format!("postgres://me@{address}/records?sslmode=disable");
    let store = PostgresStorage::start(fixed(&url));
    let expected = format!("the database at {address} did not answer in time");
    complaint(&store, &expected).await;
}

#[tokio::test]
async fn wrong_credentials_and_databases_are_said_with_the_remedy() {
    let cluster = Cluster::shared();
    let database = with_role(cluster, "somebody").await;
    for (credentials, database, said, remedy) in [
        (
            "somebody:wrong",
            database.as_str(),
            "password authentication failed for user \"somebody\"",
            "put user and password of the URL right",
        ),
        (
            "nobody:right",
            database.as_str(),
            "password authentication failed for user \"nobody\"",
            "put user and password of the URL right",
        ),
        (
            "somebody:right",
            "missing",
            "database \"missing\" does not exist",
            "create it",
        ),
        (
            "tls_only:right",
            database.as_str(),
            "no encryption",
            "pg_hba.conf",
        ),
    ] {
        let url = cluster.url(credentials, database);
        let store = PostgresStorage::start(fixed(&url));
        let complaint = complaint(&store, said).await;
        assert!(complaint.contains(remedy), "{complaint}");
        assert!(!complaint.contains("wrong"), "{complaint}");
    }
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_refused_until_it_does() {
    let cluster = Cluster::shared();
    let database = cluster.database().await.expect("a database is made");
    let set = format!("ALTER DATABASE {database} SET default_transaction_read_only");
    let on = cluster.execute("postgres", &format!("{set} = on")).await;
    on.expect("it is set");
    let store = open(cluster, &database, 100);
    complaint(&store, "does not allow writes; name the primary").await;
    let off = cluster.execute("postgres", &format!("{set} = off")).await;
    off.expect("it is set");
    works(&store).await;
}

#[tokio::test]
async fn a_newer_schema_is_refused_also_while_the_server_runs() {
    let cluster = Cluster::shared();
    let database = cluster.database().await.expect("a database is made");
    let store = open(cluster, &database, 100);
    works(&store).await;
    let set = async |version: u32| {
        let set = format!("UPDATE extension_api.meta SET schema_version = {version}");
        cluster.execute(&database, &set).await.expect("it is set");
    };
    set(2).await;
    let later = open(cluster, &database, 100);
    for store in [&later, &store] {
        let expected = "version 2 of the tables and this release knows version 1: run the release";
        complaint(store, expected).await;
        let written = store.create("/a/new".to_owned(), Bytes::new()).await;
        assert!(matches!(&written, Err(StorageError::Unavailable(r)) if r.contains("version 2")));
        let listed = store.list(Range::prefix("/a/")).await;
        assert!(matches!(&listed, Err(StorageError::Unavailable(r)) if r.contains("version 2")));
    }
    set(1).await;
    works(&store).await;
    works(&later).await;
}

/// Servers that start on a new database at the same time make its tables once.
#[tokio::test]
async fn servers_that_start_together_agree_on_the_tables() {
    let cluster = Cluster::shared();
    let database = cluster.database().await.expect("a database is made");
    let stores: Vec<_> = (0..6).map(|_| open(cluster, &database, 100)).collect();
    let writes = stores.iter().enumerate().map(|(number, store)| {
        let key = format!("/a/{number}");
        async move { store.create(key, Bytes::new()).await }
    });
    let written = futures::future::try_join_all(writes).await;
    let mut revisions = written.expect("create");
    revisions.sort_unstable();
    assert_eq!(revisions[5].0 - revisions[0].0, 5);
}

/// A role that owns the schema and nothing else.
#[tokio::test]
async fn a_schema_that_was_made_beforehand_is_used() {
    let cluster = Cluster::shared();
    let database = with_role(cluster, "schema_owner").await;
    let made = "CREATE SCHEMA extension_api AUTHORIZATION schema_owner";
    cluster.execute(&database, made).await.expect("made");
    let url = cluster.url("schema_owner:right", &database);
    works(&PostgresStorage::start(fixed(&url))).await;
}

/// The role of docs/postgres.md: it may use the tables, and neither make nor change them.
#[tokio::test]
async fn a_role_with_the_documented_grants_is_enough() {
    let cluster = Cluster::shared();
    let database = with_role(cluster, "extension_api").await;
    let url = cluster.url("extension_api:right", &database);
    let store = PostgresStorage::with_log_capacity(fixed(&url), 100);
    let complaint = complaint(&store, "permission denied for database").await;
    assert!(
        complaint.contains("run schema.sql as the owner"),
        "{complaint}"
    );
    let schema = include_str!("../schema.sql");
    cluster
        .execute(&database, schema)
        .await
        .expect("the tables are made");
    let documented = include_str!("../../../../../docs/postgres.md");
    let (_, grants) = documented
        .split_once("```sql grants\n")
        .expect("they are there");
    let (grants, _) = grants.split_once("```").expect("they end");
    cluster.execute(&database, grants).await.expect("granted");
    works(&store).await;
    let mut watch = store.watch("/a/".to_owned(), Revision(u64::MAX - 1));
    let future = watch.next().await;
    assert!(
        matches!(future, Some(Err(StorageError::FutureRevision { .. }))),
        "{future:?}"
    );
    let newest = store.current_revision().await.expect("it is known");
    store.compact(newest).await.expect("it may compact");
    let left = cluster
        .execute(&database, "SELECT revision FROM extension_api.events")
        .await;
    assert_eq!(left.expect("read"), Vec::<String>::new());
}

#[tokio::test]
async fn a_new_password_in_the_file_needs_no_restart() {
    let cluster = Cluster::shared();
    let database = with_role(cluster, "rotated").await;
    let grant = format!("GRANT CREATE ON DATABASE {database} TO rotated");
    cluster.execute(&database, &grant).await.expect("granted");
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("url");
    let write = |password: &str| {
        let url = cluster.url(&format!("rotated:{password}"), &database);
        fs::write(&file, format!("{url}\n")).expect("it is written");
    };
    write("right");
    let store = PostgresStorage::start(UrlSource::File(file.clone()));
    works(&store).await;
    let rotate = "ALTER ROLE rotated PASSWORD 'new'; \
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotated'";
    cluster.execute(&database, rotate).await.expect("rotated");
    complaint(&store, "password authentication failed").await;
    write("new");
    works(&store).await;
}

/// A role that does not wait for the disk would lose what was acknowledged.
#[tokio::test]
async fn commits_wait_for_the_disk_whatever_the_role_says() {
    let cluster = Cluster::shared();
    let database = cluster.database().await.expect("a database is made");
    for (set, expected) in [("off", "on"), ("remote_apply", "remote_apply")] {
        let set = format!("ALTER DATABASE {database} SET synchronous_commit = {set}");
        cluster.execute("postgres", &set).await.expect("it is set");
        let connector = Connector::new(fixed(&cluster.url("postgres", &database)));
        let connection = connector.connect(Purpose::Write).await.expect("connected");
        let row = connection.query_one("SHOW synchronous_commit", &[]).await;
        assert_eq!(row.expect("shown").get::<_, &str>(0), expected);
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("it is signed")
}

/// Certificate and key in PEM.
fn issue(
    authority: &CertifiedIssuer<'static, KeyPair>,
    common_name: &str,
    host: &str,
    usage: ExtendedKeyUsagePurpose,
) -> (String, String) {
    let mut params = CertificateParams::new(vec![host.to_owned()]).expect("a name");
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, authority).expect("it is signed");
    (certificate.pem(), key.serialize_pem())
}

#[tokio::test]
async fn tls_is_verified_and_mistakes_are_said() {
    let cluster = Cluster::start().expect("a cluster starts");
    let database = with_role(&cluster, "tls_only").await;
    let grant = format!("GRANT CREATE ON DATABASE {database} TO tls_only");
    cluster.execute(&database, &grant).await.expect("granted");
    let (ours, foreign) = (authority("ours"), authority("foreign"));
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        fs::write(&path, content).expect("it is written");
        path.display().to_string()
    };
    let url = |host: &str, parameters: &str| {
        let port = cluster.port();
        format!("postgres://tls_only:right@{host}:{port}/{database}?{parameters}")
    };
    let our_ca = format!("sslrootcert={}", file("ca.crt", &ours.pem()));
    let says = async |words: &str, url: &str| {
        complaint(&PostgresStorage::start(fixed(url)), words).await;
    };
    says(
        "cannot read sslrootcert /nowhere",
        &url("127.0.0.1", "sslrootcert=/nowhere"),
    )
    .await;
    says(
        "server does not support TLS; turn ssl on",
        &url("127.0.0.1", &our_ca),
    )
    .await;

    let server = ExtendedKeyUsagePurpose::ServerAuth;
    let (certificate, key) = issue(&ours, "database", "127.0.0.1", server);
    let certificate = cluster
        .write_file("server.crt", &certificate)
        .expect("a file");
    let key = cluster.write_file("server.key", &key).expect("a file");
    let client_ca = cluster
        .write_file("client-ca.crt", &ours.pem())
        .expect("a file");
    for (setting, value) in [
        ("ssl_cert_file", certificate.display().to_string()),
        ("ssl_key_file", key.display().to_string()),
        ("ssl_ca_file", client_ca.display().to_string()),
        ("ssl", "on".to_owned()),
    ] {
        let set = format!("ALTER SYSTEM SET {setting} = '{value}'");
        cluster.execute("postgres", &set).await.expect("it is set");
    }
    let reload = "SELECT pg_reload_conf()";
    cluster.execute("postgres", reload).await.expect("reloaded");

    let store = PostgresStorage::start(fixed(&url("127.0.0.1", &our_ca)));
    works(&store).await;
    let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
        WHERE usename = 'tls_only' AND NOT ssl";
    let in_plain = cluster.execute(&database, encrypted).await.expect("read");
    assert_eq!(in_plain, ["0"]);

    let foreign_ca = format!("sslrootcert={}", file("foreign.crt", &foreign.pem()));
    says(
        "name the file of the authority",
        &url("127.0.0.1", &foreign_ca),
    )
    .await;
    says(
        "write the host in the URL as the",
        &url("localhost", &our_ca),
    )
    .await;

    says("no encryption", &url("127.0.0.1", "sslmode=disable")).await;

    let client = ExtendedKeyUsagePurpose::ClientAuth;
    let (certificate, key) = issue(&ours, "certified", "certified", client);
    let files = format!(
        "{our_ca}&sslcert={}&sslkey={}",
        file("client.crt", &certificate),
        file("client.key", &key)
    );
    let made = format!(
        "CREATE ROLE certified LOGIN; GRANT CREATE ON DATABASE {database} TO certified;\
        GRANT USAGE ON SCHEMA extension_api TO certified; \
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA extension_api TO certified"
    );
    cluster
        .execute(&database, &made)
        .await
        .expect("a role is made");
    let by_certificate = url("127.0.0.1", &files).replace("tls_only:right", "certified");
    works(&PostgresStorage::start(fixed(&by_certificate))).await;
}
