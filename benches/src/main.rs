//! `cargo bench -p jsb-benches`: how fast JSB is, stage by stage, beside what an expert would write by hand.
//!
//! docs/performance.md says what each stage is and how to read the figures.

mod bench;
mod by_hand;
mod database;
mod entities;
mod fill;
mod ground;
mod migration;
mod report;
mod saves;
mod site;
mod stages;
mod turns;
mod wait;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};

use crate::bench::Bench;
use crate::ground::Ground;
use crate::stages::{Stage, memory};

/// How much the smoke run does of everything.
const QUICK: f64 = 0.001;

#[derive(Parser)]
#[command(about = "Measures every stage beside what an expert would write by hand")]
struct Options {
    /// The stages to run; all, if none is named
    #[arg(value_enum)]
    stages: Vec<Stage>,
    /// How often each side takes its turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How much of the full sizes to do: 0.1 is a tenth
    #[arg(long, default_value_t = 1.0)]
    size: f64,
    /// Microseconds that each flush of commits waits first, as if the disk took so much longer
    #[arg(long, default_value_t = 0, value_name = "MICROSECONDS")]
    commit_delay: u32,
    /// Only show that every stage runs: one round, tiny sizes, no figures that mean anything
    #[arg(long)]
    quick: bool,
    /// What cargo passes to a bench
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the process whose memory is looked at
    #[arg(long, hide = true)]
    relay_child: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    if options.relay_child {
        return memory::relay_until_told().await;
    }
    ensure!(options.rounds > 0 && options.size > 0.0, "there is nothing to measure without rounds or sizes");
    let bench = Bench {
        ground: Ground::lay(!options.quick, options.commit_delay).await?,
        rounds: if options.quick { 1 } else { options.rounds },
        fraction: if options.quick { QUICK } else { options.size },
        quick: options.quick,
    };
    let stages = if options.stages.is_empty() { Stage::value_variants().to_vec() } else { options.stages };
    for stage in stages {
        let comparisons = stage.run(&bench).await?;
        match bench.quick {
            true => report::note(&stage.name())?,
            false => report::report(&target().join("bench"), &stage.name(), &comparisons)?,
        }
    }
    Ok(())
}

/// The workspace's target folder.
fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")
}
