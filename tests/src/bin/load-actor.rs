//! An application of the load harness, as a process of its own.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    jsb_tests::load::actor::play().await
}
