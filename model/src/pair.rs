//! What a checker explores: which actions there are in a state, and where they lead.

use jsb_runtime::testing::{Circle, Link, Reason, follow};
use stateright::{Model, Property};

use crate::action::Action;
use crate::replica::{Refusal, Replica, Status};
use crate::rule::{Rule, Rules};
use crate::scenario::Scenario;
use crate::state::{Key, Side, State};

/// The property that all is about.
pub const AGREEMENT: &str = "both sides hold the same rows";

/// Two replicas in a scenario, by all rules or all but one.
#[derive(Clone, Debug)]
pub struct Pair {
    /// What users do.
    pub scenario: Scenario,
    /// What is held on to.
    pub rules: Rules,
}

impl Model for Pair {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State(Default::default());
        for save in &self.scenario.initial {
            state.save(Side::A, *save, 0, None, &self.rules);
            state.deliver(Side::B, state.at(Side::A).log.len() - 1, &self.rules);
        }
        state.at_mut(Side::A).saves = 0;
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let saves: usize = state.0.iter().map(|replica| replica.saves).sum();
        for side in Side::BOTH {
            self.pending(state, side, actions);
            self.replays(state, side, actions);
            let clocks = self.scenario.clocks(side, saves);
            if self.scenario.prunes {
                actions.extend(clocks.clone().map(|clock| Action::Prune(side, clock)));
            }
            if saves >= self.scenario.most_saves || !self.scenario.writers.contains(&side) {
                continue;
            }
            for save in &self.scenario.saves {
                actions.extend(clocks.clone().map(|clock| Action::Save(side, *save, clock)));
                if !self.rules.hold(Rule::DrawUnderLock) && state.at(side).draft.is_none() {
                    actions.push(Action::Load(side, *save));
                }
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        let rules = &self.rules;
        match action {
            Action::Save(side, save, clock) => next.save(side, save, clock, last.above(side, save), rules)?,
            Action::Load(side, save) => next.at_mut(side).draft = Some((save, last.above(side, save))),
            Action::Commit(side, clock) => {
                let (save, above) = next.at_mut(side).draft.take()?;
                // What the database refuses is over too.
                let drafted = next.clone();
                if next.save(side, save, clock, above, rules).is_none() {
                    next = drafted;
                }
            }
            Action::Deliver(side, number) => next.deliver(side, number, rules),
            Action::Decide(side, number) => {
                let event = *last.arriving(side, number);
                let change = rules.decide(&event, &last.at(side).found(event.key), side);
                next.at_mut(side).decided = Some((number, change));
            }
            Action::Finish(side) => {
                let (number, change) = next.at_mut(side).decided.take()?;
                let event = *last.arriving(side, number);
                let tried = next.at_mut(side).change(&event, change, rules);
                next.record(side, &event, tried, rules);
            }
            Action::Keep(side, number, clock) => next.keep(side, number, clock, rules)?,
            Action::Untangle(side, circle) => self.untangle(&mut next, side, &circle)?,
            Action::Prune(side, clock) => next.prune(side, clock)?,
            Action::Lose(side, number) => next.set_status(side, number, Status::Settled),
        }
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(AGREEMENT, |pair: &Self, state| {
                !pair.is_quiet(state) || pair.disagreement(state).is_none()
            }),
            Property::always("they are as they were written last", |pair: &Self, state| {
                !pair.is_quiet(state) || pair.outdated(state).is_none()
            }),
            Property::always("what was deleted last is not there", |pair: &Self, state| {
                !pair.is_quiet(state) || pair.resurrected(state).is_none()
            }),
            Property::always("nothing waits for ever", |pair: &Self, state| {
                !pair.is_quiet(state) || pair.stuck(state).is_none()
            }),
        ]
    }
}

impl Pair {
    /// Whether nothing is on its way and nothing that waits could go on.
    pub fn is_quiet(&self, state: &State) -> bool {
        let mut pending = Vec::new();
        Side::BOTH.iter().for_each(|side| self.pending(state, *side, &mut pending));
        pending.into_iter().all(|action| self.next_state(state, action).is_none())
    }

