//! What is exposed, against a list made from Kubernetes 1.36, and against the documentation.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, Method, header};
use http_body_util::{BodyExt, StreamBody};
use kube::{Client, Config};
use storage::{MemoryStorage, Storage};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    admission::AnyNamespace,
    audit::{Auditor, LogOptions, Policy},
    authentication::{PresentedCertificates, TokenReviewer, Trust, TrustStore},
    authorization::SubjectAccessReviewer,
    registry::{SchemaOnly, Store},
    request::{RequestInfo, UserInfo},
    testing::thing_definition,
};

const THINGS: &str = "/apis/test.io/v1/namespaces/n/things";

/// A row for each metric: name, type, labels without `le`, bounds of a histogram. From metrics.go of
/// `endpoints`, `endpoints/filters`, `storage/cacher/metrics`, `storage/etcd3/metrics`,
/// `authenticatorfactory` and `authorizerfactory`, and stats.go of `authentication/token/cache`, of
/// `k8s.io/apiserver` 0.36.3, and from Go's collector of a process.
const UPSTREAM: &str = "\
apiserver_audit_error_total|counter|plugin|
apiserver_audit_event_total|counter||
apiserver_current_inflight_requests|gauge|request_kind|
apiserver_delegated_authn_request_duration_seconds|histogram|code|0.25 0.5 0.7 1 1.5 3 5 10
apiserver_delegated_authn_request_total|counter|code|
apiserver_delegated_authz_request_duration_seconds|histogram|code|0.25 0.5 0.7 1 1.5 3 5 10
apiserver_delegated_authz_request_total|counter|code|
apiserver_init_events_total|counter|group resource|
apiserver_longrunning_requests|gauge|component group resource scope subresource verb version|
apiserver_request_duration_seconds|histogram|component dry_run group resource scope subresource verb version|0.005 0.025 0.05 0.1 0.2 0.4 0.6 0.8 1 1.25 1.5 2 3 4 5 6 8 10 15 20 30 45 60
apiserver_request_sli_duration_seconds|histogram|component group resource scope subresource verb version|0.05 0.1 0.2 0.4 0.6 0.8 1 1.25 1.5 2 3 4 5 6 8 10 15 20 30 45 60
apiserver_request_terminations_total|counter|code component group resource scope subresource verb version|
apiserver_request_total|counter|code component dry_run group resource scope subresource verb version|
apiserver_resource_objects|gauge|group resource|
apiserver_response_sizes|histogram|component group resource scope subresource verb version|1000 10000 100000 1e+06 1e+07 1e+08 1e+09
apiserver_storage_objects|gauge|resource|
apiserver_terminated_watchers_total|counter|group resource|
apiserver_tls_handshake_errors_total|counter||
apiserver_watch_cache_events_received_total|counter|group resource|
apiserver_watch_cache_initializations_total|counter|group resource|
apiserver_watch_cache_read_wait_seconds|histogram|group resource|0.005 0.025 0.05 0.1 0.2 0.4 0.6 0.8 1 1.25 1.5 2 3
apiserver_watch_cache_resource_version|gauge|group resource|
apiserver_watch_events_sizes|histogram|group resource version|1024 2048 4096 8192 16384 32768 65536 131072
apiserver_watch_events_total|counter|group resource version|
apiserver_watch_list_duration_seconds|histogram|group resource scope version|0.05 0.1 0.2 0.4 0.6 0.8 1 2 4 6 8 10 15 20 30 45 60
authenticated_user_requests|counter|username|
authentication_attempts|counter|result|
authentication_duration_seconds|histogram|result|0.001 0.002 0.004 0.008 0.016 0.032 0.064 0.128 0.256 0.512 1.024 2.048 4.096 8.192 16.384
authentication_token_cache_active_fetch_count|gauge|status|
authentication_token_cache_fetch_total|counter|status|
authentication_token_cache_request_duration_seconds|histogram|status|0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10
authentication_token_cache_request_total|counter|status|
authorization_attempts_total|counter|result|
authorization_duration_seconds|histogram|result|0.001 0.002 0.004 0.008 0.016 0.032 0.064 0.128 0.256 0.512 1.024 2.048 4.096 8.192 16.384
process_cpu_seconds_total|counter||
process_max_fds|gauge||
process_open_fds|gauge||
process_resident_memory_bytes|gauge||
process_start_time_seconds|gauge||
process_virtual_memory_bytes|gauge||
watch_cache_capacity|gauge|group resource|
";

