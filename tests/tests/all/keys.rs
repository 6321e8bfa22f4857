//! Keys that two systems draw at once never collide, and a database is what its bridge takes it for.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use jsb_runtime::{Config, StartError};
use jsb_tests::entities::specimen::Size;
use jsb_tests::entities::{membership, organization, tally};
use jsb_tests::{App, Backend, Pair, Remote, eventually, until};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait,
};
use sea_orm_migration::SchemaManager;
use serde_json::{Value as Json, json};

use crate::problems::problem_of;

/// A row whose key the database draws, on one of the systems alone.
mod receipt {
    use jsb_runtime::prelude::*;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "receipts")]
    #[syncable(resource = "receipt", keys = "single_writer")]
    pub(super) struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub updated_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}
}

/// How many there may be of a size, which PostgreSQL has as a type of its own.
mod quota {
    use jsb_runtime::prelude::*;
    use jsb_tests::entities::specimen::Size;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
    #[sea_orm(table_name = "quotas")]
    #[syncable(resource = "quota")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub size: Size,
        pub most: i64,
        pub updated_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}
}

/// Creates 64 rows at once; gives back their ids.
async fn create_64(app: &App, name: &str) -> BTreeSet<i64> {
    let creates = (0..64).map(|number| {
        let (db, row) = (app.db.clone(), organization::new(format!("{name}-{number}.example")));
        tokio::spawn(async move { row.insert(&db).await.expect("a save").id })
    });
    join_all(creates).await.into_iter().map(|id| id.expect("a creator")).collect()
}

async fn next_drawn(app: &App) -> i64 {
    organization::new(format!("{}.example", uuid::Uuid::now_v7())).insert(&app.db).await.expect("a key that is free").id
}

/// Has node 1 of so many draw the keys, as if they had never been interleaved.
async fn interleave_anew(app: &App, node_count: u32) {
    app.sql("DELETE FROM sync_keys WHERE table_name = 'organizations'").await;
    let manager = SchemaManager::new(&app.db);
    let interleaved = jsb_migrations::interleave(&manager, "organizations", "id", 1, node_count).await;
    interleaved.expect("the keys are interleaved");
}

/// Creates a row as a program does that was built without `Syncable`.
async fn create_without_jsb(txn: &DatabaseTransaction, domain: &str) -> i64 {
    let sql = "INSERT INTO organizations (name, domain, created_at, updated_at) VALUES ('Acme', $1, now(), now()) \
               RETURNING id";
    let insert = Statement::from_sql_and_values(DbBackend::Postgres, sql, [domain.into()]);
    let row = txn.query_one_raw(insert).await.expect("an insert").expect("a row");
    row.try_get_by_index(0).expect("its id")
}

/// A `created` event of the other side's on the organization `id`.
fn created(id: i64, updated_at: &str) -> Json {
    Remote::event("organization", "created", id, organization::payload(id, &format!("{id}.example"), updated_at))
}

/// What an event says, said by this app, and as another event.
fn said_by(app: &App, mut event: Json) -> Json {
    event["event_id"] = json!(uuid::Uuid::now_v7());
    event["producer"] = json!(app.config.app_name);
    event
}

/// Has an application take these events of the other one.
async fn tell(app: &App, events: &[Json]) {
    let known = app.status().await.inbox_events;
    Remote::of(app).await.publish_all(events).await;
    app.has_settled(known + events.len() as u64).await;
}

async fn refusal(app: &App, config: Config) -> StartError {
    jsb_runtime::start(config, app.db.clone()).await.expect_err("a refusal")
}

/// Gives the text in the key of `memberships` another type, or collation.
async fn group_memberships_by(app: &App, group: &str) {
    let sql = match app.db.get_database_backend() {
        DbBackend::Postgres => format!("ALTER TABLE memberships ALTER COLUMN \"group\" TYPE {group}"),
        _ => format!(
            "DROP TABLE memberships; CREATE TABLE memberships (\"group\" {group}, member bigint, role text NOT NULL, \
             updated_at timestamptz NOT NULL, PRIMARY KEY (\"group\", member)) WITHOUT ROWID"
        ),
    };
    app.sql(&sql).await;
}

