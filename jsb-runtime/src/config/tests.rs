use std::cell::RefCell;

use super::*;
use crate::topology::Wanted;

fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::read(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
}

/// A file that is there.
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

const NAMES: [(&str, &str); 2] = [("APP_NAME", "a"), ("DESTINATION_APP", "b")];

fn with(more: &[(&str, &str)]) -> Result<Config, ConfigError> {
    read(&[&NAMES, more].concat())
}

#[test]
fn names_are_enough() {
    let config = read(&NAMES).expect("the defaults hold");
    assert_eq!((config.app_name.as_str(), config.destination_app.as_str()), ("a", "b"));
    assert!(config.auto_provision && config.use_outbox && config.use_inbox && config.use_dlq);
    assert_eq!((config.max_deliver, config.tombstone_retention, config.node), (5, None, None));
}

#[test]
fn every_fault_is_told_at_once_and_begins_with_its_variable() {
    let faults = read(&[
        ("APP_NAME", "no token"),
        ("NODE_INDEX", "1"),
        ("USE_DLQ", "perhaps"),
        ("ACK_WAIT", "soon"),
        ("BATCH_SIZE", "0"),
        ("ROLES", "relay,singer"),
        ("STREAM_REPLICAS", "many"),
    ])
    .expect_err("faults")
    .faults;
    let expected =
        ["USE_DLQ", "ACK_WAIT", "STREAM_REPLICAS", "ROLES", "NODE_INDEX", "APP_NAME", "DESTINATION_APP", "BATCH_SIZE"];
    let found: Vec<_> = faults.iter().map(|fault| fault.split([' ', ':']).next().unwrap_or_default()).collect();
    assert_eq!(found, expected, "{faults:#?}");
}

#[test]
fn a_configuration_without_a_name_is_none() {
    let faults = Config::new("", "b").validate().expect_err("no name").faults;
    assert_eq!(faults, ["APP_NAME must be set"]);
}

#[test]
fn each_rule_names_its_variable() {
    let broken = [
        ("DESTINATION_APP", "a"),
        ("DESTINATION_APP", "dlq"),
        ("STREAM_NAME", "a.b"),
        ("NATS_URL", ","),
        ("NATS_URL", ", ,"),
        ("NATS_CREDS", "/no/such/file"),
        ("NATS_NKEY", "/no/such/file"),
        ("NATS_CA", "/no/such/file"),
        ("NATS_CERT", MANIFEST),
        ("NATS_KEY", MANIFEST),
        ("NATS_INBOX_PREFIX", "_INBOX.>"),
        ("MAX_DELIVER", "0"),
        ("MAX_ACK_PENDING", "0"),
        ("BACKOFF", "1s,0s"),
        ("ACK_WAIT", "10ms"),
        ("ACK_WAIT", "36501d"),
        ("PARK_FOR", "18446744073709551615s"),
        ("STREAM_REPLICAS", "6"),
        ("BATCH_SIZE", "10001"),
        ("INBOX_RETENTION", "36d"),
        ("TOMBSTONE_RETENTION", "6d"),
    ];
    for (name, value) in broken {
        let faults = read(&[&[(name, value)], NAMES.as_slice()].concat()).expect_err(name).faults;
        assert!(faults.len() == 1 && faults[0].contains(name), "{name}={value}: {faults:?}");
    }
}

#[test]
fn two_variables_can_be_at_odds() {
    let faults = with(&[("USE_INBOX", "off"), ("USE_DLQ", "off")]).expect_err("no place for the dead").faults;
    assert!(faults.len() == 1 && faults[0].contains("USE_INBOX and USE_DLQ"), "{faults:?}");
    let faults = with(&[("NATS_CREDS", MANIFEST), ("NATS_NKEY", MANIFEST)]).expect_err("two identities").faults;
    assert!(faults.len() == 1 && faults[0].contains("NATS_CREDS and NATS_NKEY"), "{faults:?}");
    let faults = with(&[("NODE_INDEX", "2"), ("NODE_COUNT", "2")]).expect_err("no such node").faults;
    assert!(faults.len() == 1 && faults[0].contains("NODE_INDEX must be below NODE_COUNT"), "{faults:?}");
}

#[test]
fn the_list_of_variables_is_what_is_read() {
    let asked = RefCell::new(BTreeSet::new());
    let unset = |name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        None
    };
    Config::read(unset).expect_err("the names are missing");
    let listed: BTreeSet<String> = Config::VARIABLES.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(asked.into_inner(), listed);
    assert_eq!(listed.len(), Config::VARIABLES.len(), "no name comes twice");
}

