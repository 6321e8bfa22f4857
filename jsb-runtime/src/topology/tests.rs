use std::time::Duration;

use serde_json::{Value as Json, json};

use super::*;
use crate::Config;

fn wanted() -> Wanted {
    wanted_of(Config::new("operator", "nobody").stream_replicas(1).stream_max_age(MONTH))
}

fn wanted_of(config: Config) -> Wanted {
    Wanted::pairs(&config, [("system_a", "system_b")]).expect("a pair")
}

/// What a server would have after the changes of a plan.
fn applied(wanted: &Wanted, mut found: Found, plan: &Plan) -> Found {
    let update = |config: &mut Json, differences: &[Difference]| {
        let settings = config.as_object_mut().expect("settings");
        differences.iter().for_each(|difference| difference.set(settings));
    };
    for change in plan.changes() {
        match change {
            Change::CreateStream { settings, .. } => {
                found.stream = Some(FoundStream { config: json!(settings), oldest: None });
            }
            Change::UpdateStream { differences, .. } => {
                update(&mut found.stream.as_mut().expect("the stream").config, differences);
            }
            Change::CreateConsumer { consumer, settings, .. } => {
                found.consumers.insert(consumer.clone(), json!(settings));
            }
            Change::UpdateConsumer { consumer, differences, .. } => {
                update(found.consumers.get_mut(consumer).expect("the consumer"), differences);
            }
        }
    }
    carried(wanted, found)
}

fn carried(wanted: &Wanted, mut found: Found) -> Found {
    let subjects = found.stream.as_ref().map(FoundStream::subjects).unwrap_or_default();
    let ours = subjects.iter().filter(|subject| wanted.stream.subjects.contains(**subject));
    found.carriers.extend(ours.map(|subject| ((*subject).to_owned(), wanted.stream.name.clone())));
    found
}

fn provisioned() -> Found {
    let wanted = wanted();
    let nothing = Found::default();
    applied(&wanted, nothing.clone(), &plan(&wanted, &nothing))
}

/// What the server has after somebody changed a setting of the stream or of `system_a-workers`.
fn drifted(object: &str, setting: &str, value: Json) -> Found {
    let mut found = provisioned();
    let config = match object {
        "stream" => &mut found.stream.as_mut().expect("the stream").config,
        _ => found.consumers.get_mut("system_a-workers").expect("the consumer"),
    };
    config[setting] = value;
    found
}

const HOUR: u64 = 3_600_000_000_000;
const MINUTE: u64 = HOUR / 60;
const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[test]
fn whatever_can_be_mended_is_mended_by_one_plan() {
    let drifts = [
        ("stream", "retention", json!("interest")),
        ("stream", "subjects", json!(["system_a.sync.system_b"])),
        ("stream", "num_replicas", json!(3)),
        ("stream", "max_age", json!(0)),
        ("stream", "duplicate_window", json!(MINUTE)),
        ("stream", "no_ack", json!(true)),
        ("consumer", "filter_subject", json!("system_b.sync.>")),
        ("consumer", "filter_subject", json!("*.sync.system_a")),
        ("consumer", "filter_subject", json!("")),
        ("consumer", "ack_wait", json!(HOUR)),
        ("consumer", "max_deliver", json!(-1)),
        ("consumer", "backoff", json!([HOUR])),
        ("consumer", "max_ack_pending", json!(1)),
        ("consumer", "headers_only", json!(true)),
        ("consumer", "inactive_threshold", json!(HOUR)),
    ];
    let wanted = wanted();
    for (object, setting, value) in drifts {
        let mut found = drifted(object, setting, value.clone());
        found.carriers.clear();
        let found = carried(&wanted, found);
        let mended = plan(&wanted, &found);
        assert_eq!((mended.changes().len(), mended.refusals()), (1, [].as_slice()), "{setting} {value}: {mended}");
        let again = plan(&wanted, &applied(&wanted, found, &mended));
        assert!(again.is_empty(), "{setting} {value}: {again}");
    }
}

