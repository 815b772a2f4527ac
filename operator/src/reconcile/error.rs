//! What can go wrong in a reconcile, by step. The step is the label of the error metric.

use thiserror::Error;

use crate::certificates::CertificateError;

/// A reconcile that failed and is tried again.
#[derive(Debug, Error)]
pub enum ReconcileError {
    /// The object came from no API server.
    #[error("the ExtensionAPI has no name or UID")]
    Anonymous,
    /// The world could not be read.
    #[error("cannot read what the ExtensionAPI depends on")]
    Dereference(#[from] DereferenceError),
    /// Certificates could not be made.
    #[error("cannot make certificates")]
    Certificates(#[from] CertificateError),
    /// A child could not be written.
    #[error("cannot write a child")]
    Apply(#[from] ApplyError),
    /// The status could not be written.
    #[error("cannot write the status")]
    UpdateStatus(#[source] kube::Error),
    /// The finalizer could not be set or removed.
    #[error("cannot write the finalizer")]
    Finalizer(#[source] kube::Error),
    /// A child could not be deleted.
    #[error("cannot take the children away")]
    Teardown(#[from] TeardownError),
}

/// The world could not be read.
#[derive(Debug, Error)]
pub enum DereferenceError {
    /// One object.
    #[error("cannot get {kind} {name}")]
    Get {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// Why.
        source: kube::Error,
    },
    /// Several objects.
    #[error("cannot list {kind}")]
    List {
        /// Their kind.
        kind: &'static str,
        /// Why.
        source: kube::Error,
    },
    /// The caches are gone.
    #[error("the operator is stopping")]
    Stopping,
}

/// A child could not be written.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// An object without a name.
    #[error("a {kind} has no name")]
    Nameless {
        /// Its kind.
        kind: String,
    },
    /// The API server refused, or was not there.
    #[error("cannot write {kind} {name}")]
    Write {
        /// The child's kind.
        kind: String,
        /// Its name.
        name: String,
        /// Why.
        source: kube::Error,
    },
    /// It could not be deleted.
    #[error("cannot delete {kind} {name}")]
    Delete {
        /// The child's kind.
        kind: String,
        /// Its name.
        name: String,
        /// Why.
        source: kube::Error,
    },
}

/// A child could not be taken away.
#[derive(Debug, Error)]
pub enum TeardownError {
    /// What is left could not be read.
    #[error("cannot read what is left")]
    Dereference(#[from] DereferenceError),
    /// A child could not be deleted.
    #[error("cannot delete a child")]
    Delete(#[from] ApplyError),
}

impl ReconcileError {
    /// The step that failed.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Anonymous | Self::Dereference(_) => "dereference",
            Self::Certificates(_) => "certificates",
            Self::Apply(_) => "apply",
            Self::UpdateStatus(_) => "update_status",
            Self::Finalizer(_) => "finalizer",
            Self::Teardown(_) => "teardown",
        }
    }
}
