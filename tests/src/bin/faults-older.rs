//! The same as `faults-actor`, as it was before a column was added: it does not link the library, whose entities it
//! would register too, but includes what it needs.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    reason = "the modules are the library's, where they are public"
)]

#[path = "../entities"]
mod entities {
    pub mod organization;
    pub mod plate;
    pub mod sighting;
    pub mod ticket;
    pub mod user;

    pub mod tally {
        use jsb_runtime::prelude::*;
        use sea_orm::entity::prelude::*;

        #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
        #[sea_orm(table_name = "tallies")]
        #[syncable(resource = "tally")]
        pub struct Model {
            #[sea_orm(primary_key, auto_increment = false)]
            pub id: Uuid,
            pub value: i64,
            pub updated_at: DateTimeUtc,
        }

        #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
        pub enum Relation {}
    }
}

#[path = "../faults"]
mod faults {
    pub mod child;
    pub mod ours;
}

#[path = "../sightings.rs"]
mod sightings;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    faults::child::play(&faults::ours::Ours).await
}
