//! The child's half of the harness: what runs in the processes that are killed. It knows nothing of the other half, so
//! that a program with older entities can include it by its path.

mod part;
mod slowness;
mod workload;

pub use part::{ANSWER_READY, ANSWER_RESTING, CLOCK, LIFE, PART, Part, RESTING, SEED, SIDE, play};
pub use slowness::{set_slowness, slowness};
pub use workload::{Turn, Workload};
