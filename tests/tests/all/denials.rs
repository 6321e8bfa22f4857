//! Promise 9, at the application's end: what NATS denies is a clear error at once and a problem in the status, holds up
//! nothing else, and is over as soon as it is granted.

mod looking;
mod publishing;
mod receiving;
mod restricted;
mod starting;

use std::time::Duration;

use jsb_tests::{App, eventually};

/// How long a request waited that was denied in silence.
const SILENCE: Duration = Duration::from_secs(5);

async fn has_problem(app: &App, problem: &str) -> String {
    eventually(&format!("the status names {problem}"), || async {
        let problems = app.status().await.problems;
        problems.iter().find(|text| text.contains(problem)).cloned().map(Some).ok_or(problems)
    })
    .await
}
