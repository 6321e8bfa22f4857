//! Promise 2, nothing lost, and promise 3, nothing twice: real processes, killed at every point of the path.

use std::time::{Duration, Instant};

use async_nats::jetstream::stream;
use jsb_runtime::Role;
use jsb_tests::entities::{organization, stall};
use jsb_tests::probe::{self, HANG, HANGING, Orders, Probe};
use jsb_tests::{App, ChildCommand, Pair, Proxy, Stream, effects, eventually, inbox, lasts, until};
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter};

use crate::unique;

/// Longer than anybody waits who would do the work that there is: the rarest look for it is every three seconds.
const A_WHILE: Duration = Duration::from_secs(6);

const PROGRAM: &str = env!("CARGO_BIN_EXE_app");

fn child_of(app: &App) -> ChildCommand {
    ChildCommand::new(PROGRAM, app)
}

/// Waits until a row with this domain is there.
async fn arrived(app: &App, domain: &str) -> organization::Model {
    let find = || organization::Entity::find().filter(organization::Column::Domain.eq(domain)).one(&app.db);
    eventually(&format!("{domain} is there"), find).await
}

/// Waits until a probe's effect is committed and its event acknowledged, and says how many effects there are.
async fn settled(app: &App, probe: &Probe) -> i64 {
    app.event_is(&probe.event_id, "processed").await;
    app.until_idle().await;
    effects::count(&app.db, &probe.id).await.expect("a count")
}

/// A stream that takes a message with a known id again after a moment, so that only the inbox stands against it.
pub(crate) async fn forgetful_stream(pair: &Pair) -> Stream {
    let stream = pair.a.stream().await;
    let (a, b) = (&pair.a.config.app_name, &pair.b.config.app_name);
    let subjects =
        vec![format!("{a}.sync.{b}"), format!("{b}.sync.{a}"), format!("{a}.sync.dlq"), format!("{b}.sync.dlq")];
    let duplicate_window = Duration::from_millis(100);
    stream.create(stream::Config { subjects, duplicate_window, ..Default::default() }).await;
    stream
}

/// From now on no outbox row of this database can be marked as sent.
async fn forbid_marks(app: &App) {
    let sql = match app.db.get_database_backend() {
        DbBackend::Postgres => {
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$; \
             CREATE TRIGGER no_marks BEFORE UPDATE ON outbox_events \
             FOR EACH ROW WHEN (NEW.status = 'sent') EXECUTE FUNCTION refuse();"
        }
        _ => {
            "CREATE TRIGGER no_marks BEFORE UPDATE ON outbox_events WHEN NEW.status = 'sent' \
             BEGIN SELECT RAISE(ABORT, 'not now'); END"
        }
    };
    app.db.execute_unprepared(sql).await.expect("a trigger");
}

async fn allow_marks(app: &App) {
    let sql = match app.db.get_database_backend() {
        DbBackend::Postgres => "DROP TRIGGER no_marks ON outbox_events",
        _ => "DROP TRIGGER no_marks",
    };
    app.db.execute_unprepared(sql).await.expect("no trigger");
}

