//! The NATS side of a world: one server, or a cluster of three whose routes can be cut.

use std::time::{Duration, Instant};

use anyhow::Context;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::{ServerAddr, jetstream};
use dev_servers::{NatsOptions, NatsServer, free_port};
use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt};
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::link::{Link, Weather};
use super::world::{STREAM, Which};

/// How long a server may take to answer the harness.
const ANSWER: Duration = Duration::from_secs(5);
/// How long reading the whole stream may take.
const READ: Duration = Duration::from_secs(60);
/// How long the servers of a cluster may take to have the same.
const CURRENT: Duration = Duration::from_secs(60);
/// How soon it is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// One server, or several that form a cluster.
pub struct Broker {
    nodes: Vec<Node>,
    routes: Vec<Route>,
}

struct Node {
    server: Mutex<NatsServer>,
    port: u16,
    store: TempDir,
}

/// The link over which one node reaches another.
struct Route {
    from: usize,
    to: usize,
    link: Link,
}

impl Broker {
    /// Starts `nodes` servers, which are a cluster if they are several.
    pub async fn start(nodes: usize) -> anyhow::Result<Self> {
        let cluster_ports: Vec<u16> = (0..nodes).map(|_| free_port()).collect();
        let mut routes = Vec::new();
        for (from, to) in (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to))) {
            if from != to {
                routes.push(Route { from, to, link: Link::to(cluster_ports[to]).await? });
            }
        }
        let start = |node: usize| {
            let config = if nodes == 1 { String::new() } else { cluster_config(node, cluster_ports[node], &routes) };
            Node::start(config)
        };
        let nodes = try_join_all((0..nodes).map(start)).await?;
        Ok(Self { nodes, routes })
    }

    /// How many servers there are.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// The ports for clients.
    pub fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(|node| node.port).collect()
    }

    /// Kills a server.
    pub async fn kill(&self, node: usize) {
        self.nodes[node].server.lock().await.kill().await;
    }

    /// Stops a server in order.
    pub async fn stop(&self, node: usize) {
        self.nodes[node].server.lock().await.stop().await;
    }

    /// Loses the store of a server that is down.
    pub fn lose_store(&self, node: usize) -> std::io::Result<()> {
        std::fs::remove_dir_all(self.nodes[node].store())
    }

    /// Starts a server again.
    pub async fn restart(&self, node: usize) -> anyhow::Result<()> {
        Ok(self.nodes[node].server.lock().await.restart().await?)
    }

    /// Cuts a server off from the others; its clients still reach it.
    pub fn set_routes_of(&self, node: usize, weather: Weather) {
        for route in self.routes.iter().filter(|route| route.from == node || route.to == node) {
            route.link.set(weather);
        }
    }

    /// The server that leads a stream.
    pub async fn leader(&self, stream: &str) -> anyhow::Result<usize> {
        let info = self.context().await?.get_stream(stream).await?.get_info().await?;
        let leader = info.cluster.and_then(|cluster| cluster.leader).context("the stream has no leader now")?;
        for (index, node) in self.nodes.iter().enumerate() {
            if node.server.lock().await.name() == leader {
                return Ok(index);
            }
        }
        anyhow::bail!("the stream's leader {leader} is none of ours")
    }

    /// Waits until every server of a cluster has the whole stream and all that is known of its durables.
    pub async fn until_current(&self, stream: &str, durables: &[String]) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let behind = match self.behind(stream, durables).await {
                Ok(behind) if behind.is_empty() => return Ok(()),
                Ok(behind) => behind.join(", "),
                Err(error) => format!("{error:#}"),
            };
            anyhow::ensure!(began.elapsed() < CURRENT, "not every server is current: {behind}");
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// The servers that follow the leader of the stream or of a durable, and have not caught up.
    async fn behind(&self, stream: &str, durables: &[String]) -> anyhow::Result<Vec<String>> {
        let mut stream = self.context().await?.get_stream(stream).await?;
        let mut groups = vec![stream.info().await?.cluster.clone()];
        for durable in durables {
            groups.push(stream.consumer_info(durable).await?.cluster);
        }
        let mut behind = Vec::new();
        for group in groups {
            let group = group.context("no cluster")?;
            let followers = self.size() - 1;
            anyhow::ensure!(group.leader.is_some(), "no leader");
            anyhow::ensure!(group.replicas.len() == followers, "{} of {followers} followers", group.replicas.len());
            behind
                .extend(group.replicas.into_iter().filter(|peer| peer.offline || !peer.current).map(|peer| peer.name));
        }
        Ok(behind)
    }

    /// Messages that a durable has still to deliver, and deliveries that wait for their acknowledgement.
    pub async fn left_for(&self, stream: &str, durable: &str) -> anyhow::Result<(u64, usize)> {
        let stream = self.context().await?.get_stream_no_info(stream).await?;
        let info = stream.consumer_info(durable).await?;
        Ok((info.num_pending, info.num_ack_pending))
    }

    /// The ids of the events that an app has published, as they lie in the stream; waits until a cluster has a leader.
    pub async fn published_by(&self, which: Which) -> anyhow::Result<Vec<String>> {
        let began = Instant::now();
        loop {
            match self.read_published_by(which).await {
                Err(_) if began.elapsed() < READ => tokio::time::sleep(AGAIN).await,
                read => return read,
            }
        }
    }

    async fn read_published_by(&self, which: Which) -> anyhow::Result<Vec<String>> {
        let stream = self.context().await?.get_stream(STREAM).await?;
        let filter_subject = format!("{}.sync.{}", which.app(), which.other().app());
        let config = OrderedConfig { filter_subject, headers_only: true, ..Default::default() };
        let mut consumer = stream.create_consumer(config).await?;
        let there = usize::try_from(consumer.info().await?.num_pending)?;
        let ids = consumer.messages().await?.take(there).map(|message| {
            let headers = message?.headers.clone().unwrap_or_default();
            let id = headers.get(NATS_MESSAGE_ID).context("an event without a message id")?;
            Ok(id.to_string())
        });
        tokio::time::timeout(READ, ids.try_collect()).await?
    }

    async fn context(&self) -> anyhow::Result<jetstream::Context> {
        let address = |node: &Node| format!("nats://127.0.0.1:{}", node.port).parse::<ServerAddr>();
        let addresses = self.nodes.iter().map(address).collect::<Result<Vec<_>, _>>()?;
        let client = tokio::time::timeout(ANSWER, async_nats::connect(addresses)).await??;
        Ok(jetstream::new(client))
    }
}

impl Node {
    async fn start(config: String) -> anyhow::Result<Self> {
        let store = tempfile::tempdir()?;
        let store_dir = Some(store.path().join("js"));
        let server = NatsServer::start(NatsOptions { store_dir, config, ..Default::default() }).await?;
        Ok(Self { port: server.port(), server: Mutex::new(server), store })
    }

    fn store(&self) -> std::path::PathBuf {
        self.store.path().join("js")
    }
}

/// Nodes find one another by their links alone: the address that one advertises to the others' gossip leads nowhere.
fn cluster_config(node: usize, port: u16, routes: &[Route]) -> String {
    let own = routes.iter().filter(|route| route.from == node);
    let urls: Vec<String> = own.map(|route| format!("\"nats://127.0.0.1:{}\"", route.link.port())).collect();
    format!(
        "cluster {{ name: faults, listen: \"127.0.0.1:{port}\", advertise: \"127.0.0.1:1\", no_advertise: true, \
         routes: [{}] }}",
        urls.join(", ")
    )
}
