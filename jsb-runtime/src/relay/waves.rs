//! A batch on its way: side by side across rows, one after the other within a row.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};

use super::Relay;
use crate::backoff;
use crate::causes::chain;
use crate::event::event_type::DELETED;
use crate::event::{SCHEMA_VERSION, StoredEnvelope};
use crate::jetstream::{Outgoing, PublishError};
use crate::outbox::{Mark, Unsent};
use crate::registry;
use crate::trace::{TRACEPARENT, Trace};

/// What came of a batch, event by event.
#[derive(Default)]
pub(super) struct Published {
    pub(super) acknowledged: Vec<Mark>,
    /// What was too large as it is, and the payload with which it is not.
    pub(super) shortened: Vec<(Mark, String)>,
    /// What can never be published as it is, and why.
    pub(super) failed: Vec<(Mark, String)>,
    /// What the server refused for now, by how long it is to wait, and why.
    pub(super) delayed: BTreeMap<(Duration, String), Vec<Mark>>,
    /// The last refusal, if there was any.
    pub(super) refused: Option<PublishError>,
}

/// What is still to be known of an event that is on its way.
struct Offered {
    mark: Mark,
    attempts: i32,
    /// Of a delete, its resource and its payload.
    deleted: Option<(String, String)>,
}

impl Relay {
    /// The events in waves: each holds at most one of a row, the oldest first. Events of a row that waits after a
    /// failure of its own are left out. Where the oldest is to go `alone`, or the last event was denied, there is only one, to see
    /// what comes of it.
    pub(super) fn waves(&self, events: Vec<Unsent>, alone: bool) -> Vec<Vec<Unsent>> {
        let longest_delay = self.config.longest_backoff();
        let now = crate::clock::now();
        let numbers = wave_of_each(events.iter().map(|event| Queued {
            row: event.row(),
            deletes: event.event_type == DELETED,
            waits: event.is_delayed(now, longest_delay),
        }));
        let mut waves: Vec<Vec<Unsent>> = Vec::new();
        for (event, number) in events.into_iter().zip(numbers) {
            let Some(number) = number else { continue };
            if waves.len() == number {
                waves.push(Vec::new());
            }
            waves[number].push(event);
        }
        if alone || self.transport.is_denied(&self.config.outgoing()) {
            waves.truncate(1);
            waves.iter_mut().for_each(|wave| wave.truncate(1));
        }
        waves
    }

    /// Publishes wave after wave, up to one of which something was refused: younger events of a row keep their place
    /// behind it.
    pub(super) async fn publish(&self, waves: Vec<Vec<Unsent>>) -> Published {
        let (subject, mut published) = (self.config.outgoing(), Published::default());
        for wave in waves {
            if self.stop.is_cancelled() {
                // What is not published yet stays pending.
                break;
            }
            let offered: Vec<Offered> = wave.iter().map(Offered::of).collect();
            let messages = wave.into_iter().map(|event| self.message(event));
            let answers = self.transport.publish_all(&subject, messages).await;
            for (event, answer) in offered.into_iter().zip(answers) {
                self.note(event, answer, &mut published);
            }
            if published.refused.is_some() || !published.shortened.is_empty() {
                break;
            }
        }
        published
    }

    fn note(&self, event: Offered, answer: Result<(), PublishError>, published: &mut Published) {
        match answer {
            Ok(()) => published.acknowledged.push(event.mark),
            Err(PublishError::TooLarge { bytes, .. }) if let Some(payload) = event.shortest() => {
                tracing::info!(
                    event_id = event.mark.event_id,
                    bytes,
                    "a delete is too large: it goes with its key and version alone"
                );
                published.shortened.push((event.mark, payload));
            }
            Err(error) if error.is_permanent() => {
                tracing::error!(event_id = event.mark.event_id, error = chain(&error), "an event cannot be published");
                published.failed.push((event.mark, chain(&error)));
            }
            Err(error) => {
                if let PublishError::Rejected(_) = error {
                    let delay = backoff::listed(&self.config.backoff, event.attempts.unsigned_abs() + 1);
                    published.delayed.entry((delay, chain(&error))).or_default().push(event.mark);
                }
                published.refused = Some(error);
            }
        }
    }

    fn message(&self, event: Unsent) -> Result<Outgoing, PublishError> {
        let (message_id, headers) = (event.message_id(), event.headers());
        let envelope = StoredEnvelope {
            event_id: event.event_id,
            schema_version: SCHEMA_VERSION,
            event_type: event.event_type,
            producer: self.config.app_name.clone(),
            resource_id: event.resource_id,
            occurred_at: event.occurred_at,
            trace_id: Trace::id_in(headers.get(TRACEPARENT).map(String::as_str)),
            resource_type: event.resource_type,
            payload: RawValue::from_string(event.payload).map_err(PublishError::Unreadable)?,
        };
        Ok(Outgoing::event(&self.config, message_id, headers, &envelope)?)
    }
}

impl Offered {
    fn of(event: &Unsent) -> Self {
        let deleted = (event.event_type == DELETED).then(|| (event.resource_type.clone(), event.payload.clone()));
        Self { mark: event.mark(), attempts: event.attempts, deleted }
    }

