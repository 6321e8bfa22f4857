//! The workload of our own test entities: hot rows, parents and children, unique values that move, handlers, and
//! transactions of several rows, some of which roll back.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, QueryFilter};
use sea_orm::{QueryOrder, SqliteTransactionMode, TransactionOptions, TransactionTrait};
use uuid::Uuid;

use super::child::{Turn, Workload};
use crate::entities::{organization, plate, tally, ticket, user};

/// How many rows of an entity there are before more of them go than come.
const ENOUGH: usize = 40;
/// How many rows both sides write again and again.
const HOT: u128 = 3;
/// The unique values that each side hands round among its own rows.
const PLATES: u32 = 20;
/// A transaction that is larger than most batches of this harness.
const MANY: usize = 25;

/// Every kind of change to our test entities.
pub struct Ours;

#[async_trait::async_trait]
impl Workload for Ours {
    async fn take(&self, Turn { db, random, side }: Turn<'_>) -> Result<(), DbErr> {
        match random.random_range(0..20) {
            0..14 => change(db, random, side).await,
            14..16 => {
                let txn = begin(db).await?;
                swap_plates(&txn, random, side).await?;
                txn.commit().await
            }
            16 => {
                let txn = begin(db).await?;
                for _ in 0..MANY {
                    new_tally(random).insert(&txn).await?;
                }
                txn.commit().await
            }
            _ => {
                let txn = begin(db).await?;
                for _ in 0..random.random_range(2..6) {
                    change(&txn, random, side).await?;
                }
                if random.random_bool(0.7) { txn.commit().await } else { txn.rollback().await }
            }
        }
    }
}

async fn begin<C: TransactionTrait<Transaction = DatabaseTransaction>>(db: &C) -> Result<DatabaseTransaction, DbErr> {
    let mode = Some(SqliteTransactionMode::Immediate);
    db.begin_with_options(TransactionOptions { sqlite_transaction_mode: mode, ..Default::default() }).await
}

/// One change to one row.
async fn change<C: ConnectionTrait + TransactionTrait>(db: &C, random: &mut StdRng, side: &str) -> Result<(), DbErr> {
    match random.random_range(0..10) {
        0..3 => change_hot_tally(db, random).await,
        3 => change_tally(db, random).await,
        4 | 5 => change_ticket(db, random).await,
        6 => change_organization(db, random, side).await,
        7 | 8 => change_user(db, random).await,
        _ => change_plate(db, random, side).await,
    }
}

async fn change_hot_tally<C: ConnectionTrait + TransactionTrait>(db: &C, random: &mut StdRng) -> Result<(), DbErr> {
    let id = Uuid::from_u128(random.random_range(1..=HOT));
    let value = Set(random.random());
    match tally::Entity::find_by_id(id).one(db).await? {
        None => tally::ActiveModel { id: Set(id), value, ..Default::default() }.insert(db).await.map(drop),
        Some(row) if random.random_bool(0.15) => row.delete(db).await.map(drop),
        Some(_) => tally::ActiveModel { id: Unchanged(id), value, ..Default::default() }.update(db).await.map(drop),
    }
}

fn new_tally(random: &mut StdRng) -> tally::ActiveModel {
    tally::ActiveModel { id: Set(Uuid::from_u128(random.random())), value: Set(random.random()), ..Default::default() }
}

async fn change_tally<C: ConnectionTrait + TransactionTrait>(db: &C, random: &mut StdRng) -> Result<(), DbErr> {
    let rows = tally::Entity::find().order_by_asc(tally::Column::Id).all(db).await?;
    match (fate(random, rows.len()), rows.choose(random)) {
        (Fate::Delete, Some(row)) => row.clone().delete(db).await.map(drop),
        (Fate::Update, Some(row)) => {
            let mut row = row.clone().into_active_model();
            row.value = Set(random.random());
            row.update(db).await.map(drop)
        }
        _ => new_tally(random).insert(db).await.map(drop),
    }
}

async fn change_ticket<C: ConnectionTrait + TransactionTrait>(db: &C, random: &mut StdRng) -> Result<(), DbErr> {
    let rows = ticket::Entity::find().order_by_asc(ticket::Column::Id).all(db).await?;
    let number = Set(random.random());
    match (fate(random, rows.len()), rows.choose(random)) {
        (Fate::Delete, Some(row)) => row.clone().delete(db).await.map(drop),
        (Fate::Update, Some(row)) => {
            ticket::ActiveModel { id: Unchanged(row.id), number, ..Default::default() }.update(db).await.map(drop)
        }
        _ => {
            let id = Set(Uuid::from_u128(random.random()));
            ticket::ActiveModel { id, number, ..Default::default() }.insert(db).await.map(drop)
        }
    }
}

