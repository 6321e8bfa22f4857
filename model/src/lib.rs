//! A model of the protocol: two replicas, the network between them, and everything that may happen in any order.
//!
//! What a replica decides, it decides by the functions that the runtime itself calls (`jsb_runtime::testing` and
//! `jsb_runtime::version`); the model stands in for the databases, the network and the users alone.
//!
//! An [`Action`] is one transaction, and what is no row of a database or message of the stream is not in a [`State`]. So a
//! crash needs no action of its own: a process that dies before its commit has done nothing, and one that dies after it
//! and before its acknowledgement brings a delivery that is repeated. Outbox and stream are one log for each side: from
//! its commit on an event may be delivered at any time, any number of times, and before or after any other, which covers
//! every order of relaying and every duplicate. A parked event is delivered again whenever its timer likes.
//!
//! [`Scenario`] bounds what users do, [`Rule`] leaves one rule of the protocol out, and [`Pair`] is what a checker of
//! [`stateright`] explores.

mod action;
mod pair;
mod replica;
mod rule;
mod scenario;
mod state;
mod tell;
mod verdict;

pub use action::{Action, Save};
pub use pair::{AGREEMENT, Pair};
pub use replica::{Replica, Row, Status};
pub use rule::{Rule, Rules};
pub use scenario::Scenario;
pub use state::{Event, Key, Side, State, Values};
pub use tell::tell;
