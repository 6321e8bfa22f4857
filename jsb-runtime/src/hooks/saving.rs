//! What a save that is done tells the other side.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryFilter, QueryResult, QuerySelect, QueryTrait};

use super::publish_row;
use crate::event::event_type;
use crate::row;
use crate::syncable::{ActiveModelOf, Syncable};

pub(super) async fn publish_saved<M: Syncable, C: ConnectionTrait>(
    row: &ActiveModelOf<M>,
    db: &C,
    insert: bool,
) -> Result<(), DbErr> {
    let event_type = if insert { event_type::CREATED } else { event_type::UPDATED };
    let stored = stored_json::<M, C>(row, db, insert).await?;
    publish_row::<M, C>(row, db, event_type, row::payload_of::<M>(row, stored.as_ref())).await
}

/// The JSON of a row that is written, where the database may have made more of it than the model knows: by a column's default,
/// or by a trigger of PostgreSQL's. Else an update has written all of it.
async fn stored_json<M: Syncable, C: ConnectionTrait>(
    row: &ActiveModelOf<M>,
    db: &C,
    insert: bool,
) -> Result<Option<QueryResult>, DbErr> {
    let may_be_more = insert || db.get_database_backend() == DbBackend::Postgres;
    let columns: Vec<_> = row::json_columns::<M>().collect();
    match row::key_of::<M>(row) {
        Some(key) if may_be_more && !columns.is_empty() => {
            let stored = M::Entity::find().select_only().columns(columns).filter(row::has_key::<M>(&key));
            db.query_one(stored.as_query()).await
        }
        _ => Ok(None),
    }
}
