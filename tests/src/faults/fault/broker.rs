//! Faults of the NATS servers.

use std::sync::atomic::Ordering;

use async_trait::async_trait;

use super::{Fault, Target};
use crate::faults::link::Weather;
use crate::faults::world::{STREAM, Which, World};

/// Servers that go and come back with their stores; all of them, or one of a cluster.
#[derive(Debug)]
pub struct NatsAway {
    /// Which.
    pub nodes: Vec<usize>,
    /// Whether they stop in order rather than die.
    pub in_order: bool,
}

#[async_trait]
impl Fault for NatsAway {
    fn targets(&self) -> Vec<Target> {
        vec![Target::Broker]
    }

    async fn begin(&mut self, world: &World) -> anyhow::Result<()> {
        for &node in &self.nodes {
            if self.in_order {
                world.broker.stop(node).await;
            } else {
                world.broker.kill(node).await;
            }
        }
        Ok(())
    }

    async fn end(&mut self, world: &World) -> anyhow::Result<()> {
        // Side by side: one of a cluster serves once it has found another.
        futures_util::future::try_join_all(self.nodes.iter().map(|node| world.broker.restart(*node))).await?;
        Ok(())
    }
}

/// A server that comes back without its store. If it was the only one, what it had acknowledged is lost, and its
/// operator publishes the outboxes again. A cluster has lost nothing as long as the other servers have all, which is
/// waited for: two that forget one after the other may outvote the one that knows.
#[derive(Debug)]
pub struct StoreLost(pub usize);

#[async_trait]
impl Fault for StoreLost {
    fn targets(&self) -> Vec<Target> {
        vec![Target::Broker]
    }

    async fn begin(&mut self, world: &World) -> anyhow::Result<()> {
        if world.broker.size() == 1 {
            world.must_republish.store(true, Ordering::SeqCst);
        } else {
            world.broker.until_current(STREAM, &Which::BOTH.map(Which::durable)).await?;
        }
        world.broker.kill(self.0).await;
        Ok(world.broker.lose_store(self.0)?)
    }

    async fn end(&mut self, world: &World) -> anyhow::Result<()> {
        world.broker.restart(self.0).await
    }
}

/// The server that leads the stream is killed.
#[derive(Debug, Default)]
pub struct LeaderKilled {
    /// Whom it was, once it has begun.
    pub leader: Option<usize>,
}

#[async_trait]
impl Fault for LeaderKilled {
    fn targets(&self) -> Vec<Target> {
        vec![Target::Broker]
    }

    async fn begin(&mut self, world: &World) -> anyhow::Result<()> {
        let leader = world.broker.leader(STREAM).await?;
        self.leader = Some(leader);
        world.broker.kill(leader).await;
        Ok(())
    }

    async fn end(&mut self, world: &World) -> anyhow::Result<()> {
        match self.leader {
            Some(leader) => world.broker.restart(leader).await,
            None => Ok(()),
        }
    }
}

/// A server of a cluster that its clients reach, and the other servers do not.
#[derive(Debug)]
pub struct CutOff(pub usize);

#[async_trait]
impl Fault for CutOff {
    fn targets(&self) -> Vec<Target> {
        vec![Target::Broker]
    }

    async fn begin(&mut self, world: &World) -> anyhow::Result<()> {
        world.broker.set_routes_of(self.0, Weather::Cut);
        Ok(())
    }

    async fn end(&mut self, world: &World) -> anyhow::Result<()> {
        world.broker.set_routes_of(self.0, Weather::Clear);
        Ok(())
    }
}
