//! How far the hooks of the save under way have come: the application may have written them.

use std::cell::Cell;

use sea_orm::DbErr;

use crate::syncable::Syncable;

tokio::task_local! {
    static PROGRESS: Cell<Progress>;
}

/// A save or a delete, by its hooks. Within those the application may save other rows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    resource: &'static str,
    /// What follows `before_` and `after_` in their names.
    hooks: &'static str,
}

impl Call {
    pub(crate) fn save<M: Syncable>() -> Self {
        Self { resource: M::RESOURCE, hooks: "save" }
    }

    pub(crate) fn delete<M: Syncable>() -> Self {
        Self { resource: M::RESOURCE, hooks: "delete" }
    }

    /// What its caller is told whose event was left out.
    pub(super) fn without_event(self) -> DbErr {
        let Self { resource, hooks } = self;
        DbErr::Custom(format!(
            "the hooks of `{resource}` left out its event: with `behavior = \"custom\"`, `before_{hooks}` must give back what \
             `jsb_runtime::hooks::before_{hooks}` gives, and `after_{hooks}` call `jsb_runtime::hooks::after_{hooks}`, and both \
             pass on their errors"
        ))
    }
}

#[derive(Clone, Copy)]
pub(super) struct Progress {
    of: Call,
    stage: Stage,
    /// Whether a save is between its mark and its event.
    pub(super) is_marked: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    NotBegun,
    Begun,
    /// Its event is recorded, where it is to have one.
    Finished,
}

impl Progress {
    pub(super) fn is_finished(self) -> bool {
        self.stage == Stage::Finished
    }
}

/// Runs the hooks of a call, and says how far they came.
pub(super) async fn followed<T>(of: Call, run: impl Future<Output = T>) -> (T, Progress) {
    let begin = Progress { of, stage: Stage::NotBegun, is_marked: false };
    let run = async {
        let done = run.await;
        (done, PROGRESS.with(Cell::get))
    };
    PROGRESS.scope(Cell::new(begin), run).await
}

/// Notes that the first hook was called.
pub(crate) fn begin(call: Call) {
    set_marked(false);
    reach(call, Stage::Begun);
}

/// Fails where the first hook was not called: what it does cannot be done any more.
pub(crate) fn must_have_begun(call: Call) -> Result<(), DbErr> {
    let is_begun = PROGRESS.try_with(|now| now.get().of != call || now.get().stage > Stage::NotBegun);
    if is_begun.unwrap_or(true) { Ok(()) } else { Err(call.without_event()) }
}

/// Notes that the last hook has done its work.
pub(crate) fn finish(call: Call) {
    reach(call, Stage::Finished);
}

/// Notes that the save under way has marked what its row must go back to, or that its row and its event are as they should be.
pub(super) fn set_marked(is_marked: bool) {
    note(|now| Progress { is_marked, ..now });
}

/// A hook that saves another row of the same resource takes nothing back.
fn reach(call: Call, stage: Stage) {
    note(|now| if now.of == call { Progress { stage: now.stage.max(stage), ..now } } else { now });
}

fn note(change: impl FnOnce(Progress) -> Progress) {
    // Hooks may be called past this crate's methods, and the caller then has to take back what fails.
    let _ = PROGRESS.try_with(|now| now.update(change));
}
