//! The tables of JSB, as SeaORM migrations for PostgreSQL and SQLite.
//!
//! A migrator of yours has them first, since yours may need these tables, and `down` takes back the last of the list:
//!
//! ```
//! use sea_orm_migration::prelude::*;
//!
//! struct Migrator;
//!
//! impl MigratorTrait for Migrator {
//!     fn migrations() -> Vec<Box<dyn MigrationTrait>> {
//!         let mut migrations = jsb_migrations::all();
//!         let own: Vec<Box<dyn MigrationTrait>> = vec![/* your own */];
//!         migrations.extend(own);
//!         migrations
//!     }
//! }
//! ```

mod interleave;
mod m20261101_000001_create_sync_tables;

pub use interleave::interleave;

use sea_orm_migration::MigrationTrait;

/// Every migration of JSB, oldest first. They never change once released; new ones are appended.
pub fn all() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(m20261101_000001_create_sync_tables::Migration)]
}
