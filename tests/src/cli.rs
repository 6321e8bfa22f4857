//! The operators' command line as a process of its own, by which nobody can be asked unless a test gives it a terminal.

use std::process::Stdio;

use serde_json::Value as Json;
use tokio::process::Command;

use crate::App;
use crate::child::environment;
use crate::wait::DEADLINE;

/// The command line of one application.
#[derive(Clone)]
pub struct Cli {
    program: &'static str,
    environment: Vec<(&'static str, String)>,
}

/// What a command left.
#[derive(Debug)]
pub struct Output {
    /// Its exit code.
    pub code: i32,
    /// Its result.
    pub stdout: String,
    /// Its errors, and what it would have asked.
    pub stderr: String,
}

impl Cli {
    /// The program, with the environment that `app` is configured by.
    pub fn of(program: &'static str, app: &App) -> Self {
        let mut environment = environment(&app.config);
        environment.push(("DATABASE_URL", app.database.url.clone()));
        Self { program, environment }
    }

    /// Sets one more variable, or another value.
    #[must_use]
    pub fn set(mut self, variable: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((variable, value.into()));
        self
    }

    /// A command that does not run yet.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command.args(args).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    pub async fn run(&self, args: &[&str]) -> Output {
        let ended = self.command(args).output();
        let ended = tokio::time::timeout(DEADLINE, ended).await;
        let ended = ended.unwrap_or_else(|_| panic!("{args:?} did not end within {DEADLINE:?}"));
        let ended = ended.expect("a program that runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        let code = ended.status.code().expect("an exit code");
        Output { code, stdout: text(ended.stdout), stderr: text(ended.stderr) }
    }

    /// Runs a command that must succeed, with `--json`, and gives what it says.
    pub async fn json(&self, args: &[&str]) -> Json {
        let output = self.run(&[args, &["--json"]].concat()).await;
        assert_eq!(output.code, 0, "{args:?}: {output:?}");
        output.json()
    }
}

impl Output {
    /// The result as JSON.
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
