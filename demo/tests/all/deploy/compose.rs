//! The two compose files.

use std::collections::{BTreeMap, BTreeSet};

use compose_spec::Compose;
use yaml_serde::Value;

use super::reading::{Reading, assert_understood, documents, entries, items, text};
use super::{STOPS_WITHIN, assert_pinned, environment};

pub(crate) const AUTO_PROVISION: &str = "compose.yaml";
pub(crate) const RESTRICTIVE: &str = "compose.restrictive.yaml";

/// A service of a compose file, with the defaults of its variables filled in.
pub(crate) struct Service {
    pub name: String,
    pub image: String,
    pub command: Vec<String>,
    pub environment: BTreeMap<String, String>,
    /// The command of its health check, if it has one.
    pub check: Option<Vec<String>>,
    /// The services that it waits for, and until when.
    pub needs: BTreeMap<String, String>,
    definition: Value,
}

impl Service {
    fn of(name: String, definition: &Value) -> Self {
        let words = |value: &Value| items(value).iter().map(|word| filled_in(&text(word))).collect();
        let check = items(&definition["healthcheck"]["test"]).split_first().map(|(kind, command)| {
            assert_eq!(text(kind), "CMD", "{name}: a shell may not be there");
            command.iter().map(text).collect()
        });
        Self {
            name,
            image: text(&definition["image"]),
            command: words(&definition["command"]),
            environment: entries(&definition["environment"])
                .map(|(name, value)| (name, filled_in(&text(value))))
                .collect(),
            check,
            needs: entries(&definition["depends_on"])
                .map(|(name, condition)| (name, text(&condition["condition"])))
                .collect(),
            definition: definition.clone(),
        }
    }

    pub(crate) fn is_demo(&self) -> bool {
        self.image.starts_with("jsb-demo:")
    }

    pub(crate) fn variable(&self, name: &str) -> &str {
        self.environment.get(name).unwrap_or_else(|| panic!("{} has no {name}", self.name))
    }

    /// The host's ports, and the container's.
    fn ports(&self) -> Vec<(String, String)> {
        let pair = |port: &Value| {
            let port = text(port);
            let local = port.strip_prefix("127.0.0.1:").unwrap_or_else(|| panic!("{port} is open to the network"));
            let (host, container) = local.split_once(':').expect("two ports");
            (host.to_owned(), container.to_owned())
        };
        items(&self.definition["ports"]).iter().map(pair).collect()
    }
}

/// `${NAME:-default}` becomes the default, as it does where nobody sets the variable.
fn filled_in(text: &str) -> String {
    let Some((before, rest)) = text.split_once("${") else { return text.to_owned() };
    let (variable, after) = rest.split_once('}').expect("a closing brace");
    let (_, default) = variable.split_once(":-").unwrap_or_else(|| panic!("{variable} has no default"));
    format!("{before}{default}{}", filled_in(after))
}

pub(crate) fn services(path: &str) -> Vec<Service> {
    let document = documents(path).remove(0);
    entries(&document["services"]).map(|(name, definition)| Service::of(name, definition)).collect()
}

fn compose(document: &Value) -> Reading {
    let text = yaml_serde::to_string(document).expect("it can be written");
    let compose = Compose::options().from_yaml_str(&text).map_err(|error| error.to_string())?;
    compose.validate_all().map_err(|error| error.to_string())?;
    Ok(format!("{compose:?}"))
}

fn both() -> impl Iterator<Item = (&'static str, Vec<Service>)> {
    [AUTO_PROVISION, RESTRICTIVE].into_iter().map(|path| (path, services(path)))
}

#[test]
fn every_key_is_understood() {
    for path in [AUTO_PROVISION, RESTRICTIVE] {
        // Names of services below `depends_on` are looked at by the order of the start.
        let names = ["services", "volumes", "environment", "depends_on"];
        for mut document in documents(path) {
            // What the services have merged from these is part of the services by now.
            document.as_mapping_mut().expect("a mapping").retain(|key, _| !text(key).starts_with("x-"));
            assert_understood(path, &document, compose, &names);
        }
    }
}

