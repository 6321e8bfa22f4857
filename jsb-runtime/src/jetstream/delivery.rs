//! What was delivered, and what the server is told about it.

use std::time::{Duration, Instant};

use async_nats::Subject;
use async_nats::jetstream::{self, AckKind};

use super::attached::Attached;
use super::connection::Transport;
use super::headers::plain;
use crate::message::Message;

/// A message that was delivered and waits to be acknowledged.
pub(crate) struct Delivery {
    pub(crate) message: Message,
    /// Whether more may have waited behind it.
    pub(crate) more_waits: bool,
    /// When it came.
    pub(crate) came_at: Instant,
    /// How it is acknowledged.
    pub(crate) reply: Reply,
}

/// What it takes to acknowledge a delivery.
#[derive(Clone)]
pub(crate) struct Reply {
    subject: Option<Subject>,
    deliveries: u32,
}

/// What the server is told about a delivery.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Disposition {
    /// It is settled.
    Ack,
    /// Deliver it again after a delay.
    Nak(Duration),
    /// It is in the DLQ: do not deliver it again.
    Term,
    /// It is being worked on: do not deliver it to others yet.
    Progress,
}

impl Disposition {
    /// As it is said of this delivery.
    fn kind(self, attached: &Attached, reply: &Reply) -> AckKind {
        match self {
            Self::Ack => AckKind::Ack,
            Self::Nak(wait) => AckKind::Nak(Some(attached.delay_for(wait, reply.deliveries))),
            Self::Term => AckKind::Term,
            Self::Progress => AckKind::Progress,
        }
    }
}

impl Delivery {
    /// How often the server has delivered it, from 1.
    pub(crate) fn deliveries(&self) -> u32 {
        self.reply.deliveries
    }
}

impl From<jetstream::Message> for Delivery {
    fn from(delivered: jetstream::Message) -> Self {
        let info = delivered.info().ok();
        let deliveries = info.as_ref().and_then(|info| u32::try_from(info.delivered).ok()).unwrap_or(1);
        let sequence = info.as_ref().map_or(0, |info| info.stream_sequence);
        let more_waits = info.as_ref().is_none_or(|info| info.pending > 0);
        let headers = delivered.headers.as_ref().map(plain).unwrap_or_default();
        let delivered = delivered.message;
        let message = Message::read(delivered.subject.to_string(), headers, delivered.payload.to_vec(), sequence);
        let reply = Reply { subject: delivered.reply, deliveries };
        Self { message, more_waits, came_at: Instant::now(), reply }
    }
}

impl Transport {
    /// Tells the server about deliveries of a consumer. If a word is lost, the message comes again and is known as a duplicate.
    pub(crate) async fn tell(&self, attached: &Attached, replies: &[&Reply], disposition: Disposition) {
        if self.has_replaced(attached) {
            // The server knows a delivery by its sequence alone, and has another message there by now.
            tracing::debug!("deliveries of a stream that is no more are not acknowledged");
            return;
        }
        let tell_all = async {
            for reply in replies {
                if let Err(error) = self.tell_one(reply, disposition.kind(attached, reply)).await {
                    tracing::debug!(error, "an acknowledgement was not sent");
                }
            }
        };
        tokio::select! {
            () = tell_all => {}
            // The client would keep it, and then its caller waiting, until NATS is back.
            () = self.until_down() => tracing::debug!("NATS is away, and acknowledgements were not sent"),
        }
    }

    /// Sends the word; where NATS denied the last one, it waits for the answer, to see whether that is over.
    async fn tell_one(&self, reply: &Reply, kind: AckKind) -> Result<(), String> {
        let subject = reply.subject.clone().ok_or("the message did not come from a stream")?;
        let Some(denied) = self.denials.of_acknowledgement(&subject) else {
            return self.context.client().publish(subject, kind.into()).await.map_err(|error| error.to_string());
        };
        let acker = jetstream::message::Acker::new(self.context.clone(), Some(subject));
        let told = self.unless_any_denied(|permission| *permission == denied, acker.double_ack_with(kind)).await;
        told.map_err(|denied| denied.to_string())?.map_err(|error| error.to_string())?;
        self.denials.works(&denied);
        Ok(())
    }
}
