//! What the server says by itself of this app's consumer. It is not stored: whoever does not listen misses it.

use std::sync::Arc;

use futures_util::{FutureExt, Stream, StreamExt, stream};
use serde::Deserialize;

use super::attached::Attached;
use super::connection::{REQUEST_TIMEOUT, Transport};
use super::denials::{Denied, Permission};
use super::pull::PullError;
use crate::subject::api;

impl Transport {
    /// The sequences of messages that the server stops delivering, as it says so.
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
