//! The variables that the deployment files may give to the demo and to `jsb`.

use std::collections::{BTreeMap, BTreeSet};

use jsb_runtime::Config;

use crate::program::demo;

/// The names that a command of the demo takes options from, as its help shows them.
fn of_demo(command: &str) -> BTreeSet<String> {
    let help = demo().into_std().args([command, "--help"]).output().expect("the demo runs");
    assert!(help.status.success(), "the demo has no command {command}");
    let help = String::from_utf8(help.stdout).expect("its help is text");
    let names = help.split("[env: ").skip(1).filter_map(|rest| rest.split(['=', ']']).next());
    names.map(str::to_owned).collect()
}

/// What we use of the variables that the image of PostgreSQL reads.
pub(crate) const POSTGRES: [&str; 4] = ["PGDATA", "POSTGRES_DB", "POSTGRES_PASSWORD", "POSTGRES_USER"];

/// Asserts that every variable is known to Config or to this command of the demo, and that Config takes its value.
#[track_caller]
pub(crate) fn assert_known(title: &str, variables: &BTreeMap<String, String>, command: Option<&str>) {
    let mut known: BTreeSet<String> =
        Config::VARIABLES.iter().copied().chain(["RUST_LOG"]).map(str::to_owned).collect();
    known.extend(command.map(of_demo).unwrap_or_default());
    let unknown: Vec<&String> = variables.keys().filter(|name| !known.contains(*name)).collect();
    assert!(unknown.is_empty(), "{title}: nothing reads {unknown:?}");

    let read = Config::read(|name| match name {
        "APP_NAME" => Some("system_a".to_owned()),
        "DESTINATION_APP" => Some("system_b".to_owned()),
        _ => variables.get(name).cloned(),
    });
    if let Err(error) = read {
        panic!("{title}: {error}");
    }
}

#[test]
fn the_names_of_options_are_those_of_the_code() {
    let system: BTreeSet<String> =
        ["BIND", "DATABASE_URL", "HEALTH_PORT", "NATS_URL", "PORT", "ROLE"].map(str::to_owned).into();
    assert_eq!(of_demo("system-a"), system);
}

#[test]
#[should_panic(expected = "nothing reads [\"AUTO_PROVISIONING\"]")]
fn a_variable_that_nobody_reads_is_found() {
    let variables = BTreeMap::from([("AUTO_PROVISIONING".to_owned(), "false".to_owned())]);
    assert_known("a service", &variables, Some("system-a"));
}

#[test]
#[should_panic(expected = "AUTO_PROVISION")]
fn a_value_that_config_refuses_is_found() {
    let variables = BTreeMap::from([("AUTO_PROVISION".to_owned(), "nope".to_owned())]);
    assert_known("a service", &variables, Some("system-a"));
}
