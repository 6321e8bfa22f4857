//! Promise 7: while NATS or the database is away nothing is dead-lettered and nothing is held against an event, and work
//! resumes by itself.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dev_servers::{NatsOptions, NatsServer, Postgres};
use jsb_runtime::Role;
use jsb_tests::entities::organization;
use jsb_tests::faults::link::{Link, Weather};
use jsb_tests::gate::gate;
use jsb_tests::probe::{self, Orders};
use jsb_tests::{
    App, Backend, ChildCommand, Pair, Proxy, Stream, TestDatabase, effects, eventually, inbox, servers, until,
};
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, EntityTrait, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionTrait,
};

use crate::deliveries;
use crate::problems::problem_of;

/// How soon work must go on after an outage: the client connects again every two seconds.
const AT_ONCE: Duration = Duration::from_secs(10);
/// How soon work must go on when NATS has fallen silent: after 27 s it has left three pings unanswered. By itself the client
/// would send one a minute.
const SOON: Duration = Duration::from_secs(60);
/// How long a proxy takes for each KiB.
const EIGHTH_OF_A_MIB_A_SECOND: Duration = Duration::from_millis(8);

async fn save(db: &DatabaseConnection, domain: &str) -> Result<organization::Model, DbErr> {
    save_named(db, domain, domain).await
}

async fn save_named(db: &DatabaseConnection, name: &str, domain: &str) -> Result<organization::Model, DbErr> {
    let row = organization::ActiveModel { name: Set(name.to_owned()), ..organization::new(domain) };
    row.insert(db).await
}

async fn own_nats(options: NatsOptions) -> NatsServer {
    NatsServer::start(options).await.expect("nats-server starts")
}

async fn pair_on(nats: &NatsServer, backend: Backend) -> Pair {
    let url = nats.url();
    Pair::configured(backend, |config| config.nats_url(url.as_str())).await
}

/// Waits until both sides hold these many rows, the same ones.
async fn both_hold(pair: &Pair, rows: usize) {
    until(&format!("both sides hold {rows} rows"), async || {
        let (a, b) = pair.rows::<organization::Entity>().await;
        a.len() == rows && a == b
    })
    .await;
}

/// Nothing of this pair was buried, and nothing counts as a failure.
async fn nothing_was_held_against_anyone(pair: &Pair) {
    let stream = Stream::of(&pair.a.config).await;
    for app in [&pair.a, &pair.b] {
        let letters = stream.messages(&format!("{}.sync.dlq", app.config.app_name)).await;
        assert!(letters.is_empty(), "{letters:?}");
        let failures = app.db.query_all_raw(sea_orm::Statement::from_string(
            app.db.get_database_backend(),
            "SELECT last_error FROM inbox_events WHERE attempts > 0 OR status <> 'processed' \
             UNION ALL SELECT last_error FROM outbox_events WHERE attempts > 0 OR status <> 'sent'",
        ));
        let failures = failures.await.expect("the tables");
        let failures: Vec<Option<String>> = failures.iter().map(|row| row.try_get("", "last_error").ok()).collect();
        assert!(failures.is_empty(), "{failures:?}");
    }
}

