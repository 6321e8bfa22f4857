//! The first start on a database says whose it is.

use jsb_runtime::{Config, StartError};
use jsb_tests::entities::ticket;
use jsb_tests::{App, Backend, Pair};

async fn refusal(app: &App, config: Config) -> StartError {
    jsb_runtime::start(config, app.db.clone()).await.expect_err("a refusal")
}

on_both! {
    /// As with the other app's environment.
    async fn a_start_that_fails_leaves_the_database_to_its_app(backend: Backend) {
        let mut app = Pair::create(backend).await.a;
        let mut foreign = app.config.clone().auto_provision(false);
        std::mem::swap(&mut foreign.app_name, &mut foreign.destination_app);
        let refused = refusal(&app, foreign.clone().node(0, 2)).await;
        assert!(matches!(refused, StartError::Keys { .. }), "{refused}");
        let refused = refusal(&app, foreign).await;
        assert!(matches!(refused, StartError::Provision(_)), "{refused}");
        app.start().await;
        assert_eq!(app.texts("SELECT app_name FROM sync_settings").await, [app.config.app_name.as_str()]);
        app.stop().await;
    }

    async fn a_table_that_is_not_as_its_entity_says_is_refused(backend: Backend) {
        let mut app = Pair::create(backend).await.a;
        app.sql("ALTER TABLE tickets RENAME COLUMN number TO figure").await;
        let refused = refusal(&app, app.config.clone()).await;
        assert!(matches!(refused, StartError::Column { table: "tickets", column: "number" }), "{refused}");
        app.sql("ALTER TABLE tickets RENAME COLUMN figure TO number").await;
        app.start().await;
        app.stop().await;
    }

    async fn who_saves_before_the_migrations_is_told_to_run_them(backend: Backend) {
        let app = Pair::create(backend).await.a;
        app.sql("DROP TABLE sync_settings").await;
        let refused = ticket::new(0).insert(&app.db).await.expect_err("no tables").to_string();
        assert!(refused.contains("add `jsb_migrations::all()` to your Migrator"), "{refused}");
        let refused = refusal(&app, app.config.clone()).await;
        assert!(matches!(refused, StartError::NotMigrated(_)), "{refused}");
        assert!(refused.to_string().contains("add `jsb_migrations::all()` to your Migrator"), "{refused}");
    }

    async fn a_column_that_takes_no_values_is_refused_at_start(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let (table, column) = match backend {
            Backend::Postgres => {
                app.sql("ALTER TABLE organizations ALTER COLUMN id SET GENERATED ALWAYS").await;
                ("organizations", "id")
            }
            Backend::Sqlite => {
                let tallies = "DROP TABLE tallies; CREATE TABLE tallies (id BLOB PRIMARY KEY, remark TEXT, updated_at TEXT, \
                               VALUE BIGINT GENERATED ALWAYS AS (length(remark)) STORED)";
                app.sql(tallies).await;
                ("tallies", "value")
            }
        };
        let refused = jsb_runtime::start(app.config.clone(), app.db.clone()).await.expect_err("a refusal");
        let StartError::Generated { table: of, column: found } = refused else { panic!("{refused}") };
        assert_eq!((of, found), (table, column));
    }
}
