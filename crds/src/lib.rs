//! The `ExtensionAPI` kind: its Rust types, its validation rules and its generated manifest.
//!
//! One `ExtensionAPI` asks for one aggregated API: which group and versions it serves, where its
//! server runs and what runs there. This crate holds the shape and the rules only; it does no I/O
//! and knows nothing about how the object is brought about.
//!
//! The rules are CEL expressions in the `CustomResourceDefinition`, so the API server itself
//! refuses a bad object, with a sentence that names the field and says what to do. They are
//! evaluated in the unit tests too, without a cluster.

pub mod generate;
mod pod;
mod rules;
mod server;
mod spec;
mod status;
pub mod versions;

pub use pod::{ImagePullSecret, PodResources, PodTemplate, PodToleration};
pub use server::{
    BundledServer, BundledStorage, ConnectionSecret, EnvVar, ImageServer, MemoryStorage,
    PostgresStorage, ServerSpec, SqliteStorage, SqliteVolume,
};
pub use spec::{
    ApiVersion, ExtensionAPI, ExtensionApiSpec, ServerKind, TlsSpec, parse_duration_seconds,
};
pub use status::{ApiStatus, ExtensionApiStatus, TlsStatus, condition};

/// The API group of [`ExtensionAPI`] and the prefix of every label, annotation and finalizer.
pub const GROUP: &str = "extensions.kubedojo.io";

/// The group that the bundled server serves.
pub const BUNDLED_GROUP: &str = "data.kubedojo.io";

/// The version that the bundled server serves.
pub const BUNDLED_VERSION: &str = "v1alpha1";
