//! What was really committed, as triggers of the database saw it: independent of every hook of ours. PostgreSQL only,
//! since a trigger of SQLite cannot tell which process writes.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};

use super::Watched;
use super::child::Part;

const FUNCTION: &str = "
    CREATE TABLE faults_audit (app TEXT, resource TEXT, resource_id TEXT, operation TEXT, version TIMESTAMPTZ);
    CREATE FUNCTION faults_audit() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        written JSONB := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);
        id TEXT;
    BEGIN
        SELECT string_agg(written ->> part, '/' ORDER BY place) INTO id
            FROM unnest(TG_ARGV[2:]) WITH ORDINALITY AS key(part, place);
        INSERT INTO faults_audit VALUES (current_setting('application_name'), TG_ARGV[0], id, TG_OP,
            (written ->> TG_ARGV[1])::timestamptz);
        RETURN NULL;
    END $$;";

/// Audits these tables from now on.
pub(super) async fn install(db: &DatabaseConnection, entities: &[Watched]) -> Result<(), DbErr> {
    db.execute_unprepared(FUNCTION).await?;
    for Watched { table, resource, version, key, .. } in entities {
        let arguments: Vec<String> =
            [resource, version].into_iter().chain(key).map(|argument| format!("'{argument}'")).collect();
        let trigger = format!(
            "CREATE TRIGGER faults_audit AFTER INSERT OR UPDATE OR DELETE ON \"{table}\" \
             FOR EACH ROW EXECUTE FUNCTION faults_audit({})",
            arguments.join(", ")
        );
        db.execute_unprepared(&trigger).await?;
    }
    Ok(())
}

/// Commits of the API without their event, and events without their commit.
pub(super) async fn discrepancies(db: &DatabaseConnection, entities: &[Watched]) -> Result<Vec<String>, DbErr> {
    let mut found = Vec::new();
    for entity in entities {
        let Watched { resource, version_field, .. } = entity;
        let by_api = format!("AND app = '{}'", Part::Api.name());
        let saves = |which: &str| {
            format!(
                "SELECT resource_id, CASE operation WHEN 'INSERT' THEN 'created' ELSE 'updated' END AS event_type, \
                 version FROM faults_audit WHERE resource = '{resource}' AND operation <> 'DELETE' {which}"
            )
        };
        let saved = format!(
            "SELECT resource_id, event_type, (payload::jsonb ->> '{version_field}')::timestamptz FROM outbox_events \
             WHERE resource_type = '{resource}' AND event_type IN ('created', 'updated')"
        );
        let deletes = format!(
            "SELECT resource_id, 'deleted' AS event_type, NULL::timestamptz AS version FROM faults_audit \
             WHERE resource = '{resource}' AND operation = 'DELETE' {by_api}"
        );
        let deleted = format!(
            "SELECT resource_id, event_type, NULL::timestamptz AS version FROM outbox_events \
             WHERE resource_type = '{resource}' AND event_type = 'deleted'"
        );
        let questions = [
            ("was committed without an event", saves(&by_api), saved.clone()),
            ("was committed without an event", deletes.clone(), deleted.clone()),
            ("is an event without a commit", saved, saves("")),
            ("is an event without a commit", deleted, deletes),
        ];
        for (fault, these, without) in questions {
            let sql = format!(
                "SELECT resource_id || ' ' || event_type || ' ' || coalesce(version::text, '') FROM ({these} \
                 EXCEPT ALL {without}) AS odd (resource_id, event_type, version)"
            );
            for row in db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await? {
                found.push(format!("{resource}/{} {fault}", row.try_get_by_index::<String>(0)?));
            }
        }
    }
    Ok(found)
}