    /// The payload without what the other side does not need, if that is any shorter.
    fn shortest(&self) -> Option<String> {
        let (resource, payload) = self.deleted.as_ref()?;
        let mut fields: Map<String, Json> = serde_json::from_str(payload).ok()?;
        let all = fields.len();
        let schema = registry::all().entity(resource)?.schema();
        fields.retain(|field, _| schema.identifies(field));
        (fields.len() < all).then(|| Json::Object(fields).to_string())
    }
}

/// The wave of each row; none where its event, or an older one of the same row, waits after a failure. A delete is in the last
/// wave that there is by then: before its children's deletes, the other side would refuse it for now, or even keep the parent.
fn wave_of_each<'a>(events: impl Iterator<Item = Queued<'a>>) -> Vec<Option<usize>> {
    let (mut depths, mut deepest) = (HashMap::new(), 0);
    let mut waiting = HashSet::new();
    let mut numbers = Vec::new();
    for Queued { row, deletes, waits } in events {
        if waits || waiting.contains(&row) {
            waiting.insert(row);
            numbers.push(None);
            continue;
        }
        let depth = depths.entry(row).or_insert(0_usize);
        let number = if deletes { deepest.max(*depth) } else { *depth };
        deepest = deepest.max(number);
        numbers.push(Some(number));
        *depth = number + 1;
    }
    numbers
}

/// What an event's wave depends on.
struct Queued<'a> {
    row: (&'a str, &'a str),
    deletes: bool,
    /// Whether it waits after a failure of its own.
    waits: bool,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sea_orm::{DatabaseConnection, DbBackend, FromQueryResult, Statement};

    use super::*;

    const ROWS: [&str; 4] = ["1", "2", "3", "4"];

    /// Events of these rows and types, whose ids count from 1.
    async fn pending(db: &DatabaseConnection, events: &[(&str, &str)]) -> Vec<Unsent> {
        let sql = "SELECT key + 1 AS id, 'event' AS event_id, 'user' AS resource_type, value ->> 0 AS resource_id, \
                   value ->> 1 AS event_type, '{}' AS payload, '{}' AS headers, 0 AS attempts, \
                   '2026-01-01T00:00:00+00:00' AS occurred_at, '2026-01-01T00:00:00+00:00' AS available_at, NULL AS sent_at \
                   FROM json_each($1)";
        let events = serde_json::json!(events).to_string();
        let select = Statement::from_sql_and_values(DbBackend::Sqlite, sql, [events.into()]);
        Unsent::find_by_statement(select).all(db).await.expect("rows that wait")
    }

    /// The ids of these events, wave by wave.
    async fn waves(events: &[(&str, &str)], alone: bool) -> Vec<Vec<i64>> {
        let relay = Relay::without_nats().await;
        let waves = relay.waves(pending(&relay.db, events).await, alone);
        waves.iter().map(|wave| wave.iter().map(|event| event.id).collect()).collect()
    }

    fn numbered(events: &[(usize, bool)]) -> Vec<usize> {
        let event = |&(row, deletes): &(usize, bool)| Queued { row: ("user", ROWS[row]), deletes, waits: false };
        wave_of_each(events.iter().map(event)).into_iter().flatten().collect()
    }

    proptest! {
        #[test]
        fn a_wave_holds_one_event_of_a_row_and_deletes_are_behind_all_that_is_older(
            events in proptest::collection::vec((0..ROWS.len(), any::<bool>()), 1..12)
        ) {
            let numbers = numbered(&events);
            for (younger, (row, _)) in events.iter().enumerate() {
                for (older, (other, _)) in events[..younger].iter().enumerate() {
                    prop_assert!(other != row || numbers[older] < numbers[younger]);
                    prop_assert!(!events[younger].1 || numbers[older] <= numbers[younger]);
                }
            }
        }
    }

    #[test]
    fn events_of_different_rows_go_side_by_side() {
        assert_eq!(numbered(&[(0, false), (1, false), (0, false), (2, false)]), [0, 0, 1, 0]);
    }

    #[test]
    fn rows_that_come_and_go_take_two_waves() {
        assert_eq!(
            numbered(&[(0, false), (0, true), (1, false), (1, true), (2, false), (2, true)]),
            [0, 1, 0, 1, 0, 1]
        );
    }

    #[tokio::test]
    async fn while_an_event_is_unanswered_the_oldest_goes_alone() {
        let events = [("1", "updated"), ("2", "updated"), ("1", "updated")];
        assert_eq!(waves(&events, false).await, [vec![1, 2], vec![3]]);
        assert_eq!(waves(&events, true).await, [vec![1]]);
    }

    #[tokio::test]
    async fn a_delete_goes_in_the_last_wave_that_there_is_by_then() {
        let events = [("1", "updated"), ("1", "updated"), ("2", "deleted")];
        assert_eq!(waves(&events, false).await, [vec![1], vec![2, 3]]);
    }

    #[test]
    fn what_waits_holds_back_its_row_alone() {
        let event = |id, waits| Queued { row: ("user", id), deletes: false, waits };
        let numbers = wave_of_each([event("1", true), event("1", false), event("2", false)].into_iter());
        assert_eq!(numbers, [None, None, Some(0)]);
    }
}