async fn change_organization<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    random: &mut StdRng,
    side: &str,
) -> Result<(), DbErr> {
    let rows = organization::Entity::find().order_by_asc(organization::Column::Id).all(db).await?;
    let name = Set(word(random));
    match (fate(random, rows.len()), rows.choose(random)) {
        (Fate::Delete, Some(row)) => row.clone().delete(db).await.map(drop),
        (Fate::Update, Some(row)) => {
            organization::ActiveModel { id: Unchanged(row.id), name, ..Default::default() }.update(db).await.map(drop)
        }
        _ => {
            let domain = format!("{side}-{}.example", word(random));
            let row = organization::ActiveModel { name, ..organization::new(domain) };
            row.insert(db).await.map(drop)
        }
    }
}

async fn change_user<C: ConnectionTrait + TransactionTrait>(db: &C, random: &mut StdRng) -> Result<(), DbErr> {
    let parents = organization::Entity::find().order_by_asc(organization::Column::Id).all(db).await?;
    let Some(parent) = parents.choose(random) else { return Ok(()) };
    let rows = user::Entity::find().order_by_asc(user::Column::Id).all(db).await?;
    let (organization_id, name) = (Set(parent.id), Set(word(random)));
    match (fate(random, rows.len()), rows.choose(random)) {
        (Fate::Delete, Some(row)) => row.clone().delete(db).await.map(drop),
        (Fate::Update, Some(row)) => {
            let row = user::ActiveModel { id: Unchanged(row.id), organization_id, name, ..Default::default() };
            row.update(db).await.map(drop)
        }
        _ => user::ActiveModel { organization_id, name, ..Default::default() }.insert(db).await.map(drop),
    }
}

/// A plate is changed by the side that made it alone: two sides that give one value to two rows cannot converge.
async fn change_plate<C: ConnectionTrait + TransactionTrait>(
    db: &C,
    random: &mut StdRng,
    side: &str,
) -> Result<(), DbErr> {
    let rows = own_plates(db, side).await?;
    let plate = Set(format!("{side}{}", random.random_range(0..PLATES)));
    match (fate(random, rows.len() * 3), rows.choose(random)) {
        (Fate::Delete, Some(row)) => row.clone().delete(db).await.map(drop),
        (Fate::Update, Some(row)) => {
            plate::ActiveModel { id: Unchanged(row.id), plate, ..Default::default() }.update(db).await.map(drop)
        }
        _ => {
            let id = Set(Uuid::from_u128(random.random()));
            plate::ActiveModel { id, plate, ..Default::default() }.insert(db).await.map(drop)
        }
    }
}

async fn own_plates<C: ConnectionTrait>(db: &C, side: &str) -> Result<Vec<plate::Model>, DbErr> {
    let own = plate::Entity::find().filter(plate::Column::Plate.starts_with(side));
    own.order_by_asc(plate::Column::Id).all(db).await
}

async fn swap_plates(txn: &DatabaseTransaction, random: &mut StdRng, side: &str) -> Result<(), DbErr> {
    let rows = own_plates(txn, side).await?;
    let (Some(one), Some(other)) = (rows.choose(random), rows.choose(random)) else { return Ok(()) };
    if one.id == other.id {
        return Ok(());
    }
    let spare = format!("{side}-spare");
    for (id, plate) in [(one.id, &spare), (other.id, &one.plate), (one.id, &other.plate)] {
        let row = plate::ActiveModel { id: Unchanged(id), plate: Set(plate.clone()), ..Default::default() };
        row.update(txn).await?;
    }
    Ok(())
}

/// What happens to an entity next.
enum Fate {
    Create,
    Update,
    Delete,
}

/// More of what there is little of.
fn fate(random: &mut StdRng, rows: usize) -> Fate {
    let deletes = if rows > ENOUGH { 0.5 } else { 0.1 };
    match random.random::<f64>() {
        chance if chance < deletes => Fate::Delete,
        chance if chance < 0.65 => Fate::Update,
        _ => Fate::Create,
    }
}

fn word(random: &mut StdRng) -> String {
    format!("{:012x}", random.random::<u64>() >> 16)
}
