//! What the apps need of JetStream, compared with what is there: pure, so that it can be shown and tested.
//!
//! An operator provisions what [`Wanted::pairs`] says by a [`Plan`]; an application that provisions for itself takes
//! what is there as it is, and only adds.

mod adopt;
mod difference;
mod found;
mod plan;
mod rules;
mod wanted;

pub(crate) use adopt::adopt;
pub use difference::Difference;
pub(crate) use found::{Found, FoundStream};
pub(crate) use plan::plan;
pub use plan::{Change, Plan, Refusal};
pub(crate) use wanted::object;
pub use wanted::{TopologyError, Wanted, WantedConsumer, WantedStream};

#[cfg(test)]
mod tests;
