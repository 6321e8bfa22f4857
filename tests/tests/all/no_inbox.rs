//! `USE_INBOX=false`: a duplicate is known by the version alone, and nothing can wait for what it lacks.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use jsb_runtime::Config;
use jsb_tests::entities::{organization, sighting, ticket, user};
use jsb_tests::{Backend, Pair, Remote, eventually, until};
use sea_orm::ActiveValue::Set;
use sea_orm::{DbErr, EntityTrait, QueryOrder};
use serde_json::{Value as Json, json};
use uuid::Uuid;

/// In milliseconds. The first is the server's ack wait too, which a busy machine must be able to keep.
const BACKOFF: [u64; 5] = [1_000, 1_050, 1_100, 1_150, 1_200];

/// A pair without inboxes, whose B runs.
async fn without_inbox(backend: Backend, backoff: [u64; 5]) -> Pair {
    let config = |config: Config| config.use_inbox(false).backoff(backoff.map(Duration::from_millis));
    let mut pair = Pair::configured(backend, config).await;
    pair.b.start().await;
    pair
}

fn ticket(event_type: &str, id: Uuid, number: i64) -> Json {
    let payload = json!({"id": id, "number": number, "updated_at": format!("2026-01-01T00:00:{number:02}Z")});
    Remote::event_with_id(format!("{event_type} {number}"), "ticket", event_type, id, payload)
}

fn user_of(organization_id: i64) -> Json {
    json!({"id": 1, "organization_id": organization_id, "name": "Ada", "email": null, "updated_at": "2026-01-01T00:00:01Z"})
}

on_both! {
    async fn a_duplicate_runs_its_handlers_again_and_does_not_undo_what_is_newer(backend: Backend) {
        // Nothing comes again by itself.
        let pair = without_inbox(backend, [3_600_000; 5]).await;
        let (remote, id) = (Remote::of(&pair.b).await, Uuid::now_v7());
        let events = [("created", 1), ("updated", 2), ("created", 1), ("updated", 2)];
        for (event_type, number) in events {
            remote.publish(&ticket(event_type, id, number)).await;
            // What is of one row comes in its order, but where the server delivers one again.
            pair.b.until_idle().await;
        }
        let seen = sighting::Entity::find().order_by_asc(sighting::Column::Id).all(&pair.b.db).await.expect("the sightings");
        let seen: Vec<_> = seen.iter().filter(|seen| seen.handler == "raw").map(|seen| (seen.number, seen.stale)).collect();
        assert_eq!(seen, [(1, false), (2, false), (1, true), (2, true)]);
        let row = ticket::Entity::find_by_id(id).one(&pair.b.db).await.expect("a read").expect("the row");
        assert_eq!(row.number, 2);

        for (event_type, number) in [("deleted", 3), ("updated", 2)] {
            remote.publish(&ticket(event_type, id, number)).await;
            pair.b.until_idle().await;
        }
        assert_eq!(ticket::Entity::find_by_id(id).one(&pair.b.db).await, Ok(None), "it came back");
        assert_eq!(pair.b.status().await.inbox_events, 0);
        pair.stop().await;
    }

    async fn what_comes_while_attempts_are_left_is_in_time(backend: Backend) {
        let pair = without_inbox(backend, BACKOFF).await;
        let (remote, stream) = (Remote::of(&pair.b).await, pair.b.stream().await);
        remote.publish(&Remote::event("user", "created", 1, user_of(1))).await;
        until("it came again", async || {
            stream.progress(&pair.b.config.app_name).await.delivered.consumer_sequence > 1
        })
        .await;
        let acme = organization::payload(1, "acme.example", "2026-01-01T00:00:00Z");
        remote.publish(&Remote::event("organization", "created", 1, acme)).await;
        eventually("the child is there", || user::Entity::find_by_id(1).one(&pair.b.db)).await;
        pair.stop().await;
    }

    async fn what_would_have_to_wait_is_dead_after_its_attempts(backend: Backend) {
        let pair = without_inbox(backend, BACKOFF).await;
        let (b, remote) = (&pair.b, Remote::of(&pair.b).await);
        let holder = organization::saved(&b.db, "taken.example").await;
        let child = user::ActiveModel { organization_id: Set(holder.id), name: Set("Bob".to_owned()), ..Default::default() };
        let child = child.insert(&b.db).await.expect("a save");
        let later = (Utc::now() + TimeDelta::minutes(1)).to_rfc3339();
        let rival = organization::payload(1, "taken.example", &later);
        let deleted = organization::payload(holder.id, "taken.example", &later);
        let events = [
            ("parent missing", "user", "created", 1, user_of(5)),
            ("value taken", "organization", "created", 1, rival),
            ("has children", "organization", "deleted", holder.id, deleted),
        ];
        for (event_id, resource, event_type, id, payload) in events.clone() {
            remote.publish(&Remote::event_with_id(event_id, resource, event_type, id, payload)).await;
        }
        let (stream, recorded) = (b.stream().await, b.recorded().await.len());
        for (event_id, ..) in events {
            let letter = eventually(event_id, || async {
                Ok::<_, DbErr>(stream.dead_letter(&b.config.app_name, event_id).await)
            })
            .await;
            let said = ["x-dlq-reason", "x-deliveries"].map(|name| letter.headers[name].as_str());
            assert_eq!(said, ["max_attempts", "5"], "{event_id}");
        }
        // The two sides differ: the row that the other side has deleted is neither gone here nor sent back.
        assert_eq!(organization::Entity::find().all(&b.db).await, Ok(vec![holder]));
        assert_eq!(user::Entity::find().all(&b.db).await, Ok(vec![child]));
        assert_eq!((b.status().await.inbox_events, b.recorded().await.len()), (0, recorded));
        pair.stop().await;
    }
}
