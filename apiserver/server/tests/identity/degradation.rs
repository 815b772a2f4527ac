//! A cluster that answers late, not at all, or no longer to this server: what is known counts for its
//! time, what is not known is refused, and all is well again by itself.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::json;
use tokio::time::{Instant, advance, pause, sleep};

use crate::{
    authority::{Authority, Credential},
    server::{PROXY, Reply, Rig, THINGS, eventually, published},
};

/// How long an answer of the cluster counts.
const ANSWERS_COUNT: Duration = Duration::from_secs(10);
/// How long the server waits for one.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// When the cluster takes this long for an answer, there is none.
const MUCH_TOO_LONG: Duration = Duration::from_mins(10);
/// Answers that nobody has to be asked for take a part of that, on a slow machine too.
const AT_ONCE: Duration = Duration::from_secs(3);
/// What counts as soon after the end of a fault.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);
/// Requests whose permission is not known: more than may be asked about, fewer than may be in flight.
const UNKNOWN: usize = 300;
/// Questions to the cluster at a time.
const QUESTIONS_MAX: usize = 100;

/// Stops the clock, which from then on goes a millisecond whenever nothing else is to be done. Without
/// steps that small, waiting for a socket would take it to the next timeout.
fn go_by_milliseconds() {
    pause();
    tokio::spawn(async {
        loop {
            sleep(Duration::from_millis(1)).await;
        }
    });
}

impl Rig {
    /// A GET of the aggregator itself, about which nobody has to be asked.
    async fn aggregator(&self, target: &str) -> Reply {
        let proxy = self.proxies.client(PROXY, &[]);
        let headers = [
            ("X-Remote-User", "system:kube-aggregator"),
            ("X-Remote-Group", "system:masters"),
        ];
        self.get(Some(&proxy), target, &headers).await
    }

    /// Everything that has to go on whatever the cluster does.
    async fn assert_discovery_and_health(&self) {
        let begun = Instant::now();
        for target in ["/apis", "/apis/test.io/v1", "/openapi/v3", "/openapi/v2"] {
            assert_eq!(self.aggregator(target).await.code, 200, "{target}");
        }
        for target in ["/readyz", "/livez", "/healthz"] {
            assert_eq!(self.get(None, target, &[]).await.code, 200, "{target}");
        }
        let took = begun.elapsed();
        assert!(took < AT_ONCE, "{took:?}");
    }

    fn publish(&self, clients: &Authority, proxies: &Authority) {
        let data: BTreeMap<_, _> = published(clients, proxies, &json!([PROXY]).to_string());
        self.cluster.config_map.send_replace(Some(data));
    }

    async fn code(&self, user: &Credential) -> u16 {
        self.get(Some(user), THINGS, &[]).await.code
    }
}

/// I2, H4: a server that may not read the ConfigMap any more trusts whom it trusted and stays ready; once
/// it may again, a change that it missed counts within five seconds, however long that was.
#[tokio::test]
async fn the_last_good_trust_counts_while_the_config_map_cannot_be_read() {
    let rig = Rig::start().await;
    let jane = rig.clients.client("jane", &[]);
    let others = Authority::new("other clients");
    let other_jane = others.client("jane", &[]);
    go_by_milliseconds();
    rig.cluster.config_map_denied.send_replace(true);
    rig.publish(&others, &rig.proxies);
    for _ in 0..10 {
        advance(Duration::from_mins(1)).await;
        assert_eq!(
            (rig.code(&jane).await, rig.code(&other_jane).await),
            (200, 401)
        );
        rig.assert_discovery_and_health().await;
    }

    rig.cluster.config_map_denied.send_replace(false);
    let begun = Instant::now();
    let changed = async || rig.code(&other_jane).await == 200 && rig.code(&jane).await == 401;
    eventually("the missed change counts", changed).await;
    let took = begun.elapsed();
    assert!(took <= TAKEN_WITHIN, "{took:?}");
}

/// I6, N13: while reviews take too long, what is known is answered at once, what is not is refused in
/// time and asked about by few at a time; discovery and health notice nothing. It takes as long as an
/// answer is waited for.
#[tokio::test]
async fn slow_reviews_delay_only_what_is_not_known() {
    let rig = Arc::new(Rig::start().await);
    let jane = Arc::new(rig.clients.client("jane", &[]));
    assert_eq!(rig.code(&jane).await, 200);
    *rig.cluster.review_takes.lock() = MUCH_TOO_LONG;

    let begun = Instant::now();
    assert_eq!(rig.code(&jane).await, 200);
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());

    let begun = Instant::now();
    let unknown: Vec<_> = (0..UNKNOWN)
        .map(|number| {
            let (rig, jane) = (Arc::clone(&rig), Arc::clone(&jane));
            tokio::spawn(async move {
                let target = format!("{THINGS}/{number}");
                rig.get(Some(&jane), &target, &[]).await
            })
        })
        .collect();
    let asked = async || rig.cluster.most_asked_at_once() == QUESTIONS_MAX;
    eventually("the questions are asked", asked).await;
    rig.assert_discovery_and_health().await;
    let mut replies = Vec::new();
    for reply in unknown {
        replies.push(reply.await.expect("it does not panic"));
    }
    let took = begun.elapsed();
    for reply in &replies {
        assert_eq!(reply.code, 503, "{reply:?}");
        assert!(
            reply.text.to_lowercase().contains("retry-after: 1"),
            "{reply:?}"
        );
    }
    assert!(took < 2 * ANSWER_WITHIN, "{took:?}");
    assert_eq!(rig.cluster.most_asked_at_once(), QUESTIONS_MAX);

    *rig.cluster.review_takes.lock() = Duration::ZERO;
    let reply = rig.get(Some(&jane), &format!("{THINGS}/0"), &[]).await;
    assert_eq!(reply.code, 404, "{reply:?}");
}

/// I4, I6: what is known of an unreachable cluster counts for ten seconds and no longer. The cache has a
/// clock of its own, so this takes as long.
#[tokio::test]
async fn what_is_known_of_an_unreachable_cluster_is_forgotten_in_time() {
    let rig = Rig::start().await;
    let jane = rig.clients.client("jane", &[]);
    let user = json!({"username": "jane", "groups": []});
    rig.cluster.tokens.lock().insert("good", user);
    let headers = [("Authorization", "Bearer good")];
    let begun = Instant::now();
    let both = async || {
        let token = rig.get(None, THINGS, &headers).await.code;
        (rig.code(&jane).await, token)
    };
    assert_eq!(both().await, (200, 200));
    // Not asked again, so that every request is answered at once.
    *rig.cluster.failures.lock() = vec![Some(401)];
    let forgotten = async || match both().await {
        (503, 503) => true,
        (200 | 503, 200 | 503) => false,
        codes => panic!("{codes:?}"),
    };
    eventually("nothing is known any more", forgotten).await;
    let took = begun.elapsed();
    assert!(took >= ANSWERS_COUNT.mul_f32(0.9), "{took:?}");
    assert!(took < ANSWERS_COUNT + TAKEN_WITHIN, "{took:?}");
    assert_eq!(rig.get(None, "/readyz", &[]).await.code, 200);
    rig.cluster.failures.lock().clear();
    assert_eq!(both().await, (200, 200));
}