on_both! {
    async fn both_sides_create_at_once_and_no_key_collides(backend: Backend) {
        let pair = Pair::start(backend).await;
        let (odd, even) = tokio::join!(create_64(&pair.a, "a"), create_64(&pair.b, "b"));
        assert!(odd.len() == 64 && odd.iter().all(|id| id % 2 == 1), "{odd:?}");
        assert!(even.len() == 64 && even.iter().all(|id| id % 2 == 0), "{even:?}");
        assert_eq!((odd.first(), even.first()), (Some(&1), Some(&2)));
        pair.quiet().await;
        let (a, b) = pair.rows::<organization::Entity>().await;
        assert_eq!((a.len(), a), (128, b));
        pair.stop().await;
    }

    async fn a_chosen_key_must_be_of_this_node_s_class(backend: Backend) {
        let pair = Pair::create(backend).await;
        for (app, own, other) in [(&pair.a, 7, 8), (&pair.b, 8, 7)] {
            let with_id = |id| organization::ActiveModel { id: Set(id), ..organization::new(format!("{id}.example")) };
            let refused = with_id(other).insert(&app.db).await.expect_err("the other node's").to_string();
            assert!(refused.contains("belongs to another node"), "{refused}");
            let txn = app.db.begin().await.expect("a transaction");
            with_id(own).insert(&txn).await.expect("a key of its own");
            txn.commit().await.expect("a commit");
            assert_eq!(app.recorded().await.len(), 1);
        }
    }

    async fn a_chosen_key_is_passed_over_by_those_that_are_drawn(backend: Backend) {
        let app = Pair::create(backend).await.a;
        for (id, next) in [(3, [5, 7]), (2_000_001, [2_000_003, 2_000_005])] {
            let chosen = organization::ActiveModel { id: Set(id), ..organization::new(format!("chosen-{id}.example")) };
            chosen.insert(&app.db).await.expect("a key of its own");
            assert_eq!([next_drawn(&app).await, next_drawn(&app).await], next);
        }
    }

    async fn keys_of_rows_that_come_back_are_passed_over_by_those_that_are_drawn(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let known = |id: i64| organization::ActiveModel { id: Set(id), ..organization::new(format!("{id}.example")) };
        jsb_runtime::skip_publish(known(1).insert(&pair.a.db)).await.expect("an import");
        assert_eq!(next_drawn(&pair.a).await, 3);
        // Rows that were lost here: the other side still has them. One comes alone, then three together.
        pair.a.start().await;
        let remote = Remote::of(&pair.a).await;
        let lost = |id: i64| {
            let row = organization::payload(id, &format!("{id}.example"), "2026-01-01T00:00:00Z");
            Remote::event("organization", "updated", id, row)
        };
        remote.publish(&lost(5)).await;
        pair.a.has_settled(1).await;
        assert_eq!(next_drawn(&pair.a).await, 7);
        pair.a.stop().await;
        remote.publish_all(&[lost(9), lost(11), lost(12)]).await;
        pair.a.start().await;
        pair.a.has_settled(4).await;
        assert_eq!(next_drawn(&pair.a).await, 13);
        pair.stop().await;
    }

    async fn a_node_other_than_the_database_s_is_refused_at_start(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let refused = refusal(&app, app.config.clone().node(0, 2)).await;
        assert!(matches!(refused, StartError::Keys { .. }), "{refused}");
        assert!(refused.to_string().contains("NODE_INDEX and NODE_COUNT say 0 of 2"), "{refused}");
        let refused = refusal(&app, app.config.clone().node(1, 3)).await;
        assert!(matches!(refused, StartError::Keys { .. }), "{refused}");
    }

    async fn the_other_side_leaves_keys_to_draw(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.a.start().await;
        let last = organization::payload(i64::MAX, "last.example", "2026-01-01T00:00:00Z");
        let event = Remote::event("organization", "created", i64::MAX.to_string(), last);
        Remote::of(&pair.a).await.publish(&event).await;
        until("the row is there", async || {
            let found = pair.a.texts("SELECT domain FROM organizations").await;
            found == ["last.example"]
        })
        .await;
        assert_eq!(next_drawn(&pair.a).await, 1);
        assert_eq!(next_drawn(&pair.a).await, 3);
        pair.a.stop().await;
    }

    /// A table whose own ids have come so far still gives every row one.
    async fn a_key_that_is_chosen_in_the_upper_half_is_not_drawn_again(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let next = i64::MAX / 2 + 2;
        app.sql(&format!("UPDATE sync_keys SET next_id = {next}")).await;
        if backend == Backend::Postgres {
            app.sql(&format!("SELECT setval(pg_get_serial_sequence('organizations', 'id'), {next}, false)")).await;
        }
        let chosen = organization::ActiveModel { id: Set(next), ..organization::new("chosen.example") };
        chosen.insert(&app.db).await.expect("a key of its own");
        let mut drawn = organization::new("drawn.example").insert(&app.db).await;
        if backend == Backend::Postgres {
            drawn.expect_err("the one that is taken is drawn once, in vain");
            drawn = organization::new("drawn.example").insert(&app.db).await;
        }
        assert_eq!(drawn.expect("a key").id, next + 2);
        assert_eq!(next_drawn(&app).await, next + 4);
    }

    async fn keys_that_were_never_interleaved_are_refused(backend: Backend) {
        let app = Pair::create(backend).await.a;
        app.sql("DELETE FROM sync_keys WHERE table_name = 'organizations'").await;
        let refused = refusal(&app, app.config.clone()).await;
        assert!(refused.to_string().contains("jsb_migrations::interleave(manager, \"organizations\""), "{refused}");
    }

    async fn a_row_is_not_saved_before_its_keys_are_interleaved(backend: Backend) {
        let mut app = Pair::create(backend).await.a;
        // Before the first start nothing is saved in one statement.
        for is_started in [false, true] {
            if is_started {
                interleave_anew(&app, 2).await;
                app.start().await;
            }
            app.sql("DELETE FROM sync_keys WHERE table_name = 'organizations'").await;
            let row = || organization::new("early.example");
            let on_pool = row().insert(&app.db).await;
            let silent = jsb_runtime::skip_publish(row().insert(&app.db)).await;
            let txn = app.db.begin().await.expect("a transaction");
            let within = row().insert(&txn).await;
            txn.commit().await.expect("a commit");
            for saved in [on_pool, silent, within] {
                let refused = saved.expect_err("a key that the other side draws too").to_string();
                assert!(refused.contains("were never set up"), "{refused}");
            }
            assert_eq!(app.texts("SELECT domain FROM organizations").await, [""; 0]);
        }
        app.stop().await;
    }

    async fn both_sides_say_that_they_draw_the_same_keys(backend: Backend) {
        // The events come one by one, and together.
        for rows in [1, 10] {
            let mut pair = Pair::configured(backend, |config| config.node(1, 2)).await;
            for (app, name) in [(&pair.a, "a"), (&pair.b, "b")] {
                for number in 0..rows {
                    organization::new(format!("{name}-{number}.example")).insert(&app.db).await.expect("a save");
                }
            }
            pair.a.start().await;
            pair.a.has_sent(rows).await;
            pair.b.start().await;
            for (app, other) in [(&pair.a, &pair.b), (&pair.b, &pair.a)] {
                let problem = eventually("it is noticed", || async { Ok::<_, DbErr>(problem_of(app, "keys").await) }).await;
                assert!(problem.contains(&other.config.app_name) && problem.contains("NODE_INDEX"), "{problem}");
            }
            pair.quiet().await;
            let (a, b) = pair.rows::<organization::Entity>().await;
            assert_eq!((a.len() as i64, a), (rows, b));
            pair.stop().await;
        }
    }

    async fn keys_that_only_one_side_has_drawn_are_no_problem(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let known = |id: i64| organization::ActiveModel { id: Set(id), ..organization::new(format!("{id}.example")) };
        // As node 1 of 3, A drew a key that by now is of B's share.
        interleave_anew(&pair.a, 3).await;
        assert_eq!([next_drawn(&pair.a).await, next_drawn(&pair.a).await], [1, 4]);
        known(4).delete(&pair.a.db).await.expect("a delete");
        interleave_anew(&pair.a, 2).await;
        pair.start_both().await;
        pair.quiet().await;
        // Keys that were deleted, by either side, are used once more; a row of A's is changed.
        known(2).insert(&pair.b.db).await.expect("a save");
        known(2).delete(&pair.b.db).await.expect("a delete");
        for id in [2, 4] {
            known(id).insert(&pair.b.db).await.expect("a key of its own");
        }
        let change = organization::ActiveModel { id: Unchanged(1), name: Set("Changed".to_owned()), ..Default::default() };
        change.update(&pair.b.db).await.expect("a save");
        pair.quiet().await;
        let published_again = pair.b.recorded().await.into_iter().map(|event| said_by(&pair.b, event));
        tell(&pair.a, &published_again.collect::<Vec<_>>()).await;
        // A row that is older than the shares: it is changed here, and its event comes once more.
        tell(&pair.a, &[created(7, "2026-01-01T00:00:00Z")]).await;
        let change = organization::ActiveModel { id: Unchanged(7), name: Set("Changed".to_owned()), ..Default::default() };
        change.update(&pair.a.db).await.expect("a save");
        tell(&pair.a, &[created(7, "2026-01-02T00:00:00Z")]).await;
        // An echo.
        next_drawn(&pair.a).await;
        let newest = pair.a.recorded().await.pop().expect("an event");
        tell(&pair.a, &[said_by(&pair.b, newest)]).await;
        for app in [&pair.a, &pair.b] {
            assert_eq!(problem_of(app, "keys").await, None);
        }
        pair.stop().await;
    }

    async fn keys_of_deleted_rows_are_not_drawn_again_after_a_change_of_nodes(backend: Backend) {
        let app = Pair::create(backend).await.a;
        assert_eq!([next_drawn(&app).await, next_drawn(&app).await, next_drawn(&app).await], [1, 3, 5]);
        app.sql("DELETE FROM organizations WHERE id > 1").await;
        interleave_anew(&app, 3).await;
        assert_eq!(next_drawn(&app).await, 7);
    }

    async fn a_low_key_does_not_set_back_what_is_drawn_first(backend: Backend) {
        let app = Pair::create(backend).await.a;
        assert_eq!([next_drawn(&app).await, next_drawn(&app).await, next_drawn(&app).await], [1, 3, 5]);
        interleave_anew(&app, 2).await;
        app.sql("DELETE FROM organizations WHERE id = 3").await;
        let back = organization::ActiveModel { id: Set(3), ..organization::new("back.example") };
        back.insert(&app.db).await.expect("a key of its own");
        assert_eq!(next_drawn(&app).await, 7);
    }

    async fn a_number_of_a_natural_key_is_not_left_to_the_database(backend: Backend) {
        let pair = Pair::create(backend).await;
        let unnumbered = || membership::ActiveModel { group: Set("choir".to_owned()), role: Set("alto".to_owned()), ..Default::default() };
        let refused = unnumbered().insert(&pair.a.db).await.expect_err("no key").to_string();
        assert!(refused.contains("`membership.member` is a part of a composite key, so that its number must be given"), "{refused}");
        // The derive takes none for such a key.
        assert!(!refused.contains("keys ="), "{refused}");
        let refused = jsb_runtime::skip_publish(unnumbered().insert(&pair.a.db)).await.expect_err("no key").to_string();
        assert!(refused.contains("its number must be given"), "{refused}");
    }

    async fn an_update_without_its_key_leaves_its_transaction_as_it_was(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let txn = app.db.begin().await.expect("a transaction");
        let refused = organization::new("nobody.example").update(&txn).await.expect_err("no key");
        assert!(matches!(refused, DbErr::PrimaryKeyNotSet { .. }), "{refused}");
        organization::new("acme.example").insert(&txn).await.expect("a save");
        txn.commit().await.expect("a commit");
        assert_eq!(app.recorded().await.len(), 1);
    }

    async fn an_insert_that_a_trigger_skips_leaves_its_transaction_as_it_was(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let trigger = match backend {
            Backend::Postgres => {
                "CREATE FUNCTION skip_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
                 CREATE TRIGGER skip_row BEFORE INSERT ON tallies \
                 FOR EACH ROW WHEN (NEW.value < 0) EXECUTE FUNCTION skip_row()"
            }
            Backend::Sqlite => {
                "CREATE TRIGGER skip_row BEFORE INSERT ON tallies WHEN NEW.value < 0 BEGIN SELECT RAISE(IGNORE); END"
            }
        };
        app.sql(trigger).await;
        let txn = app.db.begin().await.expect("a transaction");
        let skipped = tally::new(-1).insert(&txn).await.expect_err("no row");
        assert!(matches!(skipped, DbErr::RecordNotFound(_)), "{skipped}");
        tally::new(1).insert(&txn).await.expect("a save");
        txn.commit().await.expect("a commit");
        assert_eq!(app.texts("SELECT CAST(value AS text) FROM tallies").await, ["1"]);
        assert_eq!(app.recorded().await.len(), 1);
    }

    async fn a_key_of_which_different_texts_are_equal_is_refused_at_start(backend: Backend) {
        let mut app = Pair::create(backend).await.a;
        let lax = match backend {
            Backend::Postgres => {
                let of_icu = "SELECT collname::text FROM pg_collation WHERE collname LIKE '%-x-icu'";
                if app.texts(of_icu).await.is_empty() {
                    // A PostgreSQL that is built without ICU has no such collations.
                    return;
                }
                let folding = "(provider = icu, locale = 'und-u-ks-level2', deterministic = false)";
                app.sql(&format!("CREATE COLLATION folding {folding}; CREATE DOMAIN folded AS text COLLATE folding")).await;
                [("text COLLATE folding", "folding"), ("folded", "folding")]
            }
            Backend::Sqlite => [("text COLLATE NOCASE", "NOCASE"), ("text COLLATE RTRIM", "RTRIM")],
        };
        for (group, collation) in lax {
            group_memberships_by(&app, group).await;
            let refused = refusal(&app, app.config.clone()).await;
            assert!(matches!(refused, StartError::Keys { table: "memberships", .. }), "{refused}");
            let expected = format!("column `group` compares by `{collation}`");
            assert!(refused.to_string().contains(&expected), "{refused}");
        }
        group_memberships_by(&app, "text").await;
        // What is no part of the key may compare as it likes.
        match backend {
            Backend::Postgres => app.sql("ALTER TABLE memberships ALTER COLUMN role TYPE text COLLATE folding").await,
            Backend::Sqlite => app.sql("CREATE UNIQUE INDEX roles ON memberships (role COLLATE NOCASE)").await,
        }
        app.start().await;
        app.stop().await;
    }

    async fn another_app_s_database_is_refused_at_start(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.a.start().await;
        let mut config = pair.a.config.clone();
        std::mem::swap(&mut config.app_name, &mut config.destination_app);
        let refused = refusal(&pair.a, config).await;
        assert!(matches!(refused, StartError::ForeignDatabase { .. }), "{refused}");
        pair.a.stop().await;
    }
}

