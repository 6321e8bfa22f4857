//! What a slow handler works on is held, and holds up nobody.

use std::time::{Duration, Instant};

use jsb_tests::gate::gate;
use jsb_tests::probe::{self, Orders};
use jsb_tests::{Backend, until};

use super::{pair, processed};

on_both! {
    async fn nobody_else_gets_what_a_slow_handler_works_on(backend: Backend) {
        let mut pair = pair(backend, true).await;
        pair.b.start().await;
        pair.b.start().await;
        let slow = Orders { gate: uuid::Uuid::new_v4().to_string(), ..Orders::default() };
        let gate = gate(&slow.gate);
        let slow = probe::send(&pair.a.db, "wait", slow).await;
        gate.until_reached().await;
        let (began, stream) = (Instant::now(), pair.b.stream().await);
        until("many times the ack wait have passed", async || {
            let progress = stream.progress(&pair.b.config.app_name).await;
            assert_eq!((progress.num_redelivered, progress.num_ack_pending), (0, 1), "the server gave it to somebody else");
            began.elapsed() > Duration::from_secs(2)
        })
        .await;
        gate.open();
        processed(&pair.b, &slow).await;
        assert_eq!((gate.arrivals(), probe::attempts(&slow).len()), (1, 1));
        pair.stop().await;
    }
}

/// On SQLite a handler has the only lock for writing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_consumer_does_not_wait_for_what_the_first_one_works_on() {
    let mut pair = pair(Backend::Postgres, true).await;
    pair.b.start().await;
    let slow = Orders { gate: uuid::Uuid::new_v4().to_string(), ..Orders::default() };
    let gate = gate(&slow.gate);
    let slow = probe::send(&pair.a.db, "wait", slow).await;
    gate.until_reached().await;
    pair.b.start().await;
    let other = probe::send(&pair.a.db, "record", Orders::default()).await;
    processed(&pair.b, &other).await;
    gate.open();
    processed(&pair.b, &slow).await;
    assert_eq!(gate.arrivals(), 1);
    pair.stop().await;
}
