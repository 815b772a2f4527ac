//! Requests over a real connection, and the events that are made of them.

use std::{collections::BTreeMap, future::pending, net::Ipv4Addr, sync::Arc, time::Duration};

use apimachinery::{ApiError, ResourceDefinition, definition::SubresourceDefinition};
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use jiff::Timestamp;
use kube::{
    Client, Config,
    client::Body,
    config::{AuthInfo, KubeConfigOptions},
};
use rstest::rstest;
use serde_json::{Value, json};
use storage::{MemoryStorage, Storage};
use tokio::time::timeout;

use super::{
    Auditor, Origin, Policy, Recording,
    queue::{Message, Queue, Receiver},
};
use crate::{
    Resource,
    metrics::Counter,
    request::{RequestInfo, UserInfo},
    serving::{Server, Surroundings},
    standalone::Standalone,
    subresource::{CustomSubresource, SubresourceAnswer, SubresourceRequest},
    testing::thing_definition,
};

const THINGS: &str = "/apis/test.io/v1/namespaces/n/things";
const WITHIN: Duration = Duration::from_secs(20);

/// Panics, says a text, or never answers, as the subresource's name says.
#[derive(Debug)]
struct Strange(&'static str);

impl CustomSubresource for Strange {
    fn answer<'a>(
        &'a self,
        _: SubresourceRequest<'a>,
    ) -> BoxFuture<'a, Result<SubresourceAnswer, ApiError>> {
        async {
            match self.0 {
                "panic" => panic!("as the test wants it"),
                "text" => Ok(SubresourceAnswer::text(StatusCode::OK, "{\"a\": 1}")),
                _ => pending().await,
            }
        }
        .boxed()
    }
}

struct Fixture {
    auditor: Arc<Auditor>,
    events: Receiver,
    config: Config,
    admin: Client,
    _storage: Arc<dyn Storage>,
}

impl Fixture {
    async fn start(policy: Value, queue_length: usize) -> Self {
        let (queue, events) = Queue::new("test", queue_length);
        let auditor = Arc::new(Auditor {
            policy: Policy::parse(policy.to_string().as_bytes()).unwrap(),
            queues: vec![queue],
            events: Counter::default(),
        });
        let standalone = Standalone::mint().unwrap();
        let surroundings = Surroundings::standalone(&standalone).unwrap();
        let surroundings = surroundings.with_auditor(Some(Arc::clone(&auditor)));
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::since_now());
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let server = Server::bind(address, vec![thing()], &storage, surroundings);
        let server = server.await.unwrap();
        let kubeconfig = standalone.kubeconfig(server.address());
        tokio::spawn(server.run(Duration::ZERO));
        let kubeconfig = serde_json::from_value(kubeconfig).unwrap();
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .unwrap();
        config.default_retry = false;
        Self {
            auditor,
            events,
            admin: Client::try_from(config.clone()).unwrap(),
            config,
            _storage: storage,
        }
    }

    fn nobody(&self) -> Client {
        let mut config = self.config.clone();
        config.auth_info = AuthInfo::default();
        Client::try_from(config).unwrap()
    }

    async fn event(&mut self) -> Value {
        let message = timeout(WITHIN, self.events.messages.recv()).await;
        match message.unwrap().unwrap() {
            Message::Event(waiting) => {
                assert!(!waiting.event.contains(&b'\n'));
                serde_json::from_slice(&waiting.event).unwrap()
            }
            Message::Flush(_) => panic!("nobody flushes"),
        }
    }

    async fn briefs(&mut self, count: usize) -> Vec<String> {
        let mut briefs = Vec::new();
        for _ in 0..count {
            briefs.push(brief(&self.event().await));
        }
        assert!(self.events.messages.try_recv().is_err(), "another event");
        briefs
    }
}

fn thing() -> Resource {
    let names = ["panic", "text", "pending"];
    let subresource = |name: &str| SubresourceDefinition {
        name: name.to_owned(),
        group_version_kind: ("test.io".into(), "v1".into(), "Thing".into()),
        verbs: vec!["create".into()],
    };
    let definition = ResourceDefinition {
        subresources: names.map(subresource).into(),
        ..thing_definition()
    };
    let handler = |name: &'static str| {
        let handler: Arc<dyn CustomSubresource> = Arc::new(Strange(name));
        (name.to_owned(), handler)
    };
    Resource {
        subresources: BTreeMap::from(names.map(handler)),
        ..definition.into()
    }
}

