//! Which foreign keys of a synced table are refused at start, since the database would change rows behind the hooks.

use jsb_runtime::StartError;
use jsb_tests::{App, Backend, Pair};

/// Gives a table a foreign key to `to` that does `on`: users by their organization, labels by a column that stays local.
async fn refer(app: &App, backend: Backend, table: &str, to: &str, on: &str) {
    let (column, table_on_sqlite) = match table {
        "users" => ("organization_id", "id INTEGER PRIMARY KEY, organization_id BIGINT, name TEXT, email TEXT"),
        _ => ("drawer", "code TEXT PRIMARY KEY, caption TEXT, drawer TEXT"),
    };
    let key = format!("FOREIGN KEY ({column}) REFERENCES {to} {on}");
    match backend {
        Backend::Postgres => {
            app.sql(&format!("ALTER TABLE {table} DROP CONSTRAINT IF EXISTS acting")).await;
            app.sql(&format!("ALTER TABLE {table} ADD CONSTRAINT acting {key}")).await;
        }
        // No key is added to a table that is there.
        Backend::Sqlite => {
            app.sql(&format!("DROP TABLE {table}")).await;
            app.sql(&format!("CREATE TABLE {table} ({table_on_sqlite}, updated_at TEXT, {key})")).await;
        }
    }
}

async fn pair_with_local_tables(backend: Backend) -> App {
    let app = Pair::create(backend).await.a;
    app.sql("CREATE TABLE local (id BIGINT PRIMARY KEY, name TEXT UNIQUE)").await;
    app
}

/// What a start refuses of foreign keys: whose, to what, and what that does.
async fn refused(app: &App) -> [String; 3] {
    let refused = jsb_runtime::start(app.config.clone(), app.db.clone()).await.expect_err("a refusal");
    let StartError::Cascade { child, parent, action } = refused else { panic!("{refused}") };
    [child, parent, action]
}

on_both! {
    async fn whatever_acts_on_a_column_that_travels_is_refused(backend: Backend) {
        let app = pair_with_local_tables(backend).await;
        for event in ["DELETE", "UPDATE"] {
            for does in ["CASCADE", "SET NULL", "SET DEFAULT"] {
                for parent in ["organizations", "local"] {
                    let action = format!("{event} {does}");
                    refer(&app, backend, "users", &format!("{parent} (id)"), &format!("ON {action}")).await;
                    assert_eq!(refused(&app).await, ["users", parent, &action]);
                }
            }
        }
    }

    async fn a_delete_that_cascades_is_refused_whatever_the_column(backend: Backend) {
        let app = pair_with_local_tables(backend).await;
        refer(&app, backend, "labels", "local (name)", "ON DELETE CASCADE").await;
        assert_eq!(refused(&app).await, ["labels", "local", "DELETE CASCADE"]);
    }

    async fn what_only_refuses_or_acts_on_what_stays_local_is_allowed(backend: Backend) {
        let mut app = pair_with_local_tables(backend).await;
        let harmless = ["", "ON DELETE NO ACTION ON UPDATE NO ACTION", "ON DELETE RESTRICT ON UPDATE RESTRICT"];
        for on in harmless {
            refer(&app, backend, "users", "organizations (id)", on).await;
            app.start().await;
            app.stop().await;
        }
        let local = ["DELETE SET NULL", "DELETE SET DEFAULT", "UPDATE CASCADE", "UPDATE SET NULL", "UPDATE SET DEFAULT"];
        for on in local {
            refer(&app, backend, "labels", "local (name)", &format!("ON {on}")).await;
            app.start().await;
            app.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_key_of_another_schema_s_table_is_nobody_s_business() {
    let mut app = Pair::create(Backend::Postgres).await.a;
    let archive = "CREATE SCHEMA archive; CREATE TABLE archive.users (id BIGINT PRIMARY KEY, organization_id BIGINT \
                   REFERENCES organizations (id) ON DELETE CASCADE)";
    app.sql(archive).await;
    app.start().await;
    app.stop().await;
}
