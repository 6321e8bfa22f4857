//! What handlers see of an exchange, and what comes of it that one refuses.

use jsb_tests::{Pair, until};
use serde_json::Value as Json;

use super::{set_stall, stall, swap_stalls, two_stalls};

on_both! {
    async fn a_handler_that_refuses_one_of_an_exchange_is_heard(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let (twelve, thirteen) = (stall(&pair.a, 12).await, stall(&pair.a, 13).await);
        let remote = pair.receive().await;
        remote.publish_all(&pair.a.recorded().await).await;
        pair.b.has_settled(2).await;
        for (id, number) in [(twelve, 14), (thirteen, 12), (twelve, 13)] {
            set_stall(&pair.a, id, number).await;
        }
        let [.., one, other] = &pair.a.recorded().await[..] else { panic!("the swap was not recorded") };
        remote.publish_all(&[one.clone(), other.clone()]).await;
        until("it is dead", async || {
            let dead = pair.b.reasons_of_death().await;
            dead == ["handler_refused"]
        })
        .await;
        // What came with it is as if it had come alone.
        let states = "SELECT status || ' ' || event_id FROM inbox_events WHERE status <> 'processed' ORDER BY status";
        let state = |status: &str, event: &Json| format!("{status} {}", event["event_id"].as_str().expect("an id"));
        assert_eq!(pair.b.texts(states).await, [state("dead", other), state("parked", one)]);
        let (_, rows) = pair.rows::<stall::Entity>().await;
        let numbers: Vec<_> = rows.into_iter().map(|row| (row.id, row.number)).collect();
        assert_eq!(numbers, [(twelve, 12), (thirteen, 13)]);
        assert_eq!(pair.b.texts("SELECT probe FROM effects").await, [""; 0]);
        pair.stop().await;
    }

    async fn handlers_see_an_exchange_only_once_it_is_done(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let stalls = two_stalls(&pair.a).await;
        let remote = pair.receive().await;
        remote.publish_all(&pair.a.recorded().await).await;
        pair.b.has_settled(2).await;
        swap_stalls(&pair.a, stalls).await;
        let [.., two_takes, one_takes] = &pair.a.recorded().await[..] else { panic!("the swap was not recorded") };
        remote.publish_all(&[two_takes.clone(), one_takes.clone()]).await;
        pair.b.has_settled(4).await;
        pair.agree_now::<stall::Entity>().await;
        assert_eq!(pair.b.texts("SELECT probe FROM effects").await, ["[1, 2]", "[1, 2]"]);
        pair.stop().await;
    }
}
