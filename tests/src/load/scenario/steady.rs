//! Steady load for long.

use super::SAVES;
use crate::load::watermark::FLAT;
use crate::load::work::{Pace, What, Work};
use crate::load::world::{World, tell};

/// Fewer than a pool has connections, as in an application that is busy and well.
const WRITERS: u64 = 6;

pub(super) async fn play(mut world: World, events: u64) -> anyhow::Result<Vec<String>> {
    let pace = Pace::Writers { count: WRITERS, per_transaction: 1 };
    world.a.begin(SAVES, &Work { what: What::Mixed, saves: events, pace }).await?;
    let parts = [("first tenth", 10), ("quarter", 25), ("middle", 50), ("three quarters", 75), ("applied", 100)];
    for (part, percent) in parts {
        world.until_applied(events * percent / 100).await?;
        let saves = world.a.seen(SAVES).await?;
        world.tell_part(part).await?;
        tell(format_args!("    saves of a: {} saved, {}", saves.done, saves.latency));
        // Pools and buffers have their size by now.
        world.mark_memory(FLAT);
    }
    world.until_done(SAVES).await?;
    world.end(events).await
}
