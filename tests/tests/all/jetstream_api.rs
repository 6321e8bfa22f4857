//! Every call of the JetStream API that nats-server knows, so that a list of what is forbidden can be complete.

use std::collections::BTreeSet;

use jsb_tests::servers;

/// The calls behind `$JS.API.`, with `S` for a stream, `C` for a consumer and `X` for anything else.
pub(crate) const CALLS: [&str; 44] = [
    "INFO",
    "ACCOUNT.PURGE.X",
    "ACCOUNT.STREAM.CANCEL_MOVE.X.S",
    "ACCOUNT.STREAM.MOVE.X.S",
    "CONSUMER.CREATE.S",
    "CONSUMER.CREATE.S.C",
    "CONSUMER.CREATE.S.C.X",
    "CONSUMER.DELETE.S.C",
    "CONSUMER.DURABLE.CREATE.S.C",
    "CONSUMER.INFO.S.C",
    "CONSUMER.LEADER.STEPDOWN.S.C",
    "CONSUMER.LIST.S",
    "CONSUMER.MSG.NEXT.S.C",
    "CONSUMER.NAMES.S",
    "CONSUMER.PAUSE.S.C",
    "CONSUMER.PEER.EVACUATE.S.C",
    "CONSUMER.PEER.REMOVE.S.C",
    "CONSUMER.RESET.S.C",
    "CONSUMER.UNPIN.S.C",
    "DIRECT.GET.S",
    "DIRECT.GET.S.X",
    "META.LEADER.STEPDOWN",
    "META.RESCUE",
    "SERVER.EVACUATE",
    "SERVER.REMOVE",
    "STREAM.CANCEL_MOVE.S",
    "STREAM.CREATE.S",
    "STREAM.DELETE.S",
    "STREAM.INFO.S",
    "STREAM.LEADER.STEPDOWN.S",
    "STREAM.LIST",
    "STREAM.MSG.DELETE.S",
    "STREAM.MSG.GET.S",
    "STREAM.NAMES",
    "STREAM.PEER.EVACUATE.S",
    "STREAM.PEER.REMOVE.S",
    "STREAM.PURGE.S",
    "STREAM.RESTORE.S",
    "STREAM.SNAPSHOT.S",
    "STREAM.UPDATE.S",
    // Of servers before 2.11.
    "STREAM.TEMPLATE.CREATE.X",
    "STREAM.TEMPLATE.DELETE.X",
    "STREAM.TEMPLATE.INFO.X",
    "STREAM.TEMPLATE.NAMES",
];

/// The calls behind `prefix` on these streams and consumers.
pub(crate) fn calls(prefix: &str, streams: &[&str], consumers: &[&str], other: &str) -> BTreeSet<String> {
    let on = |call: &str, stream: &str, consumer: &str| {
        let token = |token: &str| match token {
            "S" => stream.to_owned(),
            "C" => consumer.to_owned(),
            "X" => other.to_owned(),
            token => token.to_owned(),
        };
        format!("{prefix}{}", call.split('.').map(token).collect::<Vec<_>>().join("."))
    };
    let pairs = streams.iter().flat_map(|stream| consumers.iter().map(move |consumer| (stream, consumer)));
    pairs.flat_map(|(stream, consumer)| CALLS.map(|call| on(call, stream, consumer))).collect()
}

const API: &str = "$JS.API.";

/// What stands in a program behind each `$JS.API.`. Go keeps its texts without ends, one after the other, so each of these
/// runs into whatever text comes next.
fn mentioned(program: &[u8]) -> BTreeSet<String> {
    let places = program.windows(API.len()).enumerate().filter(|(_, bytes)| *bytes == API.as_bytes());
    let behind = |(place, _): (usize, &[u8])| {
        let bytes = program[place + API.len()..].iter().take(60).take_while(|byte| byte.is_ascii_graphic());
        bytes.map(|byte| char::from(*byte)).collect::<String>()
    };
    // Machine code holds these bytes too, but with no word behind them.
    places.map(behind).filter(|text| text.len() > 1 && text[..2].chars().all(is_letter)).collect()
}

/// Whether the text begins with a call of the table that ends there, with all calls of a kind, or with the beginning of
/// a call that the server completes.
fn is_known(text: &str) -> bool {
    let is_call = CALLS.iter().filter_map(|call| behind(call, text)).any(|rest| !rest.starts_with('.'));
    let words = text.find(|c| !is_letter(c) && c != '.').map_or(text, |end| &text[..end]);
    let is_beginning = !text[words.len()..].starts_with(['*', '%']) && CALLS.iter().any(|call| call.starts_with(words));
    is_call || is_beginning
}

/// What stands behind a call, if the text begins with it as the server writes it.
fn behind<'a>(call: &str, text: &'a str) -> Option<&'a str> {
    call.split('.').enumerate().try_fold(text, |rest, (index, token)| {
        let rest = if index == 0 { rest } else { rest.strip_prefix('.')? };
        match token {
            "S" | "C" | "X" => ["%s", "*", ">"].iter().find_map(|any| rest.strip_prefix(any)),
            word => rest.strip_prefix(word),
        }
    })
}

fn is_letter(c: char) -> bool {
    c.is_ascii_uppercase() || c == '_'
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_that_the_server_knows_is_in_the_table() {
    let program = std::fs::read(servers::nats().await.binary()).expect("the program");
    let mentioned = mentioned(&program);
    assert!(mentioned.len() > CALLS.len(), "most calls are mentioned more than once: {mentioned:?}");
    let unknown: Vec<_> = mentioned.iter().filter(|text| !is_known(text)).collect();
    assert!(unknown.is_empty(), "new calls; add them to the table and see what they are good for: {unknown:?}");
}

#[test]
fn a_call_that_is_new_would_be_noticed() {
    for new in ["STREAM.FREEZE.*no", "STREAM.FREEZE.%s", "STREAM.PURGE.ALL.*", "CONSUMER.INFO.*.*.MORE.*", "KV.>x"] {
        assert!(!is_known(new), "{new}");
    }
    for known in ["INFOstopped", "CONSUMER.>Nats", "ACCOUNT.no", "CONSUMER.CREATE.*.>$JS.API", "CONSUMER.MSG.NEXT."] {
        assert!(is_known(known), "{known}");
    }
}
