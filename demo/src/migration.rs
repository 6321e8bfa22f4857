//! The tables of JSB, followed by the demo's own two.

use sea_orm_migration::{prelude::*, schema::*};

pub(crate) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut migrations = jsb_migrations::all();
        migrations.push(Box::new(CreateTables));
        migrations
    }
}

struct CreateTables;

impl MigrationName for CreateTables {
    fn name(&self) -> &str {
        "m20261121_000001_create_organizations_and_users"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for CreateTables {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let organizations = Table::create()
            .table("organizations")
            .col(big_pk_auto("id"))
            .col(text("name"))
            .col(text_uniq("domain"))
            .col(boolean("active").default(true))
            .col(timestamp_with_time_zone("created_at"))
            .col(timestamp_with_time_zone("updated_at"))
            .take();
        manager.create_table(organizations).await?;

        let users = Table::create()
            .table("users")
            .col(big_pk_auto("id"))
            .col(big_integer("organization_id"))
            .col(text("name"))
            .col(text_uniq("email"))
            .col(text("role").default("member"))
            .col(boolean("active").default(true))
            .col(timestamp_with_time_zone("created_at"))
            .col(timestamp_with_time_zone("updated_at"))
            .foreign_key(ForeignKey::create().from("users", "organization_id").to("organizations", "id"))
            .take();
        manager.create_table(users).await?;

        let users_of_organization =
            Index::create().name("users_organization_id").table("users").col("organization_id").take();
        manager.create_index(users_of_organization).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["users", "organizations"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}
