//! JetStream's own subjects. What is asked of the server and what a user is allowed there are the same texts, so that neither
//! changes without the other.

/// What precedes a call in its subject; the client adds it by itself.
const PREFIX: &str = "$JS.API.";

/// The call that names the streams which carry a subject.
pub(crate) const STREAM_NAMES: &str = "STREAM.NAMES";

/// The subject of a call.
pub(crate) fn subject(call: &str) -> String {
    format!("{PREFIX}{call}")
}

pub(crate) fn stream_info(stream: &str) -> String {
    format!("STREAM.INFO.{stream}")
}

pub(crate) fn create_stream(stream: &str) -> String {
    format!("STREAM.CREATE.{stream}")
}

pub(crate) fn update_stream(stream: &str) -> String {
    format!("STREAM.UPDATE.{stream}")
}

pub(crate) fn get_message(stream: &str) -> String {
    format!("STREAM.MSG.GET.{stream}")
}

pub(crate) fn delete_message(stream: &str) -> String {
    format!("STREAM.MSG.DELETE.{stream}")
}

pub(crate) fn consumer_info(stream: &str, consumer: &str) -> String {
    format!("CONSUMER.INFO.{stream}.{consumer}")
}

/// The call that makes a durable consumer, or changes it.
pub(crate) fn put_consumer(stream: &str, consumer: &str) -> String {
    format!("CONSUMER.DURABLE.CREATE.{stream}.{consumer}")
}

/// The call of a pull request.
pub(crate) fn next_messages(stream: &str, consumer: &str) -> String {
    format!("CONSUMER.MSG.NEXT.{stream}.{consumer}")
}

/// Where a consumer's messages are acknowledged. As many tokens as they have: after a wildcard of any length, the
/// acknowledgement of another consumer would fit. Newer servers put the domain and the account before the stream.
pub(crate) fn acknowledgements(stream: &str, consumer: &str) -> [String; 3] {
    [
        format!("$JS.ACK.{stream}.{consumer}.*.*.*.*.*"),
        format!("$JS.ACK.*.*.{stream}.{consumer}.*.*.*.*.*"),
        format!("$JS.ACK.*.*.{stream}.{consumer}.*.*.*.*.*.>"),
    ]
}

/// Where the server says which of a consumer's messages it delivers no longer.
pub(crate) fn spent_deliveries(stream: &str, consumer: &str) -> String {
    format!("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{stream}.{consumer}")
}