#[test]
fn the_ports_are_those_of_the_reference() {
    let wanted = [
        (AUTO_PROVISION, ["4222", "8222"], ["55432", "55433"], ["3000", "3001"]),
        (RESTRICTIVE, ["5222", "8822"], ["65432", "65433"], ["3100", "3101"]),
    ];
    for (path, nats, postgres, apis) in wanted {
        let ports: BTreeMap<String, Vec<(String, String)>> =
            services(path).iter().map(|service| (service.name.clone(), service.ports())).collect();
        let pairs =
            |host: [&str; 2], container: [&str; 2]| [0, 1].map(|i| (host[i].to_owned(), container[i].to_owned()));
        assert_eq!(ports["nats"], pairs(nats, ["4222", "8222"]), "{path}");
        assert_eq!([&ports["postgres-a"][..], &ports["postgres-b"]].concat(), pairs(postgres, ["5432"; 2]), "{path}");
        assert_eq!([&ports["system-a-api"][..], &ports["system-b-api"]].concat(), pairs(apis, apis), "{path}");
        assert!(ports["system-a-consumer"].is_empty() && ports["system-b-consumer"].is_empty(), "{path}");
    }
}

#[test]
fn images_are_pinned_and_everything_starts_again() {
    for (path, services) in both() {
        for service in services {
            assert_pinned(&service.image);
            let restart = text(&service.definition["restart"]);
            let ends_by_itself = service.command == ["provision"];
            assert_eq!(restart, if ends_by_itself { "no" } else { "unless-stopped" }, "{path}: {}", service.name);
        }
    }
}

#[test]
fn one_service_builds_the_image_and_nobody_looks_for_it_elsewhere() {
    for (path, services) in both() {
        let policies = services.iter().filter(|service| service.is_demo()).map(|service| {
            let builds = !service.definition["build"].is_null();
            assert_eq!(
                text(&service.definition["pull_policy"]),
                if builds { "build" } else { "never" },
                "{path}: {}",
                service.name
            );
            builds
        });
        assert_eq!(policies.filter(|builds| *builds).count(), 1, "{path}");
    }
}

#[test]
fn everything_that_keeps_running_has_a_health_check_of_what_it_serves() {
    for (path, services) in both() {
        for service in services {
            let Service { name, check, .. } = &service;
            let check = check.as_ref().map(|command| command.join(" "));
            let wanted = match name.as_str() {
                "provisioner" => None,
                "nats" => Some("wget -q -O /dev/null http://127.0.0.1:8222/healthz?js-enabled-only=true".to_owned()),
                "postgres-a" | "postgres-b" => {
                    let (user, database) = (service.variable("POSTGRES_USER"), service.variable("POSTGRES_DB"));
                    Some(format!("pg_isready --host 127.0.0.1 --username {user} --dbname {database}"))
                }
                consumer if consumer.ends_with("consumer") => Some(demo_check(service.variable("HEALTH_PORT"))),
                _ => Some(demo_check(service.variable("PORT"))),
            };
            assert_eq!(check, wanted, "{path}: {name}");
        }
    }
}

fn demo_check(port: &str) -> String {
    format!("/usr/local/bin/demo health --url http://127.0.0.1:{port}/health")
}

#[test]
fn everything_starts_after_what_it_needs_is_healthy() {
    for (path, services) in both() {
        let started_by = if path == RESTRICTIVE { "provisioner" } else { "nats" };
        for Service { name, needs, .. } in &services {
            let database = name.strip_prefix("system-").map(|system| format!("postgres-{}", &system[..1]));
            let wanted: BTreeSet<String> = match (name.as_str(), database) {
                ("provisioner", _) => ["nats".to_owned()].into(),
                (_, Some(database)) => [started_by.to_owned(), database].into(),
                _ => BTreeSet::new(),
            };
            assert_eq!(needs.keys().cloned().collect::<BTreeSet<_>>(), wanted, "{path}: {name}");
            for (needed, condition) in needs {
                let ends = needed == "provisioner";
                let wanted = if ends { "service_completed_successfully" } else { "service_healthy" };
                assert_eq!(condition, wanted, "{path}: {name} needs {needed}");
            }
        }
    }
}

