//! The tables of the entities that convergence is tested on.

use sea_orm_migration::prelude::extension::postgres::Type;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Tables;

#[async_trait::async_trait]
impl MigrationTrait for Tables {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DbBackend::Postgres {
            for (name, values) in [("size", ["small", "very large"]), ("shape", ["round", "not round"])] {
                manager.create_type(Type::create().as_enum(name).values(values).to_owned()).await?;
            }
        }
        let versioned = ["chrono_utc", "chrono_zoned", "time_zoned"].map(|name| (name, true));
        let naive = ["chrono_naive", "time_naive"].map(|name| (name, false));
        for (name, zoned) in versioned.into_iter().chain(naive) {
            let version = if zoned { timestamp_with_time_zone("changed_at") } else { timestamp("changed_at") };
            manager.create_table(keyed(&format!("versioned_{name}")).col(text("text")).col(version).to_owned()).await?;
        }
        for table in [specimens(), gaps(), labels(), memberships(), sightings()] {
            manager.create_table(table).await?;
        }
        for table in [tallies(), tickets(), keepsakes(), guarded(), plates(), seats(), stalls()] {
            manager.create_table(table.to_owned().col(timestamp_with_time_zone("updated_at")).to_owned()).await?;
        }
        let is_postgres = manager.get_database_backend() == DbBackend::Postgres;
        let key = |name: &str| {
            ForeignKey::create().name(name).from("guilds", format!("{name}_id")).to("smiths", "id").to_owned()
        };
        // Each refers to the other one, which SQLite takes as a promise.
        let mut guilds = guilds();
        if !is_postgres {
            guilds.foreign_key(&mut key("master")).foreign_key(&mut key("deputy"));
        }
        manager.create_table(guilds).await?;
        manager.create_table(smiths()).await?;
        if is_postgres {
            manager.create_foreign_key(key("master")).await?;
            manager.create_foreign_key(key("deputy")).await?;
        }
        let unique =
            Index::create().name("seat").table("seats").col("organization_id").col("number").unique().to_owned();
        manager.create_index(unique).await
    }
}

fn keyed(table: &str) -> TableCreateStatement {
    Table::create().table(table.to_owned()).col(uuid("id").primary_key()).to_owned()
}

fn tallies() -> TableCreateStatement {
    keyed("tallies").col(big_integer("value")).col(text("remark").default("none")).to_owned()
}

fn tickets() -> TableCreateStatement {
    keyed("tickets").col(big_integer("number")).to_owned()
}

fn keepsakes() -> TableCreateStatement {
    keyed("keepsakes").col(text("name")).to_owned()
}

fn guarded() -> TableCreateStatement {
    keyed("guarded").col(text("text")).to_owned()
}

fn stalls() -> TableCreateStatement {
    keyed("stalls").col(integer("number").unique_key()).to_owned()
}

fn plates() -> TableCreateStatement {
    keyed("plates").col(string_len_uniq("plate", 8)).to_owned()
}

fn seats() -> TableCreateStatement {
    keyed("seats")
        .col(big_integer("organization_id"))
        .col(integer("number"))
        .foreign_key(ForeignKey::create().from("seats", "organization_id").to("organizations", "id"))
        .to_owned()
}

fn guilds() -> TableCreateStatement {
    let updated_at = timestamp_with_time_zone("updated_at");
    keyed("guilds").col(text("name")).col(uuid_null("master_id")).col(uuid_null("deputy_id")).col(updated_at).to_owned()
}

fn smiths() -> TableCreateStatement {
    keyed("smiths")
        .col(uuid("guild_id"))
        .col(text("name"))
        .col(timestamp_with_time_zone("updated_at"))
        .col(uuid("teacher_id"))
        .foreign_key(ForeignKey::create().from("smiths", "guild_id").to("guilds", "id"))
        .foreign_key(ForeignKey::create().from("smiths", "teacher_id").to("smiths", "id"))
        .to_owned()
}

fn labels() -> TableCreateStatement {
    Table::create()
        .table("labels")
        .col(text("code").primary_key())
        .col(text("caption"))
        .col(text_null("drawer"))
        .col(timestamp_with_time_zone("updated_at"))
        .to_owned()
}

fn memberships() -> TableCreateStatement {
    Table::create()
        .table("memberships")
        .col(text("group"))
        .col(big_integer("member"))
        .col(text("role"))
        .col(timestamp_with_time_zone("updated_at"))
        .primary_key(Index::create().col("group").col("member"))
        .to_owned()
}

fn sightings() -> TableCreateStatement {
    Table::create()
        .table("sightings")
        .col(big_pk_auto("id"))
        .col(text("handler"))
        .col(text("event_id"))
        .col(text("event_type"))
        .col(text("resource_id"))
        .col(big_integer("number"))
        .col(boolean("stale"))
        .to_owned()
}

fn specimens() -> TableCreateStatement {
    let mut table = keyed("specimens");
    for mut column in every_type() {
        table.col(column.not_null());
    }
    table.col(timestamp_with_time_zone("updated_at")).to_owned()
}

fn gaps() -> TableCreateStatement {
    let mut table = keyed("gaps");
    for mut column in every_type() {
        table.col(column.null());
    }
    table.col(timestamp_with_time_zone("updated_at")).to_owned()
}

fn every_type() -> Vec<ColumnDef> {
    let new = |name: &'static str| ColumnDef::new(name);
    vec![
        new("small").small_integer().take(),
        new("int").integer().take(),
        new("big").big_integer().take(),
        new("single").float().take(),
        new("double").double().take(),
        new("flag").boolean().take(),
        new("text").text().take(),
        new("bytes").binary().take(),
        new("uuid").uuid().take(),
        new("decimal").decimal_len(15, 4).take(),
        new("json").json_binary().take(),
        new("mood").text().take(),
        new("grade").integer().take(),
        new("size").enumeration("size", ["small", "very large"]).take(),
        new("shape").enumeration("shape", ["round", "not round"]).take(),
        new("date").date().take(),
        new("time").time().take(),
        new("naive").timestamp().take(),
        new("utc").timestamp_with_time_zone().take(),
        new("zoned").timestamp_with_time_zone().take(),
        new("time_date").date().take(),
        new("time_time").time().take(),
        new("time_naive").timestamp().take(),
        new("time_zoned").timestamp_with_time_zone().take(),
    ]
}
