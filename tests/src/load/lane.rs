//! A lane: one kind of work of an actor, with what came of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sea_orm::DbErr;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::latency::{Latency, Measuring};

/// How many refusals are kept word by word.
const SHOWN: usize = 3;

/// A lane that work goes on in; every clone is the same lane.
#[derive(Clone)]
pub(super) struct Lane(Arc<Mutex<Book>>);

struct Book {
    at_work: usize,
    is_resting: bool,
    done: u64,
    refused: u64,
    refusals: Vec<String>,
    latency: Measuring,
}

/// What came of a lane's work.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Whether it goes on.
    pub(super) is_at_work: bool,
    /// What was done since it began.
    pub(super) done: u64,
    /// How often something was refused since it began.
    pub(super) refused: u64,
    /// The first of the refusals.
    pub(super) refusals: Vec<String>,
    /// How long each thing took since the last reset.
    pub(super) latency: Latency,
}

/// Somebody who works in a lane, until it is dropped.
pub(super) struct AtWork(Lane);

impl Lane {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Book {
            at_work: 0,
            is_resting: false,
            done: 0,
            refused: 0,
            refusals: Vec::new(),
            latency: Measuring::new(),
        })))
    }

    pub(super) fn enter(&self) -> AtWork {
        self.book().at_work += 1;
        AtWork(self.clone())
    }

    /// Lets nothing more begin.
    pub(super) fn rest(&self) {
        self.book().is_resting = true;
    }

    pub(super) fn is_resting(&self) -> bool {
        self.book().is_resting
    }

    pub(super) fn seen(&self) -> Seen {
        let book = self.book();
        Seen {
            is_at_work: book.at_work > 0,
            done: book.done,
            refused: book.refused,
            refusals: book.refusals.clone(),
            latency: book.latency.so_far(),
        }
    }

    pub(super) fn reset(&self) {
        self.book().latency.reset();
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AtWork {
    /// Does something that was due at a time, which counts as so many.
    pub(super) async fn time(&self, due: Instant, count: u64, work: impl Future<Output = Result<(), DbErr>>) {
        let ended = work.await;
        let took: Duration = due.elapsed();
        let mut book = self.0.book();
        match ended {
            Ok(()) => {
                book.done += count;
                book.latency.add(took);
            }
            Err(error) => {
                book.refused += 1;
                if book.refusals.len() < SHOWN {
                    book.refusals.push(error.to_string().replace('\n', " "));
                }
            }
        }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.book().at_work -= 1;
    }
}
