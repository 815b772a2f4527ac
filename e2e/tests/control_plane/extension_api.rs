//! `ExtensionAPI` objects of tests, and the children that they should have.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result};
use crds::ExtensionAPI;
use e2e::testing::Cluster;
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Secret, Service, ServiceAccount},
        rbac::v1::{ClusterRoleBinding, RoleBinding},
    },
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams},
};

use super::operator::{NAMESPACE, OPERANDS};

/// How long the operator may take for anything that a watch tells it of.
pub(crate) const SOON: Duration = Duration::from_secs(15);
/// How long for what it has to look for by itself.
pub(crate) const LATER: Duration = Duration::from_secs(30);

/// One `ExtensionAPI`. Its deletion begins when the value is dropped.
pub(crate) struct Fixture {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) uid: String,
}

/// What to make.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) name: &'a str,
    pub(crate) group: &'a str,
    pub(crate) namespace: &'a str,
}

/// One object that belongs to an `ExtensionAPI`.
#[derive(Clone, Debug)]
pub(crate) struct Child {
    pub(crate) resource: ApiResource,
    /// None for an object of the cluster.
    pub(crate) namespace: Option<&'static str>,
    pub(crate) name: String,
}

/// A name that no other test has, and no run before this one.
pub(crate) fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", std::process::id())
}

impl Fixture {
    /// An API of a group of its own, with a server whose pods never start.
    pub(crate) async fn create(cluster: &Cluster, prefix: &str) -> Result<Self> {
        let name = unique(prefix);
        let group = format!("{name}.example.com");
        let wanted = Wanted {
            name: &name,
            group: &group,
            namespace: OPERANDS,
        };
        Self::create_as(cluster, wanted).await
    }

    pub(crate) async fn create_as(cluster: &Cluster, wanted: Wanted<'_>) -> Result<Self> {
        let Wanted {
            name,
            group,
            namespace,
        } = wanted;
        let text = format!(
            "{{apiVersion: extensions.kubedojo.io/v1alpha1, kind: ExtensionAPI, \
             metadata: {{name: {name}}}, spec: {{group: {group}, versions: [{{name: v1}}], \
             namespace: {namespace}, server: {{image: {{image: 'cluster.test/none:1'}}}}}}}}"
        );
        cluster.apply(&text).await?;
        let client = cluster.client().await?;
        let object = Api::<ExtensionAPI>::all(client.clone()).get(name).await?;
        Ok(Self {
            cluster: cluster.clone(),
            client,
            name: name.to_owned(),
            group: group.to_owned(),
            uid: object.metadata.uid.context("it has a UID")?,
        })
    }

    /// The object as it is now.
    pub(crate) async fn read(&self) -> Result<ExtensionAPI> {
        Ok(Api::all(self.client.clone()).get(&self.name).await?)
    }

    /// A condition of the present generation.
    pub(crate) async fn condition(&self, type_: &str) -> Option<Condition> {
        let object = self.read().await.ok()?;
        let conditions = object.status?.conditions;
        conditions.into_iter().find(|condition| {
            condition.type_ == type_ && condition.observed_generation == object.metadata.generation
        })
    }

    /// Waits until a condition has a status; gives the condition.
    pub(crate) async fn wait_condition(
        &self,
        (type_, status): (&str, &str),
        timeout: Duration,
    ) -> Result<Condition> {
        let is_so = |condition: &mut Condition| condition.status == status;
        self.wait_until(type_, &format!("be {status}"), timeout, is_so)
            .await
    }

    /// Waits until a condition has a reason; gives the condition. What was seen first of several
    /// things that happen at once is another reason for a moment.
    pub(crate) async fn wait_reason(
        &self,
        (type_, reason): (&str, &str),
        timeout: Duration,
    ) -> Result<Condition> {
        let is_so = |condition: &mut Condition| condition.reason == reason;
        self.wait_until(type_, &format!("have {reason}"), timeout, is_so)
            .await
    }

