//! The checker's runs: every state of small scenarios, random walks through a large one, and each rule left out once.
//!
//! `JSB_MODEL_SAVES=1` explores one save deeper; `JSB_MODEL_SEED` and `JSB_MODEL_STATES` say which walks are taken and
//! how many states they visit.

#![allow(clippy::print_stdout, reason = "how far a run went, and which walks it took, belongs to its result")]

use std::str::FromStr;
use std::time::Instant;

use jsb_model::{AGREEMENT, Pair, Rule, Rules, Scenario, Side, tell};
use stateright::{Checker, HasDiscoveries, Model, UniformChooser};

fn from_env<T: FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn more_saves() -> usize {
    from_env("JSB_MODEL_SAVES", 0)
}

/// How many states the scenario has, as far as they were visited, and how it fails, if it does.
fn explore(scenario: Scenario, without: Option<Rule>) -> (usize, Option<String>) {
    let begun = Instant::now();
    let text = format!("{}, {} saves", scenario.name, scenario.most_saves);
    let checker = Pair { scenario, rules: Rules { without } }.checker();
    let checker = match without {
        None => checker.finish_when(HasDiscoveries::AnyFailures).threads(2),
        // With one thread the counterexample is the shortest.
        Some(_) => checker.finish_when(HasDiscoveries::AllOf([AGREEMENT].into())),
    };
    let checker = checker.spawn_bfs().join();
    let states = checker.unique_state_count();
    println!("{text}: {states} states, up to {} steps, {:.1?}", checker.max_depth(), begun.elapsed());
    let first = checker.discoveries().into_iter().min_by_key(|(property, _)| *property != AGREEMENT);
    (states, first.map(|(property, path)| format!("not so: {property}\n{}", tell(path.into_vec()))))
}

/// Explores every state of a scenario. Of fewer than `at_least`, something does not happen any more that should.
fn holds(scenario: Scenario, at_least: usize) {
    let (states, counterexample) = explore(scenario, None);
    if let Some(told) = counterexample {
        panic!("{told}");
    }
    assert!(states >= at_least, "{states} states, and not {at_least} or more");
}

#[test]
fn rows_converge() {
    holds(Scenario::rows(5 + more_saves()), 40_000);
}

#[test]
fn rows_that_are_changed_quietly_converge_with_the_next_edit() {
    holds(Scenario::quiet_saves(5 + more_saves()), 90_000);
}

#[test]
fn rows_converge_when_tombstones_are_pruned() {
    holds(Scenario::pruning(3 + more_saves()), 7_000);
}

#[test]
fn parents_and_children_converge() {
    holds(Scenario::family(4 + more_saves()), 330_000);
}

#[test]
fn unique_values_converge() {
    holds(Scenario::unique_values(4 + more_saves()), 90_000);
}

#[test]
fn unique_values_that_two_rows_exchange_converge() {
    holds(Scenario::exchanges(&['x', 'y'], &['u', 'v', 'w'], 4 + more_saves()), 4_500);
}

#[test]
fn unique_values_that_three_rows_exchange_converge() {
    holds(Scenario::exchanges(&['x', 'y', 'z'], &['u', 'v', 'w', 's'], 4 + more_saves()), 22_000);
}

fn walks_converge(writers: &'static [Side]) {
    let (seed, states) = (from_env("JSB_MODEL_SEED", 1), from_env("JSB_MODEL_STATES", 200_000));
    println!("JSB_MODEL_SEED={seed} JSB_MODEL_STATES={states}");
    let begun = Instant::now();
    let scenario = Scenario { writers, ..Scenario::everything(30) };
    let checker = Pair { scenario, rules: Rules::default() }.checker();
    let checker = checker.finish_when(HasDiscoveries::AnyFailures).target_state_count(states);
    let checker = checker.spawn_simulation(seed, UniformChooser).join();
    println!("{} states, up to {} steps, {:.1?}", checker.state_count(), checker.max_depth(), begun.elapsed());
    if let Some((property, path)) = checker.discoveries().into_iter().next() {
        panic!("not so: {property}\n{}", tell(path.into_vec()));
    }
    assert!(checker.state_count() >= states, "{} states, and not {states} or more", checker.state_count());
}

#[test]
fn random_walks_converge() {
    walks_converge(&Side::BOTH);
}

#[test]
fn random_walks_with_one_writing_side_converge_without_excuse() {
    walks_converge(&[Side::A]);
}

/// The scenario in which a rule is missed.
fn needing(rule: Rule) -> Scenario {
    match rule {
        Rule::RememberPruned => Scenario::pruning(2),
        Rule::QuietSaveKeepsVersion | Rule::QuietDeleteDrawsNothing | Rule::QuietDeleteIsRemembered => {
            Scenario::quiet_saves(3)
        }
        Rule::ParkWithoutParent | Rule::ParkWithChildren | Rule::KeepParent | Rule::KeepAboveDelete => {
            Scenario::family(3)
        }
        Rule::ParkOnConflict | Rule::Untangle | Rule::UntangleWhole => Scenario::unique_values(4),
        Rule::StepAsideOnce => Scenario::exchanges(&['x', 'y'], &['u', 'v', 'w'], 5),
        _ => Scenario::rows(4),
    }
}

#[test]
fn without_any_of_its_rules_it_does_not_converge() {
    for rule in Rule::ALL {
        let (_, told) = explore(needing(rule), Some(rule));
        let told = told.unwrap_or_else(|| panic!("{rule:?} is not needed"));
        assert!(told.contains(AGREEMENT), "without {rule:?}, {told}");
        println!("without {rule:?}, {told}\n");
    }
}
