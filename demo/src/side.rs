//! Who system A and system B are, and what one process of theirs does.

use clap::ValueEnum;
use jsb_runtime::{Config, ConfigError};

/// How many systems draw ids.
pub(crate) const NODE_COUNT: u32 = 2;

/// What distinguishes system A from system B.
#[derive(Clone, Copy)]
pub(crate) struct Side {
    pub name: &'static str,
    pub peer: &'static str,
    pub node: u32,
    pub port: u16,
    /// The port of the restrictive pair, so that both pairs can run at once.
    pub restrictive_port: u16,
}

/// System A draws the odd ids.
pub(crate) const A: Side = Side { name: "system_a", peer: "system_b", node: 1, port: 3000, restrictive_port: 3100 };
/// System B draws the even ids.
pub(crate) const B: Side = Side { name: "system_b", peer: "system_a", node: 0, port: 3001, restrictive_port: 3101 };

impl Side {
    /// Who this side is stands fixed; everything else may come from the environment.
    pub(crate) fn config(&self, role: ProcessRole, nats_url: &str) -> Result<Config, ConfigError> {
        Config::read(|variable| match variable {
            "APP_NAME" => Some(self.name.to_owned()),
            "DESTINATION_APP" => Some(self.peer.to_owned()),
            "NODE_INDEX" => Some(self.node.to_string()),
            "NODE_COUNT" => Some(NODE_COUNT.to_string()),
            "NATS_URL" => Some(nats_url.to_owned()),
            "ROLES" => Some(role.bridge_roles().to_owned()),
            other => Config::variable(other),
        })
    }
}

/// The parts of a system that one process runs.
#[derive(Clone, Copy, Default, PartialEq, ValueEnum)]
pub(crate) enum ProcessRole {
    /// The HTTP interface, and the relay that publishes what it saves
    Api,
    /// The consumer alone, without the API
    Consumer,
    /// Both
    #[default]
    All,
}

impl ProcessRole {
    pub(crate) fn has_api(self) -> bool {
        self != Self::Consumer
    }

    fn bridge_roles(self) -> &'static str {
        match self {
            Self::Api => "relay",
            Self::Consumer => "consumer",
            Self::All => "relay,consumer",
        }
    }
}
