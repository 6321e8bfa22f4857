//! What stands in a person's way is in the status for as long as it does.

use std::time::{Duration, Instant};

use jsb_runtime::Role;
use jsb_tests::entities::ticket;
use jsb_tests::{App, Backend, Pair, eventually, lasts, until};
use sea_orm::DbErr;

pub(crate) async fn problem_of(app: &App, task: &str) -> Option<String> {
    let problems = app.status().await.problems;
    problems.into_iter().find(|problem| problem.starts_with(&format!("{task}: ")))
}

on_both! {
    async fn what_jetstream_refuses_is_a_problem_while_it_waits_too(backend: Backend) {
        let mut pair = Pair::configured(backend, |config| config.backoff([Duration::from_secs(600); 5])).await;
        pair.a.start().await;
        pair.b.start().await;
        pair.a.stop().await;
        ticket::saved(&pair.a.db).await;
        // The server refuses what expects another state of the stream.
        let expects_another = "UPDATE outbox_events SET headers = '{\"Nats-Expected-Last-Sequence\": \"999\"}'";
        pair.a.sql(expects_another).await;
        pair.a.start().await;
        until("it is refused", async || {
            let refused = pair.a.texts("SELECT last_error FROM outbox_events WHERE attempts > 0").await;
            !refused.is_empty()
        })
        .await;
        // The relay looks again a second later, and then ever more rarely.
        let began = Instant::now();
        until("it was looked at again", async || {
            let problem = problem_of(&pair.a, "relay").await;
            assert!(problem.is_some_and(|problem| problem.contains("JetStream refused the message")));
            began.elapsed() > Duration::from_secs(5)
        })
        .await;
        pair.a.sql("UPDATE outbox_events SET headers = '{}', attempts = 0").await;
        until("all is well", async || problem_of(&pair.a, "relay").await.is_none()).await;
        pair.quiet().await;
        pair.stop().await;
    }

    async fn a_relay_that_the_database_refuses_says_so(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.a.start().await;
        pair.b.start().await;
        pair.a.sql("ALTER TABLE sync_leases RENAME TO elsewhere").await;
        ticket::saved(&pair.a.db).await;
        eventually("the relay cannot take its lease", || async { Ok::<_, DbErr>(problem_of(&pair.a, "outbox").await) }).await;
        pair.a.sql("ALTER TABLE elsewhere RENAME TO sync_leases").await;
        pair.quiet().await;
        until("all is well", async || problem_of(&pair.a, "outbox").await.is_none()).await;
        pair.stop().await;
    }
}

/// How many transactions a PostgreSQL has taken back, as far as that is counted by now.
async fn rollbacks(app: &App) -> i64 {
    let sql = "SELECT CAST(xact_rollback AS TEXT) FROM pg_stat_database WHERE datname = current_database()";
    app.texts(sql).await[0].parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inbox_that_cannot_be_read_is_not_asked_without_a_pause() {
    let mut pair = Pair::create(Backend::Postgres).await;
    // The retention would ask it too.
    pair.b.config = pair.b.config.clone().roles([Role::Consumer]);
    pair.b.sql("ALTER TABLE inbox_events RENAME TO elsewhere").await;
    let before = rollbacks(&pair.b).await;
    pair.b.start().await;
    until("it was asked", async || rollbacks(&pair.b).await > before).await;
    // In which it would be asked some hundred times.
    lasts(Duration::from_secs(5)).await;
    let asked = rollbacks(&pair.b).await - before;
    assert!(asked < 20, "it was asked {asked} times");
    pair.b.sql("ALTER TABLE elsewhere RENAME TO inbox_events").await;
    pair.stop().await;
}
