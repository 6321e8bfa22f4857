//! Whatever is published to an app has a defined end, holds up nobody, and leaves nothing behind that it should not.

mod cases;

use std::collections::BTreeMap;

use cases::{Case, End};
use dev_servers::{NatsOptions, NatsServer};
use jsb_tests::entities::{gap, label, organization};
use jsb_tests::{App, Backend, Pair, Raw, eventually};
use sea_orm::{DbErr, EntityTrait};
use uuid::Uuid;

use crate::poison::impatient;

/// Room for strings of a megabyte.
const MAX_PAYLOAD: usize = 8 * 1024 * 1024;
/// The longest error that an inbox keeps, in characters.
const MAX_ERROR: usize = 4_000;

/// An application that gets whatever a test publishes, on a server of its own.
async fn receiver(backend: Backend) -> (NatsServer, Pair) {
    let options = NatsOptions { max_payload: Some(MAX_PAYLOAD), ..Default::default() };
    let nats = NatsServer::start(options).await.expect("nats-server starts");
    let url = nats.url();
    let mut pair = Pair::configured(backend, |config| impatient(config).nats_url(url.as_str())).await;
    pair.b.start().await;
    (nats, pair)
}

fn subject(app: &App) -> String {
    format!("{}.sync.{}", app.config.destination_app, app.config.app_name)
}

/// A message that nothing is wrong with, and the id by which it leaves its effect.
fn good() -> (String, String) {
    let id = Uuid::now_v7().to_string();
    let body = format!(
        r#"{{"event_id":"{id}","event_type":"record","resource_type":"probe","resource_id":"{id}","payload":{{}}}}"#
    );
    (id, body)
}

/// Where the message of a sequence has ended, by the inbox; nowhere yet, if it is to be tried again.
async fn end_of(app: &App, sequence: u64) -> Option<String> {
    let sql = format!("SELECT status || ' ' || coalesce(reason, '') FROM inbox_events WHERE stream_seq = {sequence}");
    app.texts(&sql).await.pop().filter(|end| !end.starts_with("failed"))
}

on_both! {
    async fn every_bad_message_has_its_end_and_holds_up_nobody(backend: Backend) {
        let (_nats, pair) = receiver(backend).await;
        let app = &pair.b;
        let stream = app.stream().await;
        let mut sent = Vec::new();
        for case in cases::all(backend, &app.config) {
            let headers: Vec<_> = case.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let sequence = stream.publish(&subject(app), &headers, case.body.clone()).await;
            sent.push((sequence, case));
        }
        let (id, body) = good();
        stream.publish(&subject(app), &[], body).await;
        app.has_effect(&id).await;

        let mut wrong = Vec::new();
        for (sequence, Case { name, end, .. }) in &sent {
            let found = eventually(name, || async { Ok::<_, DbErr>(end_of(app, *sequence).await) }).await;
            let expected = match end {
                End::Applied => "processed ".to_owned(),
                End::Parked(reason) => format!("parked {reason}"),
                End::Dead(reason) => format!("dead {reason}"),
            };
            if found != expected {
                wrong.push(format!("{name}: {found}, not {expected}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");

        let letters = stream.messages(&format!("{}.sync.dlq", app.config.app_name)).await;
        let reasons: BTreeMap<u64, &str> = letters
            .iter()
            .map(|letter| (letter.context()["sequence"].as_u64().expect("it"), letter.headers["x-dlq-reason"].as_str()))
            .collect();
        let dead = sent.iter().filter_map(|(sequence, case)| match case.end {
            End::Dead(reason) => Some((*sequence, reason)),
            _ => None,
        });
        assert_eq!(reasons, dead.collect(), "each dead message, and nothing else, is in the DLQ");

        // Nothing was tried in vain, what is stored is bounded, and every row can be read back.
        assert_eq!(app.texts("SELECT event_id FROM inbox_events WHERE attempts > 0").await, Vec::<String>::new());
        let oversized = format!("SELECT event_id FROM inbox_events WHERE length(last_error) > {MAX_ERROR}");
        assert_eq!(app.texts(&oversized).await, Vec::<String>::new());
        let gaps = gap::Entity::find().all(&app.db).await.expect("rows that can be read");
        let labels = label::Entity::find().all(&app.db).await.expect("rows that can be read");
        let organizations = organization::Entity::find().all(&app.db).await.expect("rows that can be read");
        let applied = sent.iter().filter(|(_, case)| case.end == End::Applied && case.is_row).count();
        assert_eq!(gaps.len() + labels.len() + organizations.len(), applied);
        for (sequence, case) in &sent {
            let Some((id, check)) = &case.leaves else { continue };
            let row = gaps.iter().find(|row| row.id == *id).unwrap_or_else(|| panic!("{} ({sequence})", case.name));
            assert!(check(row), "{}: {row:?}", case.name);
        }
        pair.stop().await;
    }

    async fn headers_that_no_client_can_read_hold_up_nobody(backend: Backend) {
        let (nats, pair) = receiver(backend).await;
        let app = &pair.b;
        let mut raw = Raw::connect(nats.port(), "foreign", "").await;
        let unreadable: [&[u8]; 5] = [
            b"NATS/1.0\r\nNo colon\r\n\r\n",
            b"NATS/1.0\r\nX-Latin: \xe9\r\n\r\n",
            b"NATS/1.0\r\nX-\x01: y\r\n\r\n",
            b"NATS/1.0 503\r\n\r\n",
            b"NATS/1.0 nonsense\r\nX-Kept: yes\r\n\r\n",
        ];
        let mut ids = Vec::new();
        for headers in unreadable {
            let (id, body) = good();
            raw.store(&subject(app), headers, &body).await;
            ids.push(id);
        }
        let (id, body) = good();
        raw.publish(&subject(app), &body).await;
        app.has_effect(&id).await;
        // Their bodies are events, so they are applied too, once the server has given them up.
        for id in ids {
            app.has_effect(&id).await;
        }
        let (id, body) = good();
        raw.publish(&subject(app), &body).await;
        app.has_effect(&id).await;
        assert_eq!(app.count("inbox_events", "processed").await, 7);
        pair.stop().await;
    }
}
