//! The provisioner: makes the stream and both consumers with an administrator's rights, so that the systems need none.

use std::io::{Write as _, stdout};

use anyhow::Context as _;
use clap::Args;
use jsb_runtime::Config;
use jsb_runtime::operate::{Connection, Provisioner};
use jsb_runtime::topology::{TopologyError, Wanted};

use crate::side::{A, B, ProcessRole};

/// Where to provision.
#[derive(Args)]
pub(crate) struct ProvisionArgs {
    /// The servers, with a user that may make streams and consumers
    #[arg(long, env, hide_env_values = true, default_value = "nats://localhost:4222")]
    nats_url: String,
}

/// Provisions, and says each step.
pub(crate) async fn run(args: ProvisionArgs) -> anyhow::Result<()> {
    provision(&args.nats_url).await
}

pub(crate) async fn provision(nats_url: &str) -> anyhow::Result<()> {
    let config = A.config(ProcessRole::All, nats_url)?;
    let connection = Connection::open(config.clone()).await.context("the provisioner")?;
    writeln!(stdout(), "✓ Connected to NATS JetStream")?;

    let provisioner = Provisioner::new(&connection, wanted(&config)?);
    let plan = provisioner.plan().await?;
    writeln!(stdout(), "{}", plan.to_string().trim_end())?;
    provisioner.apply(&plan, |change| tracing::debug!(%change, "provisioned")).await?;
    writeln!(stdout(), "✓ Stream provisioned: {}", config.stream_name)?;

    connection.close().await;
    writeln!(stdout(), "✓ Provisioning completed successfully!")?;
    Ok(())
}

/// What both systems need of JetStream.
pub(crate) fn wanted(config: &Config) -> Result<Wanted, TopologyError> {
    Wanted::pairs(config, [(A.name, B.name)])
}
