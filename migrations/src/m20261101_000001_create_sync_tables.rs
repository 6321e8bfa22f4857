//! The outbox, the inbox, the tombstones, and the three small tables that the bridge keeps its own state in.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// On SQLite too: half of the tables, unrecorded, could not be mended by another try.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [outbox(), inbox(), tombstones(), settings(), keys(), leases()] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["sync_leases", "sync_keys", "sync_settings", "sync_tombstones", "inbox_events", "outbox_events"] {
            manager.drop_table(Table::drop().table(table).if_exists().to_owned()).await?;
        }
        Ok(())
    }
}

/// Events on their way out; `id` is their order.
fn outbox() -> TableCreateStatement {
    Table::create()
        .table("outbox_events")
        .col(big_pk_auto("id"))
        .col(text_uniq("event_id"))
        .col(text("resource_type"))
        .col(text("resource_id"))
        .col(text("event_type"))
        .col(text("payload"))
        .col(text("headers"))
        .col(timestamp_with_time_zone("occurred_at"))
        .col(text("status"))
        .col(integer("attempts").default(0))
        .col(text_null("last_error"))
        .col(timestamp_with_time_zone("available_at"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone_null("sent_at"))
        .to_owned()
}

/// Events that came in, and what became of them.
fn inbox() -> TableCreateStatement {
    Table::create()
        .table("inbox_events")
        .col(text("source_app"))
        .col(text("event_id"))
        .col(text("resource_type"))
        .col(text("resource_id"))
        .col(text("event_type"))
        .col(text("subject"))
        .col(text("status"))
        .col(integer("starts").default(0))
        .col(integer("attempts").default(0))
        .col(text_null("last_error"))
        .col(text_null("reason"))
        .col(text_null("waits_for"))
        .col(blob_null("payload"))
        .col(text_null("headers"))
        .col(big_integer_null("stream_seq"))
        .col(timestamp_with_time_zone_null("available_at"))
        .col(timestamp_with_time_zone("received_at"))
        .col(timestamp_with_time_zone_null("processed_at"))
        .col(timestamp_with_time_zone_null("failed_at"))
        .primary_key(Index::create().col("source_app").col("event_id"))
        .to_owned()
}

/// The versions at which rows were deleted.
fn tombstones() -> TableCreateStatement {
    Table::create()
        .table("sync_tombstones")
        .col(text("resource_type"))
        .col(text("resource_id"))
        .col(timestamp_with_time_zone("version"))
        .primary_key(Index::create().col("resource_type").col("resource_id"))
        .to_owned()
}

/// What hooks and the consumer must know of this database; one row.
fn settings() -> TableCreateStatement {
    Table::create()
        .table("sync_settings")
        .col(integer("id").primary_key().check(Expr::col("id").eq(1)))
        .col(text("database_id"))
        .col(text("app_name"))
        .col(boolean("use_outbox"))
        .col(big_integer_null("swept_seq"))
        .col(timestamp_with_time_zone_null("pruned_version"))
        .to_owned()
}

/// Which ids of a table this node draws; `next_id` only where the database has no sequences.
fn keys() -> TableCreateStatement {
    Table::create()
        .table("sync_keys")
        .col(text("table_name").primary_key())
        .col(integer("node_index"))
        .col(integer("node_count"))
        .col(big_integer("next_id"))
        .to_owned()
}

/// Who may relay; `expires_at` in milliseconds of the database's clock.
fn leases() -> TableCreateStatement {
    Table::create()
        .table("sync_leases")
        .col(text("name").primary_key())
        .col(text("holder"))
        .col(big_integer("expires_at"))
        .to_owned()
}

/// Partial indexes, so that the cost of looking for work does not grow with what is done.
fn indexes() -> Vec<IndexCreateStatement> {
    let on = |table: &str, column: &str, status: &str| {
        let (name, condition) = match status {
            "settled" => (status, "status IN ('processed', 'dead')".to_owned()),
            "waiting" => (status, "status IN ('parked', 'failed')".to_owned()),
            status => (status, format!("status = '{status}'")),
        };
        Index::create()
            .name(format!("{table}_{name}_{column}"))
            .table(table.to_owned())
            .col(column.to_owned())
            .cond_where(Expr::cust(condition))
            .to_owned()
    };
    vec![
        on("outbox_events", "id", "pending"),
        on("outbox_events", "sent_at", "sent"),
        on("inbox_events", "available_at", "waiting"),
        on("inbox_events", "waits_for", "parked"),
        on("inbox_events", "processed_at", "settled"),
    ]
}
