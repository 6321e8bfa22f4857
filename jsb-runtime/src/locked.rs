//! What a mutex of this process holds.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What it holds, also after somebody who held it has panicked: nothing here is left half changed.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
