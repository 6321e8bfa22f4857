//! What a PostgreSQL keeps, and what becomes of it.

use dev_servers::Postgres;
use sea_orm::{ConnectionTrait, Database, DbErr, Statement};

use crate::{TestResult, exists, is_free, port};

#[tokio::test]
async fn rows_survive_a_stop_and_a_kill() -> TestResult {
    let mut postgres = Postgres::start_own().await?;
    let url = postgres.create_database("kept").await?;
    let busy = Database::connect(&url).await?;
    busy.execute_unprepared("CREATE TABLE rows (id int)").await?;
    insert_one(&url).await?;

    postgres.stop().await?;
    assert!(postgres.pid().is_none());
    assert!(is_free(port(&url)?));
    postgres.restart().await?;
    insert_one(&url).await?;

    postgres.kill().await?;
    postgres.restart().await?;
    assert_eq!(postgres.url("kept"), url);
    assert_eq!(update_all(&url).await?, 2);
    Ok(())
}

#[tokio::test]
async fn commits_reach_the_disk_where_that_is_asked_for() -> TestResult {
    let durable = Postgres::start_own_with(&["fsync=on", "full_page_writes=on"]).await?;
    for (postgres, expected) in [(Postgres::start_own().await?, "off"), (durable, "on")] {
        let db = Database::connect(postgres.url("postgres")).await?;
        for setting in ["fsync", "full_page_writes"] {
            let show = Statement::from_string(db.get_database_backend(), format!("SHOW {setting}"));
            let shown = db.query_one_raw(show).await?.ok_or("a setting")?;
            assert_eq!(shown.try_get_by_index::<String>(0)?, expected, "{setting}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn databases_are_made_and_dropped_while_in_use() -> TestResult {
    let postgres = Postgres::start_own().await?;
    let name = "it's \"odd\"";
    let url = postgres.create_database(name).await?;
    let user = Database::connect(&url).await?;
    user.execute_unprepared("CREATE TABLE rows (id int)").await?;
    assert!(postgres.create_database(name).await.is_err(), "there is one already");

    postgres.drop_database(name).await?;
    postgres.drop_database(name).await?;
    assert!(Database::connect(&url).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_dropped_server_is_gone() -> TestResult {
    let postgres = Postgres::start_own().await?;
    let pid = postgres.pid().ok_or("it runs")?;
    let url = postgres.url("postgres");
    let _busy = Database::connect(&url).await?;
    drop(postgres);
    assert!(is_free(port(&url)?) && !exists(pid));
    Ok(())
}

async fn insert_one(url: &str) -> Result<u64, DbErr> {
    execute(url, "INSERT INTO rows VALUES (1)").await
}

async fn update_all(url: &str) -> Result<u64, DbErr> {
    execute(url, "UPDATE rows SET id = 2").await
}

async fn execute(url: &str, statement: &str) -> Result<u64, DbErr> {
    let database = Database::connect(url).await?;
    Ok(database.execute_unprepared(statement).await?.rows_affected())
}
