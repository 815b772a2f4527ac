use std::sync::Arc;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use rstest::rstest;

use super::*;
use crate::authorization::Decision;

/// Allows what it was told, and notes every question.
#[derive(Clone, Debug, Default)]
struct Rights {
    allowed: Vec<&'static str>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Authorizer for Rights {
    fn decide<'a>(
        &'a self,
        _: &'a UserInfo,
        request: &'a RequestInfo,
    ) -> BoxFuture<'a, Result<Decision, ApiError>> {
        let resource = request.resource.clone().unwrap_or_default();
        let parts = [
            &request.verb,
            &resource.group,
            &resource.qualified_resource(),
            &resource.namespace,
            &resource.name,
        ];
        let question = parts.map(String::as_str).join(" ");
        let allowed = self.allowed.contains(&question.as_str());
        self.asked.lock().push(question);
        let decision = if allowed {
            Decision::Allow(String::new())
        } else {
            Decision::Deny(String::new())
        };
        Box::pin(std::future::ready(Ok(decision)))
    }
}

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

async fn ask(
    rights: &Rights,
    lines: &[(&'static str, &'static str)],
) -> Result<Option<UserInfo>, ApiError> {
    let jane = UserInfo {
        name: "jane".to_owned(),
        ..UserInfo::default()
    };
    let mut headers = headers(lines);
    headers.insert("accept", "application/json".parse().unwrap());
    let result = impersonate(&mut headers, &jane, rights).await;
    let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(left, ["accept"], "the headers must not go on");
    result
}

/// X8: every part is a question of its own, and the answer is exactly that user.
#[tokio::test]
async fn who_may_impersonate_all_parts_becomes_that_user() {
    let rights = Rights {
        allowed: vec![
            "impersonate  users  bob",
            "impersonate  groups  dev",
            "impersonate authentication.k8s.io userextras/example.org/scope  all",
            "impersonate authentication.k8s.io uids  u-1",
        ],
        ..Rights::default()
    };
    let lines = [
        ("impersonate-user", "bob"),
        ("impersonate-group", "dev"),
        ("impersonate-extra-example.org%2fscope", "all"),
        ("impersonate-uid", "u-1"),
    ];
    let bob = ask(&rights, &lines).await.unwrap().unwrap();
    assert_eq!((bob.name.as_str(), bob.uid.as_str()), ("bob", "u-1"));
    assert_eq!(bob.groups, ["dev", "system:authenticated"]);
    assert_eq!(bob.extra["example.org/scope"], ["all"]);
    assert_eq!(*rights.asked.lock(), rights.allowed);
}

/// X8: one part that is not allowed refuses the whole, in kube-apiserver's words.
#[rstest]
#[case(
    "impersonate-group",
    "system:masters",
    "groups \"system:masters\"",
    "groups"
)]
#[case("impersonate-uid", "u-1", "uids.authentication.k8s.io \"u-1\"", "uids")]
#[case(
    "impersonate-extra-scope",
    "all",
    "userextras.authentication.k8s.io \"all\"",
    "userextras/scope"
)]
#[tokio::test]
async fn one_part_that_is_not_allowed_refuses_all(
    #[case] header: &'static str,
    #[case] value: &'static str,
    #[case] about: &str,
    #[case] resource: &str,
) {
    let rights = Rights {
        allowed: vec!["impersonate  users  bob"],
        ..Rights::default()
    };
    let error = ask(&rights, &[("impersonate-user", "bob"), (header, value)]).await;
    let error = error.unwrap_err();
    let start = format!(
        "{about} is forbidden: User \"jane\" cannot impersonate resource \"{resource}\" in API group"
    );
    assert_eq!(error.code(), 403);
    assert!(error.to_string().starts_with(&start), "{error}");
}

/// X8: a service account is asked about by its namespace, and has its groups.
#[tokio::test]
async fn a_service_account_brings_its_groups() {
    let rights = Rights {
        allowed: vec!["impersonate  serviceaccounts ns robot"],
        ..Rights::default()
    };
    let lines = [("impersonate-user", "system:serviceaccount:ns:robot")];
    let robot = ask(&rights, &lines).await.unwrap().unwrap();
    let groups = [
        "system:serviceaccounts",
        "system:serviceaccounts:ns",
        "system:authenticated",
    ];
    assert_eq!(robot.groups, groups);
}

/// X8: nobody in particular is in the group of all who are not known.
#[tokio::test]
async fn the_anonymous_user_is_not_authenticated() {
    let rights = Rights {
        allowed: vec!["impersonate  users  system:anonymous"],
        ..Rights::default()
    };
    let lines = [("impersonate-user", "system:anonymous")];
    let anonymous = ask(&rights, &lines).await.unwrap().unwrap();
    assert_eq!(anonymous.groups, ["system:unauthenticated"]);
}

/// X8: headers that name nobody, or that nobody knows, are refused, never passed over.
#[rstest]
#[case::group_alone("impersonate-group", "dev")]
#[case::uid_alone("impersonate-uid", "u-1")]
#[case::extra_alone("impersonate-extra-scope", "all")]
#[case::unknown("impersonate-everybody", "yes")]
#[tokio::test]
async fn headers_without_a_user_are_a_bad_request(
    #[case] header: &'static str,
    #[case] value: &'static str,
) {
    let rights = Rights::default();
    let error = ask(&rights, &[(header, value)]).await.unwrap_err();
    assert_eq!(error.code(), 400);
    assert!(rights.asked.lock().is_empty());
}

/// M11: a request cannot make a thousand questions.
#[tokio::test]
async fn a_hundred_groups_are_enough() {
    let mut lines = vec![("impersonate-user", "bob")];
    lines.extend([("impersonate-group", "dev"); VALUES_MAX + 1]);
    let rights = Rights::default();
    assert_eq!(ask(&rights, &lines).await.unwrap_err().code(), 400);
    assert!(rights.asked.lock().is_empty());
}

#[tokio::test]
async fn a_request_without_these_headers_is_nobodys_else() {
    assert_eq!(ask(&Rights::default(), &[]).await.unwrap(), None);
    let empty = ask(&Rights::default(), &[("impersonate-user", "")]).await;
    assert_eq!(empty.unwrap(), None);
}
