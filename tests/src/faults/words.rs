//! What processes say: refusals of their databases, and lines of their logs.

use std::collections::BTreeMap;

use super::world::World;

/// What was said, and how often, most frequent first.
pub(super) type Counted = Vec<(u64, String)>;

/// What the databases refused to the workload.
pub(super) fn refusals(world: &World) -> Counted {
    counted(world.actors().flat_map(|actor| actor.refusals()).map(|(refusal, times)| (times, refusal)))
}

/// What the processes logged, without what differs from time to time.
pub(super) fn logged(world: &World) -> Counted {
    let logs: Vec<String> = world.actors().map(|actor| actor.log()).collect();
    counted(logs.iter().flat_map(|log| log.lines()).filter_map(message).map(|message| (1, message)))
}

/// How many warnings and errors there were so far, and refusals.
pub(super) fn complaints(world: &World) -> u64 {
    let is_complaint = |line: &&str| matches!(line.split_whitespace().nth(1), Some("WARN" | "ERROR"));
    let in_logs = world.actors().map(|actor| actor.log().lines().filter(is_complaint).count() as u64);
    let refused = world.actors().flat_map(|actor| actor.refusals().into_values());
    in_logs.sum::<u64>() + refused.sum::<u64>()
}

/// Lines in which a process says that it panicked.
pub(super) fn panics(world: &World) -> Vec<String> {
    let of = |log: String| log.lines().filter(|line| line.contains("panicked")).map(str::to_owned).collect::<Vec<_>>();
    let found = world.actors().map(|actor| (&actor.name, of(actor.log())));
    found.flat_map(|(name, lines)| lines.into_iter().map(move |line| format!("{name}: {line}"))).collect()
}

/// Level, module and message of a line, without details: `<time> <level> <module>: <message>: <detail> <name>=<value> ..`.
fn message(line: &str) -> Option<String> {
    let mut words = line.split_whitespace().skip(1);
    let level = words.next().filter(|level| ["DEBUG", "INFO", "WARN", "ERROR"].contains(level))?;
    let module = words.next()?;
    let text: Vec<&str> = words.take_while(|word| !word.contains('=')).collect();
    let text = text.join(" ");
    Some(format!("{level} {module} {}", text.split(": ").next().unwrap_or_default()))
}

fn counted(said: impl Iterator<Item = (u64, String)>) -> Counted {
    let mut times: BTreeMap<String, u64> = BTreeMap::new();
    for (count, words) in said {
        *times.entry(words).or_default() += count;
    }
    let mut counted: Counted = times.into_iter().map(|(words, count)| (count, words)).collect();
    counted.sort_by(|one, other| other.cmp(one));
    counted
}