    /// What happens by itself, however long it takes.
    fn pending(&self, state: &State, side: Side, actions: &mut Vec<Action>) {
        let clocks = self.scenario.clocks(side, state.0.iter().map(|replica| replica.saves).sum());
        let replica = state.at(side);
        if replica.draft.is_some() {
            actions.extend(clocks.clone().map(|clock| Action::Commit(side, clock)));
        }
        if replica.decided.is_some() {
            actions.push(Action::Finish(side));
        }
        for number in 0..state.at(side.other()).log.len() {
            match state.status(side, number) {
                Status::Settled | Status::Dead => continue,
                Status::OnItsWay => {}
                Status::Parked(Reason::HasChildren, _) => {
                    actions.extend(clocks.clone().map(|clock| Action::Keep(side, number, clock)));
                }
                Status::Parked(..) => self.circles(state, side, vec![number], actions),
            }
            actions.push(Action::Deliver(side, number));
        }
    }

    /// What happens again, or goes wrong where a rule is left out.
    fn replays(&self, state: &State, side: Side, actions: &mut Vec<Action>) {
        for number in 0..state.at(side.other()).log.len() {
            match state.status(side, number) {
                Status::Settled if self.scenario.replays => actions.push(Action::Deliver(side, number)),
                Status::Settled | Status::Dead => {}
                Status::OnItsWay | Status::Parked(..) => {
                    if !self.rules.hold(Rule::AckAfterCommit) {
                        actions.push(Action::Lose(side, number));
                    }
                    if !self.rules.hold(Rule::ApplyUnderLock) && state.at(side).decided.is_none() {
                        actions.push(Action::Decide(side, number));
                    }
                }
            }
        }
    }

    /// The circles of parked events that go on from this chain.
    fn circles(&self, state: &State, side: Side, chain: Vec<usize>, actions: &mut Vec<Action>) {
        if !self.rules.hold(Rule::Untangle) {
            return;
        }
        let rows: Vec<Key> = chain.iter().map(|number| state.arriving(side, *number).key).collect();
        let Some(Status::Parked(_, waits_for)) = chain.last().map(|number| state.status(side, *number)) else { return };
        match follow(&rows, waits_for) {
            Link::Closed => actions.push(Action::Untangle(side, chain)),
            Link::Broken => {}
            Link::Next(row) => {
                for number in 0..state.at(side.other()).log.len() {
                    let waits = matches!(state.status(side, number), Status::Parked(Reason::UniqueConflict, _));
                    if waits && state.arriving(side, number).key == row {
                        let longer = chain.iter().copied().chain([number]).collect();
                        self.circles(state, side, longer, actions);
                    }
                }
            }
        }
    }

    /// Applies a circle as a whole, or not at all.
    fn untangle(&self, state: &mut State, side: Side, circle: &[usize]) -> Option<()> {
        let events: Vec<_> = circle.iter().map(|number| *state.arriving(side, *number)).collect();
        let rows: Vec<Key> = events.iter().map(|event| event.key).collect();
        let first = events.first()?;
        // It is looked for when its first event was refused once more.
        state.at(side).clone().attempt(first, side, &self.rules).err()?;
        let mut to_come = Circle::of(rows.clone());
        for event in &events {
            let applied = self.apply_among(state.at_mut(side), side, event, &rows, &to_come).ok()?;
            if !self.rules.tried(&mut to_come, event.key, applied) {
                return None;
            }
            state.set_status(side, event.number, Status::Settled);
        }
        Some(())
    }

    fn apply_among(
        &self,
        replica: &mut Replica,
        side: Side,
        event: &crate::Event,
        rows: &[Key],
        to_come: &Circle<Key>,
    ) -> Result<bool, Refusal> {
        for _ in rows {
            match replica.attempt(event, side, &self.rules) {
                Err(Refusal::Unique(holder)) if self.rules.may_step_aside(to_come, rows, holder) => {
                    if let Some(row) = replica.rows.get_mut(&holder) {
                        row.values.unique = None;
                    }
                }
                tried => return tried,
            }
        }
        replica.attempt(event, side, &self.rules)
    }
}