/// As by an instance that is about to be replaced, from before the table was synced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_are_drawn_and_not_committed_yet_are_not_drawn_again() {
    let app = Pair::create(Backend::Postgres).await.a;
    let txn = app.db.begin().await.expect("a transaction");
    let first = create_without_jsb(&txn, "first.example").await;
    let second = async {
        until("the table waits to be interleaved", async || {
            let waiting = "SELECT query FROM pg_stat_activity WHERE datname = current_database() \
                           AND wait_event_type = 'Lock' AND query LIKE 'ALTER SEQUENCE%'";
            !app.texts(waiting).await.is_empty()
        })
        .await;
        let second = create_without_jsb(&txn, "second.example").await;
        txn.commit().await.expect("a commit");
        second
    };
    let ((), second) = tokio::join!(interleave_anew(&app, 2), second);
    assert_eq!([first, second, next_drawn(&app).await], [1, 3, 5]);
}

/// Its own rows, and those of its share that come back from the other side, with rights on tables and no sequence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_needs_rights_on_its_tables_alone() {
    let pair = Pair::create(Backend::Postgres).await;
    let role = format!("app_{}", uuid::Uuid::new_v4().simple());
    let grants = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO";
    pair.a.sql(&format!("CREATE ROLE {role} LOGIN; {grants} {role}")).await;
    let db = sea_orm::Database::connect(pair.a.database.url.replacen("postgres@", &format!("{role}@"), 1)).await;
    let db = db.expect("a connection of its own");
    let bridge = jsb_runtime::start(pair.a.config.clone(), db.clone()).await.expect("a start");
    assert_eq!(organization::new("own.example").insert(&db).await.expect("a save").id, 1);
    let lost = organization::payload(5, "lost.example", "2026-01-01T00:00:00Z");
    let event = Remote::event("organization", "created", "5", lost);
    Remote::of(&pair.a).await.publish(&event).await;
    until("it is back", async || {
        let found = pair.a.texts("SELECT domain FROM organizations WHERE id = 5").await;
        found == ["lost.example"]
    })
    .await;
    bridge.shutdown().await.expect("a stop");
}

