//! What a command says to the shell.

use std::process::ExitCode;

/// The exit codes. (2 is a wrong command line, by clap's convention.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing was to be done.
    Done = 0,
    /// Something failed; standard error says what.
    Failed = 1,
    /// `provision --check`: the server does not have what is wanted.
    Drift = 3,
    /// `health`: something needs an operator.
    Unhealthy = 4,
    /// The question was answered with no, or could not be asked: write `--yes`.
    Declined = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
