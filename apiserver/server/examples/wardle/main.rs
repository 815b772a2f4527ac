//! The group of Kubernetes' own sample, `wardle.example.com`, served with this library: flunders in
//! two versions and fischers, kept in memory.
//!
//! It takes the flags and answers the requests that Kubernetes' conformance tests expect of
//! `k8s.io/sample-apiserver`. It differs on purpose: an object has the same fields in all versions
//! (conversion strategy `None`), so a flunder's spec has the references of v1alpha1 and of v1beta1
//! side by side, where the sample converts one into the other; and no admission plugin checks that
//! references fit together or that a flunder is allowed.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use apimachinery::{ResourceDefinition, ResourceNames, Scope, schema::Schema};
use apiserver::{
    Resource,
    serving::{Server, Surroundings, cluster_client},
    transport::CertificateSource,
};
use clap::Parser;
use serde_json::{Value, json};
use storage::{MemoryStorage, Storage};

/// Serves wardle.example.com to a Kubernetes cluster, as its sample-apiserver does.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Flags {
    /// Port for HTTPS.
    #[arg(long, default_value_t = 443)]
    secure_port: u16,
    /// Address to listen on.
    #[arg(long, default_value = "0.0.0.0")]
    bind_address: IpAddr,
    /// Serving certificate chain in PEM; read again when it changes.
    #[arg(long)]
    tls_cert_file: PathBuf,
    /// Private key of the serving certificate in PEM.
    #[arg(long)]
    tls_private_key_file: PathBuf,
    /// Kubeconfig of the cluster that decides who may do what; by default the one it runs in.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Accepted and ignored: objects are kept in memory.
    #[arg(long)]
    etcd_servers: Option<String>,
    /// Accepted and ignored: every request is logged to standard error.
    #[arg(long)]
    audit_log_path: Option<String>,
    /// Accepted and ignored.
    #[arg(long)]
    audit_log_maxage: Option<u32>,
    /// Accepted and ignored.
    #[arg(long)]
    audit_log_maxbackup: Option<u32>,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    // The client of the cluster finds this one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    serve(Flags::parse()).await.map_err(anyhow::Error::msg)
}

async fn serve(flags: Flags) -> Result<(), String> {
    let client = cluster_client(flags.kubeconfig.as_deref()).await?;
    let certificate = CertificateSource {
        certificate: flags.tls_cert_file,
        key: flags.tls_private_key_file,
    };
    let surroundings = Surroundings::in_cluster(client, certificate)?;
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::since_now());
    let address = SocketAddr::new(flags.bind_address, flags.secure_port);
    let server = Server::bind(address, resources()?, &storage, surroundings).await?;
    server.run(Duration::ZERO).await
}

fn resources() -> Result<Vec<Resource>, String> {
    let flunder = |version| {
        definition(
            version,
            ("Flunder", "flunder"),
            Scope::Namespaced,
            flunder(),
        )
    };
    Ok(vec![
        flunder("v1alpha1")?,
        flunder("v1beta1")?,
        definition(
            "v1alpha1",
            ("Fischer", "fischer"),
            Scope::Cluster,
            fischer(),
        )?,
    ])
}

fn definition(
    version: &str,
    (kind, singular): (&str, &str),
    scope: Scope,
    schema: Value,
) -> Result<Resource, String> {
    let definition = ResourceDefinition {
        group: "wardle.example.com".to_owned(),
        version: version.to_owned(),
        names: ResourceNames {
            kind: kind.to_owned(),
            list_kind: format!("{kind}List"),
            plural: format!("{singular}s"),
            singular: singular.to_owned(),
            short_names: Vec::new(),
            categories: Vec::new(),
        },
        scope,
        schema: Schema::parse(schema)?,
        status_subresource: false,
        scale: None,
        subresources: Vec::new(),
        selectable_fields: Vec::new(),
        columns: Vec::new(),
    };
    Ok(definition.into())
}

fn flunder() -> Value {
    let name = |description| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "description": "An example with a spec and a status.",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "reference": name("v1alpha1: name of a flunder or fischer, as referenceType says."),
                    "flunderReference": name("v1beta1: name of another flunder."),
                    "fischerReference": name("v1beta1: name of a fischer."),
                    "referenceType": {
                        "type": "string",
                        "description": "What the reference names.",
                        "enum": ["Flunder", "Fischer"],
                    },
                },
            },
            "status": { "type": "object", "description": "Empty." },
        },
    })
}

fn fischer() -> Value {
    json!({
        "type": "object",
        "description": "An example that belongs to no namespace.",
        "properties": {
            "disallowedFlunders": {
                "type": "array",
                "description": "Names that no flunder may have.",
                "items": { "type": "string" },
                "x-kubernetes-list-type": "atomic",
            },
        },
    })
}
