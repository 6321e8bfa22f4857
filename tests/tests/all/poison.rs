//! Promise 6: one bad message never holds up the others, and ends in the DLQ with all that is known of it.

mod attempts;
mod bodies;
mod letters;
mod transactions;
mod without;

use std::time::Duration;

use jsb_runtime::Config;
use jsb_tests::probe::{self, Orders, Probe};
use jsb_tests::stream::StreamMessage;
use jsb_tests::{App, Pair, effects, eventually, inbox};
use sea_orm::DbErr;

/// In milliseconds. The first is the server's ack wait too, which a busy machine must be able to keep by progress acks.
const BACKOFF: [u64; 5] = [1_000, 1_050, 1_100, 1_150, 1_200];

pub(crate) fn impatient(config: Config) -> Config {
    config.backoff(BACKOFF.map(Duration::from_millis))
}

async fn impatient_pair(backend: jsb_tests::Backend) -> Pair {
    let mut pair = Pair::configured(backend, impatient).await;
    pair.start_both().await;
    pair
}

fn error(text: &str) -> Orders {
    Orders { error: text.to_owned(), failures: u32::MAX, ..Orders::default() }
}

/// Waits until the event is dead here and in the DLQ.
async fn dead(app: &App, event_id: &str) -> (inbox::InboxRow, StreamMessage) {
    let row = app.event_is(event_id, "dead").await;
    let letter = app.dead_letter(event_id).await;
    (row, letter.expect("a dead letter, since it is published before the event counts as dead"))
}

/// Waits until a probe has left its effect, and says how many it left.
async fn effects_of(app: &App, probe: &Probe) -> i64 {
    eventually("the handler has run", || async {
        Ok::<_, DbErr>(Some(effects::count(&app.db, &probe.id).await?).filter(|count| *count > 0))
    })
    .await
}

/// Waits until an event that is sent now has gone through: nothing holds it up.
async fn others_flow(from: &App, to: &App) {
    let good = probe::send(&from.db, "record", Orders::default()).await;
    assert_eq!(effects_of(to, &good).await, 1);
}

fn subject(from: &App, to: &App) -> String {
    format!("{}.sync.{}", from.config.app_name, to.config.app_name)
}
