//! The load harness: two applications as real processes on real servers whose commits reach the disk, under more work
//! than they will see for long, measured while they work and compared at the end. See `tests/README.md`.

pub mod actor;
mod books;
mod lane;
mod latency;
mod scenario;
mod watermark;
mod work;
mod world;

pub use latency::Latency;
pub use scenario::{Scenario, run};
pub use watermark::Watermark;
