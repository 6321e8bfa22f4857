//! Short runs of the fault harness; `tests/README.md` says how to run it for longer.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use jsb_tests::faults::fault::{Fault, KINDS, Target};
use jsb_tests::faults::{OurStage, Plan, Report, Scenario, Terrain, Watched, Which, World, run, schedule};
use rand::RngExt;
use rand::rngs::StdRng;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};
use tokio::sync::Mutex;

/// One run at a time: each is the work of a dozen processes.
static ALONE: Mutex<()> = Mutex::const_new(());

const SHORT: Duration = Duration::from_secs(8);

fn ours() -> OurStage {
    OurStage { program: env!("CARGO_BIN_EXE_faults-actor").into(), older: env!("CARGO_BIN_EXE_faults-older").into() }
}

async fn report(scenario: &dyn Scenario, plan: Plan) -> Report {
    let _alone = ALONE.lock().await;
    let report = run(scenario, plan).await.expect("servers that can be broken and mended");
    eprintln!("{report}");
    report
}

async fn both_sides_agree(terrain: Terrain, seed: u64) {
    let report = report(&ours(), Plan::new(seed, terrain, SHORT)).await;
    assert!(report.balance.events.iter().all(|events| *events > 20), "too little happened to show anything");
    let (faults, failed) = (report.toll.faults(), report.toll.failed());
    assert!(2 * failed < faults, "{failed} of {faults} fault(s) did not come about");
    assert!(report.is_clean(), "seed {seed} found something");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_agree_after_faults() {
    both_sides_agree(Terrain::Plain, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_agree_after_faults_of_a_cluster() {
    both_sides_agree(Terrain::Cluster, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_agree_after_faults_that_nobody_has_seen_before() {
    let seed = u64::from(rand::random::<u32>());
    both_sides_agree(Terrain::of(seed), seed).await;
}

/// A kind of fault that PostgreSQL writes down when it meets it.
const TERMINATED: &str = "ConnectionsTerminated";

/// Our entities, with hands in the tables that no hook sees once everything is quiet.
struct Sabotaged(OurStage);

/// What the hands do on A, and what the harness must say of it.
const SABOTAGE: [(&str, &str); 8] = [
    ("UPDATE tallies SET value = value + 1 WHERE id = (SELECT min(id::text)::uuid FROM tallies)", "differs"),
    ("DELETE FROM inbox_events WHERE event_id = (SELECT min(event_id) FROM inbox_events)", "never received"),
    ("DELETE FROM outbox_events WHERE id = (SELECT max(id) FROM outbox_events)", "never sent"),
    ("UPDATE outbox_events SET status = 'failed' WHERE id = (SELECT min(id) FROM outbox_events)", "not sent"),
    (
        "INSERT INTO sightings SELECT id + 1000000, handler, event_id, event_type, resource_id, number, stale FROM sightings \
      WHERE id = (SELECT min(id) FROM sightings)",
        "has not run once",
    ),
    (
        "SET application_name = 'api'; UPDATE tickets SET updated_at = now() WHERE id = (SELECT min(id::text)::uuid FROM tickets)",
        "committed without an event",
    ),
    ("UPDATE outbox_events SET id = -id WHERE resource_type = 'tally'", "not published in a's order"),
    ("UPDATE sightings SET id = -id", "not handled in b's order"),
];

#[async_trait]
impl Scenario for Sabotaged {
    fn program(&self) -> &Path {
        self.0.program()
    }

    async fn prepare(&self, db: &DatabaseConnection, index: u32, count: u32) -> Result<(), DbErr> {
        self.0.prepare(db, index, count).await
    }

    fn entities(&self) -> Vec<Watched> {
        self.0.entities()
    }

    async fn handled_in_order(&self, db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
        self.0.handled_in_order(db).await
    }

    async fn faults_of(&self, db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
        for (hand, _) in SABOTAGE {
            db.execute_unprepared(hand).await?;
        }
        self.0.faults_of(db).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_wrong_with_the_tables_is_found() {
    let only = vec![TERMINATED.to_owned()];
    let plan = Plan { only, ..Plan::new(3, Terrain::Plain, Duration::from_secs(3)) };
    let report = report(&Sabotaged(ours()), plan).await;
    assert!(report.toll.traces(TERMINATED).is_some_and(|times| times > 0), "no connection was terminated");
    let problems = report.balance.problems.join("\n");
    for (hand, found) in SABOTAGE {
        assert!(problems.contains(found), "nobody noticed: {hand}");
    }
    assert!(!report.balance.history.is_empty(), "rows that differ have a history");
}

fn plan_of_a_cluster(seed: u64) -> Plan {
    Plan::new(seed, Terrain::Cluster, Duration::from_secs(600))
}

#[test]
fn a_seed_repeats_its_schedule() {
    let schedule = |seed| schedule(&ours(), &plan_of_a_cluster(seed));
    assert!(schedule(7).len() > 100, "too short to show anything");
    assert_eq!(schedule(7), schedule(7));
    assert_ne!(schedule(7), schedule(8));
}

#[test]
fn each_kind_of_fault_can_happen_alone() {
    for kind in KINDS {
        let alone = Plan { small_disks: true, only: vec![kind.to_owned()], ..plan_of_a_cluster(7) };
        let schedule = schedule(&ours(), &alone);
        assert!(schedule.len() > 50, "{kind} happens {} time(s) in ten minutes", schedule.len());
        assert!(schedule.iter().all(|planned| planned.contains(&format!("fault: {kind}"))), "others than {kind}");
    }
}

/// A fault of a user's own.
#[derive(Debug)]
struct Vacuum(Which);

#[async_trait]
impl Fault for Vacuum {
    fn targets(&self) -> Vec<Target> {
        vec![Target::Database(self.0)]
    }

    async fn begin(&mut self, world: &World) -> anyhow::Result<()> {
        world.side(self.0).database.execute(&["VACUUM FULL"]).await
    }

    async fn end(&mut self, _world: &World) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Our entities, and a fault of its own now and then.
struct Vacuumed(OurStage);

#[async_trait]
impl Scenario for Vacuumed {
    fn program(&self) -> &Path {
        self.0.program()
    }

    async fn prepare(&self, db: &DatabaseConnection, index: u32, count: u32) -> Result<(), DbErr> {
        self.0.prepare(db, index, count).await
    }

    fn entities(&self) -> Vec<Watched> {
        self.0.entities()
    }

    fn fault(&self, random: &mut StdRng) -> Option<Box<dyn Fault>> {
        random.random_ratio(1, 3).then(|| Box::new(Vacuum(Which::B)) as Box<dyn Fault>)
    }
}

#[test]
fn a_scenario_may_have_faults_of_its_own() {
    let kinds = schedule(&Vacuumed(ours()), &plan_of_a_cluster(7));
    let own = kinds.iter().filter(|planned| planned.contains("fault: Vacuum(B)")).count();
    assert!(own > 20 && own < kinds.len(), "{own} of {}", kinds.len());
}
