//! Parents and children: what lacks its parent waits, and no child is lost with a parent that was deleted elsewhere.

mod children;
mod parents;
mod patient;
mod random;

use jsb_tests::entities::{organization, user};
use jsb_tests::{App, until};
use sea_orm::ActiveValue::Set;

pub(crate) async fn organization(app: &App) -> organization::Model {
    organization::new("acme.example").insert(&app.db).await.expect("an organization")
}

async fn user(app: &App, organization_id: i64, name: &str) -> user::Model {
    let row =
        user::ActiveModel { organization_id: Set(organization_id), name: Set(name.to_owned()), ..Default::default() };
    row.insert(&app.db).await.expect("a user")
}

/// Waits until something is parked for this reason.
async fn parks(app: &App, reason: &str) {
    until("an event is parked", async || {
        let reasons = app.texts("SELECT reason FROM inbox_events WHERE status = 'parked'").await;
        reasons.iter().any(|found| found == reason)
    })
    .await;
}