/// Holds whatever lock keeps an event from being applied.
async fn lock(app: &App, backend: Backend) -> DatabaseTransaction {
    let mode = Some(SqliteTransactionMode::Immediate);
    let options = TransactionOptions { sqlite_transaction_mode: mode, ..Default::default() };
    let lock = app.db.begin_with_options(options).await.expect("a transaction");
    if backend == Backend::Postgres {
        lock.execute_unprepared("LOCK TABLE organizations IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    }
    lock
}

/// Lets time pass, as long as an outage lasts.
pub(crate) async fn lasts(time: Duration) {
    let began = Instant::now();
    until("so much time has passed", async || began.elapsed() >= time).await;
}

/// Lets the first insert into a table take so many seconds.
pub(crate) async fn linger(app: &App, table: &str, seconds: u32) {
    let linger = format!(
        "CREATE SEQUENCE inserts; \
         CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval('inserts') = 1 THEN PERFORM pg_sleep({seconds}); END IF; RETURN NULL; END $$; \
         CREATE TRIGGER linger BEFORE INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION linger();"
    );
    app.sql(&linger).await;
}

/// Waits until a statement lingers in this database.
pub(crate) async fn lingers(app: &App) {
    let lingering = "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    eventually("a statement lingers", || async { Ok::<_, DbErr>(app.texts(lingering).await.pop()) }).await;
}

/// The subjects of publishes that were lost.
static LOST: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn note_and_lose(subject: &str) -> bool {
    let loses = subject.contains(".sync.");
    if loses {
        LOST.lock().expect("no test panics here").push(subject.to_owned());
    }
    loses
}

on_both! {
    async fn nats_is_away_at_start_and_during_saves(backend: Backend) {
        let mut nats = own_nats(NatsOptions::default()).await;
        let mut pair = pair_on(&nats, backend).await;
        nats.stop().await;
        tokio::join!(pair.a.start(), pair.b.start());
        assert!(!pair.a.status().await.jetstream_connected);
        let early = save(&pair.a.db, "early.example").await.expect("a save");
        assert_eq!(pair.a.status().await.pending_events, 1);
        nats.restart().await.expect("nats-server starts");
        let back = Instant::now();
        pair.b.has(&early).await;
        assert!(back.elapsed() < AT_ONCE, "it resumed after {:?}", back.elapsed());

        nats.kill().await;
        pair.a.detached().await;
        pair.b.detached().await;
        let from_a = save(&pair.a.db, "from-a.example").await.expect("a save");
        let from_b = save(&pair.b.db, "from-b.example").await.expect("a save");
        lasts(Duration::from_secs(3)).await;
        nats.restart().await.expect("nats-server starts");
        let back = Instant::now();
        tokio::join!(pair.b.has(&from_a), pair.a.has(&from_b));
        assert!(back.elapsed() < AT_ONCE, "it resumed after {:?}", back.elapsed());
        pair.quiet().await;
        nothing_was_held_against_anyone(&pair).await;
        pair.stop().await;
    }

    async fn nats_comes_back_without_its_store(backend: Backend) {
        let store = tempfile::tempdir().expect("a folder");
        let mut nats = own_nats(NatsOptions { store_dir: Some(store.path().join("js")), ..Default::default() }).await;
        let mut pair = pair_on(&nats, backend).await;
        pair.start_both().await;
        let before = save(&pair.a.db, "before.example").await.expect("a save");
        pair.b.has(&before).await;
        nats.kill().await;
        let meanwhile = save(&pair.a.db, "meanwhile.example").await.expect("a save");
        std::fs::remove_dir_all(store.path().join("js")).expect("the store is lost");
        nats.restart().await.expect("nats-server starts");
        pair.b.has(&meanwhile).await;
        let after = save(&pair.b.db, "after.example").await.expect("a save");
        pair.a.has(&after).await;
        pair.quiet().await;
        nothing_was_held_against_anyone(&pair).await;
        pair.stop().await;
    }

    async fn a_publish_that_is_lost_is_not_taken_for_sent(backend: Backend) {
        let proxy = Proxy::start(servers::nats().await.port()).await;
        let mut pair = Pair::create(backend).await;
        pair.a.config.nats_url = proxy.url();
        pair.start_both().await;
        proxy.lose(note_and_lose);
        let row = save(&pair.a.db, "lost.example").await.expect("a save");
        let subject = format!("{}.sync.{}", pair.a.config.app_name, pair.b.config.app_name);
        until("it was published again, since nobody acknowledged it", async || {
            assert_eq!(pair.a.count("outbox_events", "sent").await, 0, "it counts as sent");
            let times = LOST.lock().expect("no test panics here").iter().filter(|lost| **lost == subject).count();
            times >= 2
        })
        .await;
        proxy.lose(|_| false);
        pair.b.has(&row).await;
        pair.quiet().await;
        pair.stop().await;
    }

    async fn a_lock_that_is_held_for_seconds_is_waited_for(backend: Backend) {
        let mut pair = Pair::configured(backend, |config| config.backoff([Duration::from_secs(2); 5])).await;
        if backend == Backend::Postgres {
            let soon = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET lock_timeout = 300', current_database()); END $$";
            pair.b.db.execute_unprepared(soon).await.expect("a timeout for new connections");
        }
        let impatient = pair.b.connect_impatiently(Duration::from_millis(500)).await;
        let patient = std::mem::replace(&mut pair.b.db, impatient);
        pair.start_both().await;
        // A second process, which would get what the server takes for lost.
        pair.b.start().await;
        pair.b.db = patient;
        let lock = lock(&pair.b, backend).await;
        let row = save(&pair.a.db, "acme.example").await.expect("a save");
        let (stream, app) = (Stream::of(&pair.b.config).await, &pair.b.config.app_name);
        until("the event is delivered", async || stream.progress(app).await.num_ack_pending == 1).await;
        lasts(Duration::from_secs(5)).await;
        let progress = stream.progress(app).await;
        let untouched = (progress.num_ack_pending, progress.num_redelivered);
        assert_eq!(untouched, (1, 0), "the server gave it to somebody else meanwhile");
        lock.rollback().await.expect("the lock is let go");
        pair.b.has(&row).await;
        pair.quiet().await;
        nothing_was_held_against_anyone(&pair).await;
        pair.stop().await;
    }

    async fn a_long_outbox_is_relayed_in_little_memory(backend: Backend) {
        const ROWS: i64 = 3_000;
        const BYTES: usize = 30_000;
        let mut pair = Pair::configured(backend, |config| config.batch_size(50)).await;
        pair.b.start().await;
        pair.b.stop().await;
        let numbers = match backend {
            Backend::Postgres => format!("SELECT n FROM generate_series(1, {ROWS}) AS s(n)"),
            Backend::Sqlite => format!("WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {ROWS}) SELECT n FROM s"),
        };
        let now = "'2026-01-01T00:00:00+00:00'";
        let ballast = "x".repeat(BYTES);
        let sql = format!(
            "INSERT INTO outbox_events (event_id, resource_type, resource_id, event_type, payload, headers, occurred_at, \
             status, attempts, available_at, created_at) \
             SELECT 'event-' || n, 'probe', 'row-' || n, 'record', '{{\"ballast\":\"{ballast}\"}}', '{{}}', {now}, \
             'pending', 0, {now}, {now} FROM ({numbers}) AS numbers"
        );
        pair.a.db.execute_unprepared(&sql).await.expect("a long outbox");
        let child = ChildCommand::new(env!("CARGO_BIN_EXE_app"), &pair.a).set("ROLES", "relay").start().await;
        pair.a.has_sent(ROWS).await;
        let all = ROWS.unsigned_abs() * BYTES as u64;
        if let Some(peak) = child.peak_memory() {
            assert!(peak < all * 3 / 4, "the relay took {peak} bytes for an outbox of {all}");
        }
        assert!(child.stop().await.success());
        pair.stop().await;
    }

    async fn a_shutdown_under_load_leaves_nothing_half_done(backend: Backend) {
        const ROWS: usize = 150;
        let mut pair = Pair::start(backend).await;
        let load = |db: DatabaseConnection, side: &'static str| async move {
            let mut probes = Vec::new();
            for n in 0..ROWS {
                save(&db, &format!("{side}-{n}.example")).await.expect("a save");
                probes.push(probe::send(&db, "record", Orders::default()).await);
            }
            probes
        };
        let load_a = tokio::spawn(load(pair.a.db.clone(), "a"));
        let load_b = tokio::spawn(load(pair.b.db.clone(), "b"));
        until("both are in the middle of it", async || {
            let (a, b) = (pair.a.status().await, pair.b.status().await);
            a.processed_events > 20 && b.processed_events > 20
        })
        .await;
        // Both must end in order, or this panics.
        pair.b.stop().await;
        pair.a.stop().await;
        assert_eq!(pair.b.count("inbox_events", "failed").await, 0);
        pair.start_both().await;
        let (from_a, from_b) = (load_a.await.expect("saves"), load_b.await.expect("saves"));
        both_hold(&pair, 2 * ROWS).await;
        pair.quiet().await;
        for (app, probes) in [(&pair.b, from_a), (&pair.a, from_b)] {
            for probe in probes {
                assert_eq!(effects::count(&app.db, &probe.id).await, Ok(1));
            }
        }
        nothing_was_held_against_anyone(&pair).await;
        pair.stop().await;
    }
}

/// JetStream is away while NATS is there, as in a cluster that has lost its leader.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jetstream_that_was_silent_for_long_is_published_to_at_once() {
    let proxy = Proxy::start(servers::nats().await.port()).await;
    let mut pair = Pair::create(Backend::Sqlite).await;
    pair.a.config.nats_url = proxy.url();
    pair.start_both().await;
    proxy.lose(note_and_lose);
    let row = save(&pair.a.db, "silence.example").await.expect("a save");
    let subject = format!("{}.sync.{}", pair.a.config.app_name, pair.b.config.app_name);
    until("it was published four times in vain", async || {
        let times = LOST.lock().expect("no test panics here").iter().filter(|lost| **lost == subject).count();
        times == 4
    })
    .await;
    proxy.lose(|_| false);
    let back = Instant::now();
    pair.b.has(&row).await;
    assert!(back.elapsed() < AT_ONCE, "it resumed after {:?}", back.elapsed());
    pair.quiet().await;
    pair.stop().await;
}

