//! The commands, one file each.

mod changed;
mod dlq;
mod health;
mod inbox;
mod outbox;
mod permissions;
mod provision;
mod status;

use clap::Subcommand;
pub use permissions::users_with_passwords;

use crate::exit::Exit;
use crate::settings::Settings;
use crate::terminal::Terminal;

/// What an operator can do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print the users of a nats-server, each with what it needs and nothing else
    Permissions(permissions::Args),
    /// Make the stream and the consumers, or bring them to what is wanted; nothing is ever deleted
    Provision(provision::Args),
    /// Show how far events have come: stream, consumers, outbox and inbox
    Status,
    /// Check whether an operator should look: exit code 4 if so
    Health(health::Args),
    /// Events that could not be applied
    #[command(subcommand)]
    Dlq(dlq::Command),
    /// Events on their way out
    #[command(subcommand)]
    Outbox(outbox::Command),
    /// Events that came in
    #[command(subcommand)]
    Inbox(inbox::Command),
}

impl Command {
    pub(crate) async fn run(self, settings: &Settings, terminal: &Terminal) -> anyhow::Result<Exit> {
        match self {
            Self::Permissions(args) => permissions::run(args, &settings.without_nats(), terminal),
            Self::Provision(args) => provision::run(args, settings, terminal).await,
            Self::Status => status::run(settings, terminal).await,
            Self::Health(args) => health::run(args, settings, terminal).await,
            Self::Dlq(command) => dlq::run(command, settings, terminal).await,
            Self::Outbox(command) => outbox::run(command, settings, terminal).await,
            Self::Inbox(command) => inbox::run(command, &settings.without_nats(), terminal).await,
        }
    }
}
