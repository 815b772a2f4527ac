//! How the cluster is asked: once for the same question, again when it does not answer.

use futures::future::join_all;

use crate::server::{Rig, THINGS};

/// I6: an answer counts for a while, a refusal too, and equal questions at a time are one.
#[tokio::test]
async fn the_same_question_is_asked_once() {
    for (name, code) in [("jane", 200), ("eve", 403)] {
        let rig = Rig::start().await;
        let user = rig.clients.client(name, &[]);
        let replies = (0..20).map(|_| rig.get(Some(&user), THINGS, &[]));
        for reply in join_all(replies).await {
            assert_eq!(reply.code, code);
        }
        let target = format!("{THINGS}/a");
        rig.get(Some(&user), &target, &[]).await;
        assert_eq!(rig.cluster.asked("user").len(), 2, "one for each question");
    }
}

/// I4: a token's answer counts for a while, that it is wrong too.
#[tokio::test]
async fn a_token_is_asked_about_once() {
    let rig = Rig::start().await;
    let headers = [("Authorization", "Bearer wrong")];
    let replies = (0..20).map(|_| rig.get(None, THINGS, &headers));
    for reply in join_all(replies).await {
        assert_eq!(reply.code, 401);
    }
    assert_eq!(rig.cluster.asked("token").len(), 1);
}

/// I6: a question without an answer is asked again; one that may not be asked is not.
#[tokio::test]
async fn a_question_without_an_answer_is_asked_again() {
    let rig = Rig::start().await;
    let jane = rig.clients.client("jane", &[]);
    *rig.cluster.failures.lock() = vec![Some(503), Some(429), None];
    assert_eq!(rig.get(Some(&jane), THINGS, &[]).await.code, 200);
    assert_eq!(rig.cluster.asked("user").len(), 3);
    *rig.cluster.failures.lock() = vec![Some(403), None];
    let reply = rig.get(Some(&jane), &format!("{THINGS}/a"), &[]).await;
    assert_eq!(reply.code, 503);
    assert_eq!(rig.cluster.asked("user").len(), 4);
    // That there was no answer is not kept.
    let reply = rig.get(Some(&jane), &format!("{THINGS}/a"), &[]).await;
    assert_eq!(reply.code, 404);
}

/// I6: while the cluster does not answer, what is known counts, for its time; all else is refused.
#[tokio::test]
async fn an_outage_denies_what_is_not_known() {
    let rig = Rig::start().await;
    let (jane, eve) = (
        rig.clients.client("jane", &[]),
        rig.clients.client("eve", &[]),
    );
    assert_eq!(rig.get(Some(&jane), THINGS, &[]).await.code, 200);
    assert_eq!(rig.get(Some(&eve), THINGS, &[]).await.code, 403);
    *rig.cluster.failures.lock() = vec![Some(401)];
    assert_eq!(rig.get(Some(&jane), THINGS, &[]).await.code, 200);
    assert_eq!(rig.get(Some(&eve), THINGS, &[]).await.code, 403);
    let other = format!("{THINGS}/a");
    for user in [&jane, &eve] {
        assert_eq!(rig.get(Some(user), &other, &[]).await.code, 503);
    }
    let token = [("Authorization", "Bearer unknown")];
    assert_eq!(rig.get(None, THINGS, &token).await.code, 503);
    assert_eq!(rig.get(None, "/readyz", &[]).await.code, 200);
    rig.cluster.failures.lock().clear();
    assert_eq!(rig.get(Some(&jane), &other, &[]).await.code, 404);
}
