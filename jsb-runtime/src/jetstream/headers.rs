//! Header lines: as the client hands them over, as a stream stores them, and as they may be sent.

use std::collections::BTreeMap;
use std::str::FromStr;

use async_nats::{HeaderMap, HeaderName, HeaderValue};

/// The first value of each header that the client has read.
pub(super) fn plain(headers: &HeaderMap) -> BTreeMap<String, String> {
    let first = |values: &Vec<HeaderValue>| values.first().map(|value| value.as_str().to_owned()).unwrap_or_default();
    let name = |name: &HeaderName| AsRef::<str>::as_ref(name).to_owned();
    headers.iter().map(|(header, values)| (name(header), first(values))).collect()
}

/// What can be read of headers as they are stored. The client refuses all of them for one line that is none, and with
/// them the message, so that nobody could ever take it.
pub(super) fn stored(block: &[u8]) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    // The first line is the protocol's version.
    for line in String::from_utf8_lossy(block).lines().skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name_of(name).is_some() {
            headers.entry(name.to_owned()).or_insert_with(|| value.trim().to_owned());
        }
    }
    headers
}

/// Headers that can be sent: what ends a line becomes a space, and a name that cannot be sent is left out.
pub(super) fn sendable(headers: &BTreeMap<String, String>) -> HeaderMap {
    let line = |(name, value): (&String, &String)| {
        let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        Some((name_of(name)?, HeaderValue::from_str(value.trim()).ok()?))
    };
    headers.iter().filter_map(line).collect()
}

/// A name that can be sent; the client would take an empty one for one.
fn name_of(text: &str) -> Option<HeaderName> {
    HeaderName::from_str(text).ok().filter(|_| !text.is_empty())
}

/// What holds of any headers: what is read of them can be sent, and what is sent is read as the same.
#[cfg(any(test, fuzzing))]
pub(crate) fn check(block: &[u8]) {
    let sent = sendable(&stored(block));
    let mut lines = String::from("NATS/1.0\r\n");
    for (name, value) in plain(&sent) {
        assert!(!name.is_empty() && name.bytes().all(|c| c.is_ascii_graphic() && c != b':'), "{name:?}");
        assert!(!value.chars().any(char::is_control), "{value:?}");
        lines.push_str(&format!("{name}: {value}\r\n"));
    }
    assert_eq!(stored(lines.as_bytes()), plain(&sent));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_header_line_costs_no_other() {
        let block =
            b"NATS/1.0 nonsense\r\nNo colon\r\nbad name: 1\r\nX-Latin: \xe9\r\nNats-Msg-Id: 7 \r\nX: a\r\nX: b\r\n\r\n";
        let read = stored(block);
        let expected = [("Nats-Msg-Id", "7"), ("X", "a"), ("X-Latin", "\u{fffd}")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    proptest! {
        #[test]
        fn whatever_is_stored_is_read_and_can_be_sent(block in proptest::collection::vec(any::<u8>(), 0..500)) {
            check(&block);
        }

        #[test]
        fn whatever_a_header_says_can_be_sent(lines in proptest::collection::vec("[ -~]{0,9}:?(?s:.){0,9}", 0..9)) {
            check(format!("NATS/1.0\r\n{}\r\n\r\n", lines.join("\r\n")).as_bytes());
        }
    }
}