/// The variables of the documentation's table, each with its default; `None` where that is a word of the page, and no value.
fn documented() -> Vec<(&'static str, Option<&'static str>)> {
    let page = include_str!("../../../docs/configuration.md");
    let (table, _) = page.split_once("\n## ").expect("another section behind the table");
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let written = |cell: &'static str| cell.split('`').skip(1).step_by(2);
    let row = |row: &'static str| {
        let mut cells = row.split(" | ");
        let [names, defaults] = [(); 2].map(|()| cells.next().expect("a cell"));
        let (count, values) = (written(names).count(), written(defaults).collect::<Vec<_>>());
        assert!(values.len() <= 1 || values.len() == count, "{row}");
        // One that stands alone is that of all.
        let value = move |place: usize| values.get(place).or(values.first()).copied();
        written(names).enumerate().map(move |(place, name)| (name, value(place)))
    };
    rows.flat_map(row).collect()
}

#[test]
fn the_documentation_explains_every_variable() {
    let explained: Vec<&str> = documented().into_iter().map(|(name, _)| name).collect();
    assert_eq!(explained, Config::VARIABLES);
}

#[test]
fn a_documented_default_is_what_holds_without_it() {
    // Some are left unset, since what is there keeps its own: then they show in what is made.
    let made = |config: Config| {
        let prefix = config.inbox_prefix();
        let stream = Wanted::of(&config).stream.settings();
        (Config { nats_inbox_prefix: None, stream_replicas: None, stream_max_age: None, ..config }, prefix, stream)
    };
    let without = made(with(&[]).expect("the defaults hold"));
    let defaults = documented().into_iter().filter_map(|(name, default)| Some((name, default?)));
    for (name, default) in defaults {
        let default = default.replace("{APP_NAME}", NAMES[0].1);
        let set = with(&[(name, &default)]).unwrap_or_else(|error| panic!("{name}={default}: {error}"));
        assert!(made(set) == without, "{name}={default} is not what holds without it");
    }
}

#[test]
fn values_are_read_as_they_are_written() {
    let config = with(&[
        ("NATS_URL", " nats://one:4222,nats://two:4222 "),
        ("USE_OUTBOX", "No"),
        ("MAX_DELIVER", "2"),
        ("BACKOFF", "500ms, 2m"),
        ("TOMBSTONE_RETENTION", "90d"),
        ("STREAM_NAME", ""),
        ("NODE_INDEX", "0"),
        ("NODE_COUNT", "2"),
        ("ROLES", "consumer"),
    ])
    .expect("no fault");
    assert_eq!(config.nats_url, "nats://one:4222,nats://two:4222");
    assert!(!config.use_outbox);
    assert_eq!(config.backoff, [Duration::from_millis(500), Duration::from_secs(120)]);
    assert_eq!(config.tombstone_retention, Some(90 * DAY));
    assert_eq!(config.stream_name, "sync-stream");
    assert_eq!(config.node, Some(Node { index: 0, count: 2 }));
    assert_eq!(config.roles, BTreeSet::from([Role::Consumer]));
}

#[test]
fn durations_that_run_over_are_refused() {
    let endless = "18446744073709551615s";
    let faults = with(&[("STREAM_MAX_AGE", endless), ("OUTBOX_RETENTION", endless)]).expect_err("too long").faults;
    assert!(faults.iter().any(|fault| fault.starts_with("STREAM_MAX_AGE must be at most")), "{faults:?}");
}

#[test]
fn a_secret_in_the_place_of_its_file_is_not_shown() {
    let error = with(&[("NATS_NKEY", "SUAPSECRETSEED")]).expect_err("no such file").to_string();
    assert!(
        error.contains("NATS_NKEY: the file that it names cannot be read") && !error.contains("SUAPSECRET"),
        "{error}"
    );
}

#[test]
fn credentials_are_not_shown() {
    let config = Config::new("a", "b").nats_url("nats://user:secret@host:4222,tls://token@other");
    let shown = format!("{config:?}");
    assert!(!shown.contains("secret") && !shown.contains("token"), "{shown}");
    assert!(shown.contains("nats://***@host:4222,tls://***@other"), "{shown}");
    let config = Config::new("a", "b").nats_url("nats://user:sec,ret@host,other");
    assert!(format!("{config:?}").contains("\"***,***@host,other\""), "{config:?}");
}
