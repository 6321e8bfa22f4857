//! A pair on a server of its own that is configured by exactly what `jsb permissions` prints.

use async_nats::ConnectOptions;
use async_nats::jetstream::{self, consumer::pull, stream};
use dev_servers::{NatsOptions, NatsServer};
use jsb_runtime::Config;
use tempfile::TempDir;
use uuid::Uuid;

use crate::cli::{Cli, Output};
use crate::{App, Backend, Pair, Raw};

/// A stream beside the pair's, and its durable: somebody else's.
pub const FOREIGN_STREAM: &str = "foreign";
/// Its durable.
pub const FOREIGN_DURABLE: &str = "foreign-workers";

/// How the users prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// By passwords that the command made.
    Password,
    /// By keys that the command made.
    Nkey,
    /// By passwords in the environment of nats-server.
    Variables,
}

/// A pair and its server.
pub struct LeastPrivilege {
    /// The server.
    pub nats: NatsServer,
    /// The pair, which does not run yet.
    pub pair: Pair,
    program: &'static str,
    auth: Auth,
    /// What was printed last.
    printed: String,
    /// The passwords or keys.
    secrets: TempDir,
    _store: TempDir,
}

impl LeastPrivilege {
    /// Starts the server. `program` is the command line, `form` its flags for the form of what it prints.
    pub async fn create(program: &'static str, auth: Auth, form: &[&str]) -> Self {
        Self::configured(program, auth, form, |config| config).await
    }

    /// The same with apps that are configured by `change`.
    pub async fn configured(
        program: &'static str,
        auth: Auth,
        form: &[&str],
        change: impl Fn(Config) -> Config,
    ) -> Self {
        let (secrets, store) = (folder(), folder());
        make_foreign_stream(&store).await;
        let mut pair = Pair::configured(Backend::Sqlite, |config| change(config.auto_provision(false))).await;
        let printed = print(program, &pair.a, auth, &secrets, form).await;
        let environment = match auth {
            Auth::Variables => variables(&pair, &secrets),
            Auth::Password | Auth::Nkey => Vec::new(),
        };
        let store_dir = Some(store.path().to_owned());
        let options = NatsOptions { store_dir, config: printed.clone(), environment, ..Default::default() };
        let nats = NatsServer::start(options).await.expect("nats-server takes what was printed");
        for app in [&mut pair.a, &mut pair.b] {
            give_credentials(app, nats.port(), auth, &secrets);
        }
        Self { nats, pair, program, auth, printed, secrets, _store: store }
    }

    /// Provisions another pair on the same stream, whose users come with a reload of the server. It does not run yet.
    pub async fn join(&mut self) -> Pair {
        let stream = self.pair.a.config.stream_name.clone();
        let configured = |config: Config| config.auto_provision(false).stream_name(stream.as_str());
        let mut other = Pair::configured(Backend::Sqlite, configured).await;
        let apps = |pair: &Pair| format!("{},{}", pair.a.config.app_name, pair.b.config.app_name);
        let (one, two) = (apps(&self.pair), apps(&other));
        let pairs = ["--pair", one.as_str(), "--pair", two.as_str()];
        self.printed = print(self.program, &self.pair.a, self.auth, &self.secrets, &pairs).await;
        self.reload().await;
        for app in [&mut other.a, &mut other.b] {
            give_credentials(app, self.nats.port(), self.auth, &self.secrets);
        }
        let provisioned = self.cli("admin").run(&[&["provision"], pairs.as_slice()].concat()).await;
        assert_eq!(provisioned.code, 0, "{provisioned:?}");
        other
    }

    /// Has the server read again what was printed last.
    pub async fn reload(&mut self) {
        self.nats.reload(self.printed.as_str()).await.expect("nats-server takes what was printed");
    }

    /// The command line with the credentials of this user, and the application's settings of A.
    pub fn cli(&self, user: &str) -> Cli {
        let url = url(self.nats.port(), self.auth, &self.secrets, user);
        let cli = Cli::of(self.program, &self.pair.a).set("NATS_URL", url);
        match self.auth {
            Auth::Nkey => cli
                .set("NATS_NKEY", self.secrets.path().join(format!("{user}.nk")).display().to_string())
                .set("NATS_INBOX_PREFIX", format!("_INBOX.{user}")),
            Auth::Password | Auth::Variables => cli,
        }
    }

