//! Which differences are mended in place, and which are refused with the steps to take. What the server changes in place
//! was tried on nats-server 2.15.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::difference::{Difference, differences};
use super::plan::Refusal;
use super::{Found, FoundStream, WantedConsumer, WantedStream};

/// What the server never changes about a consumer.
const FIXED_FOR_CONSUMERS: [&str; 5] =
    ["deliver_policy", "ack_policy", "replay_policy", "deliver_subject", "mem_storage"];

/// Streams of other names that carry wanted subjects: the server lets no two streams carry one subject.
pub(super) fn foreign_streams(wanted: &WantedStream, found: &Found) -> Vec<Refusal> {
    let mut foreign = BTreeMap::<&str, Vec<&str>>::new();
    for (subject, stream) in found.carriers.iter().filter(|(_, stream)| **stream != wanted.name) {
        foreign.entry(stream).or_default().push(subject);
    }
    let refusal = |(stream, subjects): (&str, Vec<&str>)| Refusal {
        about: format!("stream {stream}"),
        reason: format!("it carries {} already, and no two streams can carry one subject", subjects.join(", ")),
        steps: format!(
            "to use this stream, set STREAM_NAME={stream} here and in the apps; \
             or else take these subjects, and wildcards that cover them, out of it"
        ),
    };
    foreign.into_iter().map(refusal).collect()
}

/// What is different about the stream: what can be changed, and what cannot.
pub(super) fn stream(wanted: &WantedStream, stream: &FoundStream, found: &Found) -> (Vec<Difference>, Vec<Refusal>) {
    let refusal = |reason: &str, steps: String| Refusal {
        about: format!("stream {}", wanted.name),
        reason: reason.to_owned(),
        steps,
    };
    let mut settings = wanted.settings_beside(&stream.config);
    settings["subjects"] = with_missing_subjects(wanted, stream, found);
    let further = stream.further_subjects(wanted);
    if !further.is_empty() {
        settings.retain(|setting, _| setting == "subjects");
    }
    let (refused, changing): (Vec<Difference>, Vec<Difference>) = differences(&stream.config, &settings)
        .into_iter()
        .partition(|difference| is_fixed(difference) || stream.would_lose_messages(difference));
    let mut refusals: Vec<Refusal> = refused
        .iter()
        .map(|difference| match difference.setting.as_str() {
            "max_age" => refusal(&loss(stream, difference), steps_before_loss(difference)),
            _ => refusal(&fixed(difference), steps_to_replace_stream(&wanted.name)),
        })
        .collect();
    if !further.is_empty() {
        let left_alone = |difference: &Difference| {
            let reason = format!(
                "it carries {} too, so that it is not for these pairs alone to say {difference}",
                further.join(", ")
            );
            let steps = "name all pairs that share it, take out by hand the subjects that nobody uses, or set STREAM_MAX_AGE and \
                         STREAM_REPLICAS to what it has";
            refusal(&reason, steps.to_owned())
        };
        refusals.extend(wanted.unmet(&stream.config).iter().map(left_alone));
        if stream.config["no_ack"] == true {
            let steps =
                "take these subjects, and wildcards that cover them, out of it, or turn no_ack off by hand".to_owned();
            refusals
                .push(refusal("it acknowledges nothing (no_ack), so that no event would ever count as sent", steps));
        }
    }
    if stream.config["sealed"] == true {
        refusals.push(refusal("it is sealed, which is for ever", steps_to_replace_stream(&wanted.name)));
    }
    if stream.config["mirror"].is_object() {
        let steps = "set STREAM_NAME to another name, here and in the apps".to_owned();
        refusals.push(refusal("it mirrors another stream, so that nothing can be published to it", steps));
    }
    (changing, refusals)
}

/// What a stream drops that carries further subjects, so that it is used as it is.
pub(super) fn dropped_by_shared(wanted: &WantedStream, stream: &FoundStream) -> Option<String> {
    let is_shared = !stream.further_subjects(wanted).is_empty();
    let drops = stream.drops().filter(|_| is_shared)?;
    let steps = "change it to limits by hand, or take the pairs' subjects out of it and set STREAM_NAME to another name, here and \
                 in the apps";
    Some(format!("stream {}: {drops}; {steps}", wanted.name))
}

