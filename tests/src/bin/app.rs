//! One application of a pair as a process of its own, for tests that kill it. It takes orders on standard input, one a
//! line, and ends with it.

use std::io::Write;

use jsb_runtime::Config;
use jsb_tests::child::READY;
use jsb_tests::database::connect;
use jsb_tests::entities::organization;
use sea_orm::TransactionTrait;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tracing_subscriber::EnvFilter;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    if std::env::var_os(EnvFilter::DEFAULT_ENV).is_some() {
        tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env()).with_writer(std::io::stderr).init();
    }
    let db = connect(&std::env::var("DATABASE_URL")?).await;
    let bridge = jsb_runtime::start(Config::from_env()?, db.clone()).await?;
    say(READY)?;
    let mut orders = BufReader::new(stdin()).lines();
    let mut open = Vec::new();
    while let Some(order) = orders.next_line().await? {
        match order.split_once(' ').unwrap_or((&order, "")) {
            ("save", domain) => {
                organization::new(domain).insert(&db).await?;
                say("saved")?;
            }
            ("begin", domain) => {
                let txn = db.begin().await?;
                organization::new(domain).insert(&txn).await?;
                open.push(txn);
                say("begun")?;
            }
            ("stop", _) => {
                bridge.shutdown().await?;
                say("stopped")?;
                return Ok(());
            }
            _ => anyhow::bail!("not an order: {order}"),
        }
    }
    Ok(())
}

fn say(answer: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{answer}")
}