fn monitor(metrics: &Metrics, method: &Method, target: &str) -> Monitored {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let info = RequestInfo::parse(method, path, Some(query));
    metrics.requests.monitor(method, &HeaderMap::new(), &info)
}

fn answer(metrics: &Metrics, method: &Method, target: &str, code: StatusCode) {
    let answer = response::text(code, "body");
    let monitored = monitor(metrics, method, target);
    drop(monitored.finish(answer, Duration::from_millis(7)));
}

fn frames(frames: &[&'static [u8]]) -> Response<Body> {
    let frames = frames.to_vec();
    response::watch(stream::iter(frames).map(Bytes::from_static))
}

async fn text(metrics: &Metrics) -> String {
    let response = metrics.respond().unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// A server's metrics after everything has happened once.
async fn after_everything() -> Metrics {
    let definition = thing_definition();
    let mut metrics = Metrics::new(std::slice::from_ref(&definition));

    // Nobody listens there, so each question is one without an answer.
    let config = Config::new("http://127.0.0.1:1".parse().unwrap());
    let client = Client::try_from(config).unwrap();
    let reviewer = TokenReviewer::new(client.clone());
    let trust = Arc::new(TrustStore::new(Trust::default()));
    let authenticator = Authenticator::new(trust, Some(reviewer));
    let authorizer = SubjectAccessReviewer::new(client);
    metrics.add_delegated(&authenticator, &authorizer);
    let info = RequestInfo::parse(&Method::GET, THINGS, None);
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, "Bearer a".parse().unwrap());
    let user = authenticator
        .authenticate(&mut headers, &PresentedCertificates::default(), &info)
        .await;
    metrics.identity.authenticated(&user, Duration::ZERO);
    let nobody = UserInfo::anonymous();
    let known = Ok(nobody.clone());
    metrics.identity.authenticated(&known, Duration::ZERO);
    let decision = authorizer.decide(&nobody, &info).await;
    metrics.identity.authorized(&decision, Duration::ZERO);

    let policy =
        br#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "None"}]}"#;
    let policy = Policy::parse(policy).unwrap();
    let output = LogOptions {
        path: "-".into(),
        max_size_mebibytes: 0,
        max_backups: 0,
        max_age_days: 0,
    };
    let auditor = Auditor::start(policy, Some(output), None).await.unwrap();
    metrics.add_auditor(&auditor);

    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
    let shutdown = CancellationToken::new();
    let (hooks, admission) = (Arc::new(SchemaOnly), Arc::new(AnyNamespace));
    let (store, _feed) = Store::start(definition, hooks, admission, storage, shutdown).unwrap();
    store.wait_for(None, "list").await.unwrap();
    metrics.add_caches([(store.resource(), store.cacher())].into_iter());

    answer(&metrics, &Method::GET, THINGS, StatusCode::OK);
    monitor(&metrics, &Method::GET, THINGS).terminated(504);
    let watch = monitor(
        &metrics,
        &Method::GET,
        &format!("{THINGS}?watch=1&sendInitialEvents=true"),
    );
    let events: [&[u8]; 2] = [b"event", br#"{"type":"BOOKMARK","object":{}}"#];
    let watch = watch.finish(frames(&events), Duration::ZERO);
    watch.into_body().collect().await.unwrap();
    metrics
}

/// Type, labels and bounds of every metric in a text, by name.
fn families(text: &str) -> BTreeMap<String, (String, BTreeSet<String>, Vec<String>)> {
    let mut families = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, metric_type) = declared.split_once(' ').unwrap();
            name.clone_into(&mut current);
            let family = (metric_type.to_owned(), BTreeSet::new(), Vec::new());
            assert!(families.insert(current.clone(), family).is_none(), "{line}");
        }
        if line.starts_with('#') {
            continue;
        }
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let (metric_type, names, bounds) = families.get_mut(&current).unwrap();
        let suffix = name.strip_prefix(&current).unwrap();
        let is_bucket = suffix == "_bucket";
        let suffixes: &[&str] = match metric_type.as_str() {
            "histogram" => &["_bucket", "_count", "_sum"],
            _ => &[""],
        };
        assert!(suffixes.contains(&suffix), "{line}");
        for label in labels.trim_end_matches('}').split("\",") {
            let Some((label, value)) = label.split_once("=\"") else {
                continue;
            };
            let value = value.trim_end_matches('"');
            if is_bucket && label == "le" {
                if value != "+Inf" && !bounds.iter().any(|bound| bound == value) {
                    bounds.push(value.to_owned());
                }
            } else {
                names.insert(label.to_owned());
            }
        }
    }
    families
}