/// Stage, verb, object and code, `<` with an object that was sent and `>` with one that was answered.
fn brief(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let reference = &event["objectRef"];
    let code = event["responseStatus"]["code"].as_u64().unwrap_or_default();
    let mark = |field: &str, mark| event.get(field).map_or("", |_| mark);
    format!(
        "{} {} {} {code}{}{}",
        text(&event["stage"]),
        text(&event["verb"]),
        text(&reference["name"]),
        mark("requestObject", "<"),
        mark("responseObject", ">"),
    )
}

fn everything(level: &str) -> Value {
    json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [
        // Clients of the test ask for nothing else.
        {"level": level, "resources": [{"group": "test.io"}]},
    ]})
}

async fn send(client: &Client, method: Method, target: &str, body: Value) -> (u16, Bytes) {
    let media = match method {
        Method::PATCH => "application/merge-patch+json",
        _ => "application/json",
    };
    let body = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("content-type", media)
        .header("user-agent", "test/1")
        .header("x-forwarded-for", "10.1.2.3, nonsense");
    let answer = client.send(request.body(Body::from(body)).unwrap()).await;
    let answer = answer.unwrap();
    let status = answer.status().as_u16();
    (
        status,
        answer.into_body().collect().await.unwrap().to_bytes(),
    )
}

fn object(name: &str) -> Value {
    json!({"apiVersion": "test.io/v1", "kind": "Thing", "metadata": {"name": name}, "spec": {"size": 1}})
}

/// X9: every request yields exactly its events, with the objects that its level shows.
#[rstest]
#[case("Metadata", "", "")]
#[case("Request", "<", "")]
#[case("RequestResponse", "<", ">")]
#[tokio::test]
async fn every_request_yields_its_events(
    #[case] level: &str,
    #[case] sent: &str,
    #[case] answered: &str,
) {
    let mut f = Fixture::start(everything(level), 1000).await;
    let (admin, nobody, a) = (f.admin.clone(), f.nobody(), format!("{THINGS}/a"));
    let none = Value::Null;

    assert_eq!(send(&admin, Method::POST, THINGS, object("a")).await.0, 201);
    let received = "RequestReceived create  0".to_owned();
    let complete = format!("ResponseComplete create a 201{sent}{answered}");
    assert_eq!(f.briefs(2).await, [received, complete]);

    for (target, brief) in [(a.as_str(), "get a"), (THINGS, "list ")] {
        assert_eq!(send(&admin, Method::GET, target, none.clone()).await.0, 200);
        let received = format!("RequestReceived {brief} 0");
        let complete = format!("ResponseComplete {brief} 200{answered}");
        assert_eq!(f.briefs(2).await, [received, complete]);
    }

    let patch = json!({"spec": {"size": 2}});
    assert_eq!(send(&admin, Method::PATCH, &a, patch).await.0, 200);
    let received = "RequestReceived patch a 0".to_owned();
    let complete = format!("ResponseComplete patch a 200{sent}{answered}");
    assert_eq!(f.briefs(2).await, [received, complete]);

    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1"});
    assert_eq!(send(&admin, Method::DELETE, &a, options).await.0, 200);
    assert_eq!(brief(&f.event().await), "RequestReceived delete a 0");
    let complete = f.event().await;
    let expected = format!("ResponseComplete delete a 200{sent}{answered}");
    assert_eq!(brief(&complete), expected);
    assert_eq!(complete["responseStatus"]["status"], "Success");
    assert_eq!(complete["responseStatus"]["details"]["name"], "a");

    assert_eq!(send(&nobody, Method::GET, &a, none.clone()).await.0, 403);
    assert_eq!(brief(&f.event().await), "RequestReceived get a 0");
    let complete = f.event().await;
    assert_eq!(
        brief(&complete),
        format!("ResponseComplete get a 403{answered}")
    );
    assert_eq!(complete["user"]["username"], "system:anonymous");
    assert_eq!(complete["responseStatus"]["reason"], "Forbidden");
    assert_eq!(
        complete["annotations"]["authorization.k8s.io/decision"],
        "forbid"
    );

    let panic = format!("{a}/panic");
    assert_eq!(send(&admin, Method::POST, &panic, object("a")).await.0, 500);
    assert_eq!(brief(&f.event().await), "RequestReceived create a 0");
    let complete = f.event().await;
    assert_eq!(
        brief(&complete),
        format!("Panic create a 500{sent}{answered}")
    );
    assert_eq!(complete["objectRef"]["subresource"], "panic");
    assert_eq!(complete["responseStatus"]["reason"], "InternalError");

    let text = format!("{a}/text");
    assert_eq!(
        send(&admin, Method::POST, &text, json!("no object"))
            .await
            .0,
        200
    );
    let expected = [
        "RequestReceived create a 0",
        "ResponseComplete create a 200",
    ];
    assert_eq!(f.briefs(2).await, expected);
    assert_eq!(f.auditor.lost(), 0);
}