/// The connection stays, and no consumer of this process misses the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_vanishes_under_a_relay_alone_is_made_again() {
    let mut app = Pair::configured(Backend::Sqlite, |config| config.roles([Role::Relay])).await.a;
    app.start().await;
    save(&app.db, "before.example").await.expect("a save");
    app.has_sent(1).await;
    let stream = Stream::of(&app.config).await;
    stream.context.delete_stream(&app.config.stream_name).await.expect("a stream that is gone");
    save(&app.db, "after.example").await.expect("a save");
    app.has_sent(2).await;
    let subject = format!("{}.sync.{}", app.config.app_name, app.config.destination_app);
    assert_eq!(stream.messages(&subject).await.len(), 1);
    app.stop().await;
}

/// To whom nobody listens, the server says that at once. Here somebody does, and no answer comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_vanishes_while_somebody_listens_is_made_again() {
    let mut app = Pair::configured(Backend::Sqlite, |config| config.roles([Role::Relay])).await.a;
    app.start().await;
    let stream = Stream::of(&app.config).await;
    let subject = format!("{}.sync.{}", app.config.app_name, app.config.destination_app);
    let client = stream.context.client();
    let _listening = client.subscribe(subject.clone()).await.expect("a subscription");
    client.flush().await.expect("a subscription that the server has");
    stream.context.delete_stream(&app.config.stream_name).await.expect("a stream that is gone");
    save(&app.db, "acme.example").await.expect("a save");
    app.has_sent(1).await;
    assert_eq!(stream.messages(&subject).await.len(), 1);
    app.stop().await;
}

