//! The entity's table, and JSB's own.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut migrations: Vec<Box<dyn MigrationTrait>> = vec![Box::new(Organizations)];
        migrations.extend(jsb_migrations::all());
        migrations
    }
}

#[derive(DeriveMigrationName)]
struct Organizations;

#[async_trait::async_trait]
impl MigrationTrait for Organizations {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let organizations = Table::create()
            .table("organizations")
            .col(big_pk_auto("id"))
            .col(text("name"))
            .col(text_uniq("domain"))
            .col(boolean("active"))
            .col(timestamp_with_time_zone("created_at"))
            .col(timestamp_with_time_zone("updated_at"))
            .to_owned();
        manager.create_table(organizations).await
    }
}
