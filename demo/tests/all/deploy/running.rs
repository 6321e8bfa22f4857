//! The compose files, run: each service as its file says, on this machine instead of in containers.

use std::collections::BTreeMap;
use std::process::Stdio;

use dev_servers::{Postgres, free_port};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::compose::{AUTO_PROVISION, RESTRICTIVE, Service, services};
use super::nats;
use crate::program::{demo, health_check, in_time, program, test_sync, until};

/// What a compose file describes, running. Dropped, it ends.
struct Deployment {
    processes: Vec<Child>,
    /// Which port of this machine stands for which of a service.
    ports: BTreeMap<(String, String), u16>,
    _postgres: Postgres,
    _folder: TempDir,
}

impl Deployment {
    async fn start(path: &str) -> Self {
        let (postgres, folder) = (Postgres::start().await.expect("PostgreSQL"), tempfile::tempdir().expect("a folder"));
        let mut deployment =
            Self { processes: Vec::new(), ports: BTreeMap::new(), _postgres: postgres, _folder: folder };
        for service in in_order(services(path)) {
            if service.name == "nats" {
                deployment.start_nats(&service).await;
            } else if service.is_demo() {
                deployment.start_demo(&service).await;
            }
        }
        deployment
    }

    fn port(&mut self, service: &str, port: &str) -> u16 {
        *self.ports.entry((service.to_owned(), port.to_owned())).or_insert_with(free_port)
    }

    async fn start_nats(&mut self, service: &Service) {
        let (port, monitor) = (self.port("nats", "4222"), self.port("nats", "8222"));
        let folder = self._folder.path().to_owned();
        let here = |text: &str| {
            text.replace("0.0.0.0:4222", &format!("127.0.0.1:{port}"))
                .replace("0.0.0.0:8222", &format!("127.0.0.1:{monitor}"))
                .replace("/data", &folder.join("data").display().to_string())
                .replace("/etc/nats", &folder.display().to_string())
        };
        nats::write_config(&folder, here);
        let mut server = program(nats::binary().await);
        for word in &service.command {
            server.arg(if word == "8222" { monitor.to_string() } else { here(word) });
        }
        if !service.command.contains(&"--config".to_owned()) {
            server.args(["--addr", "127.0.0.1", "--port", &port.to_string()]);
        }
        self.spawn(server.env_clear().envs(&service.environment).stderr(Stdio::null()));
        // wget is of the image; the page is what its check asks for.
        let url = service.check.as_ref().and_then(|check| check.last()).expect("a page that says how it is");
        until_healthy("nats", &url.replace("8222", &monitor.to_string())).await;
    }

    async fn start_demo(&mut self, service: &Service) {
        let nats = self.port("nats", "4222");
        let mut environment = service.environment.clone();
        let nats_url = service.variable("NATS_URL").replace("nats:4222", &format!("127.0.0.1:{nats}"));
        environment.insert("NATS_URL".to_owned(), nats_url);
        environment.insert("BIND".to_owned(), "127.0.0.1".to_owned());
        for variable in ["PORT", "HEALTH_PORT"] {
            if let Some(port) = service.environment.get(variable) {
                let here = self.port(&service.name, port);
                environment.insert(variable.to_owned(), here.to_string());
            }
        }
        if environment.contains_key("DATABASE_URL") {
            let database = service.command[0].replace('-', "_");
            environment.insert("DATABASE_URL".to_owned(), self.database(&database).await);
        }
        let mut demo = demo();
        demo.args(&service.command).env_clear().envs(environment);
        let Some(check) = &service.check else {
            let ended = in_time(&service.name, demo.status()).await;
            assert!(ended.success(), "{} failed", service.name);
            return;
        };
        self.spawn(&mut demo);
        let url = check.last().expect("a page that says how it is");
        let (before, port) = url.trim_end_matches("/health").rsplit_once(':').expect("a port");
        let here = self.ports.get(&(service.name.clone(), port.to_owned()));
        let here = here.unwrap_or_else(|| panic!("{} is asked on port {port}, where it does not listen", service.name));
        let url = format!("{before}:{here}/health");
        until_healthy(&service.name, &url).await;
    }

    /// The database of a system, which its API and its consumer share.
    async fn database(&self, system: &str) -> String {
        let name = format!("{system}_{}", self._folder.path().file_name().expect("a name").display());
        self._postgres.ensure_database(&name).await.expect("a database")
    }

    fn spawn(&mut self, command: &mut Command) {
        self.processes.push(command.spawn().expect("it starts"));
    }

    async fn test_sync(&self, apis: [(&str, &str); 2]) -> bool {
        let urls = apis
            .map(|(service, port)| format!("http://127.0.0.1:{}", self.ports[&(service.to_owned(), port.to_owned())]));
        test_sync(&urls).await
    }
}

async fn until_healthy(service: &str, url: &str) {
    until(service, || health_check(url), |check| check.status.success()).await;
}

/// Each after those that it waits for.
fn in_order(mut waiting: Vec<Service>) -> Vec<Service> {
    let mut ordered: Vec<Service> = Vec::new();
    while !waiting.is_empty() {
        let started = |name: &String| ordered.iter().any(|service| service.name == *name);
        let next = waiting.iter().position(|service| service.needs.keys().all(started));
        let next = next.expect("services wait for one another, or for one that is not there");
        ordered.push(waiting.remove(next));
    }
    ordered
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pair_of_the_compose_file_syncs() {
    let deployment = Deployment::start(AUTO_PROVISION).await;
    assert!(deployment.test_sync([("system-a-api", "3000"), ("system-b-api", "3001")]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pair_of_the_restrictive_compose_file_syncs() {
    let deployment = Deployment::start(RESTRICTIVE).await;
    assert!(deployment.test_sync([("system-a-api", "3100"), ("system-b-api", "3101")]).await);
}
