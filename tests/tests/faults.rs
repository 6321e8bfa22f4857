//! Short runs of the fault harness; `tests/README.md` says how to run it for longer.

use std::time::Duration;

use jsb_tests::faults::{OurStage, Plan, Terrain, run};
use tokio::sync::Mutex;

/// One run at a time: each is the work of a dozen processes.
static ALONE: Mutex<()> = Mutex::const_new(());

async fn holds(terrain: Terrain, seed: u64) {
    let _alone = ALONE.lock().await;
    let stage = OurStage { program: env!("CARGO_BIN_EXE_faults-actor"), older: env!("CARGO_BIN_EXE_faults-older") };
    let plan = Plan { seed, terrain, length: Duration::from_secs(10), small_disks: false };
    let report = run(&stage, plan).await.expect("servers that can be broken and mended");
    eprintln!("{report}");
    assert!(report.balance.events.iter().all(|events| *events > 20), "too little happened to show anything");
    assert!(report.is_clean(), "seed {seed} found something");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_agree_after_faults() {
    holds(Terrain::Plain, 1).await;
}