/// What is different about a consumer: what can be changed, and what cannot.
pub(super) fn consumer(wanted: &WantedConsumer, stream: &str, found: &Json) -> (Vec<Difference>, Vec<Refusal>) {
    let (refused, changing): (Vec<Difference>, Vec<Difference>) =
        wanted.differences(found).into_iter().partition(|difference| match difference.setting.as_str() {
            "filter_subject" => !has_delivered(&difference.found, &wanted.filter),
            setting => FIXED_FOR_CONSUMERS.contains(&setting),
        });
    let refusal = |difference: &Difference| {
        let steps = steps_to_replace_consumer(&wanted.name, stream);
        let (reason, steps) = match difference.setting.as_str() {
            "deliver_subject" => {
                ("it pushes messages instead of being pulled from, which cannot be changed".to_owned(), steps)
            }
            "filter_subject" => (
                format!(
                    "it delivers {}; changed, it would pass over what waits in {}",
                    difference.shown_found(),
                    wanted.filter
                ),
                format!("look whether APP_NAME and DESTINATION_APP, or the pair, are meant so; if they are: {steps}"),
            ),
            _ => (fixed(difference), steps),
        };
        Refusal { about: format!("consumer {} of stream {stream}", wanted.name), reason, steps }
    };
    let refusals = refused.iter().map(refusal).collect();
    (changing, refusals)
}

/// The subjects that it carries, and those of ours that it does not, not even through a wildcard.
fn with_missing_subjects(wanted: &WantedStream, stream: &FoundStream, found: &Found) -> Json {
    let missing = wanted.subjects.iter().filter(|subject| !found.carriers.contains_key(*subject));
    stream.subjects().into_iter().chain(missing.map(String::as_str)).collect::<Vec<_>>().into()
}

/// Whether a consumer with these filters has this subject behind it as far as it has come: the server moves one whose filter
/// changes no further back.
fn has_delivered(filters: &Json, subject: &str) -> bool {
    match filters {
        Json::Array(filters) => filters.iter().any(|filter| has_delivered(filter, subject)),
        filter => covers(filter.as_str().unwrap_or_default(), subject),
    }
}

/// Whether a filter, which may be none, lets a subject pass.
fn covers(filter: &str, subject: &str) -> bool {
    let (mut filter, mut subject) =
        (Some(filter).filter(|filter| !filter.is_empty()).unwrap_or(">").split('.'), subject.split('.'));
    loop {
        match (filter.next(), subject.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some(token), Some(named)) if token == "*" || token == named => {}
            _ => return false,
        }
    }
}

fn is_fixed(difference: &Difference) -> bool {
    match difference.setting.as_str() {
        "storage" => true,
        "retention" => difference.found == "workqueue",
        _ => false,
    }
}

fn fixed(difference: &Difference) -> String {
    let Difference { setting, .. } = difference;
    let (found, wanted) = (difference.shown_found(), difference.shown_wanted());
    format!("its {setting} is {found}, and cannot be changed to {wanted}")
}

fn loss(stream: &FoundStream, difference: &Difference) -> String {
    let oldest = stream.oldest.map(|age| humantime::format_duration(std::time::Duration::from_secs(age.as_secs())));
    let oldest = oldest.map(|age| age.to_string()).unwrap_or_default();
    format!("{difference} would delete messages: it holds some that are {oldest} old")
}

fn steps_before_loss(difference: &Difference) -> String {
    let age = difference.shown_wanted();
    format!(
        "set STREAM_MAX_AGE to more than their age; or wait until both apps have applied everything, save what the DLQ \
         needs, purge what is older than {age} by hand, and provision again"
    )
}

fn steps_to_replace_stream(stream: &str) -> String {
    format!(
        "wait until both apps have applied everything and stop them (what they save meanwhile stays in the outbox), keep a \
         copy (`nats stream backup {stream} <folder>`), delete the stream by hand, provision again, and start the apps"
    )
}

fn steps_to_replace_consumer(consumer: &str, stream: &str) -> String {
    format!(
        "stop its app, delete it by hand (`nats consumer rm {stream} {consumer}`), provision again, and start the app: it gets \
         what the stream holds once more, and knows from its inbox what it has applied"
    )
}
