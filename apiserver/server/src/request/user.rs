//! Who sends a request.

use std::collections::BTreeMap;

/// The group of those whom nobody may refuse: the aggregator's own checks, and break-glass users.
pub(crate) const SYSTEM_MASTERS: &str = "system:masters";
const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";
const ANONYMOUS: &str = "system:anonymous";

/// An identity, as `authentication.k8s.io/v1` `UserInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UserInfo {
    /// Name.
    pub name: String,
    /// Unique ID; often empty.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
    /// What else the authenticator knows, with lower-case keys.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// The identity of a request without credentials.
    pub fn anonymous() -> Self {
        Self {
            name: ANONYMOUS.to_owned(),
            groups: vec![UNAUTHENTICATED.to_owned()],
            ..Self::default()
        }
    }

    /// Whether a credential said who it is.
    pub fn is_known(&self) -> bool {
        !self.name.is_empty() && self.name != ANONYMOUS
    }

    /// Adds the group of everybody who is known.
    #[must_use]
    pub fn authenticated(mut self) -> Self {
        let is_told = |g: &String| g == AUTHENTICATED || g == UNAUTHENTICATED;
        if self.name != ANONYMOUS && !self.groups.iter().any(is_told) {
            self.groups.push(AUTHENTICATED.to_owned());
        }
        self
    }

    /// Adds the group of everybody who is known, or that of everybody who is not.
    #[must_use]
    pub(crate) fn with_group_of_everybody(mut self) -> Self {
        if self.name != ANONYMOUS {
            return self.authenticated();
        }
        if !self.groups.iter().any(|group| group == UNAUTHENTICATED) {
            self.groups.push(UNAUTHENTICATED.to_owned());
        }
        self
    }
}

/// Who sends a request, and as whom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    /// Whose credential it is.
    pub(crate) authenticated: UserInfo,
    /// As whom that user acts, if as somebody else.
    pub(crate) impersonated: Option<UserInfo>,
}

impl Caller {
    /// The one whose permissions count.
    pub(crate) fn user(&self) -> &UserInfo {
        self.impersonated.as_ref().unwrap_or(&self.authenticated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_but_anonymous_is_authenticated() {
        let user = UserInfo {
            name: "jane".to_owned(),
            ..UserInfo::default()
        };
        assert_eq!(user.authenticated().groups, ["system:authenticated"]);
        assert_eq!(
            UserInfo::anonymous().authenticated().groups,
            ["system:unauthenticated"]
        );
    }
}
