//! The fault harness: both systems as real processes on real servers, under a random workload, broken in every way that
//! its seed says, mended, and compared row by row and event by event.
//!
//! For entities of your own write a [`Workload`](child::Workload), which the processes run, a program that
//! [`play`](child::play)s it, and a [`Scenario`], which names that program and your tables; then [`run`] it. `ours.rs`
//! and `stage.rs` are an example.

mod actor;
mod audit;
mod books;
pub mod broker;
pub mod child;
mod database;
pub mod fault;
mod ground;
pub mod link;
mod order;
pub mod ours;
mod plan;
mod quiet;
mod run;
mod scenario;
mod schedule;
mod stage;
mod toll;
mod words;
mod world;

pub use ground::{Ground, Terrain};
pub use plan::{Plan, Quiet, Report};
pub use run::{run, schedule};
pub use scenario::{Rows, Scenario, Watched};
pub use stage::OurStage;
pub use world::{Which, World};
