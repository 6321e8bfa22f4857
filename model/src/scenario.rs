//! What users do, which bounds what is explored.

use crate::action::Save;
use crate::state::{Key, Side, Values};

/// What users may do, how often, and what the clocks show.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What A has written, and B has, before it begins.
    pub initial: Vec<Save>,
    /// What users may do.
    pub saves: Vec<Save>,
    /// The sides on which they do it.
    pub writers: &'static [Side],
    /// How many saves there are at the most, of both sides.
    pub most_saves: usize,
    /// What each side's clocks may show, in nanoseconds, whenever they are read: a side has more than one process.
    pub clocks: [Vec<i64>; 2],
    /// By how much each save moves all clocks on.
    pub pace: i64,
    /// Whether tombstones that are older than a clock are pruned.
    pub prunes: bool,
    /// Whether events that were processed may come again after the inbox has forgotten them.
    pub replays: bool,
}

impl Scenario {
    /// One row that both sides write and delete, by clocks that differ and jump.
    pub fn rows(most_saves: usize) -> Self {
        let saves = vec![put('x'), Save::Delete('x')];
        Self { replays: true, ..Self::of("rows", vec![put('x')], saves, most_saves) }
    }

    /// One row that is also written and deleted within `skip_publish`.
    pub fn quiet_saves(most_saves: usize) -> Self {
        let saves = vec![put('x'), Save::Delete('x'), Save::QuietUpdate('x'), Save::QuietDelete('x')];
        Self::of("quiet saves", vec![put('x')], saves, most_saves)
    }

    /// Two rows whose tombstones are pruned.
    pub fn pruning(most_saves: usize) -> Self {
        let saves = vec![put('x'), Save::Delete('x'), put('y')];
        let (clocks, pace) = ([vec![0], vec![2_000]], 1_000);
        Self { clocks, pace, prunes: true, replays: true, ..Self::of("pruning", vec![put('x')], saves, most_saves) }
    }

    /// Two parents and a child that moves between them.
    pub fn family(most_saves: usize) -> Self {
        let saves = vec![
            put('p'),
            Save::Delete('p'),
            Save::Delete('q'),
            put_under('c', 'p'),
            put_under('c', 'q'),
            Save::Delete('c'),
        ];
        Self::of("family", vec![put('p'), put('q')], saves, most_saves)
    }

    /// Two rows that move and swap unique values, with a spare one.
    pub fn unique_values(most_saves: usize) -> Self {
        let saves = exchange(&['x', 'y'], &['u', 'v', 'w']).chain([Save::Delete('x')]).collect();
        let initial = vec![put_unique('x', 'u'), put_unique('y', 'v')];
        Self { clocks: [vec![5_700], vec![300]], ..Self::of("unique values", initial, saves, most_saves) }
    }

    /// Rows that exchange unique values on one side, by way of a spare one.
    pub fn exchanges(rows: &[Key], values: &[char], most_saves: usize) -> Self {
        let initial = rows.iter().zip(values).map(|(key, value)| put_unique(*key, *value)).collect();
        let saves = exchange(rows, values).collect();
        let (clocks, writers) = ([vec![0], vec![0]], &[Side::A]);
        Self { clocks, writers, ..Self::of("exchanges", initial, saves, most_saves) }
    }

    /// Parents with unique values, children, and all that can be done to them.
    pub fn everything(most_saves: usize) -> Self {
        let parents = exchange(&['p', 'q'], &['u', 'v', 'w']);
        let child = |key, parent, value| Save::Put(key, Values { unique: Some(value), parent: Some(parent) });
        let children = ['c', 'd'].into_iter().flat_map(|key| {
            ['p', 'q'].into_iter().flat_map(move |parent| ['1', '2', '3'].map(|value| child(key, parent, value)))
        });
        let deletes = ['p', 'q', 'c', 'd'].map(Save::Delete);
        let saves = parents.chain(children).chain(deletes).collect();
        let initial = vec![put_unique('p', 'u'), put_unique('q', 'v'), child('c', 'p', '1'), child('d', 'q', '2')];
        Self { pace: 700, replays: true, ..Self::of("everything", initial, saves, most_saves) }
    }

    fn of(name: &'static str, initial: Vec<Save>, saves: Vec<Save>, most_saves: usize) -> Self {
        let clocks = [vec![0, 5_700], vec![300]];
        let writers = &Side::BOTH;
        Self { name, initial, saves, writers, most_saves, clocks, pace: 0, prunes: false, replays: false }
    }

    pub(crate) fn clocks(&self, side: Side, saves: usize) -> impl Iterator<Item = i64> + Clone + use<> {
        let passed = i64::try_from(saves).unwrap_or(i64::MAX) * self.pace;
        self.clocks[side as usize].clone().into_iter().map(move |clock| clock + passed)
    }
}

fn exchange(keys: &[Key], values: &[char]) -> impl Iterator<Item = Save> {
    keys.iter().flat_map(|key| values.iter().map(|value| put_unique(*key, *value)))
}

fn put(key: Key) -> Save {
    Save::Put(key, Values::default())
}

fn put_under(key: Key, parent: Key) -> Save {
    Save::Put(key, Values { parent: Some(parent), ..Values::default() })
}

fn put_unique(key: Key, value: char) -> Save {
    Save::Put(key, Values { unique: Some(value), ..Values::default() })
}
