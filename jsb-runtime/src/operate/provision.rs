//! Provisioning: shows what would change, and changes it.

use super::Connection;
use crate::jetstream::{ProvisionError, ROUNDS};
use crate::topology::{self, Change, Plan, Wanted};

/// Brings the server to what is wanted.
#[derive(Debug)]
pub struct Provisioner<'a> {
    connection: &'a Connection,
    wanted: Wanted,
}

impl<'a> Provisioner<'a> {
    /// Provides `wanted` through `connection`.
    pub fn new(connection: &'a Connection, wanted: Wanted) -> Self {
        Self { connection, wanted }
    }

    /// Compares what is wanted with what is there. Nothing is changed.
    ///
    /// # Errors
    ///
    /// [`ProvisionError`] when the server does not answer, or refuses to.
    pub async fn plan(&self) -> Result<Plan, ProvisionError> {
        let found = self.connection.transport.look(&self.wanted).await?;
        Ok(topology::plan(&self.wanted, &found))
    }

    /// Carries out a plan, and says each change that is made. Where somebody else changed the server meanwhile, it plans
    /// again: at the end all is as wanted. It may be run any number of times, but others that provide further pairs of the same
    /// stream run before or after it: the server takes a stream's subjects as a whole, so that the slower may undo the other.
    ///
    /// # Errors
    ///
    /// [`ProvisionError::Unattainable`] before anything is changed if the plan holds refusals; others when the server does
    /// not answer or refuses a change. What was done by then stays done.
    pub async fn apply(&self, plan: &Plan, mut done: impl FnMut(&Change)) -> Result<(), ProvisionError> {
        let (transport, mut rest) = (&self.connection.transport, plan.clone());
        let mut conflict = None;
        for _ in 0..ROUNDS {
            conflict = transport.carry_out_all(&rest, &mut done).await?;
            rest = self.plan().await?;
            if rest.is_empty() {
                return Ok(());
            }
        }
        Err(ProvisionError::Unsettled { plan: Box::new(rest), conflict })
    }
}