/// X11: what is exposed has just the names, types, labels and bounds of Kubernetes.
#[tokio::test]
async fn names_labels_and_bounds_are_those_of_kubernetes() {
    let metrics = after_everything().await;
    let text = text(&metrics).await;
    let mut found = String::new();
    for (name, (metric_type, labels, bounds)) in families(&text) {
        let labels: Vec<_> = labels.into_iter().collect();
        let (labels, bounds) = (labels.join(" "), bounds.join(" "));
        writeln!(found, "{name}|{metric_type}|{labels}|{bounds}").unwrap();
    }
    assert_eq!(found, UPSTREAM, "{text}");
}

/// Every metric is documented with its type and labels, and nothing else is.
#[test]
fn the_documentation_lists_every_metric() {
    let document = include_str!("../../../../docs/metrics.md");
    let server = document
        .split("\n## ")
        .find(|s| s.starts_with("The server"));
    let rows = server
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("| `"));
    let mut documented: Vec<String> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let cell = |n: usize| cells[n].replace(['`', ','], "");
            let mut labels: Vec<_> = cells[3]
                .split(',')
                .map(|l| l.trim().replace('`', ""))
                .collect();
            labels.sort();
            format!("{}|{}|{}", cell(1), cell(2), labels.join(" "))
        })
        .collect();
    documented.sort();
    let upstream = UPSTREAM.lines().map(|row| row.rsplit_once('|').unwrap().0);
    assert_eq!(documented, upstream.collect::<Vec<_>>());
}

/// X11: codes are numbers, the component is the one that dashboards ask for.
#[tokio::test]
async fn a_request_is_counted_once_under_its_labels() {
    let metrics = Metrics::new(&[thing_definition()]);
    answer(&metrics, &Method::GET, THINGS, StatusCode::OK);
    answer(&metrics, &Method::GET, THINGS, StatusCode::OK);
    let text = text(&metrics).await;
    let expected = "apiserver_request_total{code=\"200\",component=\"apiserver\",dry_run=\"\",\
        group=\"test.io\",version=\"v1\",resource=\"things\",scope=\"namespace\",subresource=\"\",\
        verb=\"LIST\"} 2\n";
    assert!(text.contains(expected), "{text}");
    let in_bucket = |line: &str| {
        line.starts_with("apiserver_request_duration_seconds_bucket{")
            && line.contains("le=\"0.025\"")
            && line.ends_with(" 2")
    };
    assert!(text.lines().any(in_bucket), "{text}");
}

/// X4, X11: a request that found no place is one that the server ended, under the labels of what was
/// asked for, and one of all requests too.
#[tokio::test]
async fn a_request_without_a_place_is_counted_as_terminated() {
    let metrics = Metrics::new(&[thing_definition()]);
    let dry_run = format!("{THINGS}?dryRun=All");
    let monitored = monitor(&metrics, &Method::POST, &dry_run);
    monitored.terminated(429);
    let refusal = response::text(StatusCode::TOO_MANY_REQUESTS, "later");
    drop(monitored.finish(refusal, Duration::ZERO));
    let text = text(&metrics).await;
    let labels = "group=\"test.io\",version=\"v1\",resource=\"things\",scope=\"resource\",\
        subresource=\"\",verb=\"POST\"} 1\n";
    for start in [
        "apiserver_request_terminations_total{code=\"429\",component=\"apiserver\",",
        "apiserver_request_total{code=\"429\",component=\"apiserver\",dry_run=\"All\",",
    ] {
        assert!(
            text.contains(&format!("{start}{labels}")),
            "{start}: {text}"
        );
    }
}

