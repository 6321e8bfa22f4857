//! The scenario of our own test entities.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QueryOrder};
use sea_orm_migration::{MigratorTrait, SchemaManager};

use super::{Scenario, Watched};
use crate::entities::{organization, plate, sighting, tally, ticket, user};
use crate::migration::Migrator;

/// Our entities, played by these programs.
pub struct OurStage {
    /// The program with the entities as they are.
    pub program: PathBuf,
    /// The one with an older entity.
    pub older: PathBuf,
}

#[async_trait]
impl Scenario for OurStage {
    fn program(&self) -> &Path {
        &self.program
    }

    fn older_program(&self) -> Option<&Path> {
        Some(&self.older)
    }

    async fn prepare(&self, db: &DatabaseConnection, index: u32, count: u32) -> Result<(), DbErr> {
        Migrator::up(db, None).await?;
        for table in ["organizations", "users"] {
            jsb_migrations::interleave(&SchemaManager::new(db), table, "id", index, count).await?;
        }
        Ok(())
    }

    fn entities(&self) -> Vec<Watched> {
        vec![
            Watched::of::<organization::Model>(),
            Watched::of::<user::Model>(),
            Watched::of::<tally::Model>(),
            Watched::of::<ticket::Model>(),
            Watched::of::<plate::Model>(),
        ]
    }

    async fn handled_in_order(&self, db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
        let runs = sighting::Entity::find()
            .filter(sighting::Column::Handler.eq("typed"))
            .filter(sighting::Column::Stale.eq(false))
            .order_by_asc(sighting::Column::Id);
        Ok(runs.all(db).await?.into_iter().map(|run| run.event_id).collect())
    }

    /// Each handler of a ticket's event has run once.
    async fn faults_of(&self, db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
        let mut faults = Vec::new();
        for (handler, events) in
            [("typed", &["created", "updated", "deleted"][..]), ("raw", &["created", "updated"][..])]
        {
            let runs = Query::select()
                .expr(Expr::col(("sightings", "id")).count())
                .from("sightings")
                .and_where(Expr::col(("sightings", "event_id")).equals(("inbox_events", "event_id")))
                .and_where(Expr::col(("sightings", "handler")).eq(handler))
                .to_owned();
            let wrong = Query::select()
                .column("event_id")
                .from("inbox_events")
                .and_where(Expr::col("resource_type").eq("ticket"))
                .and_where(Expr::col("event_type").is_in(events.iter().copied()))
                .and_where(Expr::col("status").eq("processed"))
                .and_where(Expr::expr(sea_orm::sea_query::SimpleExpr::from(runs)).ne(1))
                .to_owned();
            for row in db.query_all(&wrong).await? {
                let event: String = row.try_get("", "event_id")?;
                faults.push(format!("handler `{handler}` has not run once on {event}"));
            }
        }
        Ok(faults)
    }
}
