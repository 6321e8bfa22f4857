//! The actor: an application in a process of its own, with its API's queries, a relay and a consumer on one pool. It takes
//! orders on standard input, one a line, and ends with it.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use jsb_runtime::Config;
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr, EntityTrait, QueryOrder, QuerySelect};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tracing_subscriber::EnvFilter;

use super::lane::Lane;
use super::work::{Work, at_pace};
use crate::child::READY;
use crate::entities::tally;

/// The lane of the queries that an API makes meanwhile on the bridge's pool.
pub(super) const QUERIES: &str = "queries";
/// The lane of the same queries on a pool of their own: as long as these take, the machine takes, and not the bridge.
pub(super) const APART: &str = "apart";
/// How often one is made in each.
const QUERY_EVERY: Duration = Duration::from_millis(10);
/// What an actor says once the work that it was given has begun.
pub(super) const BEGUN: &str = "begun";
/// The orders that an actor understands, with what they are followed by.
pub(super) const WORK: &str = "work";
pub(super) const REST: &str = "rest";
pub(super) const LOOK: &str = "look";
pub(super) const RESET: &str = "reset";

/// Plays an application until it is told to stop, or standard input ends.
///
/// # Errors
///
/// When the bridge cannot start, or an order is none.
pub async fn play() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "jsb_runtime=warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    let (db, apart) = (connect().await?, connect().await?);
    let bridge = jsb_runtime::start(Config::from_env()?, db.clone()).await?;
    let mut lanes = BTreeMap::from([(QUERIES, &db), (APART, &apart)].map(|(name, db)| (name.to_owned(), queries(db))));
    say(READY)?;
    let mut orders = BufReader::new(stdin()).lines();
    while let Some(order) = orders.next_line().await? {
        match order.splitn(3, ' ').collect::<Vec<_>>()[..] {
            [WORK, lane, work] => {
                let work: Work = serde_json::from_str(work)?;
                let pool = if work.is_apart() { &apart } else { &db };
                work.run(pool.clone(), lanes.entry(lane.to_owned()).or_insert_with(Lane::new).clone()).await?;
                say(BEGUN)?;
            }
            [REST, lane] => {
                lanes.get(lane).inspect(|lane| lane.rest());
                say(REST)?;
            }
            [LOOK] => {
                let seen: BTreeMap<_, _> = lanes.iter().map(|(name, lane)| (name, lane.seen())).collect();
                say(&serde_json::to_string(&seen)?)?;
            }
            [RESET] => {
                lanes.values().for_each(Lane::reset);
                say(RESET)?;
            }
            ["stop"] => {
                bridge.shutdown().await?;
                say("stopped")?;
                return Ok(());
            }
            _ => anyhow::bail!("not an order: {order}"),
        }
    }
    Ok(())
}

/// A pool as an application has it that says nothing of its size.
async fn connect() -> anyhow::Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(std::env::var("DATABASE_URL")?);
    options.sqlx_logging(false);
    Ok(Database::connect(options).await?)
}

/// Makes a small query now and then, as an API does.
fn queries(db: &DatabaseConnection) -> Lane {
    let (lane, db) = (Lane::new(), db.clone());
    let query = move || query(db.clone());
    tokio::spawn(at_pace(QUERY_EVERY, u64::MAX, lane.clone(), lane.enter(), query));
    lane
}

async fn query(db: DatabaseConnection) -> Result<(), DbErr> {
    tally::Entity::find().order_by_desc(tally::Column::Id).limit(10).all(&db).await.map(drop)
}

fn say(answer: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{answer}")
}
