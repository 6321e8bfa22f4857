//! A child: one part of one application, which obeys orders on standard input and ends with it.

use std::io::Write;
use std::str::FromStr;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join_all;
use jsb_runtime::Config;
use jsb_runtime::testing::skewed;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, TransactionTrait};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use super::{Turn, Workload, set_slowness};

/// Names the part that a child plays.
pub const PART: &str = "FAULTS_PART";
/// Names the child's side, `a` or `b`.
pub const SIDE: &str = "FAULTS_SIDE";
/// The seed of an API's chance.
pub const SEED: &str = "FAULTS_SEED";
/// How often the child was started before: an API that comes back must not make the same rows again.
pub const LIFE: &str = "FAULTS_LIFE";
/// How wrong the child's clock is, in seconds.
pub const CLOCK: &str = "FAULTS_CLOCK";
/// Set for an API that writes nothing.
pub const RESTING: &str = "FAULTS_RESTING";

/// What a child says once its bridge runs.
pub const ANSWER_READY: &str = "ready";
/// What an API says once it writes no more.
pub const ANSWER_RESTING: &str = "resting";

/// More than an API has.
const LIVES: u64 = 1_000_003;
/// How many saves an API makes at a time.
const WRITERS: u64 = 3;
/// The connections of a child's pool, and how long one is waited for.
const POOL: u32 = 6;
const ACQUIRE: Duration = Duration::from_secs(4);
/// How long a writer lets pass between turns.
const PAUSE: std::ops::Range<u64> = 5..60;

/// What a child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Writes at random, and relays like an application that serves and publishes in one process.
    Api,
    /// Relays.
    Relay,
    /// Consumes.
    Consumer,
}

impl Part {
    /// Its name in a child's environment.
    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Relay => "relay",
            Self::Consumer => "consumer",
        }
    }

    /// The roles of its bridge.
    pub fn roles(self) -> &'static str {
        if self == Self::Consumer { "consumer" } else { "relay" }
    }
}

impl FromStr for Part {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let parts = [Self::Api, Self::Relay, Self::Consumer];
        parts.into_iter().find(|part| part.name() == text).ok_or_else(|| anyhow::anyhow!("no part: {text}"))
    }
}

/// Plays the part that the environment names until it is told to stop, or standard input ends.
///
/// # Errors
///
/// When the bridge cannot start, as while the database is away: the harness then starts the child again.
pub async fn play(workload: &impl Workload) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "jsb_runtime=info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    let offset = TimeDelta::seconds(variable(CLOCK)?.parse()?);
    skewed(offset, play_in_time(workload)).await
}

async fn play_in_time(workload: &impl Workload) -> anyhow::Result<()> {
    let part: Part = variable(PART)?.parse()?;
    let db = connect(&variable("DATABASE_URL")?).await?;
    let bridge = jsb_runtime::start(Config::from_env()?, db.clone()).await?;
    say(ANSWER_READY)?;
    let writes = part == Part::Api && std::env::var_os(RESTING).is_none();
    let writing = watch::Sender::new(writes);
    let write = async {
        if writes {
            write(workload, &db, writing.subscribe()).await?;
        }
        if part == Part::Api {
            say(ANSWER_RESTING)?;
        }
        std::future::pending::<anyhow::Result<()>>().await
    };
    tokio::select! {
        obeyed = obey(&db, &writing) => obeyed?,
        written = write => written?,
    }
    bridge.shutdown().await?;
    Ok(())
}

/// Obeys until it is told to stop.
async fn obey(db: &DatabaseConnection, writing: &watch::Sender<bool>) -> anyhow::Result<()> {
    let mut orders = BufReader::new(stdin()).lines();
    while let Some(order) = orders.next_line().await? {
        match order.split_once(' ').unwrap_or((&order, "")) {
            ("rest", _) => drop(writing.send_replace(false)),
            ("slow", milliseconds) => set_slowness(milliseconds.parse()?),
            ("hog", milliseconds) => hog(db, Duration::from_millis(milliseconds.parse()?)),
            ("stop", _) => return Ok(()),
            _ => anyhow::bail!("not an order: {order}"),
        }
    }
    Ok(())
}

/// Takes every connection of the pool for a while.
fn hog(db: &DatabaseConnection, lasts: Duration) {
    for _ in 0..POOL {
        let db = db.clone();
        tokio::spawn(async move {
            // One that cannot be had is taken by somebody else, which is as good.
            if let Ok(taken) = db.begin().await {
                tokio::time::sleep(lasts).await;
                drop(taken);
            }
        });
    }
}

/// Takes turns side by side until it is told to rest.
async fn write(
    workload: &impl Workload,
    db: &DatabaseConnection,
    writing: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let (seed, life) = (variable(SEED)?.parse::<u64>()?, variable(LIFE)?.parse::<u64>()?);
    let side = variable(SIDE)?;
    let seed = seed.wrapping_mul(LIVES).wrapping_add(life);
    let writers = (0..WRITERS).map(|writer| {
        let (side, writing) = (&side, &writing);
        async move {
            let mut random = StdRng::seed_from_u64(seed.wrapping_mul(WRITERS).wrapping_add(writer));
            while *writing.borrow() {
                if let Err(refused) = workload.take(Turn { db, random: &mut random, side }).await {
                    say(&format!("refused {}", refused.to_string().replace('\n', " ")))?;
                }
                tokio::time::sleep(Duration::from_millis(random.random_range(PAUSE))).await;
            }
            anyhow::Ok(())
        }
    });
    join_all(writers).await.into_iter().collect()
}

async fn connect(url: &str) -> anyhow::Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(POOL).acquire_timeout(ACQUIRE).sqlx_logging(false);
    options.map_sqlx_sqlite_opts(|sqlite| {
        use sea_orm::sqlx::sqlite::SqliteJournalMode;
        sqlite.journal_mode(SqliteJournalMode::Wal).busy_timeout(ACQUIRE)
    });
    Ok(Database::connect(options).await?)
}

fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).map_err(|_| anyhow::anyhow!("{name} is not set: this program is started by the fault harness"))
}

fn say(answer: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{answer}")
}
