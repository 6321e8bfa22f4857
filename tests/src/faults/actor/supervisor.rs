//! Who looks after a child: one that ends is started again.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

use super::{Costume, Order, State, locked};
use crate::faults::child::{ANSWER_READY, ANSWER_RESTING, LIFE};

/// How soon a child that ended is started again.
const RESTART: Duration = Duration::from_millis(300);
/// How long a child may take to stop in order.
const STOP: Duration = Duration::from_secs(45);

/// Keeps a child running, and carries out orders, until nobody can give any more.
pub(super) async fn supervise(state: Arc<Mutex<State>>, mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut wanted = true;
    loop {
        if wanted {
            match spawn(&state) {
                Ok(mut child) => wanted = attend(&mut child, &state, &mut orders).await,
                Err(error) => locked(&state).ends.push(format!("it could not be started: {error}")),
            }
            locked(&state).is_ready = false;
            tokio::time::sleep(RESTART).await;
        } else {
            match orders.recv().await {
                Some(Order::Start) => wanted = true,
                Some(_) => {}
                None => return,
            }
        }
    }
}

/// Carries out orders until the child ends; whether it is to be started again.
async fn attend(child: &mut Child, state: &Mutex<State>, orders: &mut mpsc::UnboundedReceiver<Order>) -> bool {
    let mut input = child.stdin.take();
    loop {
        tokio::select! {
            ended = child.wait() => {
                let end = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
                locked(state).ends.push(end);
                return true;
            }
            order = orders.recv() => match order {
                None | Some(Order::Kill) => {
                    let _ = child.kill().await;
                    return false;
                }
                Some(Order::Stop) => {
                    say(&mut input, "stop").await;
                    if tokio::time::timeout(STOP, child.wait()).await.is_err() {
                        locked(state).ends.push(format!("it did not stop within {STOP:?}"));
                        let _ = child.kill().await;
                    }
                    return false;
                }
                Some(Order::Start) => {}
                Some(Order::Send(signal)) => send(child, signal),
                Some(Order::Say(order)) => say(&mut input, &order).await,
            }
        }
    }
}

/// Errors here mean that the child has ended, which its supervisor notices.
async fn say(input: &mut Option<ChildStdin>, order: &str) {
    if let Some(input) = input {
        let _ = input.write_all(format!("{order}\n").as_bytes()).await;
    }
}

fn send(child: &Child, signal: Signal) {
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
        let _ = kill_process(pid, signal);
    }
}

fn spawn(state: &Arc<Mutex<State>>) -> std::io::Result<Child> {
    let (Costume { program, environment }, life, log) = {
        let mut state = locked(state);
        state.lives += 1;
        (state.costume.clone(), state.lives, state.log.clone())
    };
    let log = std::fs::File::options().create(true).append(true).open(log)?;
    let mut child = Command::new(program)
        .envs(environment)
        .env(LIFE, life.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        // Ctrl-C is for the harness, which ends its children itself.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    if let Some(output) = child.stdout.take() {
        let state = Arc::clone(state);
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                hear(&mut locked(&state), &line);
            }
        });
    }
    Ok(child)
}

fn hear(state: &mut State, line: &str) {
    match line {
        ANSWER_READY => state.is_ready = true,
        ANSWER_RESTING => state.is_resting = true,
        line => {
            if let Some(refusal) = line.strip_prefix("refused ") {
                *state.refusals.entry(refusal.to_owned()).or_default() += 1;
            }
        }
    }
}
