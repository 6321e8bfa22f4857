//! JetStream's own subjects. What is asked of the server and what a user is allowed there are the same texts, so that neither
//! changes without the other.

/// What precedes a call in its subject; the client adds it by itself.
const PREFIX: &str = "$JS.API.";

/// The call that names the streams which carry a subject.
pub(crate) const STREAM_NAMES: &str = "STREAM.NAMES";

// What precedes the names in the other calls and subjects, by which a denied one is told.
pub(crate) const STREAM_INFO: &str = "STREAM.INFO.";
pub(crate) const GET_MESSAGE: &str = "STREAM.MSG.GET.";
pub(crate) const DELETE_MESSAGE: &str = "STREAM.MSG.DELETE.";
pub(crate) const CONSUMER_INFO: &str = "CONSUMER.INFO.";
pub(crate) const NEXT_MESSAGES: &str = "CONSUMER.MSG.NEXT.";
pub(crate) const ACKNOWLEDGEMENT: &str = "$JS.ACK.";
pub(crate) const EVENT: &str = "$JS.EVENT.";

/// The subject of a call.
pub(crate) fn subject(call: &str) -> String {
    format!("{PREFIX}{call}")
}

/// The call that has this subject; none if it is no call's.
pub(crate) fn call(subject: &str) -> Option<&str> {
    subject.strip_prefix(PREFIX)
}

pub(crate) fn stream_info(stream: &str) -> String {
    format!("{STREAM_INFO}{stream}")
}

pub(crate) fn create_stream(stream: &str) -> String {
    format!("STREAM.CREATE.{stream}")
}

pub(crate) fn update_stream(stream: &str) -> String {
    format!("STREAM.UPDATE.{stream}")
}

pub(crate) fn get_message(stream: &str) -> String {
    format!("{GET_MESSAGE}{stream}")
}

pub(crate) fn delete_message(stream: &str) -> String {
    format!("{DELETE_MESSAGE}{stream}")
}

pub(crate) fn consumer_info(stream: &str, consumer: &str) -> String {
    format!("{CONSUMER_INFO}{stream}.{consumer}")
}

/// The call that makes a durable consumer, or changes it.
pub(crate) fn put_consumer(stream: &str, consumer: &str) -> String {
    format!("CONSUMER.DURABLE.CREATE.{stream}.{consumer}")
}

/// The call of a pull request.
pub(crate) fn next_messages(stream: &str, consumer: &str) -> String {
    format!("{NEXT_MESSAGES}{stream}.{consumer}")
}

/// Where a consumer's messages are acknowledged. As many tokens as they have: after a wildcard of any length, the
/// acknowledgement of another consumer would fit. Newer servers put the domain and the account before the stream.
pub(crate) fn acknowledgements(stream: &str, consumer: &str) -> [String; 3] {
    [
        format!("{ACKNOWLEDGEMENT}{stream}.{consumer}.*.*.*.*.*"),
        format!("{ACKNOWLEDGEMENT}*.*.{stream}.{consumer}.*.*.*.*.*"),
        format!("{ACKNOWLEDGEMENT}*.*.{stream}.{consumer}.*.*.*.*.*.>"),
    ]
}

/// Where the server says which of a consumer's messages it delivers no longer.
pub(crate) fn spent_deliveries(stream: &str, consumer: &str) -> String {
    format!("{EVENT}ADVISORY.CONSUMER.MAX_DELIVERIES.{stream}.{consumer}")
}
