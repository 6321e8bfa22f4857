//! JetStream: the only folder that names the client library.

mod advisories;
mod attached;
mod attaching;
mod call;
mod connection;
mod delivery;
mod denials;
mod headers;
mod limit;
mod link;
mod manage;
mod options;
mod progress;
mod provision;
mod publish;
mod pull;
mod state;
mod stored;

pub(crate) use attached::Attached;
pub use call::StreamError;
pub(crate) use connection::Transport;
pub(crate) use delivery::{Delivery, Disposition, Reply};
pub use denials::{Denied, Permission};
#[cfg(any(test, fuzzing))]
pub(crate) use headers::check as check_headers;
pub use options::ConnectError;
pub(crate) use options::user_name;
pub(crate) use progress::ConsumerProgress;
pub use provision::ProvisionError;
pub(crate) use provision::ROUNDS;
pub(crate) use publish::Outgoing;
pub use publish::PublishError;
pub(crate) use pull::PullError;
pub use state::{ConsumerState, StreamState};
pub(crate) use stored::StoredMessage;
