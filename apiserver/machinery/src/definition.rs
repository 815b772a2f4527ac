//! What a resource is: a value, not a Rust type.
//!
//! Validation, pruning, discovery, OpenAPI and Table all read this one definition. It can be made
//! from Rust types, and later from a CustomResourceDefinition manifest.

use crate::{schema::Schema, status::GroupResource};

/// One kind of object as the server serves it.
#[derive(Clone, Debug)]
pub struct ResourceDefinition {
    /// API group, such as `data.kubedojo.io`.
    pub group: String,
    /// The version that is served. A resource with several has a definition for each; their objects
    /// are the same but for `apiVersion`, as with the conversion strategy `None` of a
    /// CustomResourceDefinition.
    pub version: String,
    /// How the resource is called.
    pub names: ResourceNames,
    /// Whether objects live in namespaces.
    pub scope: Scope,
    /// The structural schema of an object.
    pub schema: Schema,
    /// Whether `status` is a subresource of its own, so that other writes leave it alone.
    pub status_subresource: bool,
    /// Where `scale` reads and writes, if it is a subresource.
    pub scale: Option<ScalePaths>,
    /// Subresources beside `status` and `scale`.
    pub subresources: Vec<SubresourceDefinition>,
    /// Fields that a field selector can name beside `metadata.name` and `metadata.namespace`, such
    /// as `spec.source`.
    pub selectable_fields: Vec<String>,
    /// Columns of `kubectl get`, after the name.
    pub columns: Vec<PrinterColumn>,
}

/// A subresource of a kind's own.
#[derive(Clone, Debug)]
pub struct SubresourceDefinition {
    /// As the path names it, such as `eviction`.
    pub name: String,
    /// Group, version and kind of what is sent to it, or answered.
    pub group_version_kind: (String, String, String),
    /// What can be done with it: `create`, `get`, `update`, `patch`, `delete`. With none, every
    /// method goes to it, and discovery lists none.
    pub verbs: Vec<String>,
}

/// Where the numbers of `scale` stand in an object, as paths such as `.spec.replicas`: `scale` of a
/// CustomResourceDefinition.
#[derive(Clone, Debug)]
pub struct ScalePaths {
    /// The replicas that are wanted.
    pub spec_replicas: String,
    /// The replicas that there are.
    pub status_replicas: String,
    /// The selector of the pods, as a string, for the autoscaler.
    pub label_selector: Option<String>,
}

/// How a resource is called.
#[derive(Clone, Debug)]
pub struct ResourceNames {
    /// `DataRecord`.
    pub kind: String,
    /// `DataRecordList`.
    pub list_kind: String,
    /// `datarecords`.
    pub plural: String,
    /// `datarecord`.
    pub singular: String,
    /// `dr`.
    pub short_names: Vec<String>,
    /// Groups of resources such as `all`.
    pub categories: Vec<String>,
}

/// Whether objects live in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every object has a namespace.
    Namespaced,
    /// No object has one.
    Cluster,
}

/// One column of a Table, as in `additionalPrinterColumns` of a CustomResourceDefinition.
#[derive(Clone, Debug)]
pub struct PrinterColumn {
    /// Heading.
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`; a date is shown as its age.
    pub column_type: String,
    /// Where the value stands: a path of member names such as `.spec.source`.
    pub json_path: String,
    /// What the column tells.
    pub description: String,
    /// 0 for a column that is always shown, more for `-o wide`.
    pub priority: i32,
}

impl ResourceDefinition {
    /// `group/version`.
    pub fn api_version(&self) -> String {
        format!("{}/{}", self.group, self.version)
    }

    /// The plural and the group, as errors name it.
    pub fn group_resource(&self) -> GroupResource {
        GroupResource {
            group: self.group.clone(),
            resource: self.names.plural.clone(),
        }
    }

    /// Whether objects live in namespaces.
    pub fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }
}
