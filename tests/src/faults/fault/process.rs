//! Faults of processes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use rustix::process::Signal;

use super::{Fault, Target};
use crate::faults::actor::Actor;
use crate::faults::child::CLOCK;
use crate::faults::world::{CAST, Which, World};

/// A process, by its side and its place in the cast.
#[derive(Clone, Copy, Debug)]
pub struct Victim(pub Which, pub usize);

impl Victim {
    fn of(self, world: &World) -> &Actor {
        &world.side(self.0).actors[self.1]
    }

    fn target(self) -> Vec<Target> {
        vec![Target::Process(self.0, self.1)]
    }
}

/// Killed by SIGKILL, and started again later.
#[derive(Debug)]
pub struct Killed(pub Victim);

#[async_trait]
impl Fault for Killed {
    fn targets(&self) -> Vec<Target> {
        self.0.target()
    }

    async fn begin(&mut self, world: &World) -> anyhow::Result<()> {
        self.0.of(world).kill();
        Ok(())
    }

    async fn end(&mut self, world: &World) -> anyhow::Result<()> {
        self.0.of(world).raise();
        Ok(())
    }
}

/// Stopped by SIGSTOP, which it does not notice, for longer than the server waits for acknowledgements.
#[derive(Debug)]
pub struct Frozen(pub Victim);

#[async_trait]
impl Fault for Frozen {
    fn targets(&self) -> Vec<Target> {
        self.0.target()
    }

    async fn begin(&mut self, world: &World) -> anyhow::Result<()> {
        self.0.of(world).signal(Signal::STOP);
        Ok(())
    }

    async fn end(&mut self, world: &World) -> anyhow::Result<()> {
        self.0.of(world).signal(Signal::CONT);
        Ok(())
    }
}

/// Killed, started with a clock that is wrong by so much more, killed again, and started with the old one.
#[derive(Debug)]
pub struct ClockJumped {
    /// Whose.
    pub victim: Victim,
    /// By how much.
    pub by: TimeDelta,
}

impl ClockJumped {
    fn jump(&self, world: &World, by: TimeDelta) {
        let actor = self.victim.of(world);
        actor.dress(|costume| {
            let was: i64 = costume.environment.get(CLOCK).and_then(|text| text.parse().ok()).unwrap_or_default();
            costume.environment.insert(CLOCK, (was + by.num_seconds()).to_string());
        });
        actor.kill();
        actor.raise();
    }
}

#[async_trait]
impl Fault for ClockJumped {
    fn targets(&self) -> Vec<Target> {
        self.victim.target()
    }

    async fn begin(&mut self, world: &World) -> anyhow::Result<()> {
        self.jump(world, self.by);
        Ok(())
    }

    async fn end(&mut self, world: &World) -> anyhow::Result<()> {
        self.jump(world, -self.by);
        Ok(())
    }
}

/// Handlers that take their time.
#[derive(Debug)]
pub struct SlowHandlers {
    /// Whose.
    pub victim: Victim,
    /// How long.
    pub each: Duration,
}

#[async_trait]
impl Fault for SlowHandlers {
    fn targets(&self) -> Vec<Target> {
        self.victim.target()
    }

    async fn begin(&mut self, world: &World) -> anyhow::Result<()> {
        self.victim.of(world).say(format!("slow {}", self.each.as_millis()));
        Ok(())
    }

    async fn end(&mut self, world: &World) -> anyhow::Result<()> {
        self.victim.of(world).say("slow 0");
        Ok(())
    }
}

/// Somebody else in the process has all connections of the pool.
#[derive(Debug)]
pub struct PoolExhausted {
    /// Whose.
    pub victim: Victim,
    /// For how long.
    pub lasts: Duration,
}

#[async_trait]
impl Fault for PoolExhausted {
    fn targets(&self) -> Vec<Target> {
        self.victim.target()
    }

    async fn begin(&mut self, world: &World) -> anyhow::Result<()> {
        self.victim.of(world).say(format!("hog {}", self.lasts.as_millis()));
        Ok(())
    }

    async fn end(&mut self, _world: &World) -> anyhow::Result<()> {
        Ok(())
    }
}

/// A deploy: one side runs with older entities for a while. Each process stops in order.
#[derive(Debug)]
pub struct OlderEntities {
    /// Whose.
    pub which: Which,
    /// The program with older entities.
    pub older: PathBuf,
    /// The one to come back to.
    pub newer: PathBuf,
}

impl OlderEntities {
    fn deploy(&self, world: &World, program: &Path) {
        for actor in &world.side(self.which).actors {
            actor.dress(|costume| costume.program = program.to_owned());
            actor.stop();
            actor.raise();
        }
    }
}

#[async_trait]
impl Fault for OlderEntities {
    fn targets(&self) -> Vec<Target> {
        (0..CAST.len()).map(|place| Target::Process(self.which, place)).collect()
    }

    async fn begin(&mut self, world: &World) -> anyhow::Result<()> {
        self.deploy(world, &self.older);
        Ok(())
    }

    async fn end(&mut self, world: &World) -> anyhow::Result<()> {
        self.deploy(world, &self.newer);
        Ok(())
    }
}
