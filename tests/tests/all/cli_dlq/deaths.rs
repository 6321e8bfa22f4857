//! Each death has one letter, which is of that death.

use std::time::Duration;

use jsb_tests::entities::organization;
use jsb_tests::probe;
use jsb_tests::{App, Backend, Cli, effects, eventually, until};
use sea_orm::DbErr;
use serde_json::json;

use super::{PROGRAM, broken, dlq, envelope, letters, mend, pair, publish};

/// From now on no death can be recorded in this inbox.
async fn forbid_deaths(app: &App, backend: Backend) {
    let sql = match backend {
        Backend::Postgres => {
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$; \
             CREATE TRIGGER no_deaths BEFORE UPDATE ON inbox_events \
             FOR EACH ROW WHEN (NEW.status = 'dead') EXECUTE FUNCTION refuse();"
        }
        Backend::Sqlite => {
            "CREATE TRIGGER no_deaths BEFORE UPDATE ON inbox_events WHEN NEW.status = 'dead' \
             BEGIN SELECT RAISE(ABORT, 'not now'); END"
        }
    };
    app.sql(sql).await;
}

async fn allow_deaths(app: &App, backend: Backend) {
    let sql = match backend {
        Backend::Postgres => "DROP TRIGGER no_deaths ON inbox_events",
        Backend::Sqlite => "DROP TRIGGER no_deaths",
    };
    app.sql(sql).await;
}

on_both! {
    async fn what_an_event_expected_of_the_stream_does_not_keep_out_its_letter(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let last = publish(&pair, &[], &envelope(&pair, "last", "probe", "record", json!({}))).await.to_string();
        let headers = [("Nats-Expected-Last-Sequence", last.as_str()), ("X-Own", "kept")];
        publish(&pair, &headers, &envelope(&pair, "unheard", "spaceship", "created", json!({}))).await;
        let letter = letters(&pair.b, 1).await.remove(0);
        let for_server: Vec<_> = letter.headers.keys().filter(|name| name.starts_with("Nats-")).collect();
        assert_eq!(for_server, ["Nats-Msg-Id"]);
        assert_eq!(letter.headers["X-Own"], "kept");
        pair.stop().await;
    }

    async fn an_event_that_dies_again_has_a_new_letter(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let cli = Cli::of(PROGRAM, &pair.b);
        let (event, orders) = broken(&pair).await;
        let mut last = letters(&pair.b, 1).await[0].sequence;
        for _ in 0..2 {
            let summary = cli.json(&["dlq", "replay", "--all"]).await;
            assert_eq!(summary["replayed"], 1, "{summary}");
            let letter = eventually("it has died again", || async {
                Ok::<_, DbErr>(dlq(&pair.b).await.into_iter().find(|letter| letter.sequence > last))
            })
            .await;
            assert_eq!(letter.context()["event_id"], event.event_id);
            pair.b.event_is(&event.event_id, "dead").await;
            assert_eq!(dlq(&pair.b).await.len(), 1);
            last = letter.sequence;
        }
        mend(&orders);
        cli.json(&["dlq", "replay", &last.to_string()]).await;
        pair.b.event_is(&event.event_id, "processed").await;
        assert_eq!(effects::count(&pair.b.db, &event.id).await, Ok(1));
        assert_eq!(pair.b.status().await.inbox_events, 1);
        pair.stop().await;
    }

    async fn an_event_that_is_retried_and_dies_again_has_a_letter_of_that_death(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let cli = Cli::of(PROGRAM, &pair.b);
        let (event, _) = broken(&pair).await;
        let dead = async || pair.b.event_is(&event.event_id, "dead").await;
        letters(&pair.b, 1).await;
        dead().await;
        assert_eq!(cli.json(&["dlq", "purge", "--all", "--yes"]).await["purged"], 1);
        // Well within the duplicate window of two minutes.
        assert_eq!(cli.json(&["inbox", "retry", &event.event_id]).await["retried"], 1);
        letters(&pair.b, 1).await;
        dead().await;

        // Something else is in its way by now.
        pair.b.sql("ALTER TABLE effects RENAME TO effects_elsewhere").await;
        assert_eq!(cli.json(&["inbox", "retry", &event.event_id]).await["retried"], 1);
        letters(&pair.b, 2).await;
        let shown = cli.json(&["dlq", "show", &event.event_id]).await;
        assert_eq!(shown["reason"], "max_attempts");
        assert!(shown["error"].as_str().is_some_and(|error| error.contains("effects")), "{shown}");
        pair.stop().await;
    }

    /// As when its process dies between the two.
    async fn a_death_whose_record_comes_later_than_its_letter_has_one_letter(backend: Backend) {
        let pair = pair(backend, |config| config.ack_wait(Duration::from_secs(1))).await;
        let (event, _) = broken(&pair).await;
        pair.b.event_is(&event.event_id, "dead").await;
        forbid_deaths(&pair.b, backend).await;
        assert_eq!(Cli::of(PROGRAM, &pair.b).json(&["inbox", "retry", &event.event_id]).await["retried"], 1);
        until("a letter was published twice", async || probe::attempts(&event).len() > 3).await;
        allow_deaths(&pair.b, backend).await;
        pair.b.event_is(&event.event_id, "dead").await;
        assert_eq!(dlq(&pair.b).await.len(), 2, "one for each death");
        pair.stop().await;
    }

    async fn an_event_that_is_parked_again_before_it_dies_has_a_new_letter_too(backend: Backend) {
        let pair = pair(backend, |config| config.park_for(Duration::from_millis(1))).await;
        let cli = Cli::of(PROGRAM, &pair.b);
        let row = |id: i64| organization::payload(id, "taken.example", "2026-11-01T00:00:00Z");
        let mut holder = envelope(&pair, "holder", "organization", "created", row(3));
        holder["resource_id"] = "3".into();
        publish(&pair, &[], &holder).await;
        pair.b.event_is("holder", "processed").await;
        publish(&pair, &[], &envelope(&pair, "blocked", "organization", "created", row(1))).await;
        let former = letters(&pair.b, 1).await[0].sequence;
        assert_eq!(cli.json(&["dlq", "replay", "blocked"]).await["replayed"], 1);
        // It dies from the inbox, where it waits in between.
        eventually("it has died again", || async {
            Ok::<_, DbErr>(dlq(&pair.b).await.into_iter().find(|letter| letter.sequence > former))
        })
        .await;
        pair.stop().await;
    }

    async fn an_event_whose_letter_has_expired_is_tried_from_the_inbox(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let cli = Cli::of(PROGRAM, &pair.b);
        let (event, orders) = broken(&pair).await;
        let letter = letters(&pair.b, 1).await.remove(0);
        pair.b.event_is(&event.event_id, "dead").await;
        // As the stream's limits do.
        pair.b.stream().await.delete(letter.sequence).await;
        mend(&orders);
        assert_eq!(cli.json(&["dlq", "replay", "--all"]).await["replayed"], 0);
        assert_eq!(cli.json(&["health"]).await["healthy"], true);
        assert_eq!(cli.json(&["inbox", "retry", "--all", "--status", "dead"]).await["retried"], 1);
        pair.b.event_is(&event.event_id, "processed").await;
        assert_eq!(effects::count(&pair.b.db, &event.id).await, Ok(1));
        pair.stop().await;
    }
}
