//! P1 where a save is cancelled, as by a limit of time: on a connection itself it has happened as a whole or not at all.

use std::collections::BTreeMap;

use jsb_tests::entities::tally;
use jsb_tests::gate::gate;
use jsb_tests::{App, Backend, Pair, until};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, IntoActiveModel, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use serde_json::json;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// The seed of the keys' locks.
const KEY_LOCKS: i64 = 0x004a_5342;

/// A guarded row that stands at a gate within its save, where its text names one.
mod hesitant {
    use jsb_runtime::{hooks, prelude::*};
    use jsb_tests::gate::gate;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "guarded")]
    #[syncable(resource = "hesitant", behavior = "custom")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub text: String,
        pub updated_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    /// How a text begins that names a gate: before the event is recorded, or behind that.
    pub(super) const GATES: [&str; 2] = ["before", "behind"];

    async fn stand(text: &str, place: &str) {
        if text.starts_with(place) {
            gate(text).pass().await;
        }
    }

    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        async fn before_save<C: ConnectionTrait>(self, db: &C, insert: bool) -> Result<Self, DbErr> {
            hooks::before_save::<Model, _>(self, db, insert).await
        }

        async fn after_save<C: ConnectionTrait>(model: Model, db: &C, insert: bool) -> Result<Model, DbErr> {
            stand(&model.text, GATES[0]).await;
            let saved = hooks::after_save(model, db, insert).await?;
            stand(&saved.text, GATES[1]).await;
            Ok(saved)
        }

        async fn before_delete<C: ConnectionTrait>(self, db: &C) -> Result<Self, DbErr> {
            hooks::before_delete::<Model, _>(self, db).await
        }

        async fn after_delete<C: ConnectionTrait>(self, db: &C) -> Result<Self, DbErr> {
            hooks::after_delete::<Model, _>(self, db).await
        }
    }
}

fn hesitant(text: &str) -> hesitant::ActiveModel {
    hesitant::ActiveModel { id: Set(Uuid::now_v7()), text: Set(text.to_owned()), ..Default::default() }
}

/// The saves of a tally and of a row with hooks of its own that are cancelled, on a connection itself.
#[derive(Clone, Copy, Debug)]
enum Save {
    Insert,
    Update,
    Delete,
    ByOwnHooks,
}

const SAVES: [Save; 4] = [Save::Insert, Save::Update, Save::Delete, Save::ByOwnHooks];

impl Save {
    /// Begins it; an insert gives the row this key, and the others are of the row.
    fn begin(self, db: DatabaseConnection, key: Uuid, row: tally::Model) -> JoinHandle<Result<(), DbErr>> {
        tokio::spawn(async move {
            match self {
                Self::Insert => tally::ActiveModel { id: Set(key), ..tally::new(1) }.insert(&db).await.map(drop),
                Self::Update => {
                    let change = tally::ActiveModel { id: Unchanged(row.id), value: Set(2), ..Default::default() };
                    change.update(&db).await.map(drop)
                }
                Self::Delete => row.delete(&db).await.map(drop),
                Self::ByOwnHooks => hesitant("cancelled").insert(&db).await.map(drop),
            }
        })
    }
}

async fn cancel<T>(save: JoinHandle<T>) {
    save.abort();
    assert!(save.await.is_err_and(|error| error.is_cancelled()), "nothing held it up");
}

/// How many of the pool's connections somebody has.
fn in_use(app: &App, backend: Backend) -> usize {
    let (size, idle) = match backend {
        Backend::Postgres => {
            let pool = app.db.get_postgres_connection_pool();
            (pool.size(), pool.num_idle())
        }
        Backend::Sqlite => {
            let pool = app.db.get_sqlite_connection_pool();
            (pool.size(), pool.num_idle())
        }
    };
    size as usize - idle
}

