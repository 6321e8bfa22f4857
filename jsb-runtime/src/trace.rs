//! Where an event comes from: the trace it belongs to and how many handlers it has come through.

use std::collections::BTreeMap;
use std::num::IntErrorKind;

/// The header that counts how many handlers published on behalf of one another.
pub(crate) const HOPS: &str = "Jsb-Hops";
/// The W3C trace context header, <https://www.w3.org/TR/trace-context/>.
pub(crate) const TRACEPARENT: &str = "traceparent";

tokio::task_local! {
    static CAUSE: Trace;
}

/// Runs `work` as the consequence of an event, so that what it publishes carries the event's trace and hop count.
pub(crate) async fn caused_by<T>(trace: Trace, work: impl Future<Output = T>) -> T {
    CAUSE.scope(trace, work).await
}

/// The trace of an event that is published now: a hop further than its cause, or the start of a new one.
pub(crate) fn next() -> Trace {
    CAUSE.try_with(Trace::next_hop).unwrap_or_else(|_| Trace::start())
}

/// A hop count from a header; what is no number counts as none, as it does where the header is missing.
fn count(hops: &str) -> u32 {
    hops.parse().unwrap_or_else(|error: std::num::ParseIntError| match error.kind() {
        IntErrorKind::PosOverflow => u32::MAX,
        _ => 0,
    })
}

/// Beyond this many hops an event is taken for one that runs in a circle.
pub(crate) const MAX_HOPS: u32 = 16;

/// A trace of 64 bits, the length that the wire's `trace_id` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    id: u64,
    pub(crate) hops: u32,
}

impl Trace {
    fn start() -> Self {
        Self { id: rand::random::<u64>().max(1), hops: 0 }
    }

    fn next_hop(&self) -> Self {
        Self { id: self.id, hops: self.hops + 1 }
    }

    /// The trace of a received event; one that carries none starts its own.
    pub(crate) fn received(trace_id: Option<&str>, hops: Option<&str>) -> Self {
        let id = trace_id.and_then(|id| u64::from_str_radix(id, 16).ok()).filter(|id| *id != 0);
        Self { id: id.unwrap_or_else(|| Self::start().id), hops: hops.map_or(0, count) }
    }

    /// The wire's `trace_id` for a stored `traceparent`: the lower 64 bits of its trace id.
    pub(crate) fn id_in(traceparent: Option<&str>) -> String {
        let id = traceparent.and_then(|text| text.split('-').nth(1)).and_then(|id| id.get(16..));
        id.map_or_else(|| Self::start().trace_id(), str::to_owned)
    }

    pub(crate) fn trace_id(&self) -> String {
        format!("{:016x}", self.id)
    }

    /// The headers that go with an event of this trace; a 64-bit id is padded as the standard says.
    pub(crate) fn headers(&self) -> BTreeMap<String, String> {
        let span = rand::random::<u64>().max(1);
        BTreeMap::from([
            (TRACEPARENT.to_owned(), format!("00-{:032x}-{span:016x}-01", self.id)),
            (HOPS.to_owned(), self.hops.to_string()),
        ])
    }
}