/// SQLite has no sequences.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sequence_that_draws_for_somebody_else_is_refused_at_start() {
    let app = Pair::create(Backend::Postgres).await.a;
    let id = organization::new("first.example").insert(&app.db).await.expect("a save").id;
    app.sql("TRUNCATE organizations RESTART IDENTITY CASCADE").await;
    let again = organization::new("again.example").insert(&app.db).await.expect("a save").id;
    assert_eq!((id, again), (1, 1));
    app.sql("SELECT setval(pg_get_serial_sequence('organizations', 'id'), 4)").await;
    let refused = refusal(&app, app.config.clone()).await.to_string();
    assert!(refused.contains("delete the table's row of `sync_keys`"), "{refused}");
    app.sql("ALTER TABLE organizations ALTER COLUMN id SET INCREMENT BY 1 RESTART WITH 7").await;
    let refused = refusal(&app, app.config.clone()).await.to_string();
    assert!(refused.contains("does not draw for node 1 of 2"), "{refused}");
    app.sql("ALTER TABLE organizations ALTER COLUMN id SET INCREMENT BY 2").await;
    jsb_runtime::start(app.config.clone(), app.db.clone())
        .await
        .expect("its own share")
        .shutdown()
        .await
        .expect("a stop");
}

/// SQLite has no such type, and not every PostgreSQL comes with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_citext_is_refused_at_start() {
    let app = Pair::create(Backend::Postgres).await.a;
    let available = "SELECT name::text FROM pg_available_extensions WHERE name = 'citext'";
    if app.texts(available).await.is_empty() {
        return;
    }
    app.sql("CREATE EXTENSION citext; CREATE DOMAIN address AS citext").await;
    for group in ["citext", "address"] {
        group_memberships_by(&app, group).await;
        let refused = refusal(&app, app.config.clone()).await;
        assert!(matches!(refused, StartError::Keys { table: "memberships", .. }), "{refused}");
        assert!(refused.to_string().contains("column `group` compares by `citext`"), "{refused}");
    }
}

