//! A TCP link between one application and one server, with weather: slow, stalled, cut, or losing answers or the server.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a link is cut to end its connections.
const CUT: Duration = Duration::from_millis(100);

/// How a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// It passes everything on at once.
    Clear,
    /// Everything takes this long.
    Slow(Duration),
    /// Nothing passes, and nobody is told.
    Stalled,
    /// Every connection ends, and no new one is taken.
    Cut,
    /// Requests pass, and nothing ever comes back, as when a server has vanished without a word. New connections are clear.
    Silent,
    /// The server's host has vanished without a word, and another one took its place: for the server every connection ends, and
    /// the client hears nothing of it. New connections are clear.
    FailedOver,
    /// Requests pass, and the connection ends instead of their answers: the client will send them twice. New connections
    /// are clear.
    LosesAnswers,
}

/// The weather, and how often it has changed.
#[derive(Clone, Copy)]
struct Forecast {
    weather: Weather,
    number: u64,
}

/// A link; dropped, it ends with all its connections.
pub struct Link {
    port: u16,
    forecast: watch::Sender<Forecast>,
    listening: JoinHandle<()>,
}

impl Link {
    /// Listens on a free port for clients of the server on `server_port`.
    pub async fn to(server_port: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let forecast = watch::Sender::new(Forecast { weather: Weather::Clear, number: 0 });
        let seen = forecast.subscribe();
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if seen.borrow().weather != Weather::Cut {
                    tokio::spawn(connect(client, server_port, seen.clone()));
                }
            }
        });
        Ok(Self { port, forecast, listening })
    }

    /// Where clients connect.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends every connection of this moment.
    pub async fn cut_connections(&self) {
        self.set(Weather::Cut);
        // Each connection must see it.
        tokio::time::sleep(CUT).await;
    }

    /// Changes the weather.
    pub fn set(&self, weather: Weather) {
        self.forecast.send_modify(|now| *now = Forecast { weather, number: now.number + 1 });
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.set(Weather::Cut);
        self.listening.abort();
    }
}

async fn connect(client: TcpStream, server_port: u16, mut seen: watch::Receiver<Forecast>) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server_port)).await else { return };
    // A server's answer waits for nothing here but the weather.
    let _ = client.set_nodelay(true).and(server.set_nodelay(true));
    let born = seen.borrow().number;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut ended = seen.clone();
    tokio::select! {
        _ = pass_on(&mut from_client, &mut to_server, seen.clone(), None) => return,
        _ = pass_on(&mut from_server, &mut to_client, seen.clone(), Some(born)) => return,
        _ = ended.wait_for(|now| now.weather == Weather::Cut) => return,
        _ = seen.wait_for(|now| now.weather == Weather::FailedOver && born < now.number) => {}
    }
    drop((from_server, to_server));
    let _ = ended.wait_for(|now| now.weather == Weather::Cut).await;
}

/// Passes on one direction; `answers_since` is when the connection was made, for the direction of answers.
async fn pass_on(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    mut seen: watch::Receiver<Forecast>,
    answers_since: Option<u64>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        let passes = seen.wait_for(|now| now.weather != Weather::Stalled).await;
        let Ok(now) = passes.map(|now| *now) else { return Ok(()) };
        match now.weather {
            Weather::LosesAnswers if answers_since.is_some_and(|born| born < now.number) => return Ok(()),
            Weather::Silent if answers_since.is_some_and(|born| born < now.number) => std::future::pending().await,
            Weather::Slow(delay) => tokio::time::sleep(delay).await,
            _ => {}
        }
        to.write_all(&buffer[..read]).await?;
    }
}
