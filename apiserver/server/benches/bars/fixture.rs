//! A server with objects of 1 kB, and requests for it.

use std::{collections::BTreeMap, convert::Infallible, net::SocketAddr, sync::Arc};

use apimachinery::{
    ApiError, GroupResource, Object, PrinterColumn, ResourceDefinition, ResourceNames, Scope,
    schema::Schema,
};
use apiserver::{
    ApiServer, Body, Health, Resource,
    admission::{Admission, AnyNamespace},
    authentication::{Authenticator, PresentedCertificates, Trust, TrustStore},
    authorization::{Authorizer, Decision},
    registry::{Store, WriteOptions},
    request::{RequestInfo, UserInfo},
    transport::Connection,
};
use futures::future::{BoxFuture, pending, ready};
use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use storage::{MemoryStorage, Revision, Storage};
use tokio::{io::AsyncWriteExt, sync::oneshot};
use tokio_util::sync::CancellationToken;

const GROUP: &str = "bench.example.com";
const PLURAL: &str = "records";
const NAMESPACE: &str = "default";
/// What a stored object may weigh to count as one of 1 kB, in bytes.
const STORED_BYTES: std::ops::Range<usize> = 1000..1100;

pub(crate) struct Fixture {
    api: Arc<ApiServer>,
    pub(crate) storage: Arc<dyn Storage>,
    connection: Arc<Connection>,
}

impl Fixture {
    /// A server with this many objects, created as a client would.
    pub(crate) async fn new(objects: usize) -> Self {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        let namespaces: Arc<dyn Admission> = Arc::new(AnyNamespace);
        let trust = Arc::new(TrustStore::new(Trust::default()));
        let api = ApiServer::new(
            vec![Resource::from(definition())],
            &namespaces,
            &storage,
            Authenticator::new(trust, None),
            Box::new(Everybody),
            Health::default(),
            CancellationToken::new(),
        );
        let fixture = Self {
            api: Arc::new(api.expect("the definition is right")),
            storage,
            connection: Arc::new(Connection {
                peer: SocketAddr::from(([127, 0, 0, 1], 1)),
                certificates: PresentedCertificates::default(),
                ending: CancellationToken::new(),
            }),
        };
        // What is created from now on comes to the cache as an event.
        fixture.settle().await;
        for number in 0..objects {
            fixture.create(number).await;
            // The cache keeps up, as it does when requests come one by one.
            if number % 256 == 0 {
                fixture.settle().await;
            }
        }
        fixture.settle().await;
        fixture
    }

    fn store(&self) -> &Arc<Store> {
        let store = self.api.store(GROUP, "v1", PLURAL);
        store.expect("the resource is served")
    }

    /// Creates the object of a number.
    pub(crate) async fn create(&self, number: usize) {
        let options = WriteOptions {
            dry_run: false,
            manager: "bench".to_owned(),
        };
        let written = self.store().create(NAMESPACE, object(number), &options);
        written.await.expect("the object fits the schema");
    }

    /// Waits until the cache shows every write.
    pub(crate) async fn settle(&self) {
        let revision = self.storage.current_revision().await;
        let revision = revision.expect("memory is always there");
        let caught_up = self.store().cacher().wait_until(revision).await;
        caught_up.expect("the cache follows");
    }

    /// The key and the stored bytes of an object, and its revision.
    pub(crate) async fn stored(&self, number: usize) -> storage::Record {
        let key = format!("{}{}", self.store().prefix(NAMESPACE), name(number));
        let record = self.storage.get(key).await.expect("memory is always there");
        let record = record.expect("the object was created");
        let bytes = record.value.len();
        assert!(
            STORED_BYTES.contains(&bytes),
            "the object has {bytes} bytes"
        );
        record
    }

    /// Writes an object anew, as it is, so that watches see it change.
    pub(crate) async fn touch(&self, record: &storage::Record, revision: Revision) -> Revision {
        let (key, value) = (record.key.to_string(), record.value.clone());
        let written = self.storage.update(key, value, revision).await;
        written.expect("nobody else writes")
    }