/// SQLite keeps texts as they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_column_that_keeps_too_little_is_refused_at_start() {
    let app = Pair::create(Backend::Postgres).await.a;
    app.sql("ALTER TABLE organizations ALTER COLUMN updated_at TYPE timestamptz(3)").await;
    let refused = refusal(&app, app.config.clone()).await;
    assert!(matches!(refused, StartError::Precision { digits: 3, .. }), "{refused}");
    app.sql("ALTER TABLE organizations ALTER COLUMN updated_at TYPE timestamptz(6)").await;
    jsb_runtime::start(app.config.clone(), app.db.clone()).await.expect("six digits").shutdown().await.expect("a stop");
}

/// PostgreSQL draws no key twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_whose_keys_are_drawn_again_is_refused_at_start() {
    let app = Pair::create(Backend::Sqlite).await.a;
    app.sql("CREATE TABLE receipts (id integer PRIMARY KEY, updated_at timestamptz NOT NULL)").await;
    let refused = refusal(&app, app.config.clone()).await;
    assert!(matches!(refused, StartError::Keys { table: "receipts", .. }), "{refused}");
    assert!(refused.to_string().contains("AUTOINCREMENT"), "{refused}");
    let table = "CREATE TABLE receipts (id integer PRIMARY KEY AUTOINCREMENT, updated_at timestamptz NOT NULL)";
    app.sql(&format!("DROP TABLE receipts; {table}")).await;
    let bridge = jsb_runtime::start(app.config.clone(), app.db.clone()).await.expect("keys of its own");
    let first = receipt::ActiveModel::default().insert(&app.db).await.expect("a save");
    let key = first.id;
    first.delete(&app.db).await.expect("a delete");
    let next = receipt::ActiveModel::default().insert(&app.db).await.expect("a save");
    assert!(next.id > key, "{} after {key}", next.id);
    bridge.shutdown().await.expect("a stop");
}

