//! The pipeline example.

use std::collections::BTreeMap;
use std::process::Command;

use github_actions_models::workflow::Workflow;
use yaml_serde::Value;

use super::reading::{assert_understood, documents, entries, items, text, typed};
use super::{environment, kubernetes};

const PATH: &str = "pipeline/deploy.yml";

fn workflow() -> Value {
    documents(PATH).remove(0)
}

fn job(workflow: &Value, name: &str) -> Value {
    let job = workflow["jobs"][name].clone();
    assert!(!job.is_null(), "there is no job {name}");
    job
}

/// What a job runs, all its steps together.
fn script(job: &Value) -> String {
    items(&job["steps"]).iter().filter_map(|step| step["run"].as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_key_is_understood() {
    let names = ["env", "jobs", "inputs", "outputs", "with", "permissions"];
    assert_understood(PATH, &workflow(), typed::<Workflow>, &names);
}

#[test]
fn a_person_starts_it_and_another_approves_what_was_shown() {
    let workflow = workflow();
    assert_eq!(workflow["permissions"], yaml_serde::from_str::<Value>("contents: read").expect("YAML"));
    assert_eq!(entries(&workflow["on"]).map(|(event, _)| event).collect::<Vec<_>>(), ["workflow_dispatch"]);
    let [compare, provision, deploy] = ["compare", "provision", "deploy"].map(|name| job(&workflow, name));

    // 3 is how `jsb provision --check` says that something is not as wanted.
    assert!(script(&compare).contains("jsb provision --check") && script(&compare).contains("3) echo \"drift=true\""));
    assert_eq!(provision["needs"], "compare");
    assert_eq!(provision["if"], "needs.compare.outputs.drift == 'true'");
    assert!(script(&provision).contains("jsb provision\n"));
    assert_eq!(items(&deploy["needs"]), ["compare", "provision"].map(Value::from));

    let environments = [&compare, &provision, &deploy].map(|job| text(&job["environment"]));
    assert_eq!(environments, ["production-compare", "production-provision", "production"]);
}

#[test]
fn each_job_names_only_jobs_steps_and_inputs_that_are_there() {
    let workflow = workflow();
    let compare = job(&workflow, "compare");
    assert_eq!(compare["outputs"]["drift"], "${{ steps.compare.outputs.drift }}");
    assert!(items(&compare["steps"]).iter().any(|step| step["id"] == "compare"));
    assert!(!workflow["on"]["workflow_dispatch"]["inputs"]["image"].is_null());
    assert_eq!(job(&workflow, "deploy")["steps"][1]["env"]["IMAGE"], "${{ inputs.image }}");
}

#[test]
fn jsb_reads_every_variable() {
    let workflow = workflow();
    for (_, job) in entries(&workflow["jobs"]) {
        for step in
            items(&job["steps"]).iter().filter(|step| step["run"].as_str().is_some_and(|run| run.contains("/jsb ")))
        {
            let variables = entries(&workflow["env"]).chain(entries(&step["env"]));
            let variables: BTreeMap<String, String> = variables.map(|(name, value)| (name, text(value))).collect();
            environment::assert_known(&text(&step["name"]), &variables, None);
        }
    }
}

#[test]
fn it_provisions_by_the_variables_of_the_provisioner() {
    let mut variables: BTreeMap<String, String> =
        entries(&workflow()["env"]).map(|(name, value)| (name, text(value))).collect();
    // The demo knows its pair; `jsb` is told.
    for name in ["APP_NAME", "DESTINATION_APP"] {
        assert!(variables.remove(name).is_some(), "{name}");
    }
    assert_eq!(variables, kubernetes::provisioning());
}

#[test]
fn the_image_goes_to_every_deployment_and_each_is_waited_for() {
    let deploy = job(&workflow(), "deploy");
    let roll_out = deploy["steps"][1]["run"].as_str().expect("a script");
    let script = format!("kubectl() {{ echo \"$@\"; }}\n{roll_out}");
    let mut bash = Command::new("bash");
    bash.args(["-e", "-c", &script]).env("IMAGE", "demo:2").env("RUNNER_TEMP", "/nowhere");
    let output = bash.output().expect("bash runs");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).expect("text");
    let mut said: Vec<&str> = said.lines().collect();
    said.sort_unstable();

    let commands = |(deployment, container): (String, String)| {
        [
            format!("--namespace jsb set image deployment/{deployment} {container}=demo:2"),
            format!("--namespace jsb rollout status deployment/{deployment} --timeout 5m"),
        ]
    };
    let mut wanted: Vec<String> = kubernetes::systems().into_iter().flat_map(commands).collect();
    wanted.sort_unstable();
    assert_eq!(said, wanted);
}

#[test]
fn actions_and_runners_are_pinned() {
    for (name, job) in entries(&workflow()["jobs"]) {
        assert!(text(&job["runs-on"]).contains(|c: char| c.is_ascii_digit()), "{name} runs on whatever is newest");
        for action in items(&job["steps"]).iter().filter_map(|step| step["uses"].as_str()) {
            let version = action.split_once('@').map(|(_, version)| version);
            assert!(version.is_some_and(|version| version.contains(|c: char| c.is_ascii_digit())), "{action}");
        }
    }
}