/// How often an event was published.
static TRIES: AtomicUsize = AtomicUsize::new(0);

fn count_and_pass_on(subject: &str) -> bool {
    if subject.contains(".sync.") {
        TRIES.fetch_add(1, Ordering::SeqCst);
    }
    false
}

/// Somebody else puts it back, of which this app hears nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subject_that_no_stream_carried_for_long_is_published_to_at_once() {
    let proxy = Proxy::start(servers::nats().await.port()).await;
    let mut app = Pair::configured(Backend::Sqlite, |config| config.roles([Role::Relay])).await.a;
    let stream = Stream::of(&app.config).await;
    app.start().await;
    app.stop().await;
    let subject = format!("{}.sync.{}", app.config.app_name, app.config.destination_app);
    let with = stream.config().await;
    let mut without = with.clone();
    without.subjects.retain(|carried| *carried != subject);
    stream.context.update_stream(without).await.expect("a stream without the subject");

    app.config = app.config.clone().auto_provision(false).nats_url(proxy.url());
    proxy.lose(count_and_pass_on);
    app.start().await;
    save(&app.db, "acme.example").await.expect("a save");
    until("it was published five times in vain", async || TRIES.load(Ordering::SeqCst) >= 5).await;
    let health = app.health().await;
    assert!(health.jetstream_connected && health.problems.concat().contains("no stream carries"), "{health:?}");
    stream.context.update_stream(with).await.expect("a stream with the subject");
    let back = Instant::now();
    app.has_sent(1).await;
    assert!(back.elapsed() < AT_ONCE, "it resumed after {:?}", back.elapsed());
    app.stop().await;
}

