//! What a user writes for the API children: one random turn.

use rand::rngs::StdRng;
use sea_orm::{DatabaseConnection, DbErr};

/// Where and with what chance a turn is taken.
pub struct Turn<'a> {
    /// The application's pool.
    pub db: &'a DatabaseConnection,
    /// Where all chance comes from, so that a seed repeats it.
    pub random: &'a mut StdRng,
    /// `a` or `b`, for values that the two sides must not both claim.
    pub side: &'a str,
}

/// The work that both sides' applications do while faults happen.
#[async_trait::async_trait]
pub trait Workload: Send + Sync {
    /// One random operation, or a transaction of several. It must be safe to be killed anywhere in it.
    ///
    /// # Errors
    ///
    /// What the database refuses is part of the game: the next turn is another one.
    async fn take(&self, turn: Turn<'_>) -> Result<(), DbErr>;
}
