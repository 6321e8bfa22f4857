//! The tables of the test entities, and JSB's own.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

use crate::effects::CreateEffects;
use crate::tables::Tables;

/// Makes everything.
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut migrations: Vec<Box<dyn MigrationTrait>> =
            vec![Box::new(Entities), Box::new(CreateEffects), Box::new(Tables)];
        migrations.extend(jsb_migrations::all());
        migrations
    }
}

#[derive(DeriveMigrationName)]
struct Entities;

#[async_trait::async_trait]
impl MigrationTrait for Entities {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let organizations = Table::create()
            .table("organizations")
            .col(big_pk_auto("id"))
            .col(text("name"))
            .col(text_uniq("domain"))
            .col(boolean("active").default(true))
            .col(text_null("internal_note"))
            .col(timestamp_with_time_zone("created_at"))
            .col(timestamp_with_time_zone("updated_at"))
            .to_owned();
        let users = Table::create()
            .table("users")
            .col(big_pk_auto("id"))
            .col(big_integer("organization_id"))
            .col(text("name"))
            .col(text_null("email"))
            .col(timestamp_with_time_zone("updated_at"))
            .foreign_key(ForeignKey::create().from("users", "organization_id").to("organizations", "id"))
            .to_owned();
        let visitors = Table::create()
            .table("visitors")
            .col(uuid("id").primary_key())
            .col(text("name"))
            .col(timestamp_with_time_zone_null("seen_at"))
            .col(timestamp_with_time_zone("updated_at"))
            .to_owned();
        let parcels = Table::create()
            .table("parcels")
            .col(uuid("id").primary_key())
            .col(json_binary("address"))
            .col(json_binary("items"))
            .col(timestamp_with_time_zone("updated_at"))
            .to_owned();
        for table in [organizations, users, visitors, parcels] {
            manager.create_table(table).await?;
        }
        Ok(())
    }
}
