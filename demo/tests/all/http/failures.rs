//! What goes wrong inside, and what is saved all the same.

use dev_servers::{NatsOptions, NatsServer, Postgres};
use sea_orm::{ConnectionTrait as _, Database};

use super::{FINE, System};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_inside_stays_inside() {
    let nats = NatsServer::start(NatsOptions::default()).await.expect("nats-server starts");
    let mut postgres = Postgres::start_own().await.expect("PostgreSQL starts");
    let url = postgres.create_database("system_a").await.expect("a database");
    let system = System::start(&url, &nats).await;
    assert_eq!(system.post(FINE).status, 201);
    system.post(FINE).is_refused(&[422]);

    let db = Database::connect(&url).await.expect("a connection");
    db.execute_unprepared("ALTER TABLE users RENAME TO gone").await.expect("no table");
    system.ask("GET", "/users").is_refused(&[500]);
    let change = system.try_ask("PATCH", "/users/1", Some(("application/json", br#"{"user": {"name": "x"}}"#)));
    change.expect("an answer").is_refused(&[500]);
    db.execute_unprepared("ALTER TABLE organizations ADD CONSTRAINT odd CHECK (name <> 'odd')").await.expect("a check");
    let odd = r#"{"organization": {"name": "odd", "domain": "odd.example"}}"#;
    system.post(odd).is_refused(&[500]);
    drop(db);

    postgres.stop().await.expect("PostgreSQL stops");
    system.until("/organizations", 503).await.is_refused(&[503]);
    system.post(FINE).is_refused(&[503]);
    postgres.restart().await.expect("PostgreSQL starts again");
    system.until("/organizations", 200).await;
}

/// What is called `Gone` goes with the commit, as if the other side deleted it right after.
const GOES_AT_COMMIT: &str = "
    CREATE FUNCTION go() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        EXECUTE format('DELETE FROM %I WHERE id = $1', TG_TABLE_NAME) USING NEW.id;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER go AFTER INSERT OR UPDATE ON organizations DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.name = 'Gone') EXECUTE FUNCTION go();
    CREATE CONSTRAINT TRIGGER go AFTER INSERT OR UPDATE ON users DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.name = 'Gone') EXECUTE FUNCTION go()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_saved_is_answered_whatever_comes_next() {
    let nats = NatsServer::start(NatsOptions::default()).await.expect("nats-server starts");
    let postgres = Postgres::start_own().await.expect("PostgreSQL starts");
    let url = postgres.create_database("system_a").await.expect("a database");
    let system = System::start(&url, &nats).await;
    let db = Database::connect(&url).await.expect("a connection");
    db.execute_unprepared(GOES_AT_COMMIT).await.expect("the triggers");
    let save = |method, path, body: &str| {
        let answer = system.try_ask(method, path, Some(("application/json", body.as_bytes())));
        answer.unwrap_or_else(|| panic!("no answer to {method} {path}"))
    };

    let (gone, gone_user) = (r#"{"organization": {"name": "Gone"}}"#, r#"{"user": {"name": "Gone"}}"#);
    let saves = [
        ("POST", "/organizations", FINE, 201),
        ("POST", "/organizations", r#"{"organization": {"name": "Gone", "domain": "gone.acme.example"}}"#, 201),
        ("POST", "/organizations", r#"{"organization": {"name": "Other", "domain": "other.acme.example"}}"#, 201),
        ("PATCH", "/organizations/5", gone, 200),
        ("POST", "/users", r#"{"user": {"organization_id": 1, "name": "Gone", "email": "gone@x.example"}}"#, 201),
        ("POST", "/users", r#"{"user": {"organization_id": 1, "name": "Ann", "email": "ann@x.example"}}"#, 201),
        ("PATCH", "/users/3", gone_user, 200),
    ];
    for (method, path, body, status) in saves {
        let answer = save(method, path, body);
        assert_eq!(answer.status, status, "{method} {path} {body}: {answer:?}");
        assert!(answer.body.contains("acme.example"), "the organization is missing: {answer:?}");
    }

    // A user is saved even where its organization cannot be read afterwards.
    db.execute_unprepared("ALTER TABLE organizations RENAME TO elsewhere").await.expect("another name");
    let eve = save("POST", "/users", r#"{"user": {"organization_id": 1, "name": "Eve", "email": "eve@x.example"}}"#);
    assert!(eve.status == 201 && eve.body.contains(r#""organization":null"#), "{eve:?}");
}
