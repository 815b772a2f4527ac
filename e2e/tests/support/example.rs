//! The library's examples, each a process of its own behind the aggregator. They can be restarted
//! there without disturbing the tests that share the DataRecord API.

use std::fs;

use anyhow::{Context, Result};
use base64::prelude::{BASE64_STANDARD, Engine};
use e2e::{
    pki::{self, Authority, Identity},
    testing::Cluster,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use serde_json::{Value, json};

use super::{
    extension_api::SOON,
    local_server::{admin, direct},
    program::{Program, free_port},
};

/// The Service in an example's namespace; it leads to this machine.
const SERVICE: &str = "api";

/// What an example serves.
#[derive(Debug)]
pub(crate) struct Served {
    /// The example's name, and that of the namespace of its Service.
    pub(crate) example: &'static str,
    pub(crate) group: &'static str,
    pub(crate) versions: &'static [&'static str],
    /// Kind and plural of a resource that every version has.
    pub(crate) resource: (&'static str, &'static str),
}

/// A running example. Its registration goes with [`Example::end`].
#[derive(Debug)]
pub(crate) struct Example {
    served: &'static Served,
    pub(crate) cluster: Cluster,
    authority: Authority,
    port: u16,
    args: Vec<String>,
    program: Program,
}

impl Served {
    /// The resource, as kube needs it.
    pub(crate) fn resource(&self, version: &str) -> ApiResource {
        let (kind, plural) = self.resource;
        let kind = GroupVersionKind::gvk(self.group, version, kind);
        ApiResource::from_gvk_with_plural(&kind, plural)
    }

    /// The example's TLS name.
    fn server_name(&self) -> String {
        format!("{SERVICE}.{}.svc", self.example)
    }
}

impl Example {
    /// Starts it, registers its versions, and waits until they answer.
    pub(crate) async fn start(cluster: &Cluster, served: &'static Served) -> Result<Self> {
        let files = cluster.dir().join(served.example);
        fs::create_dir_all(&files)?;
        let authority = pki::authority("serving-ca")?;
        let Identity {
            certificate_pem,
            key_pem,
        } = pki::server(&authority, SERVICE, &[&served.server_name()], &[])?;
        fs::write(files.join("tls.crt"), certificate_pem)?;
        fs::write(files.join("tls.key"), key_pem)?;
        let port = free_port()?;
        let args = vec![
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            format!("--kubeconfig={}", cluster.kubeconfig.display()),
            format!("--tls-cert-file={}", files.join("tls.crt").display()),
            format!("--tls-private-key-file={}", files.join("tls.key").display()),
        ];
        let example = Self {
            served,
            program: program(cluster, served, &args)?,
            cluster: cluster.clone(),
            authority,
            port,
            args,
        };
        example.register().await?;
        example.wait().await?;
        Ok(example)
    }

    async fn register(&self) -> Result<()> {
        let Served {
            example: namespace,
            group,
            versions,
            ..
        } = self.served;
        let ca_bundle = BASE64_STANDARD.encode(self.authority.pem());
        let mut objects = vec![
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } }),
            json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": { "name": SERVICE, "namespace": namespace },
                "spec": { "type": "ExternalName", "externalName": "localhost" },
            }),
        ];
        objects.extend(versions.iter().map(|version| {
            json!({
                "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
                "metadata": { "name": format!("{version}.{group}") },
                "spec": {
                    "group": group, "version": version,
                    "groupPriorityMinimum": 1000, "versionPriority": 15, "caBundle": ca_bundle,
                    "service": { "namespace": namespace, "name": SERVICE, "port": self.port },
                },
            })
        }));
        for object in objects {
            self.cluster.apply(&object.to_string()).await?;
        }
        Ok(())
    }

    /// Ends it with SIGTERM and starts it again, without any object.
    pub(crate) async fn restart(self) -> Result<Self> {
        let Self { program: old, .. } = self;
        old.stop(&self.cluster).await?;
        let example = Self {
            program: program(&self.cluster, self.served, &self.args)?,
            ..self
        };
        example.wait().await?;
        Ok(example)
    }

    /// Takes the registration away, then the server.
    pub(crate) async fn end(self) -> Result<()> {
        let mut args = vec!["delete".to_owned(), "apiservice".to_owned()];
        let Served {
            group, versions, ..
        } = self.served;
        args.extend(versions.iter().map(|version| format!("{version}.{group}")));
        self.cluster.kubectl(args).await?.success()?;
        self.program.stop(&self.cluster).await?;
        Ok(())
    }

    /// A client that talks straight to it, as a user of a kubeconfig.
    pub(crate) async fn direct(&self, user: Value) -> Result<Client> {
        let name = self.served.server_name();
        direct((&name, self.port), &self.authority, user).await
    }

    /// The same, as the cluster's administrator.
    pub(crate) async fn direct_as_admin(&self) -> Result<Client> {
        self.direct(admin(&self.cluster).await?).await
    }

    /// Waits until every version answers through the aggregator. An annotation makes that look at
    /// once whether the server is available, instead of every 30 seconds.
    async fn wait(&self) -> Result<()> {
        let client = self.cluster.client().await?;
        for version in self.served.versions {
            let resource = self.served.resource(version);
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            let name = format!("{version}.{}", self.served.group);
            self.cluster
                .wait_for("the example to answer", SOON, async || {
                    if api.list(&ListParams::default().limit(1)).await.is_ok() {
                        return Some(());
                    }
                    let look = format!("look={}", jiff::Timestamp::now().as_nanosecond());
                    let args = ["annotate", "--overwrite", "apiservice", &name, &look];
                    let _ = self.cluster.kubectl(args).await;
                    None
                })
                .await
                .with_context(|| format!("its log: {}", self.program.log().unwrap_or_default()))?;
        }
        Ok(())
    }
}

fn program(cluster: &Cluster, served: &Served, args: &[String]) -> Result<Program> {
    let name = format!("examples/{}", served.example);
    Program::start(cluster, (&name, "local"), args, &[])
}
