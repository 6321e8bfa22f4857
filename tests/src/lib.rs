//! The test harness: real servers shared by all tests, a database and a stream of its own for each, and entities of
//! every kind. Reusable for entities of your own: see [`Pair`].

pub mod app;
pub mod child;
pub mod cli;
pub mod database;
pub mod effects;
pub mod entities;
pub mod faults;
pub mod gate;
pub mod handlers;
pub mod identity;
pub mod inbox;
pub mod least_privilege;
pub mod load;
pub mod memory;
pub mod migration;
pub mod pair;
pub mod probe;
pub mod programs;
pub mod proxy;
pub mod raw;
pub mod remote;
pub mod servers;
pub mod sightings;
pub mod stream;
mod tables;
pub mod wait;

pub use app::App;
pub use child::ChildCommand;
pub use cli::Cli;
pub use database::{Backend, TestDatabase};
pub use pair::Pair;
pub use proxy::Proxy;
pub use raw::Raw;
pub use remote::Remote;
pub use stream::Stream;
pub use wait::{DEADLINE, eventually, lasts, until};

/// The programs in the documentation compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[doc = include_str!("../../docs/provisioning.md")]
pub struct Documentation;