/// A batch takes its time on a slow link, while the server waits a second for each acknowledgement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_link_spends_hardly_any_deliveries() {
    const ROWS: usize = 600;
    let proxy = Proxy::start(servers::nats().await.port()).await;
    let mut pair = Pair::configured(Backend::Sqlite, |config| config.batch_size(200)).await;
    pair.b.config.nats_url = proxy.url();
    for number in 0..ROWS {
        save_named(&pair.a.db, &"n".repeat(8_000), &format!("{number}.example")).await.expect("a save");
    }
    pair.a.start().await;
    pair.a.has_sent(ROWS as i64).await;
    // A MiB a second.
    proxy.slow_down(Duration::from_millis(1));
    pair.b.start().await;
    both_hold(&pair, ROWS).await;
    let deliveries =
        Stream::of(&pair.b.config).await.progress(&pair.b.config.app_name).await.delivered.consumer_sequence;
    assert!(deliveries < 3 * ROWS as u64 / 2, "{deliveries} deliveries of {ROWS} events");
    pair.stop().await;
}

/// A message is nothing to the client before all of it is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_long_on_its_way_holds_up_nothing_for_ever() {
    const ROWS: usize = 5;
    let proxy = Proxy::start(servers::nats().await.port()).await;
    let mut pair = Pair::create(Backend::Sqlite).await;
    pair.b.config.nats_url = proxy.url();
    for number in 0..ROWS {
        let name = "n".repeat(if number == 1 { 900_000 } else { 10 });
        save_named(&pair.a.db, &name, &format!("{number}.example")).await.expect("a save");
    }
    pair.a.start().await;
    pair.a.has_sent(ROWS as i64).await;
    proxy.slow_down(EIGHTH_OF_A_MIB_A_SECOND);
    pair.b.start().await;
    until("both sides hold all rows", async || {
        assert_eq!(problem_of(&pair.b, "consumer").await, None, "the server counts as silent");
        let (a, b) = pair.rows::<organization::Entity>().await;
        a.len() == ROWS && a == b
    })
    .await;
    pair.stop().await;
}

/// A sweep asks for it, and gets no answer before all of it is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_was_given_up_and_is_long_on_its_way_is_found() {
    let proxy = Proxy::start(servers::nats().await.port()).await;
    let mut pair = deliveries::pair(Backend::Sqlite, true).await;
    let row = save_named(&pair.a.db, &"n".repeat(700_000), "large.example").await.expect("a save");
    pair.a.has_sent(1).await;
    deliveries::spend(&Stream::of(&pair.b.config).await, &pair.b).await;
    pair.b.config.nats_url = proxy.url();
    proxy.slow_down(EIGHTH_OF_A_MIB_A_SECOND);
    pair.b.start().await;
    pair.b.has(&row).await;
    pair.stop().await;
}

/// How many pull requests there were.
static PULLS: AtomicUsize = AtomicUsize::new(0);

/// Loses the second, which waits at the server for the next message: the first asks what is there.
fn lose_the_one_that_waits(subject: &str) -> bool {
    subject.starts_with("$JS.API.CONSUMER.MSG.NEXT.") && PULLS.fetch_add(1, Ordering::SeqCst) == 1
}

/// As with a server of a cluster that led the consumer and died, while the client is connected to another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_request_that_is_lost_holds_up_nothing_for_long() {
    let proxy = Proxy::start(servers::nats().await.port()).await;
    let mut pair = Pair::create(Backend::Sqlite).await;
    pair.b.config.nats_url = proxy.url();
    proxy.lose(lose_the_one_that_waits);
    pair.start_both().await;
    until("a request is lost", async || PULLS.load(Ordering::SeqCst) == 2).await;
    let row = save(&pair.a.db, "unasked.example").await.expect("a save");
    let saved = Instant::now();
    pair.b.has(&row).await;
    assert!(saved.elapsed() < AT_ONCE, "it came after {:?}", saved.elapsed());
    pair.stop().await;
}

