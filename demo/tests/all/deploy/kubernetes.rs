//! The Kubernetes manifests.

use std::collections::BTreeMap;
use std::fmt::Debug;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Secret, Service};
use serde::Deserialize;
use yaml_serde::Value;

use super::reading::{Reading, assert_understood, documents, entries, items, text, typed};
use super::{STOPS_WITHIN, assert_pinned, deploy, environment, read};

const FOLDERS: [&str; 2] = ["kubernetes", "nats"];

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

#[test]
fn every_container_has_limits_and_no_more_rights_than_it_needs() {
    for (name, container) in containers() {
        for bound in ["requests", "limits"] {
            let mut bounded: Vec<String> = entries(&container["resources"][bound]).map(|(name, _)| name).collect();
            bounded.sort();
            assert_eq!(bounded, ["cpu", "memory"], "{name}: {bound}");
        }
        let security = &container["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
        assert_eq!(items(&security["capabilities"]["drop"]), ["ALL"], "{name}");
    }
    for (name, object) in workloads() {
        let pod = &object["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert!(pod["securityContext"]["runAsUser"].as_u64() > Some(0), "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        let runs_demo = pod["containers"].as_sequence().is_some_and(|containers| containers.iter().any(is_demo));
        assert!(!runs_demo || pod["enableServiceLinks"] == false, "{name} takes services for its own variables");
    }
}

#[test]
fn nobody_is_killed_who_stops_in_order() {
    for (name, object) in workloads() {
        let pod = &object["spec"]["template"]["spec"];
        let is_system = object["kind"] == "Deployment" && items(&pod["containers"]).iter().any(is_demo);
        let seconds = pod["terminationGracePeriodSeconds"].as_u64();
        assert!(!is_system || seconds > Some(STOPS_WITHIN), "{name} has {seconds:?}");
    }
}

#[test]
fn everything_that_keeps_running_is_probed_on_a_port_it_has() {
    for (name, container) in containers() {
        if name == "provisioner/provisioner" {
            continue;
        }
        let ports: Vec<String> = items(&container["ports"]).iter().map(|port| text(&port["name"])).collect();
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            let request = &container[probe]["httpGet"];
            if request.is_null() {
                assert_eq!(container[probe]["exec"]["command"][0], "pg_isready", "{name}: {probe}");
                continue;
            }
            assert!(ports.contains(&text(&request["port"])), "{name}: {probe}");
            if is_demo(&container) {
                let wanted = if probe == "readinessProbe" { "/health" } else { "/live" };
                assert_eq!(request["path"], wanted, "{name}: {probe}");
            }
        }
    }
}

#[test]
fn each_system_is_an_api_and_a_consumer_with_one_environment() {
    for (system, port) in [("system-a", "3100"), ("system-b", "3101")] {
        let environments = ["api", "consumer"].map(|role| {
            let name = format!("{system}-{role}/{role}");
            let (_, container) = containers().into_iter().find(|(found, _)| *found == name).expect("the container");
            assert_eq!(items(&container["args"]), [system, "--role", role].map(Value::from));
            let mut variables = variables(&container);
            let variable = if role == "api" { "PORT" } else { "HEALTH_PORT" };
            let served = variables.remove(variable).expect("its port");
            assert_eq!(text(&container["ports"][0]["containerPort"]), served, "{name}");
            assert!(role == "consumer" || served == port, "{name}");
            variables
        });
        assert_eq!(environments[0], environments[1], "{system}");
        assert_eq!(environments[0].get("AUTO_PROVISION").map(String::as_str), Some("false"), "{system}");
    }
}

/// A pod is in service when all of its containers are ready, and a consumer says nothing of the API.
#[test]
fn no_consumer_stands_behind_a_service() {
    let mut behind = 0;
    for (_, service) in objects().into_iter().filter(|(_, object)| object["kind"] == "Service") {
        for (name, object) in workloads() {
            let pod = &object["spec"]["template"];
            let mut selector = entries(&service["spec"]["selector"]);
            if !selector.all(|(label, value)| pod["metadata"]["labels"][label.as_str()] == *value) {
                continue;
            }
            behind += 1;
            for container in items(&pod["spec"]["containers"]) {
                assert!(!items(&container["args"]).contains(&Value::from("consumer")), "{name}: {container:?}");
            }
        }
    }
    assert_eq!(behind, 5, "each Service has one workload: NATS, two databases, two APIs");
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

#[test]
fn every_variable_is_read() {
    for (name, container) in containers().into_iter().filter(|(_, container)| is_demo(container)) {
        let (mut variables, mut defined) = (variables(&container), Vec::new());
        for variable in items(&container["env"]).iter().map(|variable| text(&variable["name"])) {
            let Some((_, rest)) = variables[&variable].split_once("$(") else {
                defined.push(variable);
                continue;
            };
            // Kubernetes fills in what was defined above, and leaves everything else as it is.
            let part = rest.split_once(')').expect("a closing parenthesis").0.to_owned();
            assert!(defined.contains(&part), "{name}: {variable} uses {part}, which is not defined above it");
            variables.remove(&part);
        }
        let command = text(&container["args"][0]);
        environment::assert_known(&name, &variables, Some(command.as_str()).filter(|command| *command != "provision"));
    }
    for (name, container) in containers().iter().filter(|(name, _)| name.starts_with("postgres")) {
        let known = |variable: &String| environment::POSTGRES.contains(&variable.as_str());
        assert!(variables(container).keys().all(known), "{name}");
    }
}

#[test]
fn the_urls_agree_with_the_servers_and_everybody_takes_their_own_password() {
    let servers: BTreeMap<String, BTreeMap<String, String>> =
        containers().iter().map(|(name, container)| (name.clone(), variables(container))).collect();
    for (name, variables) in servers.iter().filter(|(_, variables)| variables.contains_key("NATS_URL")) {
        let workload = name.split('/').next().expect("its workload");
        let system = workload.trim_end_matches("-api").trim_end_matches("-consumer");
        let key = if workload == "provisioner" { "admin" } else { system };
        let user = key.replace('-', "_");
        let password = format!("nats-users/{key}");
        assert_eq!(variables["NATS_PASSWORD"], password, "{name}");
        assert_eq!(servers["nats/nats"][&format!("{}_NATS_PASSWORD", user.to_uppercase())], password, "{name}");
        assert_eq!(variables["NATS_URL"], format!("nats://{user}:$(NATS_PASSWORD)@nats:4222"), "{name}");

        let Some(url) = variables.get("DATABASE_URL") else { continue };
        let host = system.replace("system", "postgres");
        let postgres = &servers[&format!("{host}/postgres")];
        assert_eq!(variables["DATABASE_PASSWORD"], postgres["POSTGRES_PASSWORD"], "{name}");
        let (user, database) = (&postgres["POSTGRES_USER"], &postgres["POSTGRES_DB"]);
        assert_eq!(url, &format!("postgres://{user}:$(DATABASE_PASSWORD)@{host}:5432/{database}"), "{name}");
    }
}

#[test]
fn whatever_is_named_is_there() {
    let objects = objects();
    let named = |kind: &str, name: &str| {
        let found = objects.iter().find(|(_, object)| object["kind"] == kind && object["metadata"]["name"] == name);
        found.map(|(_, object)| object).unwrap_or_else(|| panic!("there is no {kind} {name}"))
    };
    for (name, container) in containers() {
        for variable in items(&container["env"]) {
            let secret = &variable["valueFrom"]["secretKeyRef"];
            if !secret.is_null() {
                let data = &named("Secret", &text(&secret["name"]))["stringData"];
                assert!(!data[text(&secret["key"])].is_null(), "{name}: {variable:?}");
            }
        }
    }
    let config_maps = kustomization("nats").config_map_generator;
    for (name, object) in workloads() {
        let pod = &object["spec"]["template"];
        if !object["spec"]["selector"].is_null() {
            assert_eq!(object["spec"]["selector"]["matchLabels"], pod["metadata"]["labels"], "{name}");
        }
        if let Some(service) = object["spec"]["serviceName"].as_str() {
            assert_eq!(named("Service", service)["spec"]["selector"], pod["metadata"]["labels"], "{name}");
        }
        let claims =
            items(&object["spec"]["volumeClaimTemplates"]).iter().map(|claim| text(&claim["metadata"]["name"]));
        let volumes = items(&pod["spec"]["volumes"]).iter().map(|volume| text(&volume["name"]));
        let volumes: Vec<String> = claims.chain(volumes).collect();
        for container in items(&pod["spec"]["containers"]) {
            for mount in items(&container["volumeMounts"]) {
                assert!(volumes.contains(&text(&mount["name"])), "{name}: {mount:?}");
            }
        }
        for volume in items(&pod["spec"]["volumes"]).iter().filter(|volume| !volume["configMap"].is_null()) {
            assert!(config_maps.iter().any(|map| volume["configMap"]["name"] == map.name.as_str()), "{name}");
        }
    }
    for system in ["system-a", "system-b"] {
        let (service, deployment) = (named("Service", system), named("Deployment", &format!("{system}-api")));
        assert_eq!(service["spec"]["selector"], deployment["spec"]["template"]["metadata"]["labels"], "{system}");
        assert_eq!(service["spec"]["ports"][0]["targetPort"], "http", "{system}");
    }
    assert_eq!(kustomization("kubernetes").namespace.as_deref(), Some("jsb"));
    named("Namespace", "jsb");
}
