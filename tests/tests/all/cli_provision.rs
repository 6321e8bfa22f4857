//! `jsb provision` and `jsb permissions` as an operator meets them: what they print, keep and answer with.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use dev_servers::{NatsOptions, NatsServer};
use jsb_tests::cli::{Cli, Output};
use jsb_tests::{Backend, Pair, Stream};

const CLI: &str = env!("CARGO_BIN_EXE_cli");

async fn pair() -> (Pair, Cli) {
    let pair = Pair::create(Backend::Sqlite).await;
    let cli = Cli::of(CLI, &pair.a);
    (pair, cli)
}

fn done(output: Output) -> Output {
    assert_eq!(output.code, 0, "{output:?}");
    output
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_shown_then_made_and_then_there_is_nothing_to_do() {
    let (pair, cli) = pair().await;
    let stream = &pair.a.config.stream_name;
    let check = cli.run(&["provision", "--check"]).await;
    assert_eq!(check.code, 3, "{check:?}");
    assert!(check.stdout.contains(&format!("+ stream {stream}")), "{}", check.stdout);
    assert_eq!(cli.run(&["provision", "--check"]).await.stdout, check.stdout, "a check changes nothing");

    let made = done(cli.run(&["provision"]).await).stdout;
    assert!(made.starts_with(check.stdout.trim_end()), "{made}");
    assert!(made.contains(&format!("done: made stream {stream}\n")), "{made}");
    for app in [&pair.a.config.app_name, &pair.b.config.app_name] {
        assert!(made.contains(&format!("done: made consumer {app}-workers of stream {stream}\n")), "{made}");
    }
    let nothing = "all is as wanted: nothing to do\n";
    assert_eq!(done(cli.run(&["provision"]).await).stdout, nothing);
    assert_eq!(done(cli.run(&["provision", "--check"]).await).stdout, nothing);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_is_told_and_mended() {
    let (pair, cli) = pair().await;
    done(cli.run(&["provision"]).await);
    let older = cli.clone().set("STREAM_MAX_AGE", "20d");
    let check = older.run(&["provision", "--check"]).await;
    assert_eq!((check.code, check.stdout.contains("~ max_age: 30d -> 20d")), (3, true), "{check:?}");
    let made = older.json(&["provision"]).await;
    assert_eq!(made["made"][0], format!("changed stream {}", pair.a.config.stream_name));
    assert_eq!(made["changes"][0]["change"], "update_stream");
    let again = older.json(&["provision", "--check"]).await;
    assert_eq!(again, serde_json::json!({"changes": [], "refusals": [], "problems": [], "made": []}));
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    assert_eq!(pair.a.stream().await.config().await.max_age, 20 * day);
    // A default is nobody's wish.
    assert_eq!(done(cli.run(&["provision", "--check"]).await).stdout, "all is as wanted: nothing to do\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_a_person_is_refused_with_the_steps() {
    let (pair, cli) = pair().await;
    let subject = format!("{}.sync.*", pair.a.config.app_name);
    let taken = async_nats::jetstream::stream::Config { subjects: vec![subject], ..Default::default() };
    Stream::of(&pair.a.config.clone().stream_name(format!("t-{}", pair.a.config.app_name))).await.create(taken).await;
    let refused = cli.run(&["provision"]).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    let steps = format!("set STREAM_NAME=t-{}", pair.a.config.app_name);
    assert!(refused.stdout.contains("! stream t-") && refused.stdout.contains(&steps), "{}", refused.stdout);
    assert!(refused.stderr.contains("nothing was changed"), "{}", refused.stderr);
    let check = cli.run(&["provision", "--check", "--json"]).await;
    assert_eq!(check.code, 3);
    assert_eq!(check.json()["refusals"].as_array().map(Vec::len), Some(1), "{check:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_waited_for_as_long_as_was_said() {
    let (_pair, cli) = pair().await;
    let away = cli.set("NATS_URL", "nats://127.0.0.1:1").run(&["provision", "--timeout", "1s"]).await;
    assert_eq!(away.code, 1);
    assert!(away.stderr.contains("did not answer within 1 seconds"), "{}", away.stderr);
    assert!(away.stderr.contains("Connection refused"), "{}", away.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pairs_can_be_named_and_are_checked() {
    let (pair, cli) = pair().await;
    let (a, b) = (&pair.a.config.app_name, &pair.b.config.app_name);
    let (one, two) = (format!("{a},{b}"), format!("{a}-2, {b}-2"));
    let made = done(cli.run(&["provision", "--pair", &one, "--pair", &two]).await).stdout;
    assert!(made.contains(&format!("made consumer {a}-2-workers")), "{made}");
    for wrong in ["one", "one,", "one,two,three"] {
        for command in ["provision", "permissions"] {
            let refused = cli.run(&[command, "--pair", wrong]).await;
            assert_eq!(refused.code, 2, "{refused:?}");
            assert!(refused.stderr.contains("system_a,system_b"), "{}", refused.stderr);
        }
    }
    for (wrong, why) in [("one,one", "DESTINATION_APP"), ("admin,b", "named like the user"), ("a.b,c", "APP_NAME")] {
        let refused = cli.run(&["permissions", "--auth", "variables", "--pair", wrong]).await;
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
    }
    let twice = cli.run(&["permissions", "--auth", "variables", "--pair", "a,b", "--pair", "b,c"]).await;
    assert!(twice.code == 1 && twice.stderr.contains("`b` stands in the list more than once"), "{twice:?}");
}

fn secret(folder: &Path, name: &str) -> String {
    let file = folder.join(name);
    assert_eq!(fs::metadata(&file).expect(name).permissions().mode() & 0o777, 0o600, "{name}");
    fs::read_to_string(file).expect(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_made_once_and_shown_to_nobody() {
    let (_pair, cli) = pair().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let secrets = folder.path().join("made/by/the/command");
    let path = secrets.display().to_string();
    for (auth, extension) in [("password", "password"), ("nkey", "nk")] {
        let args = ["permissions", "--pair", "a,b", "--pair", "c,d", "--auth", auth, "--secrets", &path];
        let first = done(cli.run(&args).await);
        let users = ["admin", "a", "b", "c", "d", "observer"];
        let kept = users.map(|user| secret(&secrets, &format!("{user}.{extension}")));
        let again = done(cli.run(&args).await);
        assert_eq!(users.map(|user| secret(&secrets, &format!("{user}.{extension}"))), kept);
        for shown in [&first.stdout, &first.stderr, &again.stdout, &again.stderr] {
            assert!(kept.iter().all(|secret| !shown.contains(secret)), "{shown}");
        }
        assert!(users.iter().all(|user| first.stderr.contains(&format!("/{user}.{extension}"))), "{}", first.stderr);
    }
    assert_eq!(fs::metadata(&secrets).expect("the folder").permissions().mode() & 0o777, 0o700);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_that_are_there_are_taken() {
    let (_pair, cli) = pair().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().display().to_string();
    let args = |auth| ["permissions", "--pair", "a,b", "--auth", auth, "--secrets", &path];
    fs::write(folder.path().join("a.password"), "p@ss/word\n").expect("a file");
    let printed = done(cli.run(&args("password")).await);
    let hint = printed.stderr.lines().find(|line| line.trim().starts_with("a:")).expect("a line for a");
    assert!(hint.ends_with("with the password percent-encoded"), "{hint}");
    let hints = printed.stderr.lines().filter(|line| line.contains("percent-encoded")).count();
    assert_eq!(hints, 1, "{}", printed.stderr);

    let seed = nkeys::KeyPair::new_user();
    fs::write(folder.path().join("a.nk"), seed.seed().expect("a seed")).expect("a file");
    let printed = done(cli.run(&args("nkey")).await);
    assert!(printed.stdout.contains(&seed.public_key()), "{}", printed.stdout);

    fs::write(folder.path().join("a.password"), "x".repeat(71)).expect("a file");
    done(cli.run(&args("password")).await);

    for (name, content, auth, why) in [
        ("a.password", String::new(), "password", "is empty"),
        ("a.password", "x".repeat(72), "password", "a password of 72 bytes: bcrypt takes 71 at the most"),
        ("a.nk", "no seed".to_owned(), "nkey", "no seed of an nkey"),
        ("a.nk", nkeys::KeyPair::new_account().seed().expect("a seed"), "nkey", "no user's"),
    ] {
        fs::write(folder.path().join(name), &content).expect("a file");
        let refused = cli.run(&args(auth)).await;
        assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{refused:?}");
        assert!(refused.stderr.contains(why) && refused.stderr.contains(name), "{}", refused.stderr);
    }
}

/// Words of the server's own language, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_server_takes_the_users_whatever_the_apps_are_called() {
    let (_pair, cli) = pair().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().display().to_string();
    let args = ["permissions", "--pair", "include,b", "--auth", "nkey", "--secrets", &path];
    let config = done(cli.run(&args).await).stdout;
    let options = NatsOptions { config, ..Default::default() };
    NatsServer::start(options).await.expect("nats-server takes what was printed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_no_nats_needs_none_of_its_files() {
    let (_pair, cli) = pair().await;
    let files = ["NATS_CREDS", "NATS_NKEY", "NATS_CA", "NATS_CERT", "NATS_KEY"];
    let cli = files.into_iter().fold(cli, |cli, file| cli.set(file, "/no/such/file"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().display().to_string();
    let permissions = ["permissions", "--pair", "a,b", "--auth", "nkey", "--secrets", &path];
    for args in [&["inbox", "list"][..], &permissions] {
        done(cli.run(args).await);
    }
    let provision = cli.run(&["provision", "--check"]).await;
    assert_eq!(provision.code, 1, "{provision:?}");
    for file in files {
        assert!(provision.stderr.contains(&format!("{file}: the file that it names")), "{provision:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_may_come_from_variables_outside_of_json() {
    let (_pair, cli) = pair().await;
    let variables = ["permissions", "--auth", "variables", "--pair"];
    let run = async |pair: &'static str, more: &[&str]| cli.run(&[&variables, [pair].as_slice(), more].concat()).await;
    let printed = done(run("system_a,stock-2", &[]).await).stdout;
    for variable in
        ["$ADMIN_NATS_PASSWORD", "$SYSTEM_A_NATS_PASSWORD", "$STOCK_2_NATS_PASSWORD", "$OBSERVER_NATS_PASSWORD"]
    {
        assert!(printed.contains(&format!("password: {variable}\n")), "{printed}");
    }
    for (pair, more, why) in [
        ("a,b", ["--json"].as_slice(), "JSON has no variables"),
        ("a,b", &["--secrets", "/no/such/folder"], "leave --secrets out"),
        ("1st,b", &[], "begin with a digit"),
        ("shop-1,shop_1", &[], "`SHOP_1_NATS_PASSWORD`"),
    ] {
        let refused = run(pair, more).await;
        assert!(refused.code == 1 && refused.stderr.contains(why), "{refused:?}");
    }
    let no_folder = cli.run(&["permissions", "--pair", "a,b"]).await;
    assert!(no_folder.code == 1 && no_folder.stderr.contains("--secrets"), "{no_folder:?}");
}
