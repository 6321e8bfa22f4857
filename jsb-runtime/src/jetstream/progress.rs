//! How far the server has got with this app's consumer, and what it delivers no longer.

use std::sync::Arc;

use futures_util::{FutureExt, Stream, StreamExt, stream};
use serde::Deserialize;

use super::attached::Attached;
use super::connection::{REQUEST_TIMEOUT, Transport};
use super::denials::{Denied, Permission};
use super::pull::PullError;
use super::stored::StoredMessage;
use crate::message::Message;
use crate::subject::api;

/// How far the server has got with this app's consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
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
    /// How far the consumer is.
    pub(crate) async fn progress(&self) -> Result<Progress, PullError> {
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
        Ok(Progress {
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

    /// The first message for this app at or after a sequence of the stream.
    pub(crate) async fn message_from(&self, sequence: u64) -> Result<Option<Message>, PullError> {
        let stream = self.attached().await.stream;
        Ok(self.stored_from(&stream, &self.config.incoming(), sequence).await?.map(StoredMessage::into_message))
    }

    /// The next messages for this app from one sequence of the stream to another, as many as fit in memory.
    pub(crate) async fn messages_within(&self, from: u64, to: u64) -> Result<Vec<Message>, PullError> {
        let stream = self.attached().await.stream;
        let stored = self.stored_within(&stream, &self.config.incoming(), from, to).await?;
        Ok(stored.into_iter().map(StoredMessage::into_message).collect())
    }

    /// Whether NATS denied looking for a message the last time.
    pub(crate) fn may_not_look(&self) -> bool {
        self.denials.stands(&Permission::Publish(api::subject(&api::get_message(&self.stream_name()))))
    }

    /// The sequences of messages that the server stops delivering, as it says so. The advisories are not stored.
    pub(crate) async fn spent(
        &self,
        attached: &Attached,
    ) -> Result<impl Stream<Item = Result<u64, PullError>> + use<>, PullError> {
        #[derive(Deserialize)]
        struct Advisory {
            stream_seq: u64,
        }
        let subject = api::spent_deliveries(&attached.stream, attached.durable());
        let permission = Permission::Subscribe(subject.clone());
        let denied = self.subscription_denied(permission);
        let advisories = self.context.client().subscribe(subject).await;
        let advisories = advisories.map_err(PullError::client)?;
        let sequences = advisories.filter_map(|advisory| async move {
            serde_json::from_slice::<Advisory>(&advisory.payload).ok().map(|advisory| Ok(advisory.stream_seq))
        });
        Ok(stream::select(sequences, stream::once(denied.map(|denied| Err(denied.into())))))
    }

    /// The denial of a subscription that is about to be made. Nobody answers to one that is allowed.
    fn subscription_denied(&self, permission: Permission) -> impl Future<Output = Denied> + use<> {
        let denials = Arc::clone(&self.denials);
        let wanted = permission.clone();
        let mut denied = Box::pin(self.denials.next(move |denied| *denied == wanted));
        async move {
            if let Ok(denied) = tokio::time::timeout(REQUEST_TIMEOUT, &mut denied).await {
                return denied;
            }
            denials.works(&permission);
            denied.await
        }
    }
}
