//! What syncing costs a save: the same save of the same entity, with and without `#[derive(Syncable)]`; and what it costs without
//! a library.

use anyhow::Result;

use super::save;
use crate::bench::Bench;
use crate::database::Backend;
use crate::report::Comparison;
use crate::saves::Way;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Comparison>> {
    save::compare(bench, Backend::Postgres, "price", [Way::Plain, Way::Synced, Way::AtOnce], [0.9, 0.8]).await
}
