//! What a stage is given: the servers, how much to do, and the turns of baseline and ours.

use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::ground::Ground;
use crate::wait::DEADLINE;

/// The run.
pub(crate) struct Bench {
    pub(crate) ground: Ground,
    /// How often each side takes its turn.
    pub(crate) rounds: usize,
    /// How much of the full size is done.
    pub(crate) fraction: f64,
    /// Whether this run only shows that every stage still runs.
    pub(crate) quick: bool,
}

impl Bench {
    /// This part of a full size, for `writers` side by side: each gets the same.
    pub(crate) fn part_for(&self, writers: usize, full: usize) -> usize {
        ((full as f64 * self.fraction) as usize).max(20).div_ceil(writers) * writers
    }

    /// This part of a full size.
    pub(crate) fn part_of(&self, full: usize) -> usize {
        self.part_for(1, full)
    }

    /// Baseline and ours in turns.
    pub(crate) async fn rounds<T>(
        &self,
        mut baseline: impl AsyncFnMut() -> Result<T>,
        mut ours: impl AsyncFnMut() -> Result<T>,
    ) -> Result<(Vec<T>, Vec<T>)> {
        let [baseline, ours] = self
            .turns(async |side| match side {
                0 => baseline().await,
                _ => ours().await,
            })
            .await?;
        Ok((baseline, ours))
    }

    /// Baseline, ours, ours, baseline, baseline, ..: what troubles the machine meanwhile troubles all sides, and none always comes
    /// first.
    pub(crate) async fn turns<T, const SIDES: usize>(
        &self,
        mut turn: impl AsyncFnMut(usize) -> Result<T>,
    ) -> Result<[Vec<T>; SIDES]> {
        let mut figures = [const { Vec::new() }; SIDES];
        for round in 0..self.rounds {
            for place in 0..SIDES {
                let side = (round + place) % SIDES;
                figures[side].push(turn(side).await?);
            }
        }
        Ok(figures)
    }
}

/// How many of `count` were done a second; an error, if there is no end.
pub(crate) async fn rate(count: usize, work: impl Future<Output = Result<()>>) -> Result<f64> {
    let started = Instant::now();
    tokio::time::timeout(DEADLINE, work).await.with_context(|| format!("{count} not within {DEADLINE:?}"))??;
    Ok(count as f64 / started.elapsed().as_secs_f64())
}

/// Calls `save` with every number below `saves`, by `writers` side by side. Each has numbers of its own, which leave the
/// same remainder.
pub(crate) async fn by_writers<F, S>(writers: usize, saves: usize, save: F) -> Result<()>
where
    F: Fn(usize) -> S + Clone + Send + 'static,
    S: Future<Output = Result<()>> + Send,
{
    let write = |writer: usize| {
        let save = save.clone();
        tokio::spawn(async move {
            for number in (writer..saves).step_by(writers) {
                save(number).await?;
            }
            Ok::<_, anyhow::Error>(())
        })
    };
    let running: Vec<_> = (0..writers).map(write).collect();
    for writer in running {
        writer.await??;
    }
    Ok(())
}