#[test]
fn nobody_is_killed_who_stops_in_order() {
    for (path, services) in both() {
        for service in services.iter().filter(|service| service.is_demo()) {
            let given = text(&service.definition["stop_grace_period"]);
            let seconds = given.strip_suffix('s').and_then(|seconds| seconds.parse::<u64>().ok());
            assert!(seconds > Some(STOPS_WITHIN), "{path}: {} has {given}", service.name);
        }
    }
}

#[test]
fn every_volume_is_declared_and_every_declared_one_is_used() {
    for (path, services) in both() {
        let mounts = services.iter().flat_map(|service| items(&service.definition["volumes"]));
        let sources = mounts.map(|mount| text(mount).split(':').next().expect("a source").to_owned());
        let used: BTreeSet<String> = sources.filter(|source| !source.starts_with('.')).collect();
        let declared = documents(path).remove(0)["volumes"].clone();
        assert_eq!(used, entries(&declared).map(|(name, _)| name).collect(), "{path}");
    }
}

#[test]
fn each_system_is_an_api_and_a_consumer_with_one_environment() {
    for (path, services) in both() {
        for system in ["system-a", "system-b"] {
            let [api, consumer] = ["api", "consumer"].map(|role| {
                let service = services.iter().find(|service| service.name == format!("{system}-{role}"));
                let service = service.unwrap_or_else(|| panic!("{path}: {system} has no {role}"));
                assert_eq!(service.command, [system, "--role", role], "{path}");
                service.environment.clone()
            });
            let mut shared = consumer;
            shared.remove("HEALTH_PORT");
            assert_eq!(api, shared, "{path}: {system}");
            assert_eq!(api.contains_key("AUTO_PROVISION"), path == RESTRICTIVE, "{path}: {system}");
        }
    }
}

#[test]
fn every_variable_is_read() {
    for (path, services) in both() {
        for service in services.iter().filter(|service| service.is_demo()) {
            let command = service.command.first().filter(|command| *command != "provision");
            let title = format!("{path}: {}", service.name);
            environment::assert_known(&title, &service.environment, command.map(String::as_str));
        }
        for service in services.iter().filter(|service| service.image.starts_with("postgres:")) {
            let known = |name: &String| environment::POSTGRES.contains(&name.as_str());
            assert!(service.environment.keys().all(known), "{path}: {}", service.name);
        }
    }
}

#[test]
fn the_urls_agree_with_the_servers() {
    for (path, services) in both() {
        let service = |name: &str| services.iter().find(|service| service.name == name).expect(name);
        for demo in services.iter().filter(|service| service.is_demo()) {
            let who = demo.command[0].replace('-', "_");
            let (user, variable) = match who.as_str() {
                "provision" => ("admin", "ADMIN_NATS_PASSWORD".to_owned()),
                system => (system, format!("{}_NATS_PASSWORD", system.to_uppercase())),
            };
            let credentials = match service("nats").environment.get(&variable) {
                Some(password) => format!("{user}:{password}@"),
                None => String::new(),
            };
            assert_eq!(demo.variable("NATS_URL"), format!("nats://{credentials}nats:4222"), "{path}: {}", demo.name);

            let Some(postgres) = demo.needs.keys().find(|needed| needed.starts_with("postgres")) else { continue };
            let [user, password, database] =
                ["USER", "PASSWORD", "DB"].map(|what| service(postgres).variable(&format!("POSTGRES_{what}")));
            let url = format!("postgres://{user}:{password}@{postgres}:5432/{database}");
            assert_eq!(demo.variable("DATABASE_URL"), url, "{path}: {}", demo.name);
        }
    }
}
