//! `jsb status`: how far events have come.

use chrono::{DateTime, Utc};
use humantime::format_duration;
use jsb_runtime::Tables;
use jsb_runtime::operate::{self, ConsumerState, Extent, Limits, Part, Report, StreamState};
use sea_orm::DatabaseConnection;
use serde::Serialize;

use crate::exit::Exit;
use crate::settings::Settings;
use crate::terminal::{Terminal, facts, note, table};
use crate::times;

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    report: Report,
    problems: Vec<String>,
}

pub(crate) async fn run(settings: &Settings, terminal: &Terminal) -> anyhow::Result<Exit> {
    let report = report(settings, Extent::Everything).await?;
    let faults = report.checks(&Limits::default()).into_iter().filter(|check| check.is_fault());
    let problems = faults.map(|check| format!("{}: {}", check.name, check.detail)).collect();
    let is_blind = report.is_blind() && report.tables.seen().is_none();
    terminal.show(&Shown { report, problems }, human)?;
    if is_blind {
        note("error: nothing was seen; what is shown says why");
        return Ok(Exit::Failed);
    }
    Ok(Exit::Done)
}

/// All that can be seen of the server, and of the database if one is given.
pub(super) async fn report(settings: &Settings, extent: Extent) -> anyhow::Result<Report> {
    let config = settings.config()?;
    let use_dlq = config.use_dlq;
    let db: Option<anyhow::Result<DatabaseConnection>> = match settings.has_database() {
        true => Some(settings.database().await),
        false => None,
    };
    let found = db.as_ref().and_then(|db| db.as_ref().ok());
    let mut report = operate::report(config, found, extent).await;
    if let Some(Err(error)) = db {
        let why = crate::describe(&error);
        // Without a DLQ they are in the inbox.
        if !use_dlq {
            report.dead_letters = Part::fault(why.as_str());
        }
        report.tables = Part::fault(why);
    }
    Ok(report)
}

fn human(shown: &Shown) -> String {
    let report = &shown.report;
    let resources = match report.resources.as_slice() {
        [] => "none are known to this program".to_owned(),
        resources => resources.join(", "),
    };
    let letters = part(&report.dead_letters, ToString::to_string);
    let mut text = match &report.stream {
        Part::Seen(seen) => stream(seen),
        unseen => format!("stream {}", part(unseen, |_| String::new())),
    };
    text += &format!("\n\n{}\n\n", consumers(&[(&report.app, &report.consumer), (&report.destination, &report.peer)]));
    text += &facts([("dead letters", Some(letters)), ("resources", Some(resources))]);
    text += &match &report.tables {
        Part::Seen(seen) => format!("\n{}\n", tables(seen)),
        unseen => format!("\ntables {}\n", part(unseen, |_| String::new())),
    };
    for problem in &shown.problems {
        text += &format!("\n! {problem}");
    }
    text
}

fn part<T>(part: &Part<T>, show: impl FnOnce(&T) -> String) -> String {
    match part {
        Part::Seen(seen) => show(seen),
        Part::Unseen { unseen, .. } => format!("not seen: {unseen}"),
    }
}

fn stream(stream: &StreamState) -> String {
    facts([
        ("stream", Some(stream.name.clone())),
        ("messages", Some(stream.messages.to_string())),
        ("bytes", Some(stream.bytes.to_string())),
        ("replicas", Some(stream.replicas.to_string())),
        ("leader", stream.leader.clone()),
        ("first", stream.first_at.map(times::full)),
        ("last", stream.last_at.map(times::full)),
    ])
    .trim_end()
    .to_owned()
}

fn consumers(consumers: &[(&str, &Part<ConsumerState>)]) -> String {
    let row = |consumer: &ConsumerState| {
        [
            consumer.name.clone(),
            consumer.lag.to_string(),
            match consumer.oldest_waiting {
                None if consumer.lag > 0 => "unknown".to_owned(),
                oldest => age(oldest),
            },
            consumer.ack_pending.to_string(),
            consumer.redelivered.to_string(),
            consumer.waiting_pulls.to_string(),
            consumer.last_delivered.map(times::short).unwrap_or_default(),
        ]
    };
    let header = ["consumer", "lag", "oldest", "unacknowledged", "redelivered", "pulls", "last delivered"];
    let rows = consumers.iter().filter_map(|(_, consumer)| consumer.seen()).map(row).collect();
    let unseen = consumers.iter().filter(|(_, consumer)| consumer.seen().is_none());
    let unseen = unseen.map(|(app, consumer)| format!("consumer of {app} {}", part(consumer, |_| String::new())));
    let lines = std::iter::once(table(header, rows, "")).chain(unseen).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

fn tables(tables: &Tables) -> String {
    let row = |table: &str, name: &str, events: u64, oldest| {
        [table.to_owned(), name.to_owned(), events.to_string(), age(oldest)]
    };
    let rows = vec![
        row("outbox", "pending", tables.pending_events, tables.oldest_pending),
        row("outbox", "failed", tables.unpublishable_events, tables.oldest_unpublishable),
        row("outbox", "sent", tables.sent_events, None),
        row("inbox", "failed", tables.failed_events, tables.oldest_failed),
        row("inbox", "parked", tables.parked_events, tables.oldest_parked),
        row("inbox", "dead", tables.dead_events, tables.oldest_dead),
        row("inbox", "processed", tables.processed_events, None),
    ];
    table(["table", "status", "events", "oldest"], rows, "")
}

/// How long ago something was, in whole seconds.
fn age(since: Option<DateTime<Utc>>) -> String {
    let age = since.map(|since| (Utc::now() - since).num_seconds().try_into().unwrap_or(0));
    age.map(|seconds| format_duration(std::time::Duration::from_secs(seconds)).to_string()).unwrap_or_default()
}
