//! `jsb provision`: brings the server to what the apps need, and shows before what that will change.

use std::time::Duration;

use anyhow::bail;
use jsb_runtime::operate::{Connection, Provisioner};
use jsb_runtime::topology::{Change, Plan, Wanted};
use serde::Serialize;

use crate::exit::Exit;
use crate::pairs::Pairs;
use crate::settings::Settings;
use crate::terminal::Terminal;
use crate::times;

/// What `provision` was given.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pairs: Pairs,
    /// Change nothing; exit with 3 if the server does not have what is wanted
    #[arg(long)]
    check: bool,
    /// How long to wait for NATS
    #[arg(long, default_value = "10s", value_parser = times::duration)]
    timeout: Duration,
}

/// What was found, and what became of it.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    plan: Plan,
    /// The changes that were made, in words.
    made: Vec<String>,
}

pub(crate) async fn run(args: Args, settings: &Settings, terminal: &Terminal) -> anyhow::Result<Exit> {
    let (config, pairs) = args.pairs.resolve(settings)?;
    let wanted = Wanted::pairs(&config, pairs)?;
    let connection = Connection::open_within(args.timeout, config).await?;
    let exit = provide(&Provisioner::new(&connection, wanted), args.check, terminal).await;
    connection.close().await;
    exit
}

async fn provide(provisioner: &Provisioner<'_>, check: bool, terminal: &Terminal) -> anyhow::Result<Exit> {
    let plan = provisioner.plan().await?;
    terminal.say(&plan)?;
    let mut made = Vec::new();
    let outcome = match check {
        true if plan.is_empty() => Ok(Exit::Done),
        true => Ok(Exit::Drift),
        false if !plan.refusals().is_empty() => refused(&plan),
        false => apply(provisioner, &plan, terminal, &mut made).await,
    };
    terminal.show_json(&Report { plan, made })?;
    outcome
}

/// The steps stand in the plan.
fn refused(plan: &Plan) -> anyhow::Result<Exit> {
    let about: Vec<&str> = plan.refusals().iter().map(|refusal| refusal.about.as_str()).collect();
    bail!("nothing was changed, since this needs a person first: {}", about.join(", "))
}

async fn apply(
    provisioner: &Provisioner<'_>,
    plan: &Plan,
    terminal: &Terminal,
    made: &mut Vec<String>,
) -> anyhow::Result<Exit> {
    let done = |change: &Change| {
        let change = summary(change);
        // It is made, whether or not that can be told.
        let _ = terminal.say(format_args!("done: {change}"));
        made.push(change);
    };
    provisioner.apply(plan, done).await?;
    Ok(Exit::Done)
}

fn summary(change: &Change) -> String {
    match change {
        Change::CreateStream { stream, .. } => format!("made stream {stream}"),
        Change::UpdateStream { stream, .. } => format!("changed stream {stream}"),
        Change::CreateConsumer { stream, consumer, .. } => format!("made consumer {consumer} of stream {stream}"),
        Change::UpdateConsumer { stream, consumer, .. } => format!("changed consumer {consumer} of stream {stream}"),
        other => other.to_string(),
    }
}