    /// Provisions as the admin does.
    pub async fn provision(&self) -> Output {
        let output = self.cli("admin").run(&["provision"]).await;
        assert_eq!(output.code, 0, "{output:?}");
        output
    }

    /// Somebody who has a user's password and knows the protocol.
    pub async fn raw(&self, user: &str) -> Raw {
        Raw::connect(self.nats.port(), user, &password(&self.secrets, user)).await
    }

    /// What the server has denied so far, to anybody.
    pub fn violations(&self) -> Vec<String> {
        self.nats.log().lines().filter(|line| line.contains("Violation")).map(str::to_owned).collect()
    }
}

/// Lets an application connect as its user.
fn give_credentials(app: &mut App, port: u16, auth: Auth, secrets: &TempDir) {
    let name = app.config.app_name.as_str();
    app.config.nats_nkey = (auth == Auth::Nkey).then(|| secrets.path().join(format!("{name}.nk")));
    app.config.nats_url = url(port, auth, secrets, name);
}

/// What the command prints, and nothing else.
async fn print(program: &'static str, app: &App, auth: Auth, secrets: &TempDir, form: &[&str]) -> String {
    let folder = secrets.path().display().to_string();
    let by = match auth {
        Auth::Password => vec!["--auth", "password", "--secrets", &folder],
        Auth::Nkey => vec!["--auth", "nkey", "--secrets", &folder],
        Auth::Variables => vec!["--auth", "variables"],
    };
    let output = Cli::of(program, app).run(&[&["permissions"], by.as_slice(), form].concat()).await;
    assert_eq!(output.code, 0, "{output:?}");
    output.stdout
}

/// Somebody else's stream, in the account where the pair's will be.
async fn make_foreign_stream(store: &TempDir) {
    let config = "accounts { admin { jetstream: enabled, users: [{ user: root, password: root }] } }".to_owned();
    let options = NatsOptions { store_dir: Some(store.path().to_owned()), config, ..Default::default() };
    let mut nats = NatsServer::start(options).await.expect("nats-server starts");
    let root = ConnectOptions::with_user_and_password("root".to_owned(), "root".to_owned());
    let context = jetstream::new(root.connect(nats.url()).await.expect("a connection"));
    let subjects = vec![format!("{FOREIGN_STREAM}.>")];
    let config = stream::Config { name: FOREIGN_STREAM.to_owned(), subjects, ..Default::default() };
    let stream = context.create_stream(config).await.expect("a stream");
    let durable = pull::Config { durable_name: Some(FOREIGN_DURABLE.to_owned()), ..Default::default() };
    stream.create_consumer(durable).await.expect("a durable");
    nats.stop().await;
}

/// A password for everybody, in the environment of the server, and where the command would have kept it.
fn variables(pair: &Pair, secrets: &TempDir) -> Vec<(String, String)> {
    let users = [pair.a.config.app_name.as_str(), pair.b.config.app_name.as_str(), "admin", "observer"];
    let variable = |user: &&str| {
        let password = format!("Open{}", Uuid::new_v4().simple());
        std::fs::write(secrets.path().join(format!("{user}.password")), &password).expect("a file");
        (format!("{}_NATS_PASSWORD", user.to_uppercase().replace('-', "_")), password)
    };
    users.iter().map(variable).collect()
}

fn url(port: u16, auth: Auth, secrets: &TempDir, user: &str) -> String {
    match auth {
        Auth::Nkey => format!("nats://127.0.0.1:{port}"),
        Auth::Password | Auth::Variables => format!("nats://{user}:{}@127.0.0.1:{port}", password(secrets, user)),
    }
}

fn password(secrets: &TempDir, user: &str) -> String {
    std::fs::read_to_string(secrets.path().join(format!("{user}.password"))).expect("a password")
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}
