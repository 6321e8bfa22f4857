//! What cannot be served.

use serde_json::Value;

use super::{FINE, System, organization};

/// How many organizations there are.
fn organizations(system: &System) -> Option<usize> {
    let all: Value = serde_json::from_str(&system.ask("GET", "/organizations").body).expect("JSON");
    all.as_array().map(Vec::len)
}

/// Ids that name no row, and paths that name nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_refused_as_json() {
    let (_folder, _nats, system) = System::on_sqlite().await;
    assert_eq!(system.post(FINE).status, 201);
    let long = "9".repeat(10_000);
    let ids = [
        "abc",
        "-1",
        "0",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "1e3",
        "1.0",
        "0x1",
        "%00",
        "1%00",
        "1/2",
        "",
        "%20",
        "1%20",
        "%ff",
        "..",
        "1;drop%20table%20users",
        "1'--",
        "NaN",
        "null",
        &long,
    ];
    for id in ids {
        for method in ["GET", "DELETE"] {
            system.ask(method, &format!("/organizations/{id}")).is_refused(&[404]);
        }
        let change = system.try_ask("PATCH", &format!("/users/{id}"), Some(("application/json", br#"{"user": {}}"#)));
        change.expect("an answer").is_refused(&[404]);
    }
    for (method, path) in
        [("DELETE", "/organizations"), ("POST", "/organizations/1"), ("BREW", "/users"), ("POST", "/health")]
    {
        system.ask(method, path).is_refused(&[405]);
    }
    for query in ["?id=%00", "?page=-1&page=x", "?';--", "?%ff=%"] {
        assert_eq!(system.ask("GET", &format!("/organizations{query}")).status, 200, "a query says nothing here");
    }
    assert_eq!(organizations(&system), Some(1), "it is still there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_no_organization_are_refused_as_json() {
    let (_folder, _nats, system) = System::on_sqlite().await;
    assert_eq!(system.post(FINE).status, 201);
    for kind in ["", "text/plain", "application/x-www-form-urlencoded", "application/jso", "\u{fc}"] {
        let answer = system.try_ask("POST", "/organizations", Some((kind, FINE.as_bytes())));
        answer.expect("an answer").is_refused(&[415]);
    }
    let deep = "[".repeat(100_000);
    let nested = |depth| organization(&format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth)));
    let malformed = [
        "",
        "{",
        "null",
        "[]",
        "3",
        "\"text\"",
        "{}",
        r#"{"organization": null}"#,
        r#"{"organization": []}"#,
        r#"{"user": {}}"#,
        r#"{"organization": {}} trailing"#,
        "\u{feff}{}",
        &deep,
        &nested(50),
        &nested(100_000),
    ];
    for body in malformed {
        system.post(body).is_refused(&[400, 422]);
    }
    system.post(b"{\"organization\": {\"name\": \"\xff\xfe\"}}").is_refused(&[400]);
    let names = [
        r#""\u0000""#,
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        "\"\u{1}\"",
        "1",
        "1e400",
        "-1e400",
        "true",
        "[]",
        "{}",
        "null",
        "\"\"",
        "\" \t\"",
        &format!("\"{}\"", "x".repeat(1_000_000)),
        &format!("\"{}\"", "\\u0041".repeat(100_000)),
        &"1".repeat(100_000),
    ];
    for name in names {
        system.post(organization(name)).is_refused(&[400, 422]);
    }
    for field in [r#""active": "yes""#, r#""active": 1"#, r#""domain": 1"#, r#""domain": "acme.example""#] {
        let body = format!(r#"{{"organization": {{"name": "x", "domain": "x.example", {field}}}}}"#);
        system.post(body).is_refused(&[400, 422]);
    }
    for id in ["9223372036854775808", "-1", "1e3", "1.5", "\"1\"", "null", "[1]", "99"] {
        let body = format!(r#"{{"user": {{"organization_id": {id}, "name": "x", "email": "x@x.example"}}}}"#);
        let answer = system.try_ask("POST", "/users", Some(("application/json", body.as_bytes())));
        answer.expect("an answer").is_refused(&[400, 422]);
    }
    // One byte more than is read.
    system.post("x".repeat(1024 * 1024 + 1)).is_refused(&[413]);
    assert_eq!(organizations(&system), Some(1), "only what was answered with 201 is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_odd_but_allowed_is_served() {
    let (_folder, _nats, system) = System::on_sqlite().await;
    // Of a key that is there twice the last counts, as everywhere in JSON.
    let twice = system.post(r#"{"organization": {"name": 1, "name": "Twice", "domain": "twice.example"}}"#);
    assert!(twice.status == 201 && twice.body.contains("Twice"), "{twice:?}");
    // What is not known is ignored, whatever it says.
    let unknown = r#"{"organization": {"name": "Strange", "domain": "strange.example", "note": "\u0000"}}"#;
    assert_eq!(system.post(unknown).status, 201);
    assert_eq!(organizations(&system), Some(2));
}
