//! JetStream: the only folder that names the client library.

mod connection;
mod manage;
mod provision;
mod publish;
mod pull;
mod state;
mod stored;

pub use connection::ConnectError;
pub(crate) use connection::{Attached, Transport};
pub use provision::ProvisionError;
pub(crate) use provision::ROUNDS;
pub(crate) use publish::Outgoing;
pub use publish::PublishError;
pub(crate) use pull::{Acker, Delivery, Disposition, PullError};
pub use state::{ConsumerState, StreamState};
pub(crate) use stored::StoredMessage;
pub use stored::StreamError;