/// X11: dry runs are no part of the service level, and the sizes of writes are not observed.
#[tokio::test]
async fn dry_runs_and_writes_are_left_out_where_kubernetes_leaves_them_out() {
    let metrics = Metrics::new(&[thing_definition()]);
    let dry_run = format!("{THINGS}?dryRun=All");
    answer(&metrics, &Method::POST, &dry_run, StatusCode::CREATED);
    let families = families(&text(&metrics).await);
    assert!(families.contains_key("apiserver_request_duration_seconds"));
    assert!(!families.contains_key("apiserver_request_sli_duration_seconds"));
    assert!(!families.contains_key("apiserver_response_sizes"));
}

/// X11: a watch is open until its body is dropped, and only then counts as answered.
#[tokio::test]
async fn a_watch_is_open_until_its_body_is_gone() {
    let metrics = Metrics::new(&[thing_definition()]);
    let watch = monitor(&metrics, &Method::GET, "/apis/test.io/v1/things?watch=true");
    let mut watch = watch.finish(frames(&[b"first", b"second"]), Duration::ZERO);
    watch.body_mut().frame().await.unwrap().unwrap();
    let value = |text: &str, name: &str| {
        let mut lines = text.lines().filter(|line| line.starts_with(name));
        let value = lines.next()?.rsplit_once(' ')?.1;
        value.parse::<u32>().ok()
    };
    let open = text(&metrics).await;
    assert_eq!(value(&open, "apiserver_longrunning_requests{"), Some(1));
    assert_eq!(value(&open, "apiserver_watch_events_total{"), Some(1));
    assert_eq!(value(&open, "apiserver_request_total{"), None);
    drop(watch);
    let ended = text(&metrics).await;
    assert_eq!(value(&ended, "apiserver_longrunning_requests{"), Some(0));
    assert_eq!(value(&ended, "apiserver_request_total{"), Some(1));
    let durations = "apiserver_request_duration_seconds_count{";
    assert_eq!(value(&ended, durations), None);
}

/// X11: where the length is not known before, as of a compressed list, what was sent is counted.
#[tokio::test]
async fn the_size_of_a_body_of_unknown_length_is_what_was_sent() {
    let metrics = Metrics::new(&[thing_definition()]);
    let chunks =
        [b"four", b"more"].map(|chunk| Ok(http_body::Frame::data(Bytes::from_static(chunk))));
    let body = StreamBody::new(stream::iter(chunks)).boxed_unsync();
    let monitored = monitor(&metrics, &Method::GET, THINGS);
    let response = monitored.finish(Response::new(body), Duration::ZERO);
    response.into_body().collect().await.unwrap();
    let text = text(&metrics).await;
    let sum = text
        .lines()
        .find(|l| l.starts_with("apiserver_response_sizes_sum{"));
    assert!(sum.is_some_and(|line| line.ends_with(" 8.0")), "{text}");
}

/// X11: a request for what is not there makes no series, whatever it names.
#[tokio::test]
async fn requests_for_what_is_not_served_make_no_series() {
    let metrics = Metrics::new(&[thing_definition()]);
    let before = families(&text(&metrics).await).len();
    for number in 0..1000 {
        for path in [
            format!("/{number}"),
            format!("/apis/g{number}.io/v1/things"),
            format!("/apis/test.io/v{number}x/things"),
            format!("/apis/test.io/v1/things{number}"),
            format!("{THINGS}/a/s{number}"),
            format!("/readyz/{number}"),
        ] {
            let method: Method = format!("M{number}").parse().unwrap();
            answer(&metrics, &method, &path, StatusCode::NOT_FOUND);
        }
    }
    let after = text(&metrics).await;
    assert_eq!(families(&after).len(), before, "{after}");
    assert!(!after.contains("apiserver_request_total"), "{after}");
}
