//! Collects the faults of an input, so that all of them are reported together.

use std::thread;

use syn::{Error, Result};

/// Every fault found so far. Must be finished: faults that nobody looks at would let a wrong input through.
#[derive(Default)]
pub(crate) struct Faults {
    found: Option<Error>,
    finished: bool,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Error) {
        match &mut self.found {
            Some(found) => found.combine(fault),
            None => self.found = Some(fault),
        }
    }

    /// Adds the fault of a failed step, so that the next step can go on.
    pub(crate) fn take<T>(&mut self, result: Result<T>) -> Option<T> {
        self.note(result).ok()
    }

    /// Adds the fault of a failed step, for one who looks at the result only after [`Self::finish`].
    pub(crate) fn note<T>(&mut self, result: Result<T>) -> Result<T> {
        result.inspect_err(|fault| self.add(fault.clone()))
    }

    /// The value, if there was no fault.
    pub(crate) fn finish<T>(mut self, value: T) -> Result<T> {
        self.finished = true;
        self.found.take().map_or(Ok(value), Err)
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        assert!(self.finished || thread::panicking(), "faults were collected, but nobody looked at them");
    }
}
