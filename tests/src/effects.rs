//! What custom handlers leave behind: one row a run, so that a test can count what was done twice or not at all.

use jsb_runtime::HandlerContext;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::*;

const TABLE: &str = "effects";

/// Makes the table.
#[derive(DeriveMigrationName)]
pub struct CreateEffects;

#[async_trait::async_trait]
impl MigrationTrait for CreateEffects {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create().table(TABLE).col(big_pk_auto("id")).col(text("probe")).to_owned();
        manager.create_table(table).await
    }
}

/// Leaves an effect in the handler's own transaction.
pub(crate) async fn leave(ctx: &HandlerContext<'_>, probe: &str) -> Result<(), DbErr> {
    let insert = Query::insert().into_table(TABLE).columns(["probe"]).values_panic([probe.into()]).to_owned();
    ctx.db().execute(&insert).await.map(drop)
}

/// How many committed runs a probe has left.
pub async fn count<C: ConnectionTrait>(db: &C, probe: &str) -> Result<i64, DbErr> {
    let select = Query::select()
        .expr_as(Expr::col("id").count(), "n")
        .from(TABLE)
        .and_where(Expr::col("probe").eq(probe))
        .to_owned();
    db.query_one(&select).await?.map_or(Ok(0), |row| row.try_get("", "n"))
}