/// A handler that runs in another process may hold the write lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_interleaved_already_is_not_written_by_another_start() {
    let app = Pair::create(Backend::Sqlite).await.a;
    let starting = app.connect_impatiently(Duration::from_millis(50)).await;
    let options =
        TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..Default::default() };
    let writer = app.db.begin_with_options(options).await.expect("the write lock");
    let manager = SchemaManager::new(&starting);
    jsb_migrations::interleave(&manager, "organizations", "id", 1, 2).await.expect("nothing to write");
    let refused = jsb_migrations::interleave(&manager, "organizations", "id", 0, 2).await.expect_err("another node");
    assert!(refused.to_string().contains("as node 1 of 2 already"), "{refused}");
    writer.rollback().await.expect("the end");
}

/// SQLite keeps enums as texts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_whose_key_is_an_enum_are_applied_together() {
    let mut pair = Pair::create(Backend::Postgres).await;
    let table = "CREATE TABLE quotas (size size PRIMARY KEY, most bigint NOT NULL, updated_at timestamptz NOT NULL)";
    pair.b.sql(table).await;
    pair.b.start().await;
    pair.b.stop().await;
    let event = |event_type: &str, number: usize| {
        let size = if number.is_multiple_of(2) { "small" } else { "very large" };
        let updated_at = format!("2026-01-01T00:{:02}:{:02}Z", number / 60, number % 60);
        Remote::event("quota", event_type, size, json!({"size": size, "most": number, "updated_at": updated_at}))
    };
    let mut events: Vec<_> = (0..100).map(|number| event("updated", number)).collect();
    events.push(event("deleted", 100));
    Remote::of(&pair.b).await.publish_all(&events).await;
    pair.b.start().await;
    pair.b.has_settled(101).await;
    let rows = quota::Entity::find().all(&pair.b.db).await.expect("the quotas");
    assert_eq!(rows.iter().map(|row| (row.size, row.most)).collect::<Vec<_>>(), [(Size::Large, 99)]);
    let times = pair.b.texts("SELECT DISTINCT received_at::text FROM inbox_events").await;
    assert!(times.len() < 20, "{} transactions for 101 events", times.len());
    pair.b.stop().await;
}