/// X9: a failed authentication has one event, without a user and without the credential.
#[tokio::test]
async fn a_failed_authentication_is_recorded_without_the_credential() {
    let mut f = Fixture::start(everything("RequestResponse"), 1000).await;
    let request = Request::post(THINGS)
        .header("authorization", "Bearer very-secret")
        .body(Body::from(object("a").to_string().into_bytes()));
    let answer = f.nobody().send(request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 401);
    let event = f.event().await;
    assert_eq!(brief(&event), "ResponseStarted create  401>");
    assert_eq!(event["user"], json!({}));
    assert_eq!(event["responseStatus"]["reason"], "Unauthorized");
    assert_eq!(event["annotations"], Value::Null);
    assert!(!event.to_string().contains("secret"), "{event}");
    assert_eq!(f.briefs(0).await.len(), 0);
}

/// X9: an event has the fields of upstream's, and no others.
#[tokio::test]
async fn an_event_says_who_did_what() {
    let mut f = Fixture::start(everything("Request"), 1000).await;
    let target = format!("{THINGS}?fieldManager=m%2Fn");
    send(&f.admin, Method::POST, &target, object("a")).await;
    let received = f.event().await;
    let mut event = f.event().await;
    assert_eq!(received["auditID"], event["auditID"]);
    assert_eq!(
        received["stageTimestamp"],
        received["requestReceivedTimestamp"]
    );
    for field in ["auditID", "requestReceivedTimestamp", "stageTimestamp"] {
        let taken = event[field].take();
        let text = taken.as_str().unwrap();
        assert_eq!(
            text.len(),
            if field == "auditID" { 36 } else { 27 },
            "{text}"
        );
    }
    let expected = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Request", "auditID": null,
        "stage": "ResponseComplete", "requestURI": target, "verb": "create",
        "user": {"username": "standalone-admin", "groups": ["system:masters", "system:authenticated"]},
        "sourceIPs": ["10.1.2.3", "127.0.0.1"], "userAgent": "test/1",
        "objectRef": {"resource": "things", "namespace": "n", "name": "a", "apiGroup": "test.io",
            "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 201}, "requestObject": object("a"),
        "requestReceivedTimestamp": null, "stageTimestamp": null,
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    });
    assert_eq!(event, expected);
}

/// X9: a watch has an event at its beginning, and one when it ends or the client goes away.
#[tokio::test]
async fn a_watch_has_a_beginning_and_an_end() {
    let mut f = Fixture::start(everything("RequestResponse"), 1000).await;
    let watch = format!("{THINGS}?watch=true");
    let request = Request::get(&watch).body(Body::empty()).unwrap();
    let answer = f.admin.send(request).await.unwrap();
    let expected = ["RequestReceived watch  0", "ResponseStarted watch  200"];
    assert_eq!(f.briefs(2).await, expected);
    drop(answer);
    assert_eq!(brief(&f.event().await), "ResponseComplete watch  200");

    assert_eq!(
        send(&f.nobody(), Method::GET, &watch, Value::Null).await.0,
        403
    );
    let expected = [
        "RequestReceived watch  0",
        "ResponseStarted watch  403>",
        "ResponseComplete watch  403>",
    ];
    assert_eq!(f.briefs(3).await, expected);
}

/// X9: what was begun has an end, also when nobody waits for the answer any more.
#[tokio::test]
async fn a_client_that_goes_away_leaves_an_end() {
    let mut f = Fixture::start(everything("Metadata"), 1000).await;
    let client = f.admin.clone();
    let target = format!("{THINGS}/a/pending");
    let request =
        tokio::spawn(async move { send(&client, Method::POST, &target, object("a")).await });
    assert_eq!(brief(&f.event().await), "RequestReceived create a 0");
    request.abort();
    let event = f.event().await;
    assert_eq!(brief(&event), "ResponseComplete create a 200");
    assert_eq!(
        event["responseStatus"]["message"],
        "Connection closed early"
    );
}

