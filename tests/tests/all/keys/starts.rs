//! What a start refuses of a database, and what it asks of it.

use std::time::Duration;

use jsb_runtime::{Config, StartError};
use jsb_tests::entities::organization;
use jsb_tests::{App, Backend, Pair, Remote, until};
use sea_orm::{DbBackend, SqliteTransactionMode, TransactionOptions, TransactionTrait};
use sea_orm_migration::SchemaManager;

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
    async fn a_node_other_than_the_database_s_is_refused_at_start(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let refused = refusal(&app, app.config.clone().node(0, 2)).await;
        assert!(matches!(refused, StartError::Keys { .. }), "{refused}");
        assert!(refused.to_string().contains("NODE_INDEX and NODE_COUNT say 0 of 2"), "{refused}");
        let refused = refusal(&app, app.config.clone().node(1, 3)).await;
        assert!(matches!(refused, StartError::Keys { .. }), "{refused}");
    }

    async fn keys_that_were_never_interleaved_are_refused(backend: Backend) {
        let app = Pair::create(backend).await.a;
        app.sql("DELETE FROM sync_keys WHERE table_name = 'organizations'").await;
        let refused = refusal(&app, app.config.clone()).await;
        assert!(refused.to_string().contains("jsb_migrations::interleave(manager, \"organizations\""), "{refused}");
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
