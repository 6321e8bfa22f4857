//! The saves that are timed: by hand, of the entity as it is without the derive, and synced.

use anyhow::{Result, ensure};
use chrono::Utc;
use sea_orm::ActiveValue::{NotSet, Set, Unchanged};
use sea_orm::{ActiveModelTrait, DatabaseConnection, EntityTrait, IntoActiveModel, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::bench::by_writers;
use crate::by_hand::Hand;
use crate::entities::{organization, plain};
use crate::site::Site;

/// How many rows are updated in turns. More than writers, so that no two of these meet in a row.
const ROWS: usize = 512;

/// How a row and its event are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A transaction of two statements by hand.
    ByHand,
    /// One statement by hand that writes both, on PostgreSQL.
    AtOnce,
    /// SeaORM's own save, without any event.
    Plain,
    /// The save of a `Syncable` entity.
    Synced,
}

/// What is done to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Insert,
    Update,
}

/// Saves so many times, by `writers` side by side.
pub(crate) async fn save(site: &Site, way: Way, kind: Kind, writers: usize, saves: usize) -> Result<()> {
    match kind {
        Kind::Insert => insert(site, way, writers, saves).await,
        Kind::Update => update(site, way, writers, saves).await,
    }
}

/// Makes the rows that updates need, and nothing to relay.
pub(crate) async fn make_rows(site: &Site) -> Result<()> {
    insert(site, Way::ByHand, 16, ROWS).await?;
    site.sql("DELETE FROM outbox_events").await
}

async fn insert(site: &Site, way: Way, writers: usize, saves: usize) -> Result<()> {
    let (hand, db) = (site.hand.clone(), site.db.clone());
    by_writers(writers, saves, move |_| {
        let (hand, db) = (hand.clone(), db.clone());
        async move { insert_one(&hand, &db, way).await }
    })
    .await
}

/// Inserts one row.
pub(crate) async fn insert_one(hand: &Hand, db: &DatabaseConnection, way: Way) -> Result<()> {
    let (name, domain, now) = ("Organization".to_owned(), unique(), Utc::now());
    match way {
        Way::ByHand => hand.insert(name, domain).await,
        Way::AtOnce => hand.insert_at_once(name, domain).await,
        Way::Plain => {
            let new = plain::ActiveModel {
                id: NotSet,
                name: Set(name),
                domain: Set(domain),
                active: Set(true),
                created_at: Set(now),
                updated_at: Set(now),
            };
            Ok(new.insert(db).await.map(drop)?)
        }
        Way::Synced => {
            let new = organization::ActiveModel {
                id: NotSet,
                name: Set(name),
                domain: Set(domain),
                active: Set(true),
                created_at: Set(now),
                updated_at: NotSet,
            };
            Ok(new.insert(db).await.map(drop)?)
        }
    }
}

async fn update(site: &Site, way: Way, writers: usize, saves: usize) -> Result<()> {
    let (hand, db, rows) = (site.hand.clone(), site.db.clone(), rows(site).await?);
    by_writers(writers, saves, move |number| {
        let (hand, db, row, name) = (hand.clone(), db.clone(), rows[number % rows.len()].clone(), unique());
        async move {
            match way {
                Way::ByHand => hand.update(row.id, name).await?,
                Way::AtOnce => hand.update_at_once(row.id, name).await?,
                Way::Plain => {
                    let row = plain::ActiveModel {
                        id: Unchanged(row.id),
                        name: Set(name),
                        updated_at: Set(Utc::now()),
                        ..Default::default()
                    };
                    row.update(&db).await.map(drop)?;
                }
                Way::Synced => {
                    let mut row = row.into_active_model();
                    row.name = Set(name);
                    row.update(&db).await.map(drop)?;
                }
            }
            Ok(())
        }
    })
    .await
}

async fn rows(site: &Site) -> Result<Vec<organization::Model>> {
    let rows = organization::Entity::find().order_by_asc(organization::Column::Id).limit(ROWS as u64);
    let rows = rows.all(&site.db).await?;
    ensure!(rows.len() == ROWS, "the rows to update are not there");
    Ok(rows)
}

fn unique() -> String {
    format!("{}.example", Uuid::new_v4())
}
