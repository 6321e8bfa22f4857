//! Waiting until nothing moves any more.

use std::time::{Duration, Instant};

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};

use super::plan::Quiet;
use super::world::{STREAM, Which, World};

/// How often the tables are looked at.
const EVERY: Duration = Duration::from_millis(300);
/// How often in a row nothing may move.
const LOOKS: u32 = 4;

/// How long something may move without a change: longer than an event is parked before it is tried again. How long that
/// takes on the whole is the machine's affair.
const STUCK: Duration = Duration::from_secs(120);
/// How long it may take on the whole: what goes round and round does change.
const LONGEST: Duration = Duration::from_secs(600);
/// How often one is told.
const TELL: Duration = Duration::from_secs(10);

/// What still moves; empty, if nothing does.
type Moving = Vec<String>;

/// Waits until nothing moves, and tells now and then what still does.
///
/// # Errors
///
/// What still is to move and does not, or still moves after a very long time.
pub(super) async fn until_quiet(
    world: &World,
    sides: [&DatabaseConnection; 2],
    mended: Instant,
) -> Result<Quiet, Moving> {
    let (mut still, mut last, mut told) = (0, Moving::new(), Duration::ZERO);
    let mut changed = Instant::now();
    loop {
        let moving = moving(world, sides).await;
        still = if moving.is_empty() { still + 1 } else { 0 };
        let after = mended.elapsed();
        if still == LOOKS {
            return Ok(Quiet { after, last });
        }
        if after > LONGEST || changed.elapsed() > STUCK {
            return Err(moving);
        }
        if !moving.is_empty() && moving != last {
            (last, changed) = (moving, Instant::now());
        }
        if after - told > TELL {
            told = after;
            eprintln!("not quiet after {after:.1?}: {}", last.join(", "));
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Waits until both outboxes are sent; whether they are by the deadline.
pub(super) async fn until_sent(sides: [&DatabaseConnection; 2], deadline: Duration) -> bool {
    let began = Instant::now();
    while began.elapsed() < deadline {
        let counts = [pending(sides[0]).await, pending(sides[1]).await];
        if counts.iter().all(|count| matches!(count, Ok(0))) {
            return true;
        }
        tokio::time::sleep(EVERY).await;
    }
    false
}

async fn moving(world: &World, sides: [&DatabaseConnection; 2]) -> Moving {
    let mut moving: Moving = world
        .actors()
        .filter(|actor| !actor.is_ready())
        .map(|actor| format!("{} does not run; it ended so far by {:?}", actor.name, actor.ends()))
        .collect();
    for which in Which::BOTH {
        let (here, there) = (sides[which as usize], sides[which.other() as usize]);
        match in_tables(which, here, there).await {
            Ok(found) => moving.extend(found),
            Err(error) => moving.push(format!("{}'s tables cannot be read: {error}", which.letter())),
        }
        match world.broker.left_for(STREAM, &which.durable()).await {
            Ok((0, 0)) => {}
            Ok(left) => moving.push(format!("{} has {left:?} (to come, in hand) at JetStream", which.letter())),
            Err(error) => moving.push(format!("JetStream does not answer: {error}")),
        }
    }
    moving
}

async fn in_tables(which: Which, here: &DatabaseConnection, there: &DatabaseConnection) -> Result<Moving, DbErr> {
    let side = which.letter();
    let mut moving = Vec::new();
    match pending(here).await? {
        0 => {}
        rows => moving.push(format!("{side} has {rows} row(s) to send")),
    }
    for status in ["failed", "parked"] {
        let rows = count(here, "inbox_events", Some(status)).await?;
        if rows > 0 {
            moving.push(format!("{side} has {rows} {status} event(s) in its inbox"));
        }
    }
    let (sent, received) = (count(there, "outbox_events", None).await?, count(here, "inbox_events", None).await?);
    if received < sent {
        moving.push(format!("{side} has received {received} of {sent} event(s)"));
    }
    Ok(moving)
}

async fn pending(db: &DatabaseConnection) -> Result<i64, DbErr> {
    count(db, "outbox_events", Some("pending")).await
}

async fn count(db: &DatabaseConnection, table: &'static str, status: Option<&str>) -> Result<i64, DbErr> {
    let mut select = Query::select().expr_as(Expr::col("event_id").count(), "n").from(table).to_owned();
    if let Some(status) = status {
        select.and_where(Expr::col("status").eq(status));
    }
    db.query_one(&select).await?.map_or(Ok(0), |row| row.try_get("", "n"))
}
