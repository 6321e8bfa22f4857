//! The bad messages, each with its end.

use jsb_runtime::Config;
use jsb_tests::Backend;
use jsb_tests::entities::gap;
use uuid::Uuid;

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Applied,
    Parked(&'static str),
    Dead(&'static str),
}

use End::{Applied, Dead, Parked};

const MALFORMED: End = Dead("malformed");
const INVALID: End = Dead("invalid_payload");
const VIOLATED: End = Dead("constraint_violated");

/// What a row must look like.
type Check = Box<dyn Fn(&gap::Model) -> bool + Send + Sync>;

/// A message and its end.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
    /// Whether it is an event of a row.
    pub(crate) is_row: bool,
    pub(crate) leaves: Option<(Uuid, Check)>,
}

impl Case {
    fn raw(name: &str, body: impl Into<Vec<u8>>, end: End) -> Self {
        Self { name: name.to_owned(), headers: Vec::new(), body: body.into(), end, is_row: false, leaves: None }
    }

    /// An event of a row of gaps that holds `field`, a piece of JSON, beside its key.
    fn row(field: &str, end: End) -> Self {
        let (id, shown) = (Uuid::now_v7(), field.chars().take(60).collect::<String>());
        let body = event(&format!(
            r#""resource_type":"gap","resource_id":"{id}","event_type":"created","payload":{{"id":"{id}",{field}}}"#
        ));
        Self { is_row: true, ..Self::raw(&shown, body, end) }
    }

