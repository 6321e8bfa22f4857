//! Values of every type, keys of every kind and versions of every type arrive as they were saved, whatever the databases.

/// Makes each test run on PostgreSQL, on SQLite, and between the two.
macro_rules! also_mixed {
    ($($name:ident: $travels:ident;)+) => {
        on_both! {
            $(async fn $name(backend: Backend) {
                let mut pair = Pair::create(backend).await;
                $travels(&mut pair).await;
                pair.stop().await;
            })+
        }

        mod mixed_pair {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let mut pair = crate::types::mixed().await;
                super::$travels(&mut pair).await;
                pair.stop().await;
            })+
        }
    };
}

mod json;
mod rows;
mod values;

use jsb_tests::{App, Backend, Pair};
use serde_json::Value as Json;

/// Where the parcels go, with all members that their rows hold.
pub(crate) async fn stored_addresses(app: &App) -> Vec<Json> {
    let stored = app.texts("SELECT CAST(address AS text) FROM parcels").await;
    stored.iter().map(|text| serde_json::from_str(text).expect("JSON")).collect()
}

async fn mixed() -> Pair {
    Pair::on(Backend::Postgres, Backend::Sqlite, |config| config).await
}
