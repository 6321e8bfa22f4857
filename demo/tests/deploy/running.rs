//! The compose files, run: each service as its file says, on this machine instead of in containers.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dev_servers::{Postgres, free_port};
use tempfile::TempDir;

use crate::compose::{AUTO_PROVISION, RESTRICTIVE, Service, services};
use crate::nats;

const WITHIN: Duration = Duration::from_secs(300);

/// What a compose file describes, running. Dropped, it ends, in the reverse order of the start.
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
        let mut server = Command::new(nats::binary().await);
        for word in &service.command {
            server.arg(if word == "8222" { monitor.to_string() } else { here(word) });
        }
        if !service.command.contains(&"--config".to_owned()) {
            server.args(["--addr", "127.0.0.1", "--port", &port.to_string()]);
        }
        self.spawn(server.env_clear().envs(&service.environment).stderr(Stdio::null()));
        // wget is of the image; the page is what its check asks for.
        let url = service.check.as_ref().and_then(|check| check.last()).expect("a page that says how it is");
        self.until_healthy("nats", &url.replace("8222", &monitor.to_string())).await;
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
        let mut demo = Command::new(env!("CARGO_BIN_EXE_demo"));
        demo.args(&service.command).env_clear().envs(environment);
        let Some(check) = &service.check else {
            let ended = in_time(&service.name, program(demo).status()).await;
            assert!(ended.success(), "{} failed", service.name);
            return;
        };
        self.spawn(&mut demo);
        let url = check.last().expect("a page that says how it is");
        let (before, port) = url.trim_end_matches("/health").rsplit_once(':').expect("a port");
        let here = self.ports.get(&(service.name.clone(), port.to_owned()));
        let here = here.unwrap_or_else(|| panic!("{} is asked on port {port}, where it does not listen", service.name));
        let url = format!("{before}:{here}/health");
        self.until_healthy(&service.name, &url).await;
    }

    /// The database of a system, which its API and its consumer share.
    async fn database(&self, system: &str) -> String {
        let name = format!("{system}_{}", self._folder.path().file_name().expect("a name").display());
        self._postgres.ensure_database(&name).await.expect("a database")
    }

    fn spawn(&mut self, command: &mut Command) {
        self.processes.push(command.stdin(Stdio::null()).spawn().expect("it starts"));
    }

    async fn until_healthy(&self, service: &str, url: &str) {
        let started = Instant::now();
        loop {
            let mut check = Command::new(env!("CARGO_BIN_EXE_demo"));
            check.args(["health", "--url", url]);
            let check = in_time("the health check", program(check).output()).await;
            if check.status.success() {
                return;
            }
            assert!(started.elapsed() < WITHIN, "{service} does not become healthy: {check:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Creates, changes and deletes on both sides.
    async fn test_sync(&self, apis: [(&str, &str); 2]) -> bool {
        let urls = apis
            .map(|(service, port)| format!("http://127.0.0.1:{}", self.ports[&(service.to_owned(), port.to_owned())]));
        let mut script = Command::new("bash");
        script.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("test_sync.sh")).args(urls);
        in_time("the script", program(script).status()).await.success()
    }
}

/// A program that is waited for, and does not outlive that.
fn program(command: Command) -> tokio::process::Command {
    let mut program = tokio::process::Command::from(command);
    program.kill_on_drop(true);
    program
}

/// What comes of a program, which must end in time.
async fn in_time<T>(name: &str, ended: impl Future<Output = std::io::Result<T>>) -> T {
    let ended = tokio::time::timeout(WITHIN, ended).await;
    ended.unwrap_or_else(|_| panic!("{name} did not end within {WITHIN:?}")).expect("it runs")
}

impl Drop for Deployment {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().rev() {
            // An error means that it has ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
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
