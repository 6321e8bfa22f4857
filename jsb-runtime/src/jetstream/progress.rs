//! How far the server has got with this app's consumer.

use super::connection::Transport;
use super::pull::PullError;
use crate::subject::api;

/// In sequences of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConsumerProgress {
    /// Nothing up to here is to be delivered any more: it is acknowledged, or given up.
    pub(crate) floor: u64,
    /// Whether it is known that nothing was given up.
    pub(crate) is_acknowledged: bool,
    /// Everything up to here was delivered at least once.
    pub(crate) delivered: u64,
    /// How many deliveries wait for their acknowledgement.
    pub(crate) in_flight: usize,
}

impl Transport {
    /// Asks the server. Where the consumer's settings are not those that are known here, it attaches anew.
    pub(crate) async fn progress(&self) -> Result<ConsumerProgress, PullError> {
        let attached = self.attached().await;
        let subject = api::subject(&api::consumer_info(&attached.stream, attached.durable()));
        let info = self.unless_denied(&subject, attached.consumer.get_info()).await?;
        let info = info.map_err(PullError::client)?;
        if attached.is_unchecked {
            // It may be asked now, so that its settings can be checked too.
            self.detach();
        } else if info.config != attached.consumer.cached_info().config || attached.is_replaced_by(&info) {
            self.report_provisioned(self.look_again().await.as_ref().err());
        }
        Ok(ConsumerProgress {
            floor: info.ack_floor.stream_sequence,
            is_acknowledged: self.has_given_up_nothing(info.config.max_deliver, info.num_redelivered as u64),
            delivered: info.delivered.stream_sequence,
            in_flight: info.num_ack_pending,
        })
    }

    /// Whether the server has given up nothing of a consumer, by how many messages it counts as delivered again: it counts what it
    /// gave up among them for ever, but for a consumer that delivers nothing twice. Since 2.14.3, as was tried: before that it
    /// forgot them when it was restarted.
    pub(crate) fn has_given_up_nothing(&self, max_deliver: i64, redelivered: u64) -> bool {
        max_deliver != 1 && redelivered == 0 && self.context.client().is_server_compatible(2, 14, 3)
    }
}
