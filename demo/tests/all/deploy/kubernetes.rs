//! The Kubernetes manifests.

mod files;
mod names;
mod pods;
mod systems;

use std::collections::BTreeMap;

use serde::Deserialize;
use yaml_serde::Value;

use super::read;
use super::reading::{documents, items, text};

/// What we use of a kustomization.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kustomization {
    api_version: String,
    kind: String,
    namespace: Option<String>,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    config_map_generator: Vec<ConfigMapGenerator>,
    #[serde(default)]
    images: Vec<ImageTag>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigMapGenerator {
    name: String,
    files: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ImageTag {
    name: String,
    new_tag: String,
}

fn kustomization(folder: &str) -> Kustomization {
    let text = read(&format!("{folder}/kustomization.yaml"));
    let kustomization: Kustomization = yaml_serde::from_str(&text).expect("a kustomization");
    assert_eq!(kustomization.api_version, "kustomize.config.k8s.io/v1beta1");
    assert_eq!(kustomization.kind, "Kustomization");
    kustomization
}

/// The objects that the kustomization lists, each with its file.
fn objects() -> Vec<(String, Value)> {
    let files = kustomization("kubernetes").resources.into_iter().filter(|resource| resource.ends_with(".yaml"));
    let paths = files.map(|file| format!("kubernetes/{file}"));
    paths.flat_map(|path| documents(&path).into_iter().map(move |object| (path.clone(), object))).collect()
}

/// The objects that run containers, each with its pods' labels and specification.
fn workloads() -> Vec<(String, Value)> {
    let objects = objects().into_iter().map(|(_, object)| object);
    objects
        .filter(|object| !object["spec"]["template"].is_null())
        .map(|object| (text(&object["metadata"]["name"]), object))
        .collect()
}

fn containers() -> Vec<(String, Value)> {
    let named = |(workload, object): (String, Value)| {
        let containers = items(&object["spec"]["template"]["spec"]["containers"]).to_vec();
        containers.into_iter().map(move |container| (format!("{workload}/{}", text(&container["name"])), container))
    };
    workloads().into_iter().flat_map(named).collect()
}

fn is_demo(container: &Value) -> bool {
    text(&container["image"]).starts_with("jsb-demo")
}

/// The Deployments of the demo, each with its container.
pub(crate) fn systems() -> Vec<(String, String)> {
    let deployments = workloads().into_iter().filter(|(_, object)| object["kind"] == "Deployment");
    let named = |(deployment, object): (String, Value)| {
        let containers = items(&object["spec"]["template"]["spec"]["containers"]).to_vec();
        let ours = containers.into_iter().filter(is_demo);
        ours.map(move |container| (deployment.clone(), text(&container["name"])))
    };
    deployments.flat_map(named).collect()
}

/// What the provisioner goes by, but for who it is to NATS.
pub(crate) fn provisioning() -> BTreeMap<String, String> {
    let provisioner = containers().into_iter().find(|(name, _)| name == "provisioner/provisioner");
    let mut variables = variables(&provisioner.expect("the provisioner").1);
    variables.retain(|name, _| !name.starts_with("NATS_"));
    variables
}

/// The variables of a container; a secret stands as `secret/key`.
fn variables(container: &Value) -> BTreeMap<String, String> {
    let variable = |variable: &Value| {
        let secret = &variable["valueFrom"]["secretKeyRef"];
        let value = match secret.is_null() {
            true => text(&variable["value"]),
            false => format!("{}/{}", text(&secret["name"]), text(&secret["key"])),
        };
        (text(&variable["name"]), value)
    };
    items(&container["env"]).iter().map(variable).collect()
}
