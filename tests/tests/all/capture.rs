//! P1, atomic capture: a row and its event commit together or not at all.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jsb_runtime::prelude::*;
use jsb_runtime::testing::skewed;
use jsb_runtime::{Envelope, Role};
use jsb_tests::entities::{guarded, keepsake, label, organization, specimen, tally, user, visitor};
use jsb_tests::{App, Backend, Pair, Remote, Stream, eventually, until};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, IntoActiveModel,
    IsolationLevel, PaginatorTrait, SqliteTransactionMode, TransactionOptions, TransactionTrait, TryIntoModel,
};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::outage::lasts;
use crate::samples;

/// How many tallies there are, and how many events.
async fn counts(app: &App) -> (u64, usize) {
    (tally::Entity::find().count(&app.db).await.expect("a count"), app.recorded().await.len())
}

async fn types(app: &App) -> Vec<String> {
    app.recorded().await.iter().map(|event| event["event_type"].as_str().unwrap_or_default().to_owned()).collect()
}

fn guarded(text: &str) -> guarded::ActiveModel {
    guarded::ActiveModel { id: Set(Uuid::now_v7()), text: Set(text.to_owned()), ..Default::default() }
}

/// Says of a visitor nothing but when this side saw them last.
fn seen(id: Uuid, nanos: i64) -> visitor::ActiveModel {
    let seen_at = Set(Some(chrono::DateTime::from_timestamp_nanos(nanos)));
    visitor::ActiveModel { id: Set(id), seen_at, ..Default::default() }
}

fn visitor(name: &str) -> visitor::ActiveModel {
    visitor::ActiveModel { id: Set(Uuid::now_v7()), name: Set(name.to_owned()), ..Default::default() }
}

/// What a user's generic code looks like: it reaches the trait's method, not the entity's own.
async fn insert_generically<A>(row: A, db: &impl ConnectionTrait) -> Result<(), DbErr>
where
    A: ActiveModelTrait + ActiveModelBehavior + Send,
    <A::Entity as EntityTrait>::Model: IntoActiveModel<A>,
{
    row.insert(db).await.map(drop)
}

async fn delete_generically<A: ActiveModelTrait + ActiveModelBehavior + Send>(
    row: A,
    db: &impl ConnectionTrait,
) -> Result<(), DbErr> {
    row.delete(db).await.map(drop)
}

/// Saves a tally that says which attempt this is, and then fails the first time.
#[handler(resource = "capture", event = "retried")]
async fn save_and_fail_once(_: &Event<Json>, ctx: &HandlerContext<'_>) -> HandlerResult {
    tally::new(ctx.attempt().into()).insert(ctx.db()).await?;
    if ctx.attempt() == 1 { Err("not yet".into()) } else { Ok(()) }
}

/// The databases that handlers save to beside their own, by what their events are of.
static OTHERS: Mutex<BTreeMap<String, DatabaseConnection>> = Mutex::new(BTreeMap::new());

/// Saves a tally here, and one in a transaction on another database.
#[handler(resource = "capture", event = "shared")]
async fn save_here_and_elsewhere(event: &Event<Json>, ctx: &HandlerContext<'_>) -> HandlerResult {
    tally::new(1).insert(ctx.db()).await?;
    let others = OTHERS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let txn = others[&event.resource_id].begin().await?;
    tally::new(2).insert(&txn).await.map_err(HandlerError::permanent)?;
    txn.commit().await?;
    Ok(())
}

/// Has a handler of `app` save here, and on the database of the other one.
async fn share(app: &App, other: &App) {
    let id = app.config.app_name.clone();
    OTHERS.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), other.db.clone());
    let event = json!({"event_id": id, "event_type": "shared", "resource_type": "capture", "resource_id": id});
    Remote::of(app).await.publish(&event).await;
}

