//! Promise 9, at the application's end: what NATS denies is a clear error at once and a problem in the status, holds up
//! nothing else, and is over as soon as it is granted.

mod looking;
mod publishing;
mod receiving;
mod restricted;
mod starting;

use std::time::Duration;

use jsb_tests::{App, eventually, until};

/// How long a request waited that was denied in silence.
const SILENCE: Duration = Duration::from_secs(5);

async fn has_problem(app: &App, problem: &str) -> String {
    eventually(&format!("the status names {problem}"), || async {
        let problems = app.status().await.problems;
        problems.iter().find(|text| text.contains(problem)).cloned().map(Some).ok_or(problems)
    })
    .await
}

/// Waits until something was denied so often, or more often.
async fn has_been_denied(app: &App, times: u32) {
    until(&format!("it is denied {times} times"), async || {
        let problems = app.status().await.problems;
        let counts = problems.iter().filter_map(|problem| problem.split_once("(times: ")?.1.split([',', ')']).next());
        counts.filter_map(|count| count.parse::<u32>().ok()).any(|count| count >= times)
    })
    .await;
}
