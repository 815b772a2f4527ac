//! What answers for the API: the server of this release, or an image of the user's own.

#![expect(
    unreachable_pub,
    reason = "KubeSchema repeats each struct inside an impl"
)]

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// The server behind the API. Exactly one kind is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::exactly_one_server())]
pub struct ServerSpec {
    /// The server that ships with this release. It serves data.kubedojo.io/v1alpha1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundled: Option<BundledServer>,
    /// A server of your own, from its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageServer>,
}

/// The server that ships with this release.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BundledServer {
    /// Where the records are kept. Exactly one kind is set.
    pub storage: BundledStorage,
    /// Whether the server starts with a few example records when they are absent.
    #[serde(default)]
    pub seed_examples: bool,
}

/// Where the bundled server keeps its records. Exactly one kind is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::exactly_one_storage())]
pub struct BundledStorage {
    /// In the memory of the one replica; gone when it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryStorage>,
    /// In a file on a volume of the one replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlite: Option<SqliteStorage>,
    /// In a PostgreSQL database, which all replicas share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PostgresStorage>,
}

/// Storage in memory. It has no settings.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
pub struct MemoryStorage {}

/// Storage in a file of SQLite.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
pub struct SqliteStorage {
    /// The volume that holds the file.
    pub volume: SqliteVolume,
}

/// A volume of the server's own. Its claim is `NAME-data`, in the server's namespace. It is made when
/// there is none and never changed or deleted: it outlives the `ExtensionAPI`, and one of the same name
/// goes on with it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SqliteVolume {
    /// The size of a new claim.
    #[serde(default = "default_volume_size")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = rules::volume_size_is_a_quantity())]
    pub size: String,
    /// The class of a new claim; unset means the cluster's default, an empty text a volume that is there
    /// already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub storage_class_name: Option<String>,
}

/// Storage in a PostgreSQL database, of version 13 or newer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PostgresStorage {
    /// The Secret that says where the database is. The whole Secret is mounted in
    /// /etc/apiserver/storage, so that the URL can name certificates beside it, as in
    /// `sslrootcert=/etc/apiserver/storage/ca.crt`. A change counts for new connections, without a
    /// restart.
    pub connection_secret_ref: ConnectionSecret,
}

/// A key of a Secret in the namespace of the server.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionSecret {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::secret_name_is_a_subdomain())]
    pub name: String,
    /// The key whose value is the URL, such as `postgres://USER:PASSWORD@HOST/DATABASE`.
    #[serde(default = "default_connection_key")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::secret_key_is_a_file_name())]
    pub key: String,
}

/// A server from an image. It listens with HTTPS, and finds its certificate, its key and the CA
/// bundle in /etc/apiserver/certs as tls.crt, tls.key and ca.crt. The files are replaced while it
/// runs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageServer {
    /// The image to run.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// The program and its first arguments, instead of the image's entry point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 4096)))]
    pub command: Vec<String>,
    /// Arguments, instead of the image's own. They have to point the server at its certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(max = 4096)))]
    pub args: Vec<String>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,
    /// The port that the server listens on, with HTTPS.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1024, max = 65535))]
    pub port: i32,
    /// One path that tells both whether the server lives and whether it is ready. Without it
    /// these are /livez and /readyz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), regex(pattern = r"^/[-._~/A-Za-z0-9]*$"))]
    pub health_path: Option<String>,
}

/// One environment variable.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// The name of the variable.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Its value.
    #[serde(default)]
    #[schemars(length(max = 32768))]
    pub value: String,
}

/// The port that the bundled server listens on, and what other servers most often choose. It is
/// above 1024 because servers run without privileges.
pub(crate) const DEFAULT_PORT: i32 = 8443;

fn default_volume_size() -> String {
    "1Gi".to_owned()
}

fn default_connection_key() -> String {
    "url".to_owned()
}

fn default_port() -> i32 {
    DEFAULT_PORT
}
