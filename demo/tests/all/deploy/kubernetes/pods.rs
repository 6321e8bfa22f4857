//! What each pod may do, and how it is probed and stopped.

use super::{containers, is_demo, workloads};
use crate::deploy::STOPS_WITHIN;
use crate::deploy::reading::{entries, items, text};

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
