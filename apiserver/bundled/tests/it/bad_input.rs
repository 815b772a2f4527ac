//! What a client can send that no server should suffer from. After each of it the server answers, and
//! the object is what it was.

use anyhow::{Result, ensure};
use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};

use super::{Answer, DEFAULT, Server, get, send};

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
/// The largest body.
const BODY_MAX: usize = 3 * 1024 * 1024;

/// A server with an object that everything is sent to.
struct Victim {
    _server: Server,
    client: Client,
    before: Value,
}

impl Victim {
    async fn new() -> Result<Self> {
        let server = Server::start().await?;
        let client = server.admin().await?;
        let before = get(&client, &format!("{DEFAULT}/user-config"))
            .await?
            .json();
        Ok(Self {
            _server: server,
            client,
            before,
        })
    }

    /// Sends a body, and finds the server alive and the object as it was.
    async fn send(
        &self,
        method: Method,
        content_type: &str,
        body: impl Into<Vec<u8>>,
    ) -> Result<Answer> {
        let target = match method {
            Method::POST => DEFAULT.to_owned(),
            _ => format!("{DEFAULT}/user-config?fieldManager=test"),
        };
        let request = Request::builder().method(method).uri(target);
        let request = request
            .header("content-type", content_type)
            .body(body.into())?;
        let answer = send(&self.client, request).await?;
        ensure!(answer.json()["kind"] == "Status", "{}", answer.json());
        let now = get(&self.client, &format!("{DEFAULT}/user-config")).await?;
        ensure!(now.code == 200, "the server answers {}", now.code);
        ensure!(now.json() == self.before, "it was changed: {}", now.json());
        Ok(answer)
    }
}

fn message(answer: &Answer) -> String {
    answer.json()["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn error(code: u16, reason: &str) -> (u16, String) {
    (code, reason.to_owned())
}

/// V14: a body over 3 MiB and a patch of too many operations are 413, whatever the verb.
#[tokio::test]
async fn what_is_too_large_is_413() -> Result<()> {
    let victim = Victim::new().await?;
    let large = json!({"apiVersion": "data.kubedojo.io/v1alpha1", "kind": "DataRecord",
        "metadata": {"name": "user-config"}, "spec": {"source": "x".repeat(BODY_MAX)}});
    let large = large.to_string();
    for (method, content_type) in [
        (Method::POST, JSON),
        (Method::PUT, JSON),
        (Method::PATCH, MERGE_PATCH),
        (Method::PATCH, APPLY),
        (Method::DELETE, JSON),
    ] {
        let answer = victim
            .send(method.clone(), content_type, large.clone())
            .await?;
        assert_eq!(
            answer.error(),
            error(413, "RequestEntityTooLarge"),
            "{method} {content_type}"
        );
    }
    let operation = json!({"op": "test", "path": "/kind", "value": "DataRecord"});
    let operations = json!(vec![operation; 10_001]).to_string();
    let answer = victim.send(Method::PATCH, JSON_PATCH, operations).await?;
    assert_eq!(answer.error(), error(413, "RequestEntityTooLarge"));
    assert!(message(&answer).contains("10000"), "{}", message(&answer));
    Ok(())
}

/// V14, A1: what is malformed is 400 and says where.
#[tokio::test]
async fn what_is_malformed_is_400_and_says_where() -> Result<()> {
    let victim = Victim::new().await?;
    let json = "{\n  \"kind\": \"DataRecord\",\n  \"spec\" 1\n}";
    let yaml = "kind: DataRecord\nspec:\n  source: [a\n";
    for (method, content_type, body, place) in [
        (Method::POST, JSON, json, "line 3 column 10"),
        (Method::PUT, JSON, json, "line 3 column 10"),
        (Method::PATCH, MERGE_PATCH, json, "line 3 column 10"),
        (Method::PATCH, JSON_PATCH, "[\n{]", "line 2 column 2"),
        (Method::POST, YAML, yaml, "line 3"),
        (Method::PATCH, APPLY, yaml, "line 3"),
    ] {
        let answer = victim.send(method.clone(), content_type, body).await?;
        assert_eq!(
            answer.error(),
            error(400, "BadRequest"),
            "{method} {content_type}"
        );
        let message = message(&answer);
        assert!(
            message.contains(place),
            "{method} {content_type}: {message}"
        );
    }
    Ok(())
}

/// V14: no nesting reaches the end of the stack, and no alias the end of the memory.
#[tokio::test]
async fn nesting_and_aliases_are_refused() -> Result<()> {
    let victim = Victim::new().await?;
    let lists = "[".repeat(100_000);
    let objects = "{\"spec\":".repeat(100_000);
    let dashes = "- ".repeat(100_000);
    let mut aliases = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let many = vec![format!("*a{}", level - 1); 10].join(", ");
        aliases.extend([format!("a{level}: &a{level} [{many}]\n")]);
    }
    for (method, content_type, body) in [
        (Method::POST, JSON, &lists),
        (Method::PUT, JSON, &objects),
        (Method::DELETE, JSON, &objects),
        (Method::PATCH, MERGE_PATCH, &objects),
        (Method::PATCH, JSON_PATCH, &lists),
        (Method::POST, YAML, &dashes),
        (Method::POST, YAML, &lists),
        (Method::PATCH, APPLY, &objects),
        (Method::POST, YAML, &aliases),
        (Method::PATCH, APPLY, &aliases),
    ] {
        let answer = victim
            .send(method.clone(), content_type, body.as_str())
            .await?;
        assert_eq!(
            answer.error(),
            error(400, "BadRequest"),
            "{method} {content_type}"
        );
    }
    Ok(())
}

/// V14: a JSON patch whose copies nest the object into itself is refused.
#[tokio::test]
async fn a_patch_that_nests_without_end_is_422() -> Result<()> {
    let victim = Victim::new().await?;
    let mut operations = vec![json!({"op": "add", "path": "/spec", "value": {"a": {}}})];
    for doubling in 0..15 {
        let end = "/a".repeat(1_usize << doubling);
        operations.push(json!({"op": "copy", "from": "/spec", "path": format!("/spec{end}")}));
    }
    let answer = victim
        .send(Method::PATCH, JSON_PATCH, json!(operations).to_string())
        .await?;
    assert_eq!(answer.error(), error(422, "Invalid"));
    assert!(
        message(&answer).contains("127 levels"),
        "{}",
        message(&answer)
    );
    Ok(())
}

/// A1, V16: a body of another type is 415 and names those that are taken.
#[tokio::test]
async fn another_content_type_is_415_with_those_that_are_taken() -> Result<()> {
    let victim = Victim::new().await?;
    let plain = &[JSON, YAML][..];
    let patches = &[JSON_PATCH, MERGE_PATCH, APPLY][..];
    for (method, content_type, accepted) in [
        (Method::POST, "text/csv", plain),
        (Method::PUT, "application/xml", plain),
        (Method::POST, "application/vnd.kubernetes.protobuf", plain),
        (Method::PATCH, JSON, patches),
        (
            Method::PATCH,
            "application/strategic-merge-patch+json",
            patches,
        ),
    ] {
        let answer = victim.send(method.clone(), content_type, "{}").await?;
        assert_eq!(
            answer.error(),
            error(415, "UnsupportedMediaType"),
            "{method} {content_type}"
        );
        for accepted in accepted {
            assert!(message(&answer).contains(accepted), "{}", message(&answer));
        }
    }
    Ok(())
}