on_both! {
    async fn killed_before_commit_nothing_is_left(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.b.start().await;
        let mut child = child_of(&pair.a).start().await;
        child.order("begin never.example", "begun").await;
        child.kill().await;
        let mut child = child_of(&pair.a).start().await;
        child.order("save after.example", "saved").await;
        arrived(&pair.b, "after.example").await;
        let rows = organization::Entity::find().all(&pair.b.db).await.expect("rows");
        assert_eq!(rows.len(), 1, "a save that was not committed has arrived");
        assert_eq!(pair.b.status().await.inbox_events, 1);
        assert!(child.stop().await.success());
        pair.stop().await;
    }

    async fn killed_after_commit_the_event_is_published_later(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.b.start().await;
        let proxy = Proxy::before_nats().await;
        let command = child_of(&pair.a).set("NATS_URL", proxy.url());
        proxy.cut();
        let mut child = command.start().await;
        child.order("save acme.example", "saved").await;
        child.kill().await;
        assert_eq!(pair.a.count("outbox_events", "pending").await, 1);
        proxy.mend();
        let child = command.start().await;
        arrived(&pair.b, "acme.example").await;
        assert!(child.stop().await.success());
        assert_eq!(pair.a.count("outbox_events", "sent").await, 1);
        assert_eq!(pair.b.status().await.inbox_events, 1);
        pair.stop().await;
    }

    async fn killed_after_publish_before_mark_the_event_is_applied_once(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let stream = forgetful_stream(&pair).await;
        pair.b.start().await;
        forbid_marks(&pair.a).await;
        let command = child_of(&pair.a).set("ROLES", "relay");
        let child = command.start().await;
        let probe = probe::send(&pair.a.db, "record", Orders::default()).await;
        let subject = format!("{}.sync.{}", pair.a.config.app_name, pair.b.config.app_name);
        until("it is published", async || !stream.messages(&subject).await.is_empty()).await;
        child.kill().await;
        assert_eq!(pair.a.count("outbox_events", "pending").await, 1);
        allow_marks(&pair.a).await;

        let child = command.start().await;
        pair.a.has_sent(1).await;
        let copies = stream.messages(&subject).await.len();
        assert!(copies > 1, "{copies} copies: the second publish was not stored, so this shows nothing");
        assert_eq!(settled(&pair.b, &probe).await, 1);
        assert!(child.stop().await.success());
        pair.stop().await;
    }

    async fn killed_between_handler_and_commit_the_handler_runs_again(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.a.start().await;
        let mut child = child_of(&pair.b).set(HANG, "yes").start().await;
        let probe = probe::send(&pair.a.db, "hang", Orders::default()).await;
        child.says(HANGING).await;
        child.kill().await;
        assert_eq!(effects::count(&pair.b.db, &probe.id).await, Ok(0));
        let child = child_of(&pair.b).start().await;
        assert_eq!(settled(&pair.b, &probe).await, 1);
        assert!(child.stop().await.success());
        pair.stop().await;
    }

    async fn killed_between_commit_and_ack_the_handler_runs_once(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.a.start().await;
        let proxy = Proxy::before_nats().await;
        proxy.lose(|subject| subject.starts_with("$JS.ACK."));
        let child = child_of(&pair.b).set("NATS_URL", proxy.url()).start().await;
        let probe = probe::send(&pair.a.db, "record", Orders::default()).await;
        pair.b.event_is(&probe.event_id, "processed").await;
        child.kill().await;
        assert!(!pair.b.is_idle().await, "it was acknowledged, so this shows nothing");
        let child = child_of(&pair.b).start().await;
        assert_eq!(settled(&pair.b, &probe).await, 1);
        assert!(child.stop().await.success());
        pair.stop().await;
    }

    async fn a_handler_that_aborts_its_process_ends_as_a_crash_loop(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.a.start().await;
        let mut mates = Vec::new();
        for _ in 0..3 {
            mates.push(probe::send(&pair.a.db, "record", Orders::default()).await);
        }
        let killer = probe::send(&pair.a.db, "abort", Orders::default()).await;
        for _ in 0..3 {
            mates.push(probe::send(&pair.a.db, "record", Orders::default()).await);
        }
        let children = child_of(&pair.b).start_again_and_again();
        for mate in &mates {
            pair.b.event_is(&mate.event_id, "processed").await;
            let killed = inbox::with_status(&pair.b.db, &killer.event_id, "dead").await.expect("the inbox");
            assert!(killed.is_none(), "a mate had to wait until the killer was dead");
        }
        let row = pair.b.event_is(&killer.event_id, "dead").await;
        assert_eq!(row.reason.as_deref(), Some("crash_loop"));
        assert_eq!(row.attempts, 0, "it never failed, it only began");
        for mate in &mates {
            assert_eq!(settled(&pair.b, mate).await, 1);
        }
        let letter = pair.b.dead_letter(&killer.event_id).await;
        assert_eq!(letter.expect("a dead letter").headers["x-dlq-reason"], "crash_loop");
        assert_eq!(effects::count(&pair.b.db, &killer.id).await, Ok(0));
        children.abort();
        pair.stop().await;
    }

    async fn a_handler_that_aborts_its_process_within_a_circle_ends_as_a_crash_loop(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let (one, other) = (unique::stall(&pair.a, 1).await, unique::stall(&pair.a, stall::DEADLY).await);
        let remote = pair.receive().await;
        remote.publish_all(&pair.a.recorded().await).await;
        pair.b.has_settled(2).await;
        pair.b.stop().await;
        for (id, number) in [(one, 2), (other, 1), (one, stall::DEADLY)] {
            unique::set_stall(&pair.a, id, number).await;
        }
        let [.., takes_one, takes_deadly] = &pair.a.recorded().await[..] else { panic!("the swap was not recorded") };
        remote.publish_all(&[takes_one.clone(), takes_deadly.clone()]).await;
        let children = child_of(&pair.b).start_again_and_again();
        until("one of them is dead", async || {
            // As if each start came late: both are due, and the one that has begun less often comes first.
            for parked in pair.b.texts("SELECT event_id FROM inbox_events WHERE status = 'parked'").await {
                // One at a time: two locks of one transaction could be taken in another order than the circle takes them.
                let is_due = format!("UPDATE inbox_events SET available_at = received_at WHERE event_id = '{parked}'");
                pair.b.sql(&is_due).await;
            }
            pair.b.reasons_of_death().await == ["crash_loop"]
        })
        .await;
        children.abort();
        assert_eq!(pair.b.count("inbox_events", "parked").await, 1);
        assert_eq!(pair.b.texts("SELECT probe FROM effects").await, [""; 0]);
        pair.stop().await;
    }

    async fn another_process_takes_over_from_a_relay_that_was_killed(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.b.start().await;
        let holder = async || pair.a.texts("SELECT holder FROM sync_leases WHERE name = 'relay'").await;
        let command = child_of(&pair.a).set("ROLES", "relay");
        let mut first = command.start().await;
        first.order("save first.example", "saved").await;
        arrived(&pair.b, "first.example").await;
        let of_first = holder().await;
        let mut second = command.start().await;
        second.order("save second.example", "saved").await;
        arrived(&pair.b, "second.example").await;
        pair.a.has_sent(2).await;
        // On a slow machine the first one's lease may have ended before the second one saved.
        let held = holder().await;
        let (relaying, mut other) = if held == of_first { (first, second) } else { (second, first) };
        relaying.kill().await;
        let killed = Instant::now();
        other.order("save third.example", "saved").await;
        arrived(&pair.b, "third.example").await;
        assert!(killed.elapsed() < Duration::from_secs(15), "it took over after {:?}", killed.elapsed());
        assert_ne!(holder().await, held, "nobody took over");
        assert!(other.stop().await.success());
        pair.stop().await;
    }

    async fn relay_and_consumer_may_be_processes_of_their_own(backend: Backend) {
        let mut pair = Pair::configured(backend, |config| config.roles([Role::Relay, Role::Consumer])).await;
        pair.b.start().await;
        let mut relay = child_of(&pair.a).set("ROLES", "relay").start().await;
        relay.order("save from-a.example", "saved").await;
        arrived(&pair.b, "from-a.example").await;
        let mut elsewhere = child_of(&pair.b).set("ROLES", "relay").start().await;
        elsewhere.order("save from-b.example", "saved").await;
        pair.b.has_sent(1).await;
        let (stream, app) = (pair.a.stream().await, &pair.a.config.app_name);
        lasts(A_WHILE).await;
        let progress = stream.progress(app).await;
        let untouched = (progress.num_pending, progress.delivered.consumer_sequence, progress.num_waiting);
        assert_eq!(untouched, (1, 0, 0), "a relay has consumed");
        let mut consumer = child_of(&pair.a).set("ROLES", "consumer").start().await;
        arrived(&pair.a, "from-b.example").await;
        relay.kill().await;
        // Nobody needs to wait for its lease.
        pair.a.end_leases().await;
        consumer.order("save unsent.example", "saved").await;
        lasts(A_WHILE).await;
        assert_eq!(pair.a.count("outbox_events", "pending").await, 1, "a consumer has relayed");
        let relay = child_of(&pair.a).set("ROLES", "relay").start().await;
        arrived(&pair.b, "unsent.example").await;
        for child in [relay, consumer, elsewhere] {
            assert!(child.stop().await.success());
        }
        pair.stop().await;
    }
}
