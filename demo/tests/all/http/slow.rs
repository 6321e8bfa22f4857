//! Clients that take their time.

use std::io::Read as _;

use super::{Answer, System, shown};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_are_cut_off_and_the_others_are_served() {
    let (_folder, _nats, system) = System::on_sqlite().await;

    let mut headers = system.send("GET /organizations HTTP/1.1\r\nHost: x\r\nX-");
    let body = system.send(
        "POST /organizations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
    );
    assert_eq!(system.ask("GET", "/organizations").status, 200, "others are served meanwhile");
    Answer::read(body).expect("an answer before the deadline").is_refused(&[408]);
    let mut rest = Vec::new();
    // Either way it is over, and before the deadline that the connection has.
    let ended = headers.read_to_end(&mut rest).is_ok() && rest.is_empty();
    assert!(ended, "{}", shown(&rest));
}
