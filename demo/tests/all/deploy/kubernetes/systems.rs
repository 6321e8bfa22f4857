//! Each system is an API and a consumer.

use yaml_serde::Value;

use super::{containers, objects, variables, workloads};
use crate::deploy::reading::{entries, items, text};

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
