//! `jsb health`: whether an operator should look.

use std::time::Duration;

use jsb_runtime::operate::{Check, Extent, Finding, Limits};
use serde_json::json;

use super::status::report;
use crate::exit::Exit;
use crate::settings::Settings;
use crate::terminal::{Terminal, note, table};
use crate::times;

/// What is still healthy.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long an event may wait to be published, and to be delivered and acknowledged
    #[arg(long, value_parser = times::duration, default_value = "5m")]
    max_pending_age: Duration,
    /// How many events may wait for their first delivery
    #[arg(long, default_value_t = 10_000)]
    max_lag: u64,
    /// How long an event may have failed, or be parked
    #[arg(long, value_parser = times::duration, default_value = "1h")]
    max_waiting_age: Duration,
    /// How many events of the outbox may be such as can never be published
    #[arg(long, default_value_t = 0)]
    max_failed: u64,
    /// How many letters may be in the DLQ
    #[arg(long, default_value_t = 0)]
    max_dead: u64,
}

pub(super) async fn run(args: Args, settings: &Settings, terminal: &Terminal) -> anyhow::Result<Exit> {
    let mut limits = Limits::default();
    limits.max_pending_age = args.max_pending_age;
    limits.max_lag = args.max_lag;
    limits.max_waiting_age = args.max_waiting_age;
    limits.max_unpublishable = args.max_failed;
    limits.max_dead = args.max_dead;
    let report = report(settings, Extent::Judged).await?;
    let checks = report.checks(&limits);
    let is_healthy = !checks.iter().any(Check::is_fault);
    if report.is_connected && report.is_blind() {
        note(format_args!(
            "neither the stream nor the consumer could be seen: compare STREAM_NAME, APP_NAME and the user of NATS_URL"
        ));
    }
    terminal.show(&json!({"healthy": is_healthy, "checks": checks}), |_| human(&checks))?;
    Ok(if is_healthy { Exit::Done } else { Exit::Unhealthy })
}

fn human(checks: &[Check]) -> String {
    let row = |check: &Check| {
        let finding = match check.finding {
            Finding::Ok => "ok",
            Finding::Fault => "FAULT",
            _ => "unknown",
        };
        [finding.to_owned(), check.name.to_owned(), check.detail.clone()]
    };
    table(["", "check", "found"], checks.iter().map(row).collect(), "")
}