/// Waits until the database has ended what was cancelled, and checks that a row is written just where its event is recorded.
async fn rows_are_as_their_events_say(app: &App, backend: Backend) {
    until("all connections are back", async || in_use(app, backend) == 0).await;
    if backend == Backend::Postgres {
        let busy = "SELECT query FROM pg_stat_activity \
                    WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid()";
        until("PostgreSQL has ended it", async || app.texts(busy).await.is_empty()).await;
    }
    let mut said = BTreeMap::new();
    for event in app.recorded().await {
        let id = event["resource_id"].as_str().expect("an id").to_owned();
        let field = if event["resource_type"] == "tally" { "value" } else { "text" };
        match event["event_type"] == "deleted" {
            true => said.remove(&id),
            false => said.insert(id, event["payload"][field].clone()),
        };
    }
    let tallies = tally::Entity::find().all(&app.db).await.expect("the tallies").into_iter();
    let guarded = hesitant::Entity::find().all(&app.db).await.expect("the guarded rows").into_iter();
    let rows = tallies.map(|row| (row.id.to_string(), json!(row.value)));
    let rows: BTreeMap<_, _> = rows.chain(guarded.map(|row| (row.id.to_string(), json!(row.text)))).collect();
    assert_eq!(rows, said);
}

on_both! {
    async fn a_save_that_is_cancelled_within_hooks_of_one_s_own_has_not_happened(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let kept = hesitant("kept").insert(&app.db).await.expect("a save");
        for place in hesitant::GATES {
            let [insert, update] = [(); 2].map(|()| format!("{place} {}", Uuid::new_v4()));
            let change = hesitant::ActiveModel { text: Set(update.clone()), ..kept.clone().into_active_model() };
            for (text, is_insert) in [(insert, true), (update, false)] {
                let (db, row) = (app.db.clone(), if is_insert { hesitant(&text) } else { change.clone() });
                let save = tokio::spawn(async move {
                    if is_insert { row.insert(&db).await } else { row.update(&db).await }
                });
                gate(&text).until_reached().await;
                cancel(save).await;
                rows_are_as_their_events_say(&app, backend).await;
            }
        }
        assert_eq!(app.texts("SELECT text FROM guarded").await, ["kept"]);
        kept.delete(&app.db).await.expect("a save goes through");
        rows_are_as_their_events_say(&app, backend).await;
    }
}

/// On SQLite nothing waits in the middle of a save.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_that_is_cancelled_while_it_waits_for_a_lock_happens_as_a_whole_or_not_at_all() {
    // A bridge was started, so that saves are one statement where they can.
    let mut pair = Pair::start(Backend::Postgres).await;
    pair.a.stop().await;
    let app = &pair.a;
    for save in SAVES {
        let (row, key) = (tally::new(0).insert(&app.db).await.expect("a save"), Uuid::now_v7());
        // The key, the row, and the place of the event, which hooks come to when the row is written.
        let obstacles = [
            format!("SELECT pg_advisory_xact_lock(hashtextextended('tally/{key}', {KEY_LOCKS}))"),
            format!("SELECT 1 FROM tallies WHERE id = '{}' FOR UPDATE", row.id),
            "LOCK TABLE outbox_events IN SHARE MODE".to_owned(),
        ];
        let waits_for: &[usize] = match save {
            Save::Insert => &[0, 2],
            Save::Update | Save::Delete => &[1, 2],
            Save::ByOwnHooks => &[2],
        };
        for obstacle in waits_for.iter().map(|place| &obstacles[*place]) {
            let txn = app.db.begin().await.expect("a transaction");
            txn.execute_unprepared(obstacle).await.expect("a lock");
            let save = save.begin(app.db.clone(), key, row.clone());
            app.until_somebody_waits("true").await;
            cancel(save).await;
            txn.rollback().await.expect("an end");
            rows_are_as_their_events_say(app, Backend::Postgres).await;
        }
    }
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn saves_that_are_cancelled_behind_an_immediate_transaction_happen_as_a_whole_or_not_at_all() {
    let app = Pair::create(Backend::Sqlite).await.a;
    let row = tally::new(0).insert(&app.db).await.expect("a save");
    let immediate =
        TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..Default::default() };
    let txn = app.db.begin_with_options(immediate).await.expect("a transaction");
    // Those with hooks of their own wait for the lock, and of the others the first in the queue.
    let saves = SAVES.map(|save| save.begin(app.db.clone(), Uuid::now_v7(), row.clone()));
    until("two of them wait for the lock", async || in_use(&app, Backend::Sqlite) > 2).await;
    for save in saves {
        cancel(save).await;
    }
    txn.rollback().await.expect("an end");
    rows_are_as_their_events_say(&app, Backend::Sqlite).await;
    hesitant("kept").insert(&app.db).await.expect("a save goes through");
    tally::new(1).insert(&app.db).await.expect("a save goes through");
    rows_are_as_their_events_say(&app, Backend::Sqlite).await;
}
