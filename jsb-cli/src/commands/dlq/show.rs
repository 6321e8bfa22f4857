//! `jsb dlq show`

use std::collections::BTreeMap;

use anyhow::bail;
use jsb_runtime::operate::{Connection, Letter};
use serde::Serialize;
use serde_json::Value as Json;

use crate::exit::Exit;
use crate::terminal::{Terminal, facts, note, pretty};
use crate::times;

/// Which letter is shown.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Its sequence, or the id of its event
    #[arg(value_name = "SEQUENCE|EVENT_ID")]
    letter: String,
}

/// A letter with all that it carries.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    letter: &'a Letter,
    headers: &'a BTreeMap<String, String>,
    /// A text where it is no JSON.
    body: Json,
}

pub(super) async fn run(args: Args, connection: &Connection, terminal: &Terminal) -> anyhow::Result<Exit> {
    let found = connection.dlq().await?.find(std::slice::from_ref(&args.letter)).await?;
    let [older @ .., letter] = found.letters.as_slice() else {
        bail!("no letter has the sequence or the event id `{}`", args.letter);
    };
    let body = serde_json::from_slice(&letter.body);
    let body = body.unwrap_or_else(|_| String::from_utf8_lossy(&letter.body).into_owned().into());
    terminal.show(&Shown { letter, headers: &letter.headers, body }, human)?;
    for older in older {
        note(format_args!("The event has an older letter as well: {}.", older.sequence));
    }
    Ok(Exit::Done)
}

fn human(shown: &Shown<'_>) -> String {
    let letter = shown.letter;
    let text = facts([
        ("sequence", Some(letter.sequence.to_string())),
        ("event", Some(letter.event_id.clone())),
        ("row", letter.row()),
        ("type", letter.event_type.clone()),
        ("reason", Some(letter.reason.clone())),
        ("error", Some(letter.error.clone())),
        ("error class", Some(letter.error_class.clone())),
        ("deliveries", Some(letter.deliveries.to_string())),
        ("dead since", Some(times::full(letter.dead_since))),
        ("came on", Some(letter.original_subject.clone())),
        ("came as", Some(letter.original_sequence.to_string())),
    ]);
    let headers: String = shown.headers.iter().map(|(name, value)| format!("  {name}: {value}\n")).collect();
    let what = if letter.is_reference { "body, a reference: the original had no room" } else { "body" };
    let body = match &shown.body {
        Json::String(text) => text.clone(),
        json => pretty(json),
    };
    format!("{text}\nheaders\n{headers}\n{what}\n{body}")
}
