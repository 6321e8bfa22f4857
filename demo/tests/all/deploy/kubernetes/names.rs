//! What is named is there, and by the right name.

use std::collections::BTreeMap;

use super::{containers, is_demo, kustomization, objects, variables, workloads};
use crate::deploy::environment;
use crate::deploy::reading::{items, text};

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
