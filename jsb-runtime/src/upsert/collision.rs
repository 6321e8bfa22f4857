//! Both sides draw the same keys, as nodes of one share: each then overwrites rows of the other.

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{DatabaseTransaction, DbErr};

use super::{Applier, Found};
use crate::event::{Envelope, event_type};
use crate::problems::Task;
use crate::schema::{Said, Schema};
use crate::syncable::Keys;
use crate::{ask, keys, outbox};

/// Whether the other side has created a row by an interleaved key that was here already, and this is no echo of what is here.
pub(crate) fn is_likely(schema: &Schema, event: &Envelope, said: &Said, found: &Found) -> bool {
    let is_created = schema.keys == Keys::Interleaved && event.event_type == event_type::CREATED;
    is_created && found.row.max(found.tombstone).is_some_and(|here| here != said.version)
}

/// Tells the status if one of these is a collision: its key is of this node's share, and this side too has created a row by it,
/// as its outbox says. Rows that are older than the shares, and come once more, were created on one side only.
pub(crate) async fn notice(
    txn: &DatabaseTransaction,
    schema: &Schema,
    likely: &[(&Envelope, &Said)],
    applier: Applier<'_>,
) -> Result<(), DbErr> {
    // The outbox has no index for it, and one collision says all there is to say.
    let problems = applier.problems.filter(|problems| !likely.is_empty() && !problems.has(Task::Keys));
    let Some(problems) = problems else { return Ok(()) };
    let Some(node) = keys::node_of(txn, schema.table).await? else { return Ok(()) };
    let own = likely.iter().filter(|(_, said)| keys::is_key_of(node, &said.key));
    let ids: Vec<&str> = own.map(|(_, said)| said.id.as_str()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let created = created_here(txn, schema, ids).await?;
    if let Some((event, said)) = likely.iter().find(|(_, said)| created.as_ref() == Some(&said.id)) {
        let problem = format!(
            "`{}` draws keys of this system's share, such as that of {}/{}, and of two rows with one key one is overwritten: \
             both systems need the same NODE_COUNT, and each a NODE_INDEX of its own",
            event.producer, schema.resource, said.id
        );
        tracing::error!(event_id = event.event_id, "{problem}");
        problems.report(Task::Keys, Some(problem));
    }
    Ok(())
}

/// One of these rows that was created here, as far back as the outbox reaches.
async fn created_here(txn: &DatabaseTransaction, schema: &Schema, ids: Vec<&str>) -> Result<Option<String>, DbErr> {
    let created = Query::select()
        .column("resource_id")
        .from(outbox::TABLE)
        .and_where(Expr::col("resource_type").eq(schema.resource))
        .and_where(Expr::col("event_type").eq(event_type::CREATED))
        .and_where(Expr::col("resource_id").is_in(ids))
        .limit(1)
        .to_owned();
    ask::one(txn, &created).await
}