    /// A row that is applied, with what it must look like.
    fn kept(field: &str, check: impl Fn(&gap::Model) -> bool + Send + Sync + 'static) -> Self {
        let case = Self::row(field, Applied);
        let body: serde_json::Value = serde_json::from_slice(&case.body).expect("JSON");
        let id = body["payload"]["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
        Self { leaves: Some((id, Box::new(check))), ..case }
    }

    /// An event without a row, of these fields.
    fn probe(name: &str, fields: &str, end: End) -> Self {
        Self::raw(name, event(fields), end)
    }

    fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.name = format!("{} with {name}", self.name);
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

const RECORD: &str = r#""resource_type":"probe","resource_id":"1","event_type":"record","payload":{}"#;

/// An event with an id of its own and these fields.
fn event(fields: &str) -> String {
    format!(r#"{{"event_id":"{}","occurred_at":"2026-01-01T00:00:00Z",{fields}}}"#, Uuid::now_v7())
}

/// An event with an id that is given as JSON.
fn with_id(id: &str, end: End) -> Case {
    let shown: String = id.chars().take(60).collect();
    Case::raw(&format!("event_id {shown}"), format!(r#"{{"event_id":{id},{RECORD}}}"#), end)
}

/// A megabyte that does not compress.
fn megabyte() -> String {
    (0..32_768).map(|_| Uuid::new_v4().simple().to_string()).collect()
}

pub(crate) fn all(backend: Backend, config: &Config) -> Vec<Case> {
    let groups = [bodies(), fields(config), ids(), headers(), numbers(), texts(backend), times(), large(backend)];
    groups.into_iter().flatten().collect()
}

fn bodies() -> Vec<Case> {
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    vec![
        Case::raw("no UTF-8", b"{\"event_id\":\"\xff\"}".to_vec(), MALFORMED),
        Case::raw("a lone surrogate", event(r#""event_type":"\ud800""#), MALFORMED),
        Case::raw("a number alone", "1", MALFORMED),
        Case::raw("null", "null", MALFORMED),
        Case::raw("two objects", format!("{}{}", event(RECORD), event(RECORD)), MALFORMED),
        Case::raw("a field twice", event(&format!(r#"{RECORD},"event_type":"record""#)), MALFORMED),
        Case::raw("a body nested 100,000 deep", nested(100_000), MALFORMED),
        Case::row(r#""unknown":{"a":1}"#, Applied),
        Case::row(&format!(r#""json":{}"#, nested(200)), MALFORMED),
        Case::row(&format!(r#""json":{}"#, nested(100_000)), MALFORMED),
        Case::kept(&format!(r#""json":{}"#, nested(100)), |row| row.json.is_some()),
        Case::probe(
            "an unknown field nested 100,000 deep",
            &format!(r#"{RECORD},"more":{}"#, nested(100_000)),
            Applied,
        ),
        Case::kept(r#""int":1,"int":2"#, |row| row.int == Some(2)),
    ]
}

fn fields(config: &Config) -> Vec<Case> {
    let named = |resource: &str, kind: &str, end| {
        let fields = format!(r#""resource_type":"{resource}","resource_id":"1","event_type":"{kind}","payload":{{}}"#);
        Case::probe(&format!("{resource:?} {kind:?}"), &fields, end)
    };
    let unknown = Dead("unknown_event");
    let mut cases = vec![
        named("inbox_events", "created", unknown),
        named("sync_settings", "deleted", unknown),
        named("*", ">", unknown),
        named("probe", ">", unknown),
        named("> .*", "created", unknown),
        named("probe ", "record", unknown),
        named("Probe", "record", unknown),
        named("probe", "x.record", Applied),
        named("probe", "record.", MALFORMED),
        named("", "record", MALFORMED),
        named("probe", "", MALFORMED),
        Case::probe("no event_type", r#""resource_type":"probe","resource_id":"1","payload":{}"#, MALFORMED),
        Case::probe("no resource", r#""event_type":"record","resource_id":"1","payload":{}"#, MALFORMED),
        Case::probe("no resource id", r#""event_type":"record","resource_type":"probe","payload":{}"#, MALFORMED),
        Case::probe("null for all", r#""event_type":null,"resource_type":null,"payload":null"#, MALFORMED),
        Case::probe("a payload that is a list", &RECORD.replace("{}", "[1]"), INVALID),
        Case::probe("no payload", &RECORD.replace(r#","payload":{}"#, ""), INVALID),
    ];
    for producer in [config.app_name.as_str(), "system_c", "", "*", ">", "a\\u0000b"] {
        let fields = format!(r#"{RECORD},"producer":"{producer}""#);
        cases.push(Case::probe(&format!("producer {producer:?}"), &fields, Dead("forged_producer")));
    }
    for (version, end) in [
        ("0", Applied),
        ("2", Dead("unsupported_version")),
        ("4294967295", Dead("unsupported_version")),
        ("4294967296", MALFORMED),
        ("-1", MALFORMED),
        ("1.0", MALFORMED),
        ("\"1\"", MALFORMED),
    ] {
        let fields = format!(r#"{RECORD},"schema_version":{version}"#);
        cases.push(Case::probe(&format!("schema_version {version}"), &fields, end));
    }
    cases
}

fn ids() -> Vec<Case> {
    let long = |length: usize| format!("\"{}\"", "x".repeat(length));
    vec![
        with_id("\"\"", MALFORMED),
        with_id("null", MALFORMED),
        with_id("[]", MALFORMED),
        with_id("true", MALFORMED),
        with_id(r#""a\u0000b""#, MALFORMED),
        with_id(r#""line\r\nbreak\u0085""#, Applied),
        with_id("\"größe 日本語 \u{1F980}\"", Applied),
        with_id("\"' OR 1=1; --\"", Applied),
        with_id("1e308", Applied),
        with_id("123456789012345678901234567890", Applied),
        with_id(&long(512), Applied),
        with_id(&long(513), MALFORMED),
        Case::raw("no event_id", format!("{{{RECORD}}}"), MALFORMED),
        Case::raw("an id of 513 bytes", format!("{{{RECORD}}}"), MALFORMED).with_header("Nats-Msg-Id", "y".repeat(513)),
        Case::raw("an id", format!("{{{RECORD}}}"), Applied).with_header("nats-msg-id", "by header"),
        Case::probe("an event", RECORD, Applied).with_header("Nats-Msg-Id", "quite another"),
    ]
}

fn headers() -> Vec<Case> {
    let probe = || Case::probe("an event", RECORD, Applied);
    let hopping = |hops: &str, end| Case { end, ..probe().with_header("Jsb-Hops", hops) };
    let many = (0..1_000).fold(probe(), |case, number| case.with_header(&format!("X-{number}"), "y"));
    vec![
        Case { name: "an event with 1,000 headers".to_owned(), ..many },
        probe().with_header("X-Long", "y".repeat(60_000)),
        Case {
            end: Dead("unknown_event"),
            ..Case::probe("an unknown event", &RECORD.replace("record", "no"), Applied)
        }
        .with_header("X-Long", "y".repeat(65_000)),
        hopping("16", Applied),
        hopping("17", Dead("hop_limit")),
        hopping("4294967295", Dead("hop_limit")),
        hopping("99999999999999999999999", Dead("hop_limit")),
        hopping("-3", Applied),
        hopping("many", Applied),
        hopping("", Applied),
        probe().with_header("traceparent", "nonsense"),
        probe().with_header("traceparent", "00-\u{1F980}-ff-01"),
        probe().with_header("Nats-Expected-Nothing", "7"),
        Case::probe("a foreign trace", &format!(r#"{RECORD},"trace_id":"{}""#, "z".repeat(10_000)), Applied),
    ]
}

fn numbers() -> Vec<Case> {
    vec![
        Case::row(r#""double":1e400"#, MALFORMED),
        Case::row(r#""single":1e39"#, INVALID),
        Case::kept(r#""single":1e38"#, |row| row.single == Some(1e38)),
        Case::kept(r#""double":-0"#, |row| row.double == Some(0.0)),
        Case::row(r#""big":9223372036854775808"#, INVALID),
        Case::row(r#""big":-9223372036854775809"#, INVALID),
        Case::kept(r#""big":9223372036854775807"#, |row| row.big == Some(i64::MAX)),
        Case::row(r#""big":1234567890123456789012345678901234567890"#, INVALID),
        Case::row(r#""big":1.5"#, INVALID),
        Case::row(r#""small":32768"#, INVALID),
        Case::row(r#""decimal":"1234567890123456789012345678901234567890""#, INVALID),
        Case::row(r#""decimal":"NaN""#, INVALID),
        Case::kept(r#""decimal":1e-3"#, |row| row.decimal == Some(rust_decimal::Decimal::new(1, 3))),
        Case::kept(r#""decimal":"1e2""#, |row| row.decimal == Some(rust_decimal::Decimal::new(100, 0))),
        Case::row(r#""grade":7"#, INVALID),
    ]
}

fn texts(backend: Backend) -> Vec<Case> {
    let no_nul = if backend == Backend::Postgres { VIOLATED } else { Applied };
    vec![
        Case::row(r#""text":"a\u0000b""#, no_nul),
        Case::row(r#""json":{"a":"\u0000"}"#, no_nul),
        Case::row(r#""text":"\ud800""#, MALFORMED),
        Case::row(r#""text":"\udc00\ud800""#, MALFORMED),
        Case::kept(r#""text":"\ud83e\udd80""#, |row| row.text.as_deref() == Some("\u{1F980}")),
        Case::row(r#""text":7"#, INVALID),
        Case::row(r#""flag":"true""#, INVALID),
        Case::row(r#""bytes":"=""#, INVALID),
        Case::row(r#""uuid":"00000000""#, INVALID),
    ]
}

fn times() -> Vec<Case> {
    let utc = |text: &str| text.parse::<chrono::DateTime<chrono::Utc>>().expect("a time");
    let (zero, last, new_year) =
        (utc("0000-01-01T00:00:00Z"), utc("9999-12-31T23:59:59.999999Z"), utc("2017-01-01T00:00:00Z"));
    let mut cases = vec![
        Case::kept(r#""utc":"0000-01-01T00:00:00Z""#, move |row| row.utc == Some(zero)),
        Case::kept(r#""utc":"9999-12-31T23:59:59.999999Z""#, move |row| row.utc == Some(last)),
        Case::kept(r#""utc":"2016-12-31T23:59:60Z""#, move |row| row.utc == Some(new_year)),
        Case::row(r#""updated_at":"9999-12-31T23:59:59Z""#, Dead("version_in_future")),
        Case::row(r#""updated_at":"0000-01-01T00:00:00Z""#, Applied),
        Case::row(r#""updated_at":"-0001-01-01T00:00:00""#, INVALID),
        Case::row(r#""updated_at":"+10000-01-01T00:00:00""#, INVALID),
        Case::row(r#""time":"23:59:60""#, INVALID),
        Case::row(r#""time_time":"23:59:60""#, INVALID),
        Case::row(r#""date":"+10000-01-01""#, INVALID),
        Case::row(r#""date":"-0001-01-01""#, INVALID),
        Case::row(r#""time_date":"+10000-01-01""#, INVALID),
        Case::kept(r#""date":"0000-01-01""#, |row| row.date == chrono::NaiveDate::from_ymd_opt(0, 1, 1)),
    ];
    for column in ["naive", "utc", "zoned", "time_naive", "time_zoned"] {
        for text in ["+10000-01-01T00:00:00", "+262000-01-01T00:00:00", "-0001-01-01T00:00:00", "2026-02-30T00:00:00Z"]
        {
            cases.push(Case::row(&format!(r#""{column}":"{text}""#), INVALID));
        }
    }
    cases
}

fn large(backend: Backend) -> Vec<Case> {
    let text = megabyte();
    let length = text.len();
    let probe = |name: &str| {
        let fields = RECORD.replace(&format!(r#""{name}":""#), &format!(r#""{name}":"{text}"#));
        Case::probe(&format!("1 MB of {name}"), &fields, MALFORMED)
    };
    let keyed = |resource: &str, fields: &str, end| {
        let fields =
            format!(r#""resource_type":"{resource}","resource_id":"1","event_type":"created","payload":{fields}"#);
        Case { is_row: true, ..Case::probe(&format!("1 MB in {resource}"), &fields, end) }
    };
    // PostgreSQL has no index entries of this size.
    let indexed = if backend == Backend::Postgres { VIOLATED } else { Applied };
    let organization =
        format!(r#"{{"id":2,"name":"n","domain":"{text}","active":true,"created_at":"2026-01-01T00:00:00Z"}}"#);
    vec![
        probe("resource_type"),
        probe("resource_id"),
        probe("event_type"),
        with_id(&format!("\"{text}\""), MALFORMED),
        Case::probe("1 MB of producer", &format!(r#"{RECORD},"producer":"{text}""#), Dead("forged_producer")),
        Case::probe("1 MB of schema_version", &format!(r#"{RECORD},"schema_version":"{text}""#), MALFORMED),
        Case::probe(
            "1 MB of occurred_at",
            &RECORD.replace("{}", &format!(r#"{{}},"occurred_at":"{text}""#)),
            MALFORMED,
        ),
        Case::kept(&format!(r#""text":"{text}""#), move |row| {
            row.text.as_ref().is_some_and(|text| text.len() == length)
        }),
        keyed("label", &format!(r#"{{"code":"{text}","title":"t"}}"#), INVALID),
        keyed("organization", &organization, indexed),
        Case::probe(
            "a child of nobody",
            r#""resource_type":"user","resource_id":"2","event_type":"created","payload":{"id":2,"organization_id":9223372036854775807,"name":"n"}"#,
            Parked("parent_missing"),
        ),
    ]
}
