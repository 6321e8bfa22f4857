//! The commands on the outbox and the inbox, end to end.

mod drain;
mod endings;
mod filters;
mod listed;
mod outbox;
mod republish;
mod retry;

use chrono::{DateTime, Utc};
use jsb_tests::entities::{organization, ticket, user};
use jsb_tests::{App, Backend, Cli, Pair};
use sea_orm::ActiveValue::{Set, Unchanged};
use serde_json::Value as Json;
use uuid::Uuid;

const DECLINED: i32 = 5;
const UNHEALTHY: i32 = 4;

/// More than one batch.
const MANY: i64 = 2_500;

fn cli(app: &App) -> Cli {
    Cli::of(env!("CARGO_BIN_EXE_cli"), app)
}

fn text<'a>(json: &'a Json, field: &str) -> &'a str {
    json[field].as_str().unwrap_or_else(|| panic!("no text `{field}`: {json}"))
}

fn time(json: &Json, field: &str) -> DateTime<Utc> {
    text(json, field).parse().expect("a time of RFC 3339")
}

async fn organization(app: &App, domain: &str, name: &str) -> organization::Model {
    let row = organization::ActiveModel { name: Set(name.to_owned()), ..organization::new(domain) };
    row.insert(&app.db).await.expect("a save")
}

async fn user(app: &App, organization_id: i64) -> user::Model {
    let name = Set("Ada".to_owned());
    user::ActiveModel { organization_id: Set(organization_id), name, ..Default::default() }
        .insert(&app.db)
        .await
        .expect("a save")
}

async fn renumber(app: &App, id: Uuid, numbers: impl IntoIterator<Item = i64>) {
    for number in numbers {
        let change = ticket::ActiveModel { id: Unchanged(id), number: Set(number), ..Default::default() };
        change.update(&app.db).await.expect("a save");
    }
}

/// The numbers of tickets that the stream holds from A, in its order.
async fn numbers(pair: &Pair) -> Vec<i64> {
    let subject = format!("{}.sync.{}", pair.a.config.app_name, pair.b.config.app_name);
    let messages = pair.a.stream().await.messages(&subject).await;
    messages.iter().map(|message| message.json()["payload"]["number"].as_i64().expect("a number")).collect()
}

/// Outbox rows by the thousand, of which nothing is published yet.
async fn fill_outbox(app: &App, backend: Backend, status: &str, sent_at: &str) {
    let numbers = match backend {
        Backend::Postgres => format!("SELECT n FROM generate_series(1, {MANY}) AS s(n)"),
        Backend::Sqlite => {
            format!("WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {MANY}) SELECT n FROM s")
        }
    };
    app.sql(&format!(
        "INSERT INTO outbox_events (event_id, resource_type, resource_id, event_type, payload, headers, occurred_at, \
         status, attempts, available_at, created_at, sent_at) \
         SELECT '{status}-' || n, 'probe', '{status}-' || n, 'record', '{{}}', '{{}}', {sent_at}, '{status}', 1, \
         {sent_at}, {sent_at}, {sent_at} FROM ({numbers}) AS numbers"
    ))
    .await;
}

const LONG_AGO: &str = "'2026-01-01T00:00:00+00:00'";
