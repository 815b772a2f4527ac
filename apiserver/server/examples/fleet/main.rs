//! What a kind can add to its schema, shown with fleets of ships: `scale`, subresources of its own,
//! rules and warnings in code, selectable fields, and two versions. They are kept in memory.

mod subresources;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use apimachinery::{
    FieldError, Object, PrinterColumn, ResourceDefinition, ResourceNames, ScalePaths, Scope,
    schema::Schema,
};
use apiserver::{
    Resource,
    registry::Strategy,
    serving::{Server, Surroundings, cluster_client},
    subresource::CustomSubresource,
    transport::CertificateSource,
};
use clap::Parser;
use serde_json::{Value, json};
use storage::{MemoryStorage, Storage};

const GROUP: &str = "fleet.example.com";

/// Serves fleet.example.com to a Kubernetes cluster.
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
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
    let address = SocketAddr::new(flags.bind_address, flags.secure_port);
    let resources = vec![fleets("v1")?, fleets("v1beta1")?];
    let server = Server::bind(address, resources, &storage, surroundings).await?;
    server.run(Duration::ZERO).await
}

/// One version of the resource. All versions show the same objects.
fn fleets(version: &str) -> Result<Resource, String> {
    let handlers: [(&str, Arc<dyn CustomSubresource>); 2] = [
        ("recall", Arc::new(subresources::Recall)),
        ("log", Arc::new(subresources::Log)),
    ];
    Ok(Resource {
        definition: definition(version)?,
        strategy: Arc::new(FleetStrategy),
        subresources: BTreeMap::from(handlers.map(|(name, handler)| (name.to_owned(), handler))),
    })
}

fn definition(version: &str) -> Result<ResourceDefinition, String> {
    Ok(ResourceDefinition {
        group: GROUP.to_owned(),
        version: version.to_owned(),
        names: ResourceNames {
            kind: "Fleet".to_owned(),
            list_kind: "FleetList".to_owned(),
            plural: "fleets".to_owned(),
            singular: "fleet".to_owned(),
            short_names: vec!["fl".to_owned()],
            categories: Vec::new(),
        },
        scope: Scope::Namespaced,
        schema: Schema::parse(schema())?,
        status_subresource: true,
        scale: Some(ScalePaths {
            spec_replicas: ".spec.replicas".to_owned(),
            status_replicas: ".status.replicas".to_owned(),
            label_selector: Some(".status.selector".to_owned()),
        }),
        subresources: subresources::definitions(version),
        selectable_fields: vec!["spec.region".to_owned()],
        columns: vec![
            column("Region", "string", ".spec.region"),
            column("Wanted", "integer", ".spec.replicas"),
            column("Sailing", "integer", ".status.replicas"),
            column("Age", "date", ".metadata.creationTimestamp"),
        ],
    })
}

fn column(name: &str, column_type: &str, json_path: &str) -> PrinterColumn {
    PrinterColumn {
        name: name.to_owned(),
        column_type: column_type.to_owned(),
        json_path: json_path.to_owned(),
        description: String::new(),
        priority: 0,
    }
}

fn schema() -> Value {
    json!({
        "type": "object",
        "description": "Ships that sail together.",
        "required": ["spec"],
        "properties": {
            "spec": {
                "type": "object",
                "required": ["region"],
                "properties": {
                    "region": {
                        "type": "string", "description": "Where the fleet sails.",
                        "enum": ["atlantic", "indian", "pacific"],
                    },
                    "replicas": {
                        "type": "integer", "format": "int32", "minimum": 0, "default": 1,
                        "description": "How many ships sail.",
                    },
                    "docked": {
                        "type": "boolean", "description": "Whether no ship may sail.",
                    },
                    "ships": {
                        "type": "array", "description": "Ships by name.",
                        "items": {
                            "type": "object", "required": ["name"],
                            "properties": {
                                "name": { "type": "string" },
                                "captain": { "type": "string" },
                            },
                        },
                        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                    },
                },
            },
            "status": {
                "type": "object",
                "properties": {
                    "replicas": { "type": "integer", "description": "How many ships sail now." },
                    "selector": { "type": "string", "description": "Labels of their pods." },
                },
            },
        },
    })
}

/// What the schema cannot say.
#[derive(Debug)]
struct FleetStrategy;

impl Strategy for FleetStrategy {
    fn prepare_for_create(&self, fleet: &mut Object) {
        let selector = format!("fleet={}", fleet.name());
        fleet.set(
            "status",
            Some(json!({ "replicas": 0, "selector": selector })),
        );
    }

    fn validate(&self, fleet: &Object) -> Vec<FieldError> {
        let spec = spec(fleet);
        if spec["docked"] == true && spec["replicas"] != 0 {
            let detail = "must be 0 while the fleet is docked";
            return vec![FieldError::invalid(
                "spec.replicas",
                &spec["replicas"],
                detail,
            )];
        }
        Vec::new()
    }

    fn warnings_on_create(&self, fleet: &Object) -> Vec<String> {
        let ships = spec(fleet)["ships"].as_array().map_or(0, Vec::len);
        let wanted = spec(fleet)["replicas"].as_u64().unwrap_or_default();
        if wanted > ships as u64 {
            return vec![format!(
                "spec.replicas: {wanted} are wanted of {ships} ships"
            )];
        }
        Vec::new()
    }

    fn warnings_on_update(&self, fleet: &Object, _old: &Object) -> Vec<String> {
        self.warnings_on_create(fleet)
    }
}

fn spec(fleet: &Object) -> &Value {
    fleet.get("spec").unwrap_or(&Value::Null)
}
