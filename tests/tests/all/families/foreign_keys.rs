//! Foreign keys that would change rows by themselves.

use jsb_runtime::StartError;
use jsb_tests::{Backend, Pair};

on_both! {
    async fn a_foreign_key_that_acts_by_itself_is_refused_at_start(backend: Backend) {
        let app = Pair::create(backend).await.a;
        app.sql("CREATE TABLE local (id BIGINT PRIMARY KEY)").await;
        let acts = |parent: &'static str| ["DELETE CASCADE", "UPDATE SET NULL"].map(|acting| (parent, acting));
        for (to, acting) in acts("organizations").into_iter().chain(acts("local")) {
            let key = format!("FOREIGN KEY (organization_id) REFERENCES {to} (id) ON {acting}");
            match backend {
                Backend::Postgres => {
                    app.sql("ALTER TABLE users DROP CONSTRAINT IF EXISTS acting").await;
                    app.sql(&format!("ALTER TABLE users ADD CONSTRAINT acting {key}")).await;
                }
                Backend::Sqlite => {
                    app.sql("DROP TABLE users").await;
                    app.sql(&format!("CREATE TABLE users (id INTEGER PRIMARY KEY, organization_id BIGINT, {key})")).await;
                }
            }
            let refused = jsb_runtime::start(app.config.clone(), app.db.clone()).await.expect_err("a refusal");
            let StartError::Cascade { child, parent, action } = refused else { panic!("{refused}") };
            assert_eq!((child.as_str(), parent.as_str(), action.as_str()), ("users", to, acting));
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