/// From now on no transaction commits in which the thirteenth tally was saved.
async fn refuse_the_thirteenth(app: &App, backend: Backend) {
    let sql = match backend {
        Backend::Postgres => {
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this one'; END $$; \
             CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON tallies DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW WHEN (NEW.value = 13) EXECUTE FUNCTION refuse()"
        }
        Backend::Sqlite => {
            "CREATE TABLE creditors (id BIGINT PRIMARY KEY); \
             CREATE TABLE debts (id BIGINT REFERENCES creditors (id) DEFERRABLE INITIALLY DEFERRED); \
             CREATE TRIGGER refuse AFTER INSERT ON tallies WHEN NEW.value = 13 \
             BEGIN INSERT INTO debts (id) VALUES (NEW.value); END"
        }
    };
    app.sql(sql).await;
}

/// The values of the tallies that `app` has sent, once this one is among them.
async fn sent(app: &App, value: i64) -> Vec<i64> {
    let stream = Stream::of(&app.config).await;
    let subject = format!("{}.sync.{}", app.config.app_name, app.config.destination_app);
    eventually("it is sent", || async {
        let messages = stream.messages(&subject).await;
        let values: Vec<_> = messages.iter().filter_map(|event| event.json()["payload"]["value"].as_i64()).collect();
        Ok::<_, DbErr>(values.contains(&value).then_some(values))
    })
    .await
}

/// How long it takes until the event of a save is sent that comes when nothing has happened for long: the median of five.
pub(crate) async fn time_to_send(app: &App, save: impl AsyncFn(i64)) -> Duration {
    let mut waits = Vec::new();
    for number in 1..=5 {
        // By then the relay looks by itself every three seconds.
        lasts(Duration::from_secs(6)).await;
        let before = app.count("outbox_events", "sent").await;
        let began = Instant::now();
        save(number).await;
        until("it is sent", async || app.count("outbox_events", "sent").await > before).await;
        waits.push(began.elapsed());
    }
    waits.sort();
    waits[2]
}

