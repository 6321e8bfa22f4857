//! What the server has for an application. Each call has a connection of its own: what asks again and again keeps a
//! [`Stream`].

use async_nats::jetstream::consumer;

use super::App;
use crate::Stream;
use crate::stream::StreamMessage;

impl App {
    /// Its stream, over a connection to the server that its configuration names now.
    pub async fn stream(&self) -> Stream {
        Stream::of(&self.config).await
    }

    /// How far its durable is.
    pub async fn progress(&self) -> consumer::Info {
        self.stream().await.progress(&self.config.app_name).await
    }

    /// Whether the server has nothing for it: everything was delivered and acknowledged.
    pub async fn is_idle(&self) -> bool {
        self.stream().await.is_idle(&self.config.app_name).await
    }

    /// Waits until the server has nothing for it.
    pub async fn until_idle(&self) {
        self.stream().await.until_idle(&self.config.app_name).await;
    }

    /// The dead letter of an event in its DLQ.
    pub async fn dead_letter(&self, event_id: &str) -> Option<StreamMessage> {
        self.stream().await.dead_letter(&self.config.app_name, event_id).await
    }
}
