//! Which pairs of apps a command is for: those that it names, or the application and the other one.

use std::str::FromStr;

use anyhow::Context as _;
use clap::Args;
use jsb_runtime::Config;

use crate::settings::Settings;

/// The pairs that share a stream.
#[derive(Args)]
pub(crate) struct Pairs {
    /// A pair of apps that sync with each other, once for each pair [default: APP_NAME,DESTINATION_APP]
    #[arg(long = "pair", value_name = "A,B")]
    pairs: Vec<Pair>,
}

#[derive(Clone)]
struct Pair {
    a: String,
    b: String,
}

impl FromStr for Pair {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split(',').map(str::trim).collect::<Vec<_>>().as_slice() {
            [a, b] if !a.is_empty() && !b.is_empty() => Ok(Self { a: (*a).to_owned(), b: (*b).to_owned() }),
            _ => Err("write two names with a comma between them, such as system_a,system_b"),
        }
    }
}

impl Pairs {
    /// The pairs, and a configuration with the settings that they share.
    pub(crate) fn resolve(&self, settings: &Settings) -> anyhow::Result<(Config, Vec<(String, String)>)> {
        let Some(first) = self.pairs.first() else {
            let config = settings.config().context("no --pair was named, and the variables do not name one")?;
            let pair = (config.app_name.clone(), config.destination_app.clone());
            return Ok((config, vec![pair]));
        };
        let config = settings.config_of(Some((&first.a, &first.b)))?;
        Ok((config, self.pairs.iter().map(|pair| (pair.a.clone(), pair.b.clone())).collect()))
    }
}