    async fn wait_until(
        &self,
        type_: &str,
        what: &str,
        timeout: Duration,
        is_so: impl Fn(&mut Condition) -> bool,
    ) -> Result<Condition> {
        let description = format!("{type_} of {} to {what}", self.name);
        let mut last = None;
        let found = self.cluster.wait_for(&description, timeout, async || {
            last = self.condition(type_).await;
            last.take_if(&is_so)
        });
        let found = found.await;
        found.with_context(|| format!("the condition was last {last:?}"))
    }

    /// Waits until all children are there.
    pub(crate) async fn wait_children(&self) -> Result<()> {
        for child in self.children() {
            child.wait(self, "to be there", SOON, |_| true).await?;
        }
        Ok(())
    }

    /// Every child but the registration.
    pub(crate) fn children(&self) -> Vec<Child> {
        let name = &self.name;
        let child = |resource, namespace, name| Child {
            resource,
            namespace,
            name,
        };
        vec![
            child(
                ApiResource::erase::<ServiceAccount>(&()),
                Some(OPERANDS),
                name.clone(),
            ),
            child(
                ApiResource::erase::<ClusterRoleBinding>(&()),
                None,
                format!("extensionapi:{name}:auth-delegator"),
            ),
            child(
                ApiResource::erase::<ClusterRoleBinding>(&()),
                None,
                format!("extensionapi:{name}:admission"),
            ),
            child(
                ApiResource::erase::<RoleBinding>(&()),
                Some("kube-system"),
                format!("extensionapi:{name}:auth-reader"),
            ),
            child(
                ApiResource::erase::<Secret>(&()),
                Some(NAMESPACE),
                format!("{name}-ca"),
            ),
            child(
                ApiResource::erase::<Secret>(&()),
                Some(OPERANDS),
                format!("{name}-serving-cert"),
            ),
            child(
                ApiResource::erase::<Deployment>(&()),
                Some(OPERANDS),
                name.clone(),
            ),
            child(
                ApiResource::erase::<Service>(&()),
                Some(OPERANDS),
                name.clone(),
            ),
        ]
    }

    /// The kinds and names of what carries this owner's UID.
    pub(crate) async fn owned(&self) -> Result<Vec<String>> {
        let selector = format!("extensions.kubedojo.io/owner-uid={}", self.uid);
        let mut found = Vec::new();
        for child in self.children() {
            let list = child
                .api(&self.client)
                .list(&ListParams::default().labels(&selector))
                .await?;
            let kind = &child.resource.kind;
            let names = list
                .items
                .iter()
                .filter_map(|object| object.metadata.name.as_ref());
            found.extend(names.map(|name| format!("{kind}/{name}")));
        }
        Ok(found)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // Without the runtime, which may be about to end. The operator does the rest.
        let _ = std::process::Command::new(&self.cluster.kubectl)
            .args([
                "delete",
                "extensionapi",
                &self.name,
                "--wait=false",
                "--ignore-not-found",
            ])
            .env("KUBECONFIG", &self.cluster.kubeconfig)
            .stdin(Stdio::null())
            .output();
    }
}

impl Child {
    pub(crate) fn api(&self, client: &Client) -> Api<DynamicObject> {
        match self.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &self.resource),
            None => Api::all_with(client.clone(), &self.resource),
        }
    }

    /// For messages.
    pub(crate) fn describe(&self) -> String {
        format!("{} {}", self.resource.kind, self.name)
    }

    pub(crate) async fn get(&self, client: &Client) -> Result<DynamicObject> {
        Ok(self.api(client).get(&self.name).await?)
    }

    /// Waits until the object is there and as wanted.
    pub(crate) async fn wait(
        &self,
        fixture: &Fixture,
        what: &str,
        timeout: Duration,
        is_as_wanted: impl Fn(&DynamicObject) -> bool,
    ) -> Result<DynamicObject> {
        let api = self.api(&fixture.client);
        let description = format!("{} {what}", self.describe());
        fixture
            .cluster
            .wait_for(&description, timeout, async || {
                api.get_opt(&self.name)
                    .await
                    .ok()?
                    .filter(|object| is_as_wanted(object))
            })
            .await
    }
}
