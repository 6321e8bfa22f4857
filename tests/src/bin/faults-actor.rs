//! A part of an application of the fault harness, as a process of its own.

use jsb_tests::faults::{child, ours::Ours};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    child::play(&Ours).await
}