on_both! {
    async fn a_row_and_its_event_commit_together(backend: Backend) {
        let app = Pair::create(backend).await.a;
        tally::new(1).insert(&app.db).await.expect("a save on the pool");
        assert_eq!(counts(&app).await, (1, 1));

        let txn = app.db.begin().await.expect("a transaction");
        tally::new(2).insert(&txn).await.expect("a save in it");
        tally::new(3).insert(&txn).await.expect("another");
        txn.commit().await.expect("a commit");
        assert_eq!(counts(&app).await, (3, 3));
    }

    async fn saves_on_the_pool_get_their_turn_when_a_transaction_ends(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let mode = Some(SqliteTransactionMode::Immediate);
        let writing = TransactionOptions { sqlite_transaction_mode: mode, ..Default::default() };
        let txn = app.db.begin_with_options(writing).await.expect("a transaction");
        let on_the_pool = |value| {
            let db = app.db.clone();
            tokio::spawn(async move { tally::new(value).insert(&db).await.map(drop) })
        };
        let saves: Vec<_> = (0..20).map(on_the_pool).collect();
        tally::new(20).insert(&txn).await.expect("a save in it while others wait");
        txn.commit().await.expect("a commit");
        for save in saves {
            save.await.expect("a task").expect("a save on the pool");
        }
        assert_eq!(counts(&app).await, (21, 21));
    }

    async fn saves_that_meet_on_the_pool_queue_instead_of_looking_for_a_gap(backend: Backend) {
        let app = Pair::create(backend).await.a;
        // In this time SQLite looks six times whether nobody writes, which is too seldom while so many do.
        let db = app.connect_impatiently(Duration::from_millis(20)).await;
        let id = visitor("Ada").insert(&db).await.expect("a save").id;
        let writers = (0..8).map(|writer| {
            let db = db.clone();
            tokio::spawn(async move {
                for turn in 0..25 {
                    tally::new(25 * writer + turn).insert(&db).await.expect("a save on the pool");
                    seen(id, turn).update(&db).await.expect("a save of what stays here");
                }
            })
        });
        join_all(writers).await.into_iter().for_each(|writer| writer.expect("a writer"));
        assert_eq!(counts(&app).await, (200, 201));
    }

    async fn a_rolled_back_save_leaves_nothing(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let txn = app.db.begin().await.expect("a transaction");
        tally::new(1).insert(&txn).await.expect("a save");
        insert_generically(tally::new(2), &txn).await.expect("a save by generic code");
        txn.rollback().await.expect("a rollback");
        assert_eq!(counts(&app).await, (0, 0));
    }

    async fn a_save_that_could_not_be_atomic_is_refused_before_it_writes(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let kept = tally::new(1).insert(&app.db).await.expect("a save");
        let refused = insert_generically(tally::new(2), &app.db).await.expect_err("no transaction");
        let text = refused.to_string();
        assert!(text.contains("a `tally` must be saved within a transaction"), "{text}");
        assert!(text.contains("C: ConnectionTrait + TransactionTrait"), "{text}");
        delete_generically(kept.into_active_model(), &app.db).await.expect_err("no transaction");
        assert_eq!(counts(&app).await, (1, 1));
    }

    async fn a_row_that_cannot_be_read_back_is_not_changed(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let row = samples::specimen().into_active_model().reset_all().insert(&app.db).await.expect("a save");
        app.sql("UPDATE specimens SET mood = 'neither'").await;
        let change = || specimen::ActiveModel { id: Unchanged(row.id), text: Set("changed".to_owned()), ..Default::default() };

        let txn = app.db.begin().await.expect("a transaction");
        change().update(&txn).await.expect_err("a mood that the entity does not know");
        // A transaction that failed may fail to commit: what counts is what it leaves.
        let _ = txn.commit().await;
        assert_eq!(app.texts("SELECT text FROM specimens").await, [row.text]);
        assert_eq!(app.recorded().await.len(), 1);
    }

    async fn an_update_of_no_row_leaves_its_transaction_as_it_was(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let txn = app.db.begin().await.expect("a transaction");
        let nobody = tally::ActiveModel { id: Unchanged(Uuid::now_v7()), value: Set(1), ..Default::default() };
        assert_eq!(nobody.update(&txn).await, Err(DbErr::RecordNotUpdated));
        tally::new(2).insert(&txn).await.expect("a save");
        txn.commit().await.expect("a commit");
        assert_eq!(counts(&app).await, (1, 1));
    }

    async fn a_row_whose_event_cannot_be_recorded_is_not_saved(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let kept = tally::new(1).insert(&app.db).await.expect("a save");
        app.sql("ALTER TABLE outbox_events RENAME TO outbox_elsewhere").await;
        tally::new(2).insert(&app.db).await.expect_err("no outbox");
        kept.clone().delete(&app.db).await.expect_err("no outbox");

        let txn = app.db.begin().await.expect("a transaction");
        tally::new(3).insert(&txn).await.expect_err("no outbox");
        // A commit of a transaction that failed may fail itself: what counts is what it leaves.
        let _ = txn.commit().await;
        let txn = app.db.begin().await.expect("a transaction");
        insert_generically(tally::new(4), &txn).await.expect_err("no outbox");
        let _ = txn.commit().await;

        app.sql("ALTER TABLE outbox_elsewhere RENAME TO outbox_events").await;
        assert_eq!(counts(&app).await, (1, 1));
        assert_eq!(tally::Entity::find().one(&app.db).await.expect("a row"), Some(kept));
    }

    async fn a_hook_that_ignores_that_its_event_was_not_recorded_keeps_no_row(backend: Backend) {
        let app = Pair::create(backend).await.a;
        app.sql("ALTER TABLE outbox_events RENAME TO outbox_elsewhere").await;
        let _ = guarded(guarded::CARELESS).insert(&app.db).await;
        app.sql("ALTER TABLE outbox_elsewhere RENAME TO outbox_events").await;
        assert_eq!(guarded::Entity::find().all(&app.db).await.expect("rows"), []);
    }

    async fn a_value_without_a_form_in_json_is_not_saved(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let no_number = || specimen::ActiveModel { double: Set(f64::NAN), ..samples::specimen().into() };
        no_number().insert(&app.db).await.expect_err("NaN is no JSON");
        let txn = app.db.begin().await.expect("a transaction");
        no_number().insert(&txn).await.expect_err("NaN is no JSON");
        let _ = txn.commit().await;
        assert_eq!(specimen::Entity::find().count(&app.db).await.expect("a count"), 0);
        assert_eq!(app.recorded().await.len(), 0);
    }

    async fn isolation_above_read_committed_is_refused(backend: Backend) {
        let app = Pair::create(backend).await.a;
        if backend == Backend::Sqlite {
            // Its transactions are serial: a save that began after another one's commit has seen it.
            let txn = app.db.begin().await.expect("a transaction");
            tally::new(1).insert(&txn).await.expect("a save");
            txn.commit().await.expect("a commit");
            return;
        }
        let payload = json!({"value": 2, "remark": "new", "updated_at": "2026-01-01T00:00:00Z"});
        let event = Remote::event("tally", "created", Uuid::now_v7(), payload);
        let event = Envelope::read(event.to_string().as_bytes(), None, &app.config.destination_app).expect("an event");
        for level in [IsolationLevel::RepeatableRead, IsolationLevel::Serializable] {
            let txn = app.db.begin_with_config(Some(level), None).await.expect("a transaction");
            let refused = tally::new(1).insert(&txn).await.expect_err("a snapshot");
            assert!(refused.to_string().contains("READ COMMITTED"), "{refused}");
            let _ = txn.commit().await;

            let txn = app.db.begin_with_config(Some(level), None).await.expect("a transaction");
            let refused = jsb_runtime::sync_from_event(&txn, &event).await.expect_err("a snapshot");
            assert!(refused.to_string().contains("READ COMMITTED"), "{refused}");
            let _ = txn.commit().await;
        }
        assert_eq!(counts(&app).await, (0, 0));
    }

    async fn isolation_above_read_committed_by_default_is_refused_at_start(backend: Backend) {
        let app = Pair::create(backend).await.a;
        if backend == Backend::Postgres {
            let name = app.texts("SELECT current_database()::text").await.remove(0);
            app.sql(&format!("ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")).await;
        }
        let started = jsb_runtime::start(app.config.clone(), app.database.connect().await).await;
        match (backend, started) {
            (Backend::Postgres, started) => {
                let refused = started.expect_err("a refusal").to_string();
                assert!(refused.contains("repeatable read"), "{refused}");
            }
            (Backend::Sqlite, started) => started.expect("SQLite has no such setting").shutdown().await.expect("a stop"),
        }
    }

    async fn a_key_that_the_other_side_could_not_keep_is_refused(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let label = |bytes| label::ActiveModel { code: Set("x".repeat(bytes)), caption: Set(String::new()), ..Default::default() };
        label(512).insert(&app.db).await.expect("the longest key");
        let refused = label(513).insert(&app.db).await.expect_err("a longer key").to_string();
        assert!(refused.contains("`resource_id` is longer"), "{refused}");
        let found = label::Entity::find().count(&app.db).await.expect("a count");
        assert_eq!((found, app.recorded().await.len()), (1, 1));
    }

    async fn a_transaction_that_read_before_another_wrote_says_what_to_do(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let txn = app.db.begin().await.expect("a transaction");
        tally::Entity::find().all(&txn).await.expect("a read");
        tally::new(1).insert(&app.db).await.expect("a save of somebody else's");
        let saved = tally::new(2).insert(&txn).await;
        match backend {
            Backend::Postgres => assert_eq!(saved.expect("READ COMMITTED goes on").value, 2),
            Backend::Sqlite => {
                let refused = saved.expect_err("SQLITE_BUSY_SNAPSHOT").to_string();
                assert!(refused.contains("SqliteTransactionMode::Immediate"), "{refused}");
            }
        }
    }

    async fn every_way_to_save_publishes(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let id = Uuid::now_v7();
        let row = tally::ActiveModel { id: Set(id), value: Set(1), ..Default::default() };
        let row = row.insert(&app.db).await.expect("an insert");
        let mut row = row.into_active_model();
        row.value = Set(2);
        let row = row.save(&app.db).await.expect("a save of what is there");
        let mut row = row.try_into_model().expect("a whole row").into_active_model();
        row.value = Set(3);
        let row = row.update(&app.db).await.expect("an update");
        let mut row = row.into_active_model();
        row.value = Set(4);
        let result = row.update_without_returning(&app.db).await.expect("an update that returns nothing");
        assert_eq!(result.rows_affected, 1);
        let row = tally::Entity::find_by_id(id).one(&app.db).await.expect("a read").expect("the row");
        assert_eq!(row.value, 4);
        assert_eq!(row.clone().delete(&app.db).await.expect("a delete of a model").rows_affected, 1);
        assert_eq!(row.clone().delete(&app.db).await.expect("a delete of nothing").rows_affected, 0);
        let again = tally::ActiveModel { id: Set(id), value: Set(5), ..Default::default() };
        let again = again.insert(&app.db).await.expect("an insert after the delete");
        assert!(again.updated_at > row.updated_at);
        again.into_active_model().delete(&app.db).await.expect("a delete of an active model");
        assert_eq!(
            types(&app).await,
            ["created", "updated", "updated", "updated", "deleted", "created", "deleted"]
        );
        let numbers: Vec<_> = app.recorded().await.iter().map(|event| event["payload"]["value"].clone()).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 4, 5, 5]);
    }

    async fn the_dense_format_s_nested_save_publishes(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let nested = organization::ActiveModel::builder()
            .set_name("Acme")
            .set_domain("acme.example")
            .set_active(true)
            .set_created_at(chrono::Utc::now())
            .add_user(user::ActiveModel::builder().set_name("Ada"))
            .add_user(user::ActiveModel::builder().set_name("Bob"));
        let saved = nested.save(&app.db).await.expect("a nested save");
        assert_eq!(types(&app).await, ["created", "created", "created"]);
        let bob = user::Entity::find_by_id(3).one(&app.db).await.expect("a read").expect("Bob, the second to draw an odd id");
        assert_eq!(bob.name, "Bob");
        saved.delete(&app.db).await.expect("a nested delete");
        assert_eq!(types(&app).await[3..], ["deleted", "deleted", "deleted"]);
    }

    async fn an_update_that_changes_nothing_publishes_nothing(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let row = tally::new(1).insert(&app.db).await.expect("a save");
        let same = row.clone().into_active_model().update(&app.db).await.expect("an update of nothing");
        assert_eq!(same, row);
        assert_eq!(types(&app).await, ["created"]);
    }

    async fn a_save_of_the_version_alone_sends_the_whole_row(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let row = jsb_runtime::skip_publish(tally::new(1).insert(&app.db)).await.expect("a row that was there already");
        let mut again = row.clone().into_active_model();
        again.reset(tally::Column::UpdatedAt);
        let sent = again.update(&app.db).await.expect("an update of nothing else");
        assert!((sent.id, sent.value) == (row.id, 1) && sent.updated_at > row.updated_at, "{sent:?}");
        let events = app.recorded().await;
        assert_eq!((events.len(), &events[0]["payload"]["value"]), (1, &json!(1)));
    }

    async fn hooks_of_one_s_own_come_first(backend: Backend) {
        let app = Pair::create(backend).await.a;
        guarded("").insert(&app.db).await.expect_err("empty");
        let saved = guarded("loud").insert(&app.db).await.expect("a save");
        assert_eq!(saved.text, "LOUD");
        let recorded = app.recorded().await;
        assert_eq!(recorded.len(), 1);
        assert_eq!(recorded[0]["payload"]["text"], "LOUD");
        saved.delete(&app.db).await.expect("a delete");
        assert_eq!(types(&app).await, ["created", "deleted"]);
    }

    async fn what_a_hook_does_to_other_rows_does_not_hide_the_row_s_own_change(backend: Backend) {
        let app = Pair::create(backend).await.a;
        tally::new(1).insert(&app.db).await.expect("a save");
        let mut row = guarded("quiet").insert(&app.db).await.expect("a save").into_active_model();
        row.text = Set(guarded::SOCIABLE.to_owned());
        row.update(&app.db).await.expect("an update");
        let event = app.recorded().await.pop().expect("an event");
        assert_eq!((&event["event_type"], &event["payload"]["text"]), (&json!("updated"), &json!(guarded::SOCIABLE)));
    }

    async fn skip_publish_keeps_the_version_of_rows_and_tombstones(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let row = tally::new(1).insert(&app.db).await.expect("a save");
        let quietly = async {
            let mut change = row.clone().into_active_model();
            change.value = Set(2);
            change.updated_at = Set(row.updated_at + chrono::TimeDelta::seconds(1));
            let changed = change.update(&app.db).await.expect("an update");
            assert_eq!((changed.value, changed.updated_at), (2, row.updated_at));
            changed.delete(&app.db).await.expect("a delete");
            tally::new(3).insert(&app.db).await.expect("an insert").delete(&app.db).await.expect("a delete");
            insert_generically(tally::new(4), &app.db).await.expect("nothing is published that needs a transaction");
        };
        jsb_runtime::skip_publish(quietly).await;
        assert_eq!(counts(&app).await, (1, 1));
        let select = format!("SELECT version FROM sync_tombstones WHERE resource_id = '{}'", row.id);
        let found = app.db.query_one_raw(sea_orm::Statement::from_string(app.db.get_database_backend(), select)).await;
        let tombstone = found.expect("a read").expect("the tombstone");
        assert_eq!(tombstone.try_get::<chrono::DateTime<chrono::Utc>>("", "version").expect("a version"), row.updated_at);
    }

    async fn a_delete_that_each_side_does_for_itself_is_not_published(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let row = keepsake::ActiveModel { id: Set(Uuid::now_v7()), name: Set("ring".to_owned()), ..Default::default() };
        let row = row.insert(&pair.a.db).await.expect("a save");
        row.clone().delete(&pair.a.db).await.expect("a delete");
        assert_eq!(types(&pair.a).await, ["created"]);
        pair.start_both().await;
        pair.quiet().await;
        let (a, b) = pair.rows::<keepsake::Entity>().await;
        assert_eq!((a, b), (vec![], vec![row.clone()]));

        // A row that is made anew is newer than what the other side has by a clock that is ahead.
        let ahead = (chrono::Utc::now() + chrono::TimeDelta::hours(2)).format("%Y-%m-%d %H:%M:%S%.6f+00:00");
        pair.b.sql(&format!("UPDATE keepsakes SET updated_at = '{ahead}'")).await;
        let renamed = keepsake::ActiveModel { id: Unchanged(row.id), name: Set("old ring".to_owned()), ..Default::default() };
        renamed.update(&pair.b.db).await.expect("an update");
        pair.quiet().await;
        let found = keepsake::Entity::find().one(&pair.a.db).await.expect("a read").expect("the row is back");
        found.delete(&pair.a.db).await.expect("a delete");
        let anew = keepsake::ActiveModel { id: Set(row.id), name: Set("new ring".to_owned()), ..Default::default() };
        anew.insert(&pair.a.db).await.expect("a save");
        pair.quiet().await;
        let (a, b) = pair.rows::<keepsake::Entity>().await;
        assert_eq!((a[0].name.as_str(), &a), ("new ring", &b));
        pair.stop().await;
    }

    async fn a_skipped_column_stays_here(backend: Backend) {
        let pair = Pair::start(backend).await;
        let row = label::ActiveModel {
            code: Set("x".to_owned()),
            caption: Set("X".to_owned()),
            drawer: Set(Some("left".to_owned())),
            ..Default::default()
        };
        let row = row.insert(&pair.a.db).await.expect("a save");
        assert_eq!(pair.a.recorded().await[0]["payload"].as_object().expect("an object").len(), 3);
        pair.quiet().await;
        let (_, mut b) = pair.rows::<label::Entity>().await;
        let there = b.remove(0);
        assert_eq!(there, label::Model { drawer: None, ..row.clone() });
        let mut change = there.into_active_model();
        change.drawer = Set(Some("right".to_owned()));
        change.caption = Set("Y".to_owned());
        change.update(&pair.b.db).await.expect("an update");
        pair.quiet().await;
        let (a, b) = pair.rows::<label::Entity>().await;
        assert_eq!((a[0].caption.as_str(), a[0].drawer.as_deref()), ("Y", Some("left")));
        assert_eq!((b[0].caption.as_str(), b[0].drawer.as_deref()), ("Y", Some("right")));
        pair.stop().await;
    }

    async fn a_save_of_what_stays_here_undoes_no_edit_of_the_other_side(backend: Backend) {
        let mut pair = Pair::start(backend).await;
        let row = visitor("Ada").insert(&pair.a.db).await.expect("a save");
        pair.quiet().await;
        pair.a.stop().await;
        pair.b.stop().await;
        let renamed = visitor::ActiveModel { id: Unchanged(row.id), name: Set("Bob".to_owned()), ..Default::default() };
        renamed.update(&pair.b.db).await.expect("an edit on B");

        let saved = seen(row.id, 1_999).update(&pair.a.db).await.expect("an update");
        assert_eq!(saved, visitor::Model { seen_at: chrono::DateTime::from_timestamp_micros(1), ..row.clone() });
        let result = seen(row.id, 2_999).update_without_returning(&pair.a.db).await.expect("one that returns nothing");
        assert_eq!(result.rows_affected, 1);
        seen(row.id, 3_999).save(&pair.a.db).await.expect("a save of what is there");
        let txn = pair.a.db.begin().await.expect("a transaction");
        let saved = seen(row.id, 4_999).update(&txn).await.expect("an update in it");
        txn.commit().await.expect("a commit");
        assert_eq!(saved, visitor::Model { seen_at: chrono::DateTime::from_timestamp_micros(4), ..row });
        assert_eq!(seen(Uuid::now_v7(), 0).update(&pair.a.db).await, Err(DbErr::RecordNotUpdated));
        assert_eq!(types(&pair.a).await, ["created"]);

        pair.start_both().await;
        pair.quiet().await;
        let (a, b) = pair.rows::<visitor::Entity>().await;
        assert_eq!((a[0].name.as_str(), a[0].seen_at), ("Bob", saved.seen_at));
        assert_eq!((b[0].name.as_str(), b[0].seen_at), ("Bob", None));
        pair.stop().await;
    }

    async fn a_version_a_year_ahead_stops_saves(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let ahead = skewed(chrono::TimeDelta::days(500), tally::new(1).insert(&app.db)).await;
        let ahead = ahead.expect("a save by a wrong clock");
        let mut change = ahead.into_active_model();
        change.value = Set(2);
        let refused = change.update(&app.db).await.expect_err("a version that far ahead").to_string();
        assert!(refused.contains("more than a year ahead"), "{refused}");
        assert_eq!(counts(&app).await, (1, 1));
    }

    async fn a_start_that_fails_changes_nothing_for_those_who_run(backend: Backend) {
        let mut app = Pair::create(backend).await.a;
        app.start().await;
        let wrong = app.config.clone().use_outbox(false).auto_provision(false).stream_name("nowhere");
        jsb_runtime::start(wrong, app.db.clone()).await.expect_err("no consumer there");
        tally::new(1).insert(&app.db).await.expect("a save");
        assert_eq!(counts(&app).await, (1, 1));
        app.stop().await;
    }

    async fn a_clock_that_is_ahead_makes_nothing_old(backend: Backend) {
        let mut pair = Pair::start(backend).await;
        tally::new(1).insert(&pair.a.db).await.expect("a save");
        pair.quiet().await;
        pair.a.stop().await;
        pair.b.stop().await;
        let years = chrono::TimeDelta::days(700);
        for app in [&mut pair.a, &mut pair.b] {
            app.sql("DELETE FROM sync_leases").await;
            skewed(years, app.start()).await;
            until("it looks for what is old", async || {
                let lease = app.texts("SELECT name FROM sync_leases WHERE name = 'retention'").await;
                !lease.is_empty()
            })
            .await;
            // It ends what it has begun.
            app.stop().await;
        }
        assert_eq!(pair.a.texts("SELECT status FROM outbox_events").await, ["sent"]);
        assert_eq!(pair.b.texts("SELECT status FROM inbox_events").await, ["processed"]);
    }

    async fn without_an_outbox_events_go_out_after_the_commit(backend: Backend) {
        let mut pair = Pair::configured(backend, |config| config.use_outbox(false)).await;
        pair.start_both().await;
        let row = tally::new(1).insert(&pair.a.db).await.expect("a save");
        pair.b.has_settled(1).await;
        let txn = pair.a.db.begin().await.expect("a transaction");
        let refused = tally::new(2).insert(&txn).await.expect_err("nobody tells when it commits").to_string();
        assert!(refused.contains("USE_OUTBOX is off"), "{refused}");
        let _ = txn.commit().await;
        let (a, b) = pair.rows::<tally::Entity>().await;
        assert_eq!((a.as_slice(), b.as_slice()), ([row.clone()].as_slice(), [row.clone()].as_slice()));
        row.delete(&pair.b.db).await.expect("a delete");
        pair.a.has_settled(1).await;
        assert_eq!(counts(&pair.a).await, (0, 0));
        pair.a.stop().await;
        let refused = tally::new(3).insert(&pair.a.db).await.expect_err("no bridge").to_string();
        assert!(refused.contains("no bridge for this database runs"), "{refused}");
        assert_eq!(counts(&pair.a).await, (0, 0));
        pair.b.stop().await;
    }

    async fn without_an_outbox_what_is_rolled_back_does_not_go_out(backend: Backend) {
        let mut pair = Pair::configured(backend, |config| config.use_outbox(false)).await;
        pair.start_both().await;
        refuse_the_thirteenth(&pair.a, backend).await;
        tally::new(13).insert(&pair.a.db).await.expect_err("a commit that is refused");
        tally::new(1).insert(&pair.a.db).await.expect("a save");
        assert_eq!(sent(&pair.a, 1).await, [1]);

        let event = json!({"event_id": "1", "event_type": "retried", "resource_type": "capture", "resource_id": "1"});
        Remote::of(&pair.b).await.publish(&event).await;
        assert_eq!(sent(&pair.b, 2).await, [2]);
        pair.stop().await;
    }

    async fn without_an_outbox_a_save_on_another_database_goes_its_own_way(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.a.config = pair.a.config.clone().use_outbox(false);
        pair.start_both().await;
        share(&pair.a, &pair.b).await;
        pair.a.has_settled(1).await;
        assert_eq!(pair.b.recorded().await.len(), 1, "the other database has an outbox");
        assert_eq!(sent(&pair.a, 1).await, [1]);

        pair.b.has_settled(1).await;
        share(&pair.b, &pair.a).await;
        pair.b.has_settled(2).await;
        let errors = pair.b.texts("SELECT last_error FROM inbox_events WHERE status = 'dead'").await;
        assert!(errors.len() == 1 && errors[0].contains("nobody tells JSB"), "{errors:?}");
        assert_eq!(pair.b.recorded().await.len(), 1);
        for app in [&pair.a, &pair.b] {
            OTHERS.lock().unwrap_or_else(PoisonError::into_inner).remove(&app.config.app_name);
        }
        pair.stop().await;
    }

    async fn a_save_wakes_the_relay(backend: Backend) {
        let mut app = Pair::configured(backend, |config| config.roles([Role::Relay])).await.a;
        app.start().await;
        let save = async |value| drop(tally::new(value).insert(&app.db).await.expect("a save"));
        let wait = time_to_send(&app, save).await;
        assert!(wait < Duration::from_secs(1), "{wait:?}");
        app.stop().await;
    }
}
