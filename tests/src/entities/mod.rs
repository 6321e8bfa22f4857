//! Entities of every kind that the derive knows.

pub mod gap;
pub mod guarded;
pub mod guild;
pub mod keepsake;
pub mod label;
pub mod membership;
pub mod organization;
pub mod parcel;
pub mod plate;
pub mod seat;
pub mod sighting;
pub mod smith;
pub mod specimen;
pub mod stall;
pub mod tally;
pub mod ticket;
pub mod user;
pub mod versioned;
pub mod visitor;
