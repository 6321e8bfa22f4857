//! The test harness: real servers shared by all tests, a database and a stream of its own for each, and entities of
//! every kind. Reusable for entities of your own: see [`Pair`].

pub mod app;
pub mod database;
pub mod entities;
pub mod handlers;
pub mod migration;
pub mod pair;
pub mod remote;
pub mod servers;
pub mod sightings;
mod tables;
pub mod wait;

pub use app::App;
pub use database::{Backend, TestDatabase};
pub use pair::Pair;
pub use remote::Remote;
pub use wait::{DEADLINE, eventually};