#[test]
fn what_the_server_never_changes_is_refused_and_nothing_else_planned() {
    let drifts = [
        ("stream", "retention", json!("workqueue")),
        ("stream", "storage", json!("memory")),
        ("stream", "sealed", json!(true)),
        ("stream", "mirror", json!({"name": "other"})),
        ("consumer", "ack_policy", json!("none")),
        ("consumer", "deliver_policy", json!("new")),
        ("consumer", "replay_policy", json!("original")),
        ("consumer", "deliver_subject", json!("push.here")),
        ("consumer", "mem_storage", json!(true)),
        ("consumer", "filter_subject", json!("sytem_b.sync.system_a")),
        ("consumer", "filter_subject", json!("system_b.sync")),
        ("consumer", "filter_subject", json!("system_b.sync.system_a.>")),
    ];
    for (object, setting, value) in drifts {
        let plan = plan(&wanted(), &drifted(object, setting, value));
        assert_eq!((plan.changes(), plan.refusals().len()), ([].as_slice(), 1), "{setting}: {plan}");
        assert!(!plan.refusals()[0].steps.is_empty(), "{setting}");
    }
}

#[test]
fn a_shorter_max_age_waits_until_no_message_is_older() {
    let wanted = wanted();
    let with_oldest = |age| {
        let mut found = drifted("stream", "max_age", json!(0));
        found.stream.as_mut().expect("the stream").oldest = age;
        plan(&wanted, &found)
    };
    for younger in [None, Some(MONTH)] {
        assert_eq!(with_oldest(younger).to_string(), "~ stream sync-stream\n    ~ max_age: none -> 30d");
    }
    let refused = with_oldest(Some(MONTH + Duration::from_secs(5)));
    assert_eq!((refused.changes(), refused.refusals().len()), ([].as_slice(), 1));
    assert_eq!(
        refused.refusals()[0].reason,
        "max_age: none -> 30d would delete messages: it holds some that are 30days 5s old"
    );
}

#[test]
fn a_default_is_nobody_s_wish() {
    let mut found = provisioned();
    let config = &mut found.stream.as_mut().expect("the stream").config;
    (config["max_age"], config["num_replicas"]) = (json!(365 * 24 * HOUR), json!(3));
    assert!(plan(&wanted_of(Config::new("operator", "nobody")), &found).is_empty());
    let asked = "~ stream sync-stream\n    ~ num_replicas: 3 -> 1\n    ~ max_age: 365d -> 30d";
    assert_eq!(plan(&wanted(), &found).to_string(), asked);
}

#[test]
fn message_ids_are_forgotten_no_sooner_than_before() {
    let silent = wanted_of(Config::new("operator", "nobody"));
    let with_window = |window: u64, age: u64| {
        let mut found = drifted("stream", "duplicate_window", json!(window));
        found.stream.as_mut().expect("the stream").config["max_age"] = json!(age);
        found
    };
    for (window, age) in [(HOUR, 24 * HOUR), (HOUR, 0), (MINUTE, MINUTE)] {
        let plan = plan(&silent, &with_window(window, age));
        assert!(plan.is_empty(), "{window} of {age}: {plan}");
    }
    let longer = plan(&silent, &with_window(MINUTE, 0)).to_string();
    assert_eq!(longer, "~ stream sync-stream\n    ~ duplicate_window: 1m -> 2m");
    // The server takes none that is longer than the age that is asked for.
    let brief = wanted_of(Config::new("operator", "nobody").stream_max_age(Duration::from_secs(60)));
    let shorter = plan(&brief, &with_window(HOUR, 24 * HOUR)).to_string();
    assert_eq!(shorter, "~ stream sync-stream\n    ~ max_age: 1d -> 1m\n    ~ duplicate_window: 1h -> 1m");
}

#[test]
fn a_longer_max_age_deletes_nothing() {
    let mut found = drifted("stream", "max_age", json!(HOUR));
    found.stream.as_mut().expect("the stream").oldest = Some(Duration::from_secs(3_000));
    assert_eq!(plan(&wanted(), &found).to_string(), "~ stream sync-stream\n    ~ max_age: 1h -> 30d");
}