/// The connections of a SQLite database are files, which nobody ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ends_under_a_slow_handler_is_not_held_against_the_event() {
    let mut pair = Pair::start(Backend::Postgres).await;
    let orders = Orders { gate: pair.b.config.app_name.clone(), ..Default::default() };
    let before_the_gate = gate(&orders.gate);
    let probe = probe::send(&pair.a.db, "hesitate", orders).await;
    before_the_gate.reached().await;
    lasts(Duration::from_secs(3)).await;
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    pair.b.database.connect().await.execute_unprepared(others).await.expect("everybody is cut off");
    before_the_gate.open();
    pair.b.event_is(&probe.event_id, "processed").await;
    assert_eq!(effects::count(&pair.b.db, &probe.id).await, Ok(1));
    nothing_was_held_against_anyone(&pair).await;
    pair.b.stop().await;
    pair.a.stop().await;
}

/// As long as its transaction is open, a handler has all the time that it takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_takes_long_is_left_alone() {
    let pair = Pair::start(Backend::Postgres).await;
    let orders = Orders { gate: pair.b.config.app_name.clone(), ..Default::default() };
    let before_the_gate = gate(&orders.gate);
    let probe = probe::send(&pair.a.db, "hesitate", orders).await;
    before_the_gate.reached().await;
    // Longer than what goes on is left without a look.
    lasts(Duration::from_secs(12)).await;
    before_the_gate.open();
    pair.b.event_is(&probe.event_id, "processed").await;
    assert_eq!(before_the_gate.arrivals(), 1);
    pair.stop().await;
}

/// The host of a SQLite database is that of its application.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_vanishes_under_an_event_does_not_hold_it_for_ever() {
    let mut pair = Pair::create(Backend::Postgres).await;
    let (link, linked) = pair.b.connect_over_link().await;
    let direct = std::mem::replace(&mut pair.b.db, linked);
    pair.start_both().await;

    let orders = Orders { gate: pair.b.config.app_name.clone(), ..Default::default() };
    let before_the_gate = gate(&orders.gate);
    let probe = probe::send(&pair.a.db, "wait", orders).await;
    before_the_gate.reached().await;
    link.set(Weather::FailedOver);
    before_the_gate.open();
    eventually("it is processed", || inbox::with_status(&direct, &probe.event_id, "processed")).await;
    assert_eq!(effects::count(&direct, &probe.id).await, Ok(1));
    nothing_was_held_against_anyone(&pair).await;
    pair.stop().await;
}

/// A SQLite database is a file, which does not fall silent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_falls_silent_under_a_batch_does_not_hold_it_for_ever() {
    const ROWS: usize = 50;
    let mut pair = Pair::create(Backend::Postgres).await;
    for number in 0..ROWS {
        save(&pair.a.db, &format!("{number}.example")).await.expect("a save");
    }
    pair.a.start().await;
    pair.a.has_sent(ROWS as i64).await;
    // In these ten seconds the link breaks off.
    linger(&pair.b, "organizations", 10).await;
    let (link, linked) = pair.b.connect_over_link().await;
    let direct = std::mem::replace(&mut pair.b.db, linked);
    pair.b.start().await;
    pair.b.db = direct;
    lingers(&pair.b).await;
    link.set(Weather::Silent);
    both_hold(&pair, ROWS).await;
    nothing_was_held_against_anyone(&pair).await;
    pair.stop().await;
}

