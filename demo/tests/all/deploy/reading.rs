//! Finds keys that a typed parser passes over: those that can be taken out, or misspelt, and nothing changes.

use std::fmt::Debug;

use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use yaml_serde::{Deserializer, Value};

/// The documents of a YAML file, with its merges carried out.
pub(crate) fn documents(path: &str) -> Vec<Value> {
    let text = super::read(path);
    let document = |document| {
        let mut value = Value::deserialize(document).unwrap_or_else(|error| panic!("deploy/{path}: {error}"));
        value.apply_merge().unwrap_or_else(|error| panic!("deploy/{path}: {error}"));
        value
    };
    Deserializer::from_str(&text).map(document).collect()
}

/// What a typed parser makes of a document: everything that it has read, or its complaint.
pub(crate) type Reading = Result<String, String>;

pub(crate) fn typed<T: DeserializeOwned + Debug>(document: &Value) -> Reading {
    yaml_serde::from_value::<T>(document.clone()).map(|read| format!("{read:?}")).map_err(|error| error.to_string())
}

/// Asserts that the parser takes the document, leaves no key of it unread, and would see each key that is misspelt, but for
/// the names below `names`, which are anybody's to choose.
#[track_caller]
pub(crate) fn assert_understood(title: &str, document: &Value, read: impl Fn(&Value) -> Reading, names: &[&str]) {
    let original = read(document).unwrap_or_else(|fault| panic!("{title}: {fault}"));
    let (mut unread, mut unseen) = (Vec::new(), Vec::new());
    for path in keys(document) {
        let removed = read(&changed(document, &path, |_| None));
        if removed.as_ref() == Ok(&original) {
            unread.push(path.join("."));
        }
        if path.len() > 1 && names.contains(&path[path.len() - 2].as_str()) {
            continue;
        }
        let misspelt = read(&changed(document, &path, |key| Some(format!("{key}x"))));
        if misspelt.is_ok() && misspelt != removed {
            unseen.push(path.join("."));
        }
    }
    assert!(unread.is_empty(), "{title}: nothing reads {unread:?}");
    assert!(unseen.is_empty(), "{title}: nobody would see it if these were misspelt: {unseen:?}");
}

/// The way to every key; the items of a list go by their numbers.
fn keys(value: &Value) -> Vec<Vec<String>> {
    let below = |step: String, value: &Value| -> Vec<Vec<String>> {
        keys(value).into_iter().map(|path| [vec![step.clone()], path].concat()).collect()
    };
    match value {
        Value::Mapping(entries) => entries
            .iter()
            .flat_map(|(key, value)| {
                let key = text(key);
                [vec![vec![key.clone()]], below(key, value)].concat()
            })
            .collect(),
        Value::Sequence(items) => {
            items.iter().enumerate().flat_map(|(index, item)| below(index.to_string(), item)).collect()
        }
        _ => Vec::new(),
    }
}

/// The document with one key renamed, or taken out.
fn changed(document: &Value, path: &[String], rename: impl Fn(&str) -> Option<String>) -> Value {
    let mut changed = document.clone();
    let (key, way) = path.split_last().expect("a path has an end");
    let parent = way.iter().fold(&mut changed, |value, step| match value {
        Value::Sequence(items) => &mut items[step.parse::<usize>().expect("an index")],
        _ => &mut value[step.as_str()],
    });
    let Value::Mapping(entries) = parent else { panic!("{path:?} does not end at a key") };
    *entries = std::mem::take(entries)
        .into_iter()
        .filter_map(|(name, value)| match text(&name) == *key {
            true => rename(key).map(|renamed| (renamed.into(), value)),
            false => Some((name, value)),
        })
        .collect();
    changed
}

/// A scalar as it is written.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        other => panic!("{other:?} is no scalar"),
    }
}

/// The items of a list; none where it is missing.
pub(crate) fn items(value: &Value) -> &[Value] {
    value.as_sequence().map_or(&[], Vec::as_slice)
}

/// The entries of a mapping; none where it is missing.
pub(crate) fn entries(value: &Value) -> impl Iterator<Item = (String, &Value)> {
    value.as_mapping().into_iter().flatten().map(|(key, value)| (text(key), value))
}

#[test]
#[should_panic(expected = "nothing reads [\"spec.replica\"]")]
fn a_key_that_nobody_reads_is_found() {
    let document =
        "{spec: {replica: 2, selector: {matchLabels: {app: a}}, template: {spec: {containers: [{name: a}]}}}}";
    let document: Value = yaml_serde::from_str(document).expect("YAML");
    assert_understood("a Deployment", &document, typed::<k8s_openapi::api::apps::v1::Deployment>, &[]);
}

#[test]
#[should_panic(expected = "if these were misspelt: [\"replicas\"]")]
fn a_parser_that_takes_any_key_is_found() {
    let document: Value = yaml_serde::from_str("replicas: two").expect("YAML");
    assert_understood("anything", &document, typed::<std::collections::BTreeMap<String, String>>, &[]);
}
