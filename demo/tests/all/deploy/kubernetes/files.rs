//! What the files are made of.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Secret, Service};
use yaml_serde::Value;

use super::{Kustomization, containers, kustomization, objects};
use crate::deploy::reading::{Reading, assert_understood, documents, text, typed};
use crate::deploy::{assert_pinned, deploy};

const FOLDERS: [&str; 2] = ["kubernetes", "nats"];

fn object(document: &Value) -> Reading {
    match (text(&document["apiVersion"]).as_str(), text(&document["kind"]).as_str()) {
        ("v1", "Namespace") => typed::<Namespace>(document),
        ("v1", "Secret") => typed::<Secret>(document),
        ("v1", "Service") => typed::<Service>(document),
        ("apps/v1", "Deployment") => typed::<Deployment>(document),
        ("apps/v1", "StatefulSet") => typed::<StatefulSet>(document),
        ("batch/v1", "Job") => typed::<Job>(document),
        (version, kind) => Err(format!("{kind} of {version} is nothing known here")),
    }
}

#[test]
fn every_key_is_understood() {
    for (path, document) in objects() {
        let mut names = vec!["labels", "matchLabels", "stringData", "requests", "limits"];
        if document["kind"] == "Service" {
            names.push("selector");
        }
        // Without these two nobody knows how to read the rest.
        let read = |document: &Value| match (&document["apiVersion"], &document["kind"]) {
            (Value::Null, _) | (_, Value::Null) => Err("an object of no kind".to_owned()),
            _ => object(document),
        };
        assert_understood(&path, &document, read, &names);
    }
    for folder in FOLDERS {
        let path = format!("{folder}/kustomization.yaml");
        for document in documents(&path) {
            assert_understood(&path, &document, typed::<Kustomization>, &[]);
        }
    }
}

#[test]
fn the_kustomizations_name_every_file_and_none_that_is_missing() {
    for folder in FOLDERS {
        let Kustomization { resources, config_map_generator, .. } = kustomization(folder);
        let files = config_map_generator.into_iter().flat_map(|generator| generator.files);
        let mut named: Vec<String> = resources.into_iter().chain(files).collect();
        for path in &named {
            assert!(deploy(folder).join(path).exists(), "{folder}/{path}");
        }
        named.retain(|path| !path.starts_with("../"));
        named.push("kustomization.yaml".to_owned());
        named.sort();
        let folder = std::fs::read_dir(deploy(folder)).expect("the folder");
        let mut there: Vec<String> =
            folder.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned()).collect();
        there.sort();
        assert_eq!(named, there);
    }
}

#[test]
fn images_are_pinned() {
    let tags: BTreeMap<String, String> =
        kustomization("kubernetes").images.into_iter().map(|image| (image.name, image.new_tag)).collect();
    for (_, container) in containers() {
        let image = text(&container["image"]);
        assert_pinned(&tags.get(&image).map_or(image.clone(), |tag| format!("{image}:{tag}")));
    }
}
