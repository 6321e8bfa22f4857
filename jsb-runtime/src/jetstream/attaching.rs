//! Sees to it that a bridge is attached: provisions, or finds what was provisioned, at the start and after every outage.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::connection::Transport;
use super::provision::ProvisionError;
use crate::backoff;
use crate::causes::chain;
use crate::problems::Task;

/// How soon is looked again at a stream that something is said of.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

impl Transport {
    /// Waits for NATS, and provides stream and consumer or finds them.
    pub(crate) async fn provision_once_connected(&self) -> Result<(), ProvisionError> {
        self.until_connected().await;
        let provisioned = self.provision().await;
        if provisioned.is_ok() {
            self.warn_of_old_server();
        }
        provisioned
    }

    /// Attaches whenever there is a connection and nothing is attached: after an outage the server may have lost its store.
    pub(crate) async fn stay_attached(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.attach_again_and_again()).await;
    }

    async fn attach_again_and_again(&self) {
        let mut failures = 0;
        loop {
            tokio::select! {
                () = self.until_detached() => {}
                () = self.until_disconnected() => self.detach(),
                () = self.until_deaf() => self.detach(),
                () = tokio::time::sleep(LOOK_AGAIN), if self.problems.has(Task::Stream) => {
                    self.report_stream(&self.stream_name()).await;
                    continue;
                }
            }
            match self.provision_once_connected().await {
                Ok(()) => {
                    failures = 0;
                    self.report_provisioned(None);
                }
                Err(error @ ProvisionError::Differs { .. }) if self.is_ready() => {
                    failures = 0;
                    self.report_provisioned(Some(&error));
                    tracing::warn!(error = chain(&error), "going on with the settings that are there");
                }
                Err(error) => {
                    failures += 1;
                    self.report_provisioned(Some(&error));
                    tracing::warn!(error = chain(&error), failures, "the stream or the consumer is not there");
                    // Nobody says when JetStream is back.
                    let longest = if error.is_outage() { 2 } else { 10 };
                    let pause = backoff::doubling(Duration::from_millis(500), Duration::from_secs(longest), failures);
                    tokio::time::sleep(pause).await;
                    if self.is_deaf() {
                        self.reconnect().await;
                    }
                }
            }
        }
    }
}
