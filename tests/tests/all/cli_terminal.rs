//! What a command asks and logs on a terminal, and that it does its work where nobody reads what it says.

use std::fs::File;
use std::io::{Read, Write, pipe};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use jsb_tests::probe::{self, Orders};
use jsb_tests::{Backend, Cli, DEADLINE, Pair};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use serde_json::json;
use tokio::process::Child;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cli");
const DECLINED: i32 = 5;

/// Where somebody sits, and where the program does.
fn terminal() -> (File, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = openpt(flags).expect("a terminal");
    grantpt(&ours).expect("a terminal to use");
    unlockpt(&ours).expect("a terminal to open");
    let theirs = ioctl_tiocgptpeer(&ours, flags).expect("its other side");
    (ours.into(), theirs)
}

/// Reads what is shown until nobody shows anything any more, and types an answer when a question is there.
fn answer(mut terminal: File, answer: &[u8]) -> String {
    let (mut shown, mut is_answered, mut read) = (Vec::new(), false, [0; 1_024]);
    // Its end is an error.
    while let Ok(count @ 1..) = terminal.read(&mut read) {
        shown.extend_from_slice(&read[..count]);
        if !is_answered && shown.ends_with(b"[y/N] ") {
            terminal.write_all(answer).expect("a terminal");
            is_answered = true;
        }
    }
    String::from_utf8_lossy(&shown).into_owned()
}

async fn ended(child: Child) -> (Option<i32>, String) {
    let ended = tokio::time::timeout(DEADLINE, child.wait_with_output()).await.expect("an end");
    let ended = ended.expect("a program that runs");
    (ended.status.code(), String::from_utf8(ended.stdout).expect("text"))
}

/// The exit code of a command that is answered on a terminal, and what is seen there.
async fn answered(cli: &Cli, args: &[&str], typed: &'static [u8]) -> (Option<i32>, String) {
    let (ours, theirs) = terminal();
    let mut command = cli.command(args);
    command.stdin(theirs.try_clone().expect("its input")).stdout(Stdio::piped()).stderr(theirs);
    let child = command.spawn().expect("a program that runs");
    // It holds the other side too.
    drop(command);
    let seen = tokio::task::spawn_blocking(move || answer(ours, typed));
    let (code, _) = ended(child).await;
    (code, seen.await.expect("what was seen"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_is_answered_by_a_whole_line() {
    let pair = Pair::create(Backend::Sqlite).await;
    probe::send(&pair.a.db, "record", Orders::default()).await;
    pair.a.sql("UPDATE outbox_events SET status = 'sent', sent_at = '2026-01-01T00:00:00+00:00'").await;
    let cli = Cli::of(PROGRAM, &pair.a);
    let prune = ["outbox", "prune", "--older-than", "7d"];
    // The first key is taken back by the second.
    for no in [&b"y\x7fn\n"[..], b"\n"] {
        let (code, seen) = answered(&cli, &prune, no).await;
        assert_eq!(code, Some(DECLINED), "{seen:?}");
        assert!(seen.contains("Delete 1 event of a-") && !seen.contains('\u{1b}'), "{seen:?}");
        assert_eq!(pair.a.count("outbox_events", "sent").await, 1);
    }
    let (code, seen) = answered(&cli, &prune, b"y\n").await;
    assert_eq!(code, Some(0), "{seen:?}");
    assert_eq!(pair.a.count("outbox_events", "sent").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_logged_on_a_terminal_has_colours() {
    let pair = Pair::create(Backend::Sqlite).await;
    let cli = Cli::of(PROGRAM, &pair.a).set("RUST_LOG", "debug");
    let (code, seen) = answered(&cli, &["status"], b"").await;
    assert_eq!(code, Some(0), "{seen:?}");
    assert!(seen.contains("DEBUG") && seen.contains("\u{1b}["), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_whose_errors_nobody_reads_ends_as_it_should() {
    let pair = Pair::create(Backend::Sqlite).await;
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let mut command =
        Cli::of(PROGRAM, &pair.a).set("RUST_LOG", "debug").command(&["outbox", "retry", "nobody", "--json"]);
    let child = command.stdout(Stdio::piped()).stderr(writer).spawn().expect("a program that runs");
    let (code, stdout) = ended(child).await;
    assert_eq!(code, Some(1), "{stdout}");
    let retried: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(retried, json!({"retried": 0, "refused": [], "unknown": ["nobody"]}));
}