#[test]
fn of_a_stream_with_further_subjects_nothing_changes_but_its_subjects() {
    let wanted = wanted_of(Config::new("operator", "nobody"));
    let config = json!({"subjects": ["system_a.sync.*", "orders"], "storage": "memory", "retention": "workqueue"});
    let found = Found {
        carriers: ["system_a.sync.system_b", "system_a.sync.dlq"]
            .map(|subject| (subject.to_owned(), "sync-stream".to_owned()))
            .into(),
        stream: Some(FoundStream { config, oldest: None }),
        consumers: provisioned().consumers,
    };
    let planned = plan(&wanted, &found);
    assert_eq!(planned.to_string(), "~ stream sync-stream\n    + subjects: system_b.sync.dlq, system_b.sync.system_a");
    assert!(plan(&wanted, &applied(&wanted, found, &planned)).is_empty());
}

#[test]
fn what_a_stream_with_further_subjects_drops_is_said_and_stands_against_nothing() {
    let mut found = drifted("stream", "retention", json!("interest"));
    assert!(plan(&wanted(), &found).problems().is_empty(), "it becomes limits");
    let config = &mut found.stream.as_mut().expect("the stream").config;
    config["subjects"].as_array_mut().expect("subjects").push(json!("orders"));
    let kept = plan(&wanted(), &found);
    assert!(kept.is_empty() && kept.problems().len() == 1, "{kept}");
    let text = kept.to_string();
    assert!(text.starts_with("? stream sync-stream: it has interest retention: dead letters"), "{text}");
    found.consumers.clear();
    assert_eq!(plan(&wanted(), &found).changes().len(), 2);
}

#[test]
fn subjects_in_a_stream_of_another_name_are_refused_by_its_name_alone() {
    let carriers = [("system_a.sync.dlq".to_owned(), "theirs".to_owned())].into();
    let plan = plan(&wanted(), &Found { carriers, ..Found::default() });
    assert_eq!((plan.changes(), plan.refusals().len()), ([].as_slice(), 1));
    let text = plan.to_string();
    assert!(text.starts_with("! stream theirs: it carries system_a.sync.dlq already"), "{text}");
    assert!(text.contains("STREAM_NAME=theirs"), "{text}");
}

#[test]
fn subjects_that_others_add_or_take_out_meanwhile_are_left_to_them() {
    let difference = Difference::new("subjects", &json!(["orders", "old"]), &json!(["orders", "old", "ours"]));
    let mut settings = json!({"subjects": ["orders", "new"]});
    difference.set(settings.as_object_mut().expect("settings"));
    assert_eq!(settings["subjects"], json!(["orders", "new", "ours"]));
}

#[test]
fn a_plan_reads_as_a_diff() {
    let config = Config::new("operator", "nobody").backoff(Vec::from([1, 90].map(Duration::from_secs)));
    let wanted = Wanted::pairs(&config, [("a", "b")]).expect("a pair");
    let text = plan(&wanted, &Found::default()).to_string();
    let begins = "+ stream sync-stream\n    subjects: a.sync.b, a.sync.dlq, b.sync.a, b.sync.dlq\n    retention: limits\n    \
                  storage: file\n    num_replicas: 1\n    max_age: 30d\n    duplicate_window: 2m\n+ consumer a-workers of \
                  stream sync-stream\n    filter_subject: b.sync.a\n    deliver_policy: all\n    ack_policy: explicit\n    \
                  replay_policy: instant\n    ack_wait: 1s\n    max_deliver: 5\n    backoff: 1s, 90s\n    \
                  max_ack_pending: 20000\n+ consumer b-workers";
    assert!(text.starts_with(begins), "{text}");
    assert_eq!(Plan::default().to_string(), "all is as wanted: nothing to do");
}

