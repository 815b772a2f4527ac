//! The backend on a real server.

use super::{testing::Cluster, *};

fn open(cluster: &Cluster, database: &str, log_capacity: usize) -> PostgresStorage {
    let url = cluster.url("postgres", database);
    let url = DatabaseUrl::parse(&url).expect("the URL is right");
    let source = UrlSource::Fixed(Box::new(url));
    PostgresStorage::with_log_capacity(source, log_capacity as u64)
}

/// A new database with its tables, whose revisions count from 0.
async fn counted_from_zero(cluster: &Cluster) -> String {
    let database = cluster.database().await.expect("a database is made");
    let zero = "UPDATE extension_api.meta SET revision = 0, compacted = 0";
    let made = format!("{};{zero}", include_str!("../schema.sql"));
    cluster
        .execute(&database, &made)
        .await
        .expect("the tables are made");
    database
}

async fn empty(log_capacity: usize) -> PostgresStorage {
    let cluster = Cluster::shared();
    let database = counted_from_zero(cluster).await;
    open(cluster, &database, log_capacity)
}

async fn replicas(log_capacity: usize) -> (PostgresStorage, PostgresStorage) {
    let cluster = Cluster::shared();
    let database = counted_from_zero(cluster).await;
    let other = open(cluster, &database, log_capacity);
    (open(cluster, &database, log_capacity), other)
}

crate::storage_contract_tests!(contract_tests, empty);
crate::replica_contract_tests!(replica_tests, replicas);
