//! What a nats-server keeps, and what becomes of it.

use std::net::TcpListener;

use async_nats::{ConnectOptions, jetstream};
use dev_servers::{Error, NatsOptions, NatsServer};

use crate::{TestResult, exists, is_free};

#[tokio::test]
async fn streams_survive_a_stop_and_a_kill() -> TestResult {
    let mut nats = NatsServer::start(NatsOptions::default()).await?;
    let (url, first) = (nats.url(), nats.pid());
    publish_one(&url).await?;

    nats.stop().await;
    assert!(is_free(nats.port()) && nats.pid().is_none());
    nats.restart().await?;
    publish_one(&url).await?;

    nats.kill().await;
    assert!(is_free(nats.port()));
    nats.restart().await?;
    assert_ne!(nats.pid(), first);
    assert_eq!(nats.url(), url);
    assert_eq!(messages(&url).await?, 2);
    Ok(())
}

#[tokio::test]
async fn a_store_of_ones_own_outlives_its_server() -> TestResult {
    let store = tempfile::tempdir()?;
    let options = || NatsOptions { store_dir: Some(store.path().into()), ..Default::default() };
    let first = NatsServer::start(options()).await?;
    publish_one(&first.url()).await?;
    drop(first);

    let second = NatsServer::start(options()).await?;
    assert_eq!(messages(&second.url()).await?, 1);
    Ok(())
}

#[tokio::test]
async fn options_reach_the_server() -> TestResult {
    let nats = NatsServer::start(NatsOptions {
        max_payload: Some(2048),
        config: "authorization { user: ann, password: secret }".to_owned(),
        ..Default::default()
    })
    .await?;
    assert!(async_nats::connect(nats.url()).await.is_err(), "nobody is let in without a password");
    let options = ConnectOptions::with_user_and_password("ann".into(), "secret".into());
    let client = options.connect(nats.url()).await?;
    assert_eq!(client.server_info().max_payload, 2048);
    Ok(())
}

#[tokio::test]
async fn a_given_port_is_used_or_said_to_be_taken() -> TestResult {
    let elsewhere = TcpListener::bind("127.0.0.1:0")?;
    let port = elsewhere.local_addr()?.port();
    let options = NatsOptions { port: Some(port), ..Default::default() };
    let refused = NatsServer::start(options.clone()).await;
    assert!(matches!(refused, Err(Error::PortTaken(taken)) if taken == port));

    drop(elsewhere);
    let nats = NatsServer::start(options).await?;
    assert_eq!(nats.url(), format!("nats://127.0.0.1:{port}"));
    Ok(())
}

#[tokio::test]
async fn a_server_that_does_not_come_up_says_why() {
    let options = NatsOptions { config: "no_such_setting: 1".to_owned(), ..Default::default() };
    let error = NatsServer::start(options).await.expect_err("the setting does not exist");
    assert!(matches!(&error, Error::Ended { log, .. } if log.contains("no_such_setting")), "{error}");
}

#[tokio::test]
async fn a_task_that_panics_leaves_no_server() -> TestResult {
    let nats = NatsServer::start(NatsOptions::default()).await?;
    let (port, pid) = (nats.port(), nats.pid().ok_or("it runs")?);
    let task = tokio::spawn(async move {
        assert!(nats.pid().is_none(), "this fails while the task holds the server");
    });
    assert!(task.await.is_err_and(|error| error.is_panic()));
    assert!(is_free(port) && !exists(pid));
    Ok(())
}

async fn publish_one(url: &str) -> TestResult {
    let jetstream = jetstream::new(async_nats::connect(url).await?);
    jetstream.get_or_create_stream(stream()).await?;
    jetstream.publish("kept", "a message".into()).await?.await?;
    Ok(())
}

async fn messages(url: &str) -> Result<u64, Box<dyn std::error::Error>> {
    let jetstream = jetstream::new(async_nats::connect(url).await?);
    Ok(jetstream.get_stream("kept").await?.cached_info().state.messages)
}

fn stream() -> jetstream::stream::Config {
    jetstream::stream::Config { name: "kept".to_owned(), ..Default::default() }
}

#[tokio::test]
async fn a_configuration_is_read_again_without_a_restart() -> TestResult {
    let mut nats = NatsServer::start(NatsOptions::default()).await?;
    let pid = nats.pid();
    async_nats::connect(nats.url()).await?;
    nats.reload("authorization { user: ann, password: secret }").await?;
    assert!(async_nats::connect(nats.url()).await.is_err(), "nobody is let in without a password");
    assert_eq!(nats.pid(), pid);
    assert!(nats.log().contains("Reloaded"), "{}", nats.log());
    Ok(())
}