#[test]
fn one_filter_may_stand_in_either_place() {
    let mut found = drifted("consumer", "filter_subjects", json!(["system_b.sync.system_a"]));
    found.consumers.get_mut("system_a-workers").expect("the consumer")["filter_subject"] = Json::Null;
    assert!(plan(&wanted(), &found).is_empty());
}

#[test]
fn a_duplicate_window_fits_into_the_age() {
    let wanted = wanted_of(Config::new("operator", "nobody").stream_max_age(Duration::from_secs(60)));
    assert_eq!(wanted.stream.settings()["duplicate_window"], MINUTE);
}

#[test]
fn names_that_cannot_be_provisioned_are_refused() {
    let config = Config::new("operator", "nobody");
    let refused = |config: &Config, pairs: &[(&str, &str)]| Wanted::pairs(config, pairs.iter().copied()).err();
    let name = |name: &str| Some(TopologyError::Name(name.to_owned()));
    assert_eq!(refused(&config, &[("a", "b.c")]), name("b.c"));
    assert_eq!(refused(&config, &[("dlq", "b")]), name("dlq"));
    assert_eq!(refused(&config.clone().stream_name("a.>"), &[("a", "b")]), name("a.>"));
    assert_eq!(refused(&config, &[("a", "b"), ("b", "c")]), Some(TopologyError::Repeated("b".to_owned())));
    assert_eq!(refused(&config, &[("a", "a")]), Some(TopologyError::Repeated("a".to_owned())));
    assert_eq!(refused(&config, &[]), Some(TopologyError::NoPairs));
}

#[test]
fn ages_are_told_by_the_clock_of_the_server() {
    let info = |messages| json!({"config": {}, "ts": "2026-11-21T20:00:10Z", "state": {"messages": messages, "first_ts": "2026-11-21T20:00:00Z"}});
    assert_eq!(FoundStream::read(&info(1)).oldest, Some(Duration::from_secs(10)));
    assert_eq!(FoundStream::read(&info(0)).oldest, None);
}

mod adopting {
    use super::*;

    fn carried_by(streams: &[(&str, &str)]) -> Found {
        let carriers = streams.iter().map(|(subject, stream)| ((*subject).to_owned(), (*stream).to_owned())).collect();
        Found { carriers, ..Found::default() }
    }

    #[test]
    fn nothing_there_is_made() {
        let (_, plan) = adopt(&wanted(), &Found::default()).expect("a stream");
        assert!(matches!(plan.changes(), [Change::CreateStream { stream, .. }] if stream == "sync-stream"));
    }

    #[test]
    fn a_stream_that_carries_everything_is_used_whatever_its_name() {
        let wanted = wanted();
        let carriers = wanted.stream.subjects.iter().map(|subject| (subject.clone(), "rails".to_owned())).collect();
        let found = Found { carriers, ..Found::default() };
        assert_eq!(adopt(&wanted, &found), Ok(("rails".to_owned(), Plan::default())));
    }

    #[test]
    fn missing_subjects_are_added_to_the_stream_that_carries_the_others() {
        let found = carried_by(&[("system_a.sync.system_b", "rails"), ("system_b.sync.system_a", "rails")]);
        let (_, plan) = adopt(&wanted(), &found).expect("a stream");
        assert_eq!(plan.to_string(), "~ stream rails\n    + subjects: system_a.sync.dlq, system_b.sync.dlq");
    }

    #[test]
    fn a_stream_of_the_name_that_carries_other_things_gets_the_subjects_too() {
        let found = Found { stream: Some(FoundStream::default()), ..Found::default() };
        let (_, plan) = adopt(&wanted(), &found).expect("a stream");
        assert!(matches!(plan.changes(), [Change::UpdateStream { stream, .. }] if stream == "sync-stream"));
    }

    #[test]
    fn subjects_spread_over_streams_are_refused_and_the_streams_named() {
        let found = carried_by(&[("system_a.sync.system_b", "one"), ("system_b.sync.system_a", "two")]);
        let refused = TopologyError::Spread(vec!["one".to_owned(), "two".to_owned()]);
        assert_eq!(adopt(&wanted(), &found), Err(refused));
    }
}