/// X9: stages and managed fields are left out where the policy says so, and rules tell users apart.
#[tokio::test]
async fn a_policy_is_obeyed() {
    let policy = json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy",
        "omitStages": ["RequestReceived"], "omitManagedFields": true, "rules": [
            {"level": "None", "users": ["system:anonymous"]},
            {"level": "None", "verbs": ["get"]},
            {"level": "RequestResponse", "resources": [{"group": "test.io", "resources": ["things"]}]},
    ]});
    let mut f = Fixture::start(policy, 1000).await;
    assert_eq!(
        send(&f.admin, Method::POST, THINGS, object("a")).await.0,
        201
    );
    send(&f.admin, Method::GET, &format!("{THINGS}/a"), Value::Null).await;
    send(&f.nobody(), Method::GET, THINGS, Value::Null).await;
    assert_eq!(
        send(&f.admin, Method::GET, THINGS, Value::Null).await.0,
        200
    );
    let created = f.event().await;
    assert_eq!(brief(&created), "ResponseComplete create a 201<>");
    let metadata = &created["responseObject"]["metadata"];
    assert!(metadata["uid"].is_string() && metadata.get("managedFields").is_none());
    let listed = f.event().await;
    assert_eq!(brief(&listed), "ResponseComplete list  200>");
    let item = &listed["responseObject"]["items"][0]["metadata"];
    assert!(item["uid"].is_string() && item.get("managedFields").is_none());
    assert_eq!(f.briefs(0).await.len(), 0);
}

/// X9: the answer is the same, whether it is recorded or not, in every form.
#[rstest]
#[case("application/json")]
#[case("application/yaml")]
#[case("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")]
#[tokio::test]
async fn recording_does_not_change_an_answer(#[case] accept: &str) {
    let policy = json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [
        {"level": "RequestResponse", "namespaces": ["n"]},
    ]});
    let mut f = Fixture::start(policy, 1000).await;
    send(&f.admin, Method::POST, THINGS, object("a")).await;
    assert_eq!(f.briefs(2).await.len(), 2);
    let mut answers = Vec::new();
    for target in [THINGS, "/apis/test.io/v1/things"] {
        let request = Request::get(target).header("accept", accept);
        let answer = f.admin.send(request.body(Body::empty()).unwrap()).await;
        let (parts, body) = answer.unwrap().into_parts();
        let length = parts.headers.get("content-length").cloned();
        answers.push((
            parts.status,
            length,
            body.collect().await.unwrap().to_bytes(),
        ));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(
        f.briefs(2).await.len(),
        2,
        "the list of all namespaces is not recorded"
    );
}

/// X9: nobody waits for a queue that is full.
#[tokio::test]
async fn a_full_queue_does_not_hold_up_requests() {
    let f = Fixture::start(everything("RequestResponse"), 1).await;
    for _ in 0..50 {
        let answer = send(&f.admin, Method::GET, THINGS, Value::Null);
        assert_eq!(timeout(WITHIN, answer).await.unwrap().0, 200);
    }
    assert_eq!(f.auditor.lost(), 99);
    let lost: Vec<_> = f.auditor.losses().collect();
    assert_eq!((f.auditor.events(), lost), (100, vec![("test", 99)]));
}

/// X9: who acts as somebody else stays the user of the event.
#[test]
fn an_impersonated_user_stands_beside_the_real_one() {
    let (queue, mut events) = Queue::new("test", 10);
    let auditor = Arc::new(Auditor {
        policy: Policy::parse(everything("Metadata").to_string().as_bytes()).unwrap(),
        queues: vec![queue],
        events: Counter::default(),
    });
    let user = |name: &str| UserInfo {
        name: name.to_owned(),
        extra: BTreeMap::from([("k".to_owned(), vec!["v".to_owned()])]),
        ..UserInfo::default()
    };
    let recording = Recording::new(Some(&auditor), || Origin {
        audit_id: "id".to_owned(),
        request_uri: THINGS.to_owned(),
        peer: (Ipv4Addr::LOCALHOST, 1).into(),
        received: Timestamp::UNIX_EPOCH,
    });
    let info = RequestInfo::parse(&Method::GET, THINGS, None);
    recording.begin(Some(&user("jane")), &info, &HeaderMap::new());
    recording.impersonates(&user("bob"));
    drop(recording);
    let mut event = || match events.messages.try_recv() {
        Ok(Message::Event(waiting)) => serde_json::from_slice::<Value>(&waiting.event).unwrap(),
        other => panic!("{other:?}"),
    };
    let received = event();
    assert_eq!(received["impersonatedUser"], Value::Null);
    assert_eq!(received["stageTimestamp"], "1970-01-01T00:00:00.000000Z");
    let complete = event();
    assert_eq!(complete["user"]["username"], "jane");
    let expected = json!({"username": "bob", "extra": {"k": ["v"]}});
    assert_eq!(complete["impersonatedUser"], expected);
}
