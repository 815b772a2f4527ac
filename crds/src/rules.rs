//! The CEL rules of the `ExtensionAPI` schema, and the sentences that a user reads when one fails.
//!
//! They stand in one place so that the wording stays even. Each message starts with the field and
//! ends with what to do about it. Every rule has an accepting and a rejecting case in
//! `tests/it/rules.rs`.

use kube::core::Rule;

fn rule(expression: &str, message: &str) -> Rule {
    Rule::new(expression).message(message)
}

/// Children carry the object's name, and a Service's name is a single DNS label.
pub(crate) fn name_is_a_short_label() -> Rule {
    rule(
        "self.metadata.name.size() <= 52 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name must be a DNS label of at most 52 characters that starts with a letter, \
         because the Service takes it: use letters a-z, digits and dashes only",
    )
}

/// A dotless group such as `apps` belongs to Kubernetes.
pub(crate) fn group_has_a_dot() -> Rule {
    rule(
        "self.contains('.')",
        "spec.group must contain a dot, because groups without one belong to Kubernetes: use a \
         domain that you own, such as data.example.com",
    )
}

/// Groups under the project's own domains are reviewed by Kubernetes, and routing one to a
/// Service would take core traffic away.
pub(crate) fn group_is_not_reserved() -> Rule {
    rule(
        "!(self in ['k8s.io', 'kubernetes.io']) && !self.endsWith('.k8s.io') && !self.endsWith('.kubernetes.io')",
        "spec.group must not be under k8s.io or kubernetes.io, which are reserved for Kubernetes: \
         use a domain that you own, such as data.example.com",
    )
}

/// The form that `APIService` names and URL paths need.
pub(crate) fn group_is_a_subdomain() -> Rule {
    rule(
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
        "spec.group must be a lower-case DNS name: use letters a-z, digits, dashes and dots, such \
         as data.example.com",
    )
}

/// A change of group would leave registered APIs behind.
pub(crate) fn group_is_immutable() -> Rule {
    rule(
        "self == oldSelf",
        "spec.group cannot be changed: create a second ExtensionAPI for the new group and delete \
         this one",
    )
}

/// A change of namespace would move a running API.
pub(crate) fn namespace_is_immutable() -> Rule {
    rule(
        "self == oldSelf",
        "spec.namespace cannot be changed: delete the ExtensionAPI and create it again in the new \
         namespace",
    )
}

/// Namespaces are DNS labels.
pub(crate) fn namespace_is_a_label() -> Rule {
    rule(
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "spec.namespace must be the name of a namespace: use letters a-z, digits and dashes",
    )
}

/// An API without a version is none.
pub(crate) fn versions_are_not_empty() -> Rule {
    rule(
        "self.size() > 0",
        "spec.versions must list at least one version: add one, such as name: v1alpha1",
    )
}

/// The form of a version in an `APIService` name: a DNS label.
pub(crate) fn version_is_a_label() -> Rule {
    rule(
        "self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "spec.versions[].name must be a DNS label that starts with a letter: use a name such as \
         v1 or v1alpha1",
    )
}

/// One kind of server, not two and not none.
pub(crate) fn exactly_one_server() -> Rule {
    rule(
        "has(self.bundled) != has(self.image)",
        "spec.server must name exactly one kind of server: set either bundled or image",
    )
}

/// One kind of storage. More kinds join the list when the server can use them.
pub(crate) fn exactly_one_storage() -> Rule {
    rule(
        "[has(self.memory), has(self.sqlite), has(self.postgres)].filter(is_set, is_set).size() == 1",
        "spec.server.bundled.storage must name exactly one kind of storage: set one of memory: {}, \
         sqlite or postgres",
    )
}

/// A size as Kubernetes writes it, in bytes or larger units.
pub(crate) fn volume_size_is_a_quantity() -> Rule {
    rule(
        "self.matches('^[1-9][0-9]{0,14}([.][0-9]{1,3})?([KMGTP]i|[kMGTP])?$')",
        "spec.server.bundled.storage.sqlite.volume.size must be a size: write 1Gi or 500Mi",
    )
}

/// The form of a Secret's name.
pub(crate) fn secret_name_is_a_subdomain() -> Rule {
    rule(
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
        "spec.server.bundled.storage.postgres.connectionSecretRef.name must be the name of a Secret: use letters a-z, digits, dashes and \
         dots",
    )
}

/// The form of a Secret's key, which becomes a file.
pub(crate) fn secret_key_is_a_file_name() -> Rule {
    rule(
        "self.matches('^[-._a-zA-Z0-9]+$') && self != '.' && !self.startsWith('..')",
        "spec.server.bundled.storage.postgres.connectionSecretRef.key must be a key of the Secret: use letters, digits, dashes, dots and \
         underscores",
    )
}

/// The bundled server knows one group and one version.
pub(crate) fn bundled_serves_its_own_group() -> Rule {
    rule(
        "!has(self.server.bundled) || self.group == 'data.kubedojo.io'",
        "spec.group must be data.kubedojo.io when spec.server.bundled is set, because that is what \
         the bundled server serves: change spec.group or use spec.server.image",
    )
}

/// The bundled server knows one group and one version.
pub(crate) fn bundled_serves_its_own_version() -> Rule {
    rule(
        "!has(self.server.bundled) || self.versions.all(v, v.name == 'v1alpha1')",
        "spec.versions must be v1alpha1 alone when spec.server.bundled is set, because that is \
         what the bundled server serves: change spec.versions or use spec.server.image",
    )
}

/// Two processes cannot share the memory of one.
pub(crate) fn memory_has_one_replica() -> Rule {
    rule(
        "!has(self.server.bundled) || !has(self.server.bundled.storage.memory) || !has(self.replicas) || self.replicas == 1",
        "spec.replicas must be 1 with spec.server.bundled.storage.memory, because each replica \
         would hold other data: set spec.replicas to 1",
    )
}

/// One process at a time has the file.
pub(crate) fn sqlite_has_one_replica() -> Rule {
    rule(
        "!has(self.server.bundled) || !has(self.server.bundled.storage.sqlite) || !has(self.replicas) || self.replicas == 1",
        "spec.replicas must be 1 with spec.server.bundled.storage.sqlite, because one process has the \
         file: set spec.replicas to 1, or use postgres",
    )
}

/// A duration as Go prints it, without signs and fractions.
pub(crate) fn duration_is_well_formed() -> Rule {
    rule(
        "self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') && self.size() > 0",
        "spec.tls durations must be whole hours, minutes and seconds in this order: write 2160h, \
         90m or 1h30m",
    )
}

/// A serving certificate needs time to reach the pods before the one before it ends.
pub(crate) fn serving_duration_is_long_enough() -> Rule {
    rule(
        "duration(self.servingDuration) >= duration('2m')",
        "spec.tls.servingDuration must be at least 2m: choose a longer one, such as 2160h",
    )
}

/// A CA outlives the certificates that it signs by enough to be replaced while they are valid.
pub(crate) fn ca_outlives_serving() -> Rule {
    rule(
        "duration(self.caDuration) >= duration(self.servingDuration) + duration(self.servingDuration) + duration(self.servingDuration)",
        "spec.tls.caDuration must be at least three times spec.tls.servingDuration: lengthen the \
         first or shorten the second",
    )
}

/// An upper bound that keeps dates representable and a lost key bounded in time.
pub(crate) fn ca_duration_is_bounded() -> Rule {
    rule(
        "duration(self.caDuration) <= duration('87600h')",
        "spec.tls.caDuration must be at most 87600h (ten years): choose a shorter one, such as 8760h",
    )
}
