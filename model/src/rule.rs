//! The rules of the protocol, each of which can be left out: the runtime's functions are then told less than the truth.

use chrono::DateTime;
use jsb_runtime::testing::{Change, Circle, Fault, Found, Patience, Reason, Verdict, decide, patience, refused};
use jsb_runtime::version::{Version, draw};

use crate::state::{Event, Side};

/// A rule that convergence needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A save draws above the version that it replaces.
    DrawAbovePrevious,
    /// An insert draws above the key's tombstone.
    InsertAboveTombstone,
    /// A delete draws above the row.
    DeleteAboveRow,
    /// A save reads what it draws above under the lock of the row.
    DrawUnderLock,
    /// An event is decided on and written under the lock of the key.
    ApplyUnderLock,
    /// Versions are cut to what the database stores before they are drawn.
    CutToMicroseconds,
    /// Of equal versions that of the later name wins.
    TieByName,
    /// Equal versions of a delete and an update too.
    TieForDeletes,
    /// An event has to be newer than the key's tombstone.
    CheckTombstone,
    /// The newest tombstone that was pruned is remembered.
    RememberPruned,
    /// A save that is not published keeps the row's version.
    QuietSaveKeepsVersion,
    /// A delete that is not published leaves no tombstone above the row.
    QuietDeleteDrawsNothing,
    /// A delete that is not published leaves a tombstone of the row's own version.
    QuietDeleteIsRemembered,
    /// An event whose parent is missing waits.
    ParkWithoutParent,
    /// A delete waits whose row has children.
    ParkWithChildren,
    /// A row is kept whose children do not go.
    KeepParent,
    /// It is kept with a version above the delete.
    KeepAboveDelete,
    /// An event waits whose unique value is taken.
    ParkOnConflict,
    /// Rows that exchange their values are applied together.
    Untangle,
    /// Of these only rows step aside that get another value yet.
    StepAsideOnce,
    /// None of these may turn out to be newer than its event.
    UntangleWhole,
    /// A delivery is acknowledged after its commit.
    AckAfterCommit,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::DrawAbovePrevious,
        Self::InsertAboveTombstone,
        Self::DeleteAboveRow,
        Self::DrawUnderLock,
        Self::ApplyUnderLock,
        Self::CutToMicroseconds,
        Self::TieByName,
        Self::TieForDeletes,
        Self::CheckTombstone,
        Self::RememberPruned,
        Self::QuietSaveKeepsVersion,
        Self::QuietDeleteDrawsNothing,
        Self::QuietDeleteIsRemembered,
        Self::ParkWithoutParent,
        Self::ParkWithChildren,
        Self::KeepParent,
        Self::KeepAboveDelete,
        Self::ParkOnConflict,
        Self::Untangle,
        Self::StepAsideOnce,
        Self::UntangleWhole,
        Self::AckAfterCommit,
    ];
}

/// All rules, or all but one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// The one that is left out.
    pub without: Option<Rule>,
}

impl Rules {
    pub(crate) fn hold(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    /// The version of a save whose clock shows so many nanoseconds.
    pub(crate) fn draw(&self, clock: i64, above: Option<Version>, rule: Rule) -> Version {
        draw(self.time(clock), above.filter(|_| self.hold(rule)))
    }

    /// Without the cut a nanosecond passes for a microsecond, so that versions are finer than what is stored.
    fn time(&self, clock: i64) -> DateTime<chrono::Utc> {
        if self.hold(Rule::CutToMicroseconds) {
            DateTime::from_timestamp_nanos(clock)
        } else {
            DateTime::from_timestamp_nanos(clock * 1_000)
        }
    }

    /// A version as the database stores it.
    pub(crate) fn stored(&self, version: Version) -> Version {
        if self.hold(Rule::CutToMicroseconds) {
            return version;
        }
        let micros = version.time().timestamp_micros();
        Version::at(DateTime::from_timestamp_nanos((micros - micros.rem_euclid(1_000)) * 1_000))
    }

    /// What an event does at `here`.
    pub(crate) fn decide(&self, event: &Event, found: &Found, here: Side) -> Change {
        let deletes = event.values.is_none();
        let tie = self.hold(Rule::TieByName) && (!deletes || self.hold(Rule::TieForDeletes));
        let known = Found {
            row: found.row,
            tombstone: found.tombstone.filter(|_| self.hold(Rule::CheckTombstone)),
            pruned: found.pruned.filter(|_| self.hold(Rule::RememberPruned)),
        };
        let here = if tie { here } else { event.source };
        decide(event.version, deletes, event.source.app(), &known, here.app())
    }

    /// Why an event waits that the database refuses; `None` buries it.
    pub(crate) fn parks(&self, fault: Fault, deletes: bool) -> Option<Reason> {
        let Verdict::Park(reason) = refused(fault, deletes) else { return None };
        let rule = match reason {
            Reason::ParentMissing => Rule::ParkWithoutParent,
            Reason::HasChildren => Rule::ParkWithChildren,
            _ => Rule::ParkOnConflict,
        };
        self.hold(rule).then_some(reason)
    }

    /// Whether a row may be kept whose delete has waited for as long as it likes.
    pub(crate) fn keeps(&self, reason: Reason) -> bool {
        let (age, keep_parent_after, park_for) = (2, 1, 3);
        let seconds = std::time::Duration::from_secs;
        let patience = patience(reason, seconds(age), seconds(keep_parent_after), seconds(park_for));
        self.hold(Rule::KeepParent) && patience == Patience::Keep
    }

    pub(crate) fn may_step_aside(&self, circle: &Circle<char>, all: &[char], row: char) -> bool {
        if self.hold(Rule::StepAsideOnce) { circle.is_to_come(&row) } else { all.contains(&row) }
    }

    pub(crate) fn tried(&self, circle: &mut Circle<char>, row: char, is_applied: bool) -> bool {
        circle.tried(&row, is_applied) || !self.hold(Rule::UntangleWhole)
    }
}