/// A connection breaks off without a word, as in a firewall that has forgotten it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nats_that_falls_silent_is_left_for_a_new_connection() {
    let link = Link::to(servers::nats().await.port()).await.expect("a link");
    let url = format!("nats://127.0.0.1:{}", link.port());
    // What the server sends meanwhile comes again soon.
    let backoff = [Duration::from_secs(1); 5];
    let mut pair = Pair::configured(Backend::Sqlite, |config| config.nats_url(url.as_str()).backoff(backoff)).await;
    pair.start_both().await;
    let before = save(&pair.a.db, "before.example").await.expect("a save");
    pair.b.has(&before).await;
    link.set(Weather::Silent);
    let silent = Instant::now();
    let from_a = save(&pair.a.db, "from-a.example").await.expect("a save");
    let from_b = save(&pair.b.db, "from-b.example").await.expect("a save");
    tokio::join!(pair.b.has(&from_a), pair.a.has(&from_b));
    pair.quiet().await;
    assert!(silent.elapsed() < SOON, "it resumed after {:?}", silent.elapsed());
    nothing_was_held_against_anyone(&pair).await;
    pair.stop().await;
}

/// A SQLite database is a file, which does not restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_restarted_under_load() {
    const ROWS: usize = 200;
    let mut postgres = Postgres::start_own().await.expect("PostgreSQL starts");
    let mut databases = Vec::new();
    for name in ["a", "b"] {
        databases.push(TestDatabase::at(postgres.create_database(name).await.expect("a database")));
    }
    let databases = databases.try_into().unwrap_or_else(|_| panic!("two databases"));
    let mut pair = Pair::with_databases(databases, |config| config).await;
    pair.start_both().await;
    let load = |db: DatabaseConnection, side: &'static str| async move {
        for n in 0..ROWS {
            let domain = format!("{side}-{n}.example");
            // A save that failed in the outage is made again; whether it was committed all the same, its domain tells.
            let saved = || async {
                let found = organization::Entity::find().all(&db).await?.into_iter().find(|row| row.domain == domain);
                if found.is_none() {
                    save(&db, &domain).await?;
                }
                Ok::<_, DbErr>(Some(()))
            };
            match save(&db, &domain).await {
                Ok(_) => {}
                Err(_) => eventually("the row is saved", saved).await,
            }
        }
    };
    let load_a = tokio::spawn(load(pair.a.db.clone(), "a"));
    let load_b = tokio::spawn(load(pair.b.db.clone(), "b"));
    let applied = |at_least: usize| {
        let db = &pair.b.db;
        move || async move {
            let rows = organization::Entity::find().all(db).await?;
            Ok::<_, DbErr>((rows.len() >= at_least).then_some(()))
        }
    };
    eventually("rows flow", applied(40)).await;
    postgres.restart().await.expect("PostgreSQL starts again");
    eventually("rows flow again", applied(150)).await;
    postgres.kill().await.expect("PostgreSQL dies");
    lasts(Duration::from_secs(3)).await;
    postgres.restart().await.expect("PostgreSQL starts again");
    let back = Instant::now();
    let (a, b) = tokio::join!(load_a, load_b);
    a.and(b).expect("the saves");
    both_hold(&pair, 2 * ROWS).await;
    assert!(back.elapsed() < Duration::from_secs(30), "it took {:?}", back.elapsed());
    pair.quiet().await;
    nothing_was_held_against_anyone(&pair).await;
    pair.stop().await;
}

/// SQLite has no such limits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_waited_for_longer_than_the_user_may_wait() {
    let mut pair = Pair::configured(Backend::Postgres, |config| config.backoff([Duration::from_secs(2); 5])).await;
    let soon =
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET statement_timeout = 3000', current_database()); END $$";
    pair.b.db.execute_unprepared(soon).await.expect("a timeout for new connections");
    let patient = pair.b.db.clone();
    pair.b.db = pair.b.database.connect().await;
    pair.start_both().await;
    let lock = patient.begin().await.expect("a transaction");
    lock.execute_unprepared("LOCK TABLE organizations IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    let row = save(&pair.a.db, "acme.example").await.expect("a save");
    eventually("the event waits for longer than that", || async {
        let waiting = "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
                       AND query_start < clock_timestamp() - interval '4 seconds'";
        let rows = patient.query_all_raw(Statement::from_string(DbBackend::Postgres, waiting)).await?;
        Ok::<_, DbErr>((!rows.is_empty()).then_some(()))
    })
    .await;
    lock.rollback().await.expect("the lock is let go");
    pair.b.has(&row).await;
    pair.quiet().await;
    nothing_was_held_against_anyone(&pair).await;
    pair.stop().await;
}
