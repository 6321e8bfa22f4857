//! Somebody between a client and its server, who can change what the server says before TLS begins.

use std::io::ErrorKind;
use std::net::Ipv4Addr;

use dev_servers::{NatsOptions, NatsServer};
use jsb_runtime::Config;
use jsb_tests::entities::organization;
use jsb_tests::identity::Authority;
use jsb_tests::{Backend, ChildCommand, DEADLINE, Pair, eventually};
use sea_orm::EntityTrait;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Stands before the server on `server_port`, and names a server on `named_port` to its clients. Gives the port to come
/// to, and how many have come.
async fn impostor(server_port: u16, named_port: u16) -> (u16, watch::Receiver<usize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let (came, clients) = watch::channel(0);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            came.send_modify(|clients| *clients += 1);
            tokio::spawn(pass_on(client, server_port, named_port));
        }
    });
    (port, clients)
}

/// Passes on what both say, with one more server in the server's first line, which is in clear.
async fn pass_on(mut client: TcpStream, server_port: u16, named_port: u16) -> std::io::Result<()> {
    let mut server = BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, server_port)).await?);
    let mut info = String::new();
    server.read_line(&mut info).await?;
    let named = format!(r#"INFO {{"connect_urls":["127.0.0.1:{named_port}"],"#);
    client.write_all(info.replacen("INFO {", &named, 1).as_bytes()).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_goes_to_a_server_that_was_named_before_tls_began() {
    let authority = Authority::create();
    let config = format!("{}\nauthorization {{ token: open-sesame }}", authority.config(""));
    let mut nats = NatsServer::start(NatsOptions { config, ..Default::default() }).await.expect("nats-server starts");
    let named = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    named.set_nonblocking(true).expect("a port that can be looked at");
    let (port, mut clients) = impostor(nats.port(), named.local_addr().expect("an address").port()).await;

    let url = |port: u16| format!("tls://open-sesame@127.0.0.1:{port}");
    let (honest, root) = (url(nats.port()), authority.file("ca.pem"));
    let change = |config: Config| config.nats_url(honest.as_str()).nats_ca(root.clone());
    let mut pair = Pair::configured(Backend::Sqlite, change).await;
    pair.b.start().await;
    // The URL alone turns TLS on: the authority is one that the child's system trusts.
    let child = ChildCommand::new(env!("CARGO_BIN_EXE_app"), &pair.a)
        .set("NATS_URL", url(port))
        .set("NATS_CA", "")
        .set("SSL_CERT_FILE", root.display().to_string());
    let mut child = child.start().await;
    child.order("save acme.example", "saved").await;
    eventually("the row arrives", || organization::Entity::find().one(&pair.b.db)).await;

    nats.stop().await;
    // Each round of attempts goes to every server that the client knows.
    let in_the_third_round = *clients.borrow() + 3;
    let tried = tokio::time::timeout(DEADLINE, clients.wait_for(|clients| *clients >= in_the_third_round)).await;
    tried.expect("the client tries again").expect("somebody stands there");
    let came = named.accept().expect_err("nobody comes");
    assert_eq!(came.kind(), ErrorKind::WouldBlock);
    child.kill().await;
    pair.stop().await;
}
