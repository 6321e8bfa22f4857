//! Promise 7: while NATS or the database is away nothing is dead-lettered and nothing is held against an event, and work
//! resumes by itself.

mod database;
mod jetstream;
mod load;
mod nats;
mod slow;

use std::sync::Mutex;
use std::time::Duration;

use jsb_tests::entities::organization;
use jsb_tests::{Pair, until};
use sea_orm::ActiveValue::Set;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};

/// How soon work must go on after an outage: the client connects again every two seconds.
const AT_ONCE: Duration = Duration::from_secs(10);

async fn save(db: &DatabaseConnection, domain: &str) -> Result<organization::Model, DbErr> {
    save_named(db, domain, domain).await
}

async fn save_named(db: &DatabaseConnection, name: &str, domain: &str) -> Result<organization::Model, DbErr> {
    let row = organization::ActiveModel { name: Set(name.to_owned()), ..organization::new(domain) };
    row.insert(db).await
}

/// Waits until both sides hold these many rows, the same ones.
async fn both_hold(pair: &Pair, rows: usize) {
    until(&format!("both sides hold {rows} rows"), async || {
        let (a, b) = pair.rows::<organization::Entity>().await;
        a.len() == rows && a == b
    })
    .await;
}

/// Nothing of this pair was buried, and nothing counts as a failure.
async fn nothing_was_held_against_anyone(pair: &Pair) {
    let stream = pair.a.stream().await;
    for app in [&pair.a, &pair.b] {
        let letters = stream.messages(&format!("{}.sync.dlq", app.config.app_name)).await;
        assert!(letters.is_empty(), "{letters:?}");
        let failures = app.db.query_all_raw(sea_orm::Statement::from_string(
            app.db.get_database_backend(),
            "SELECT last_error FROM inbox_events WHERE attempts > 0 OR status <> 'processed' \
             UNION ALL SELECT last_error FROM outbox_events WHERE attempts > 0 OR status <> 'sent'",
        ));
        let failures = failures.await.expect("the tables");
        let failures: Vec<Option<String>> = failures.iter().map(|row| row.try_get("", "last_error").ok()).collect();
        assert!(failures.is_empty(), "{failures:?}");
    }
}

/// The subjects of publishes that were lost.
static LOST: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn note_and_lose(subject: &str) -> bool {
    let loses = subject.contains(".sync.");
    if loses {
        LOST.lock().expect("no test panics here").push(subject.to_owned());
    }
    loses
}
