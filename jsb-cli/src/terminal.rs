//! What a command shows and asks: tables for people, JSON for programs, questions and progress only on a terminal.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// Where a command shows what it found.
pub(crate) struct Terminal {
    json: bool,
    yes: bool,
}

impl Terminal {
    pub(crate) fn new(json: bool, yes: bool) -> Self {
        Self { json, yes }
    }

    /// Whether programs read what is shown.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Shows a value: as JSON for programs, or as `human` puts it.
    pub(crate) fn show<T: Serialize + ?Sized>(&self, value: &T, human: impl FnOnce(&T) -> String) -> io::Result<()> {
        if self.json { self.show_json(value) } else { self.say(human(value)) }
    }

    /// Shows a value to programs; people have been told as it came about.
    pub(crate) fn show_json<T: Serialize + ?Sized>(&self, value: &T) -> io::Result<()> {
        if self.json { print(&serde_json::to_string_pretty(value)?) } else { Ok(()) }
    }

    /// Tells people what comes about.
    pub(crate) fn say(&self, what: impl ToString) -> io::Result<()> {
        if self.json { Ok(()) } else { print(&what.to_string()) }
    }

    /// Whether to go on with something that cannot be undone. Only a whole line is an answer, and the terminal stays as it is.
    pub(crate) fn confirms(&self, question: &str) -> io::Result<bool> {
        if self.yes {
            return Ok(true);
        }
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            note(format_args!("{question} Nobody can be asked here: write --yes to go on."));
            return Ok(false);
        }
        let mut stderr = io::stderr();
        write!(stderr, "{} [y/N] ", visible(question))?;
        stderr.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        // The end of the input may come in the middle of one.
        Ok(answer.ends_with('\n') && ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
    }

    /// A progress bar for long work, whose length may be unknown; it draws on standard error, if that is a terminal.
    pub(crate) fn progress(&self, what: &'static str, total: Option<u64>) -> ProgressBar {
        let bar =
            if self.json { ProgressBar::hidden() } else { total.map_or_else(ProgressBar::no_length, ProgressBar::new) };
        if let Ok(style) = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        bar.with_prefix(what)
    }
}

/// Says something beside what was asked for, on standard error. Where nobody reads that, nobody is told.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{}", visible(&text.to_string()));
}

fn print(text: &str) -> io::Result<()> {
    match writeln!(io::stdout(), "{}", visible(text.trim_end())) {
        // Whoever read it, such as `head`, has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// A text as it is but for control characters, which would be orders to the terminal: much of what is shown came from others.
/// They are written as in JSON, which has all of them but line breaks within its strings alone.
fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            character if character.is_control() && character != '\n' => {
                visible += &format!("\\u{:04x}", u32::from(character));
            }
            character => visible.push(character),
        }
    }
    visible
}

/// What is known of one thing, a line each; what is not known is left out.
pub(crate) fn facts<const N: usize>(facts: [(&str, Option<String>); N]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let known = facts.into_iter().filter_map(|(name, fact)| Some((name, fact?)));
    known.map(|(name, fact)| format!("{name:width$}  {fact}\n")).collect()
}

/// As much of a text as a column has room for.
pub(crate) fn cut(text: &str) -> String {
    const WIDTH: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    let shortened: String = line.chars().take(WIDTH).collect();
    if shortened == text { shortened } else { format!("{shortened}..") }
}

/// JSON as a person reads it.
pub(crate) fn pretty(json: &serde_json::Value) -> String {
    format!("{json:#}")
}

/// A number of events in words.
pub(crate) fn events(count: u64) -> String {
    if count == 1 { "1 event".to_owned() } else { format!("{count} events") }
}

/// A number of dead letters in words.
pub(crate) fn letters(count: u64) -> String {
    if count == 1 { "1 letter".to_owned() } else { format!("{count} letters") }
}

/// A table with a header, or `none` where there are no rows.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: Vec<[String; N]>, none: &str) -> String {
    if rows.is_empty() {
        return none.to_owned();
    }
    let mut table = Table::new();
    // However narrow the terminal is, an id stays in one piece.
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    table.add_rows(rows);
    table.to_string()
}
