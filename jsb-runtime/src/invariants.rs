//! What must hold of any input, for the property tests and for the fuzz targets in `fuzz/`.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::event::EnvelopeError;
use crate::message::Message;
use crate::payload::MAX_ID_BYTES;
use crate::{dlq, jetstream, subject};

/// A body is an event that can be stored, or refused with an error that can be.
pub fn body(body: &[u8]) {
    let headers = BTreeMap::from([("nats-msg-id".to_owned(), String::from_utf8_lossy(body).into_owned())]);
    let message = Message::read("system_b.sync.system_a".to_owned(), headers, body.to_vec(), 7);
    let (resource, id, kind) = message.labels();
    for stored in [message.event_id.as_str(), resource, id, kind] {
        assert!(stored.len() <= MAX_ID_BYTES && !stored.contains('\0'), "{stored:?}");
    }
    match message.admit() {
        Ok(event) => {
            assert!(event.producer == message.source_app && !event.event_type.is_empty() && !event.event_id.is_empty());
            let written = serde_json::to_vec(event).expect("an event can be written");
            let read = crate::Envelope::read(&written, None, "another").expect("what was written can be read");
            assert_eq!(serde_json::to_vec(&read).expect("an event"), written);
        }
        Err((_, error)) => assert!(error.chars().count() <= 4_000, "{} characters", error.chars().count()),
    }
    assert!(!matches!(message.envelope, Err(EnvelopeError::TooDeep)), "the reader has its own limit");
}

/// Headers as they are stored can be read and sent, and a dead letter can say any text.
pub fn headers(block: &[u8]) {
    jetstream::check_headers(block);
    let context = serde_json::json!({"error_message": String::from_utf8_lossy(block)});
    let line = dlq::in_one_line(&context);
    assert!(!line.chars().any(char::is_control), "{line:?}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&line).expect("JSON"), context);
}

/// Names are refused, or make subjects without wildcards that say whose they are.
pub fn names(app: &str, destination: &str) {
    if Config::new(app, destination).validate().is_err() {
        return;
    }
    let (sync, dlq) = (subject::sync(app, destination), subject::dlq(app));
    assert_eq!((subject::source(&sync), subject::destination(&sync)), (app, destination));
    assert!(sync != dlq && subject::source(&dlq) == app);
    for name in [sync, dlq, subject::durable(app)] {
        assert!(name.len() <= 410 && name.bytes().all(|c| c.is_ascii_graphic() && c != b'*' && c != b'>'), "{name}");
    }
}

/// What marks a secret.
const SECRET: &str = "sEcReT";

/// Variables make a configuration that everything can be done with, or all of their faults are told, and no secret.
pub fn variables(values: &BTreeMap<String, String>) {
    let lookup = |name: &str| {
        let value = values.get(name)?.replace(SECRET, "");
        Some(match name {
            "NATS_URL" => format!("nats://user:{SECRET}{value}@host"),
            "NATS_CREDS" | "NATS_NKEY" => format!("{SECRET}{value}"),
            _ => value,
        })
    };
    let shown = match Config::read(lookup) {
        Ok(config) => {
            assert_eq!(config.validate(), Ok(()));
            names(&config.app_name, &config.destination_app);
            let now = crate::clock::now();
            for wait in [config.ack_wait, config.inbox_retention, config.park_for, config.keep_parent_after] {
                assert!(i64::try_from(wait.as_nanos()).is_ok() && now + wait >= now && now - wait <= now, "{wait:?}");
            }
            format!("{config:?}")
        }
        Err(error) => {
            for fault in &error.faults {
                assert!(Config::VARIABLES.iter().any(|name| fault.starts_with(name)), "{fault}");
            }
            assert!(!error.faults.is_empty());
            error.to_string()
        }
    };
    assert!(!shown.contains(SECRET), "{shown}");
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use proptest::sample::select;
    use serde_json::{Value as Json, json};

    use super::*;

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<f64>().prop_map(Json::from),
            any::<String>().prop_map(Json::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(Json::from),
                btree_map(any::<String>(), inner, 0..4).prop_map(|fields| json!(fields)),
            ]
        })
    }

    const FIELDS: [&str; 9] = [
        "event_id",
        "schema_version",
        "event_type",
        "producer",
        "resource_id",
        "occurred_at",
        "trace_id",
        "resource_type",
        "payload",
    ];

    const VALUES: &[&str] = &[
        "system_a",
        "system_b",
        "dlq",
        "*",
        ">",
        "a.b",
        "0",
        "1",
        "2",
        "-1",
        "4294967296",
        "true",
        "off",
        "1s",
        "30d",
        "36500d",
        "36501d",
        "584542046090y",
        "18446744073709551615s",
        "1s,5s",
        "relay",
        "consumer,relay",
        "/dev/null",
    ];

    proptest! {
        #[test]
        fn any_bytes_are_an_event_or_refused(bytes in vec(any::<u8>(), 0..200)) {
            body(&bytes);
        }

        #[test]
        fn any_fields_are_an_event_or_refused(fields in btree_map(select(&FIELDS[..]), any_json(), 0..9)) {
            body(json!(fields).to_string().as_bytes());
        }

        #[test]
        fn texts_in_every_field_are_an_event_or_refused(
            texts in vec("(?s:.){0,600}", 6),
            payload in any_json(),
            version in 0..3_u32,
        ) {
            let [id, kind, resource, row, trace, producer] = &texts[..] else { unreachable!("six") };
            let producer = if version == 0 { "system_b" } else { producer };
            let event = json!({
                "event_id": id, "event_type": kind, "resource_type": resource, "resource_id": row, "trace_id": trace,
                "producer": producer, "payload": payload, "schema_version": version,
                "occurred_at": "2026-01-01T00:00:00Z",
            });
            body(event.to_string().as_bytes());
        }

        #[test]
        fn any_text_can_stand_in_a_letter(text in any::<String>()) {
            headers(format!("NATS/1.0\r\nX: {text}\r\n{text}: y\r\n\r\n").as_bytes());
        }

        #[test]
        fn any_names_are_refused_or_make_subjects(app in "(?s:.){0,4}|[a-z_-]{1,300}", other in "(?s:.){0,4}|[a-zA-Z0-9]{1,9}") {
            names(&app, &other);
        }

        #[test]
        fn any_variables_are_a_configuration_or_faults(
            values in btree_map(select(Config::VARIABLES), prop_oneof![select(VALUES).prop_map(str::to_owned), any::<String>()], 0..26),
            are_named in any::<bool>(),
        ) {
            let mut values: BTreeMap<String, String> =
                values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            if are_named {
                values.extend([("APP_NAME", "a"), ("DESTINATION_APP", "b")].map(|(name, app)| (name.to_owned(), app.to_owned())));
            }
            variables(&values);
        }
    }
}
