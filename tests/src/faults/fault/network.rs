//! Faults of the network between an application and a server.

use std::time::Duration;

use async_trait::async_trait;

use super::{Fault, Target};
use crate::faults::link::{Link, Weather};
use crate::faults::world::World;

/// How soon connections that lost their answers lose them again.
const AGAIN: Duration = Duration::from_millis(700);

/// Links with weather.
#[derive(Debug)]
pub struct BadWeather {
    /// Which links.
    pub on: Target,
    /// How they are.
    pub weather: Weather,
    /// For how long.
    pub lasts: Duration,
    /// Whether what was held up arrives in the end, rather than its connections ending.
    pub arrives: bool,
}

impl BadWeather {
    fn links<'a>(&self, world: &'a World) -> Vec<&'a Link> {
        match self.on {
            Target::BrokerLinks(which) => world.side(which).to_broker.iter().collect(),
            Target::DatabaseLink(which) => world.side(which).to_database.iter().collect(),
            _ => Vec::new(),
        }
    }
}

#[async_trait]
impl Fault for BadWeather {
    fn targets(&self) -> Vec<Target> {
        vec![self.on]
    }

    async fn begin(&mut self, world: &World) -> anyhow::Result<()> {
        let links = self.links(world);
        for link in &links {
            link.set(self.weather);
        }
        if self.weather == Weather::LosesAnswers {
            let mut left = self.lasts;
            while left > AGAIN {
                tokio::time::sleep(AGAIN).await;
                left -= AGAIN;
                for link in &links {
                    link.set(self.weather);
                }
            }
        }
        Ok(())
    }

    async fn end(&mut self, world: &World) -> anyhow::Result<()> {
        for link in self.links(world) {
            if !self.arrives {
                link.cut_connections().await;
            }
            link.set(Weather::Clear);
        }
        Ok(())
    }
}