    /// Answers a request for the collection.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let response = self.handle()(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        response
    }

    /// Answers one request, whatever the answer is, also in a task of its own.
    pub(crate) fn handle(
        &self,
    ) -> impl FnOnce(Request<Incoming>) -> BoxFuture<'static, Response<Body>> + use<> {
        let (api, connection) = (Arc::clone(&self.api), Arc::clone(&self.connection));
        move |request| Box::pin(api.handle(connection, request))
    }
}

/// A GET of the collection as a connection hands it over: only hyper can make its body.
pub(crate) async fn get(query: &str, accept: &str) -> Request<Incoming> {
    let path = format!("/apis/{GROUP}/v1/namespaces/{NAMESPACE}/{PLURAL}{query}");
    get_path(&path, accept).await
}

/// As [`get`], of any path.
pub(crate) async fn get_path(path: &str, accept: &str) -> Request<Incoming> {
    let (mut client, server) = tokio::io::duplex(1024);
    let head = format!("GET {path} HTTP/1.1\r\nhost: bench\r\naccept: {accept}\r\n\r\n");
    let sent = client.write_all(head.as_bytes()).await;
    sent.expect("the head fits into the buffer");
    let (sender, arrived) = oneshot::channel();
    let sender = Mutex::new(Some(sender));
    let service = service_fn(|request| {
        let sender = sender.lock().take().expect("there is one request");
        sender.send(request).expect("it is waited for");
        pending::<Result<Response<Body>, Infallible>>()
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(server), service);
    tokio::select! {
        request = arrived => request.expect("the service sends it"),
        ended = connection => unreachable!("the connection ended: {ended:?}"),
    }
}

/// Lets everybody do everything: what the cluster says is no cost of this server's.
#[derive(Debug)]
struct Everybody;

impl Authorizer for Everybody {
    fn decide<'a>(
        &'a self,
        _: &'a UserInfo,
        _: &'a RequestInfo,
    ) -> BoxFuture<'a, Result<Decision, ApiError>> {
        Box::pin(ready(Ok(Decision::Allow(String::new()))))
    }
}

fn name(number: usize) -> String {
    format!("record-{number:06}")
}

/// An object that is stored in about 1 kB, with what the server adds.
pub(crate) fn object(number: usize) -> Object {
    let data: BTreeMap<String, String> = (0..4)
        .map(|i| (format!("key-{i}"), "value ".repeat(14)))
        .collect();
    Object::from_value(json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "Record",
        "metadata": {
            "name": name(number),
            "labels": {"app": "bench", "tenth": (number % 10).to_string()},
        },
        "spec": {"source": "postgres", "query": "select 1", "data": data},
    }))
    .expect("it is an object")
}

pub(crate) fn definition() -> ResourceDefinition {
    let string = json!({"type": "string"});
    let schema: Value = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "source": string, "query": string,
        "data": {"type": "object", "additionalProperties": string},
    }}}});
    let GroupResource { group, resource } = GroupResource {
        group: GROUP.to_owned(),
        resource: PLURAL.to_owned(),
    };
    ResourceDefinition {
        group,
        version: "v1".to_owned(),
        names: ResourceNames {
            kind: "Record".to_owned(),
            list_kind: "RecordList".to_owned(),
            plural: resource,
            singular: "record".to_owned(),
            short_names: Vec::new(),
            categories: Vec::new(),
        },
        scope: Scope::Namespaced,
        schema: Schema::parse(schema).expect("every keyword is supported"),
        status_subresource: true,
        scale: None,
        subresources: Vec::new(),
        selectable_fields: Vec::new(),
        columns: vec![PrinterColumn {
            name: "Source".to_owned(),
            column_type: "string".to_owned(),
            json_path: ".spec.source".to_owned(),
            description: String::new(),
            priority: 0,
        }],
    }
}
