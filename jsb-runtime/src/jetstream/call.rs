//! A call of the JetStream API: what is asked, the answer as raw JSON, and why there is none.

use async_nats::jetstream;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{Context, RequestError, RequestErrorKind};
use async_nats::jetstream::response::Response;
use serde_json::{Value as Json, json};

use super::connection::{LONGEST_WAY, REQUEST_TIMEOUT, Transport};
use super::denials::Denied;
use super::provision::ProvisionError;
use crate::subject::api;

/// Why the stream could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// No answer came.
    #[error(
        "no answer to `$JS.API.{call}` ({source}): see that NATS runs with JetStream, and that this user may publish there; if it \
         came with a reload of nats-server, reload once more"
    )]
    NoAnswer {
        /// What was asked.
        call: String,
        /// The client's words.
        source: RequestError,
    },
    /// This user may not ask.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The server refused.
    #[error("{call}: {error}")]
    Refused {
        /// What was asked.
        call: String,
        /// The server's answer.
        error: jetstream::Error,
    },
    /// The server's answer has another form than expected.
    #[error("the answer to `$JS.API.{call}` cannot be read: {source}")]
    Unreadable {
        /// What was asked.
        call: String,
        /// Why.
        source: async_nats::Error,
    },
}

impl StreamError {
    /// Whether this user may not ask.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Denied(_))
    }

    /// Whether the server says that what was asked for is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        const NOT_THERE: [ErrorCode; 3] =
            [ErrorCode::NO_MESSAGE_FOUND, ErrorCode::STREAM_NOT_FOUND, ErrorCode::CONSUMER_NOT_FOUND];
        self.code().is_some_and(|code| NOT_THERE.contains(&code))
    }

    /// Why the server refused, if it did.
    pub(super) fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { error, .. } => Some(error.error_code()),
            _ => None,
        }
    }
}

impl From<StreamError> for ProvisionError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::NoAnswer { source, .. } => Self::Request(source),
            StreamError::Denied(denied) => Self::Denied(denied),
            StreamError::Refused { call, error } => Self::Refused { call, error },
            // As the client says it of an answer that is no JSON.
            StreamError::Unreadable { source, .. } => {
                Self::Request(RequestError::with_source(RequestErrorKind::Other, source))
            }
        }
    }
}

impl Transport {
    pub(super) async fn ask(&self, call: String, request: &Json) -> Result<Json, StreamError> {
        self.ask_by(&self.context, call, request).await
    }

    /// What there is to tell of something that may not be there.
    pub(super) async fn ask_for(&self, call: String) -> Result<Option<Json>, StreamError> {
        match self.ask(call, &json!({})).await {
            Err(error) if error.is_not_found() => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// The same as [`Self::ask`], for an answer that holds a message, which takes its way.
    pub(super) async fn ask_for_message(&self, call: String, request: &Json) -> Result<Json, StreamError> {
        let mut context = self.context.clone();
        context.set_timeout(REQUEST_TIMEOUT + LONGEST_WAY);
        self.ask_by(&context, call, request).await
    }

    async fn ask_by(&self, context: &Context, call: String, request: &Json) -> Result<Json, StreamError> {
        match self.unless_denied(&api::subject(&call), context.request(call.clone(), request)).await? {
            Ok(Response::Ok(answer)) => Ok(answer),
            Ok(Response::Err { error }) => Err(StreamError::Refused { call, error }),
            Err(source) => Err(StreamError::NoAnswer { call, source }),
        }
    }
}
