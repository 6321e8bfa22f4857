//! Two applications that sync with each other, as in production but for their names.

use std::fmt::Debug;

use jsb_runtime::{Config, Status};
use sea_orm::{EntityTrait, PrimaryKeyToColumn, QueryOrder};
use uuid::Uuid;

use crate::{App, Backend, Remote, TestDatabase, servers, until};

/// System A and system B. Their names are their own, so that any number of pairs share one server; A's sorts first.
pub struct Pair {
    /// System A: node 1 of 2.
    pub a: App,
    /// System B: node 0 of 2.
    pub b: App,
}

impl Pair {
    /// Makes a pair whose bridges do not run yet.
    pub async fn create(backend: Backend) -> Self {
        Self::configured(backend, |config| config).await
    }

    /// Makes a pair, configured by `change`.
    pub async fn configured(backend: Backend, change: impl Fn(Config) -> Config) -> Self {
        Self::on(backend, backend, change).await
    }

    /// Makes a pair whose sides may differ in their databases.
    pub async fn on(a_on: Backend, b_on: Backend, change: impl Fn(Config) -> Config) -> Self {
        let databases = [TestDatabase::create(a_on).await, TestDatabase::create(b_on).await];
        Self::with_databases(databases, change).await
    }

    /// Makes a pair on these databases, A's first.
    pub async fn with_databases([a_on, b_on]: [TestDatabase; 2], change: impl Fn(Config) -> Config) -> Self {
        let url = servers::nats().await.url();
        let id = Uuid::new_v4().simple().to_string();
        let (a, b) = (format!("a-{id}"), format!("b-{id}"));
        let config = |app: &str, other: &str, index| {
            change(Config::new(app, other).nats_url(url.as_str()).stream_name(format!("s-{id}")).node(index, 2))
        };
        let (a, b) = (config(&a, &b, 1), config(&b, &a, 0));
        Self { a: App::on(a_on, a).await, b: App::on(b_on, b).await }
    }

    /// Makes a pair that runs.
    pub async fn start(backend: Backend) -> Self {
        let mut pair = Self::create(backend).await;
        pair.start_both().await;
        pair
    }

    /// Makes a pair of which B alone runs; what comes to B is the test's to say.
    pub async fn receiving(backend: Backend) -> (Self, Remote) {
        let mut pair = Self::create(backend).await;
        let remote = pair.receive().await;
        (pair, remote)
    }

    /// Starts B's bridge, for which the test publishes in A's stead.
    pub async fn receive(&mut self) -> Remote {
        self.b.start().await;
        Remote::of(&self.b).await
    }

    /// Starts both bridges.
    pub async fn start_both(&mut self) {
        self.a.start().await;
        self.b.start().await;
    }

    /// Waits until both bridges have their stream and their durable.
    pub async fn until_attached(&self) {
        self.a.until_attached().await;
        self.b.until_attached().await;
    }

    /// Waits until nothing is on its way: both outboxes are sent, and each inbox has settled what the other sent.
    pub async fn quiet(&self) {
        until("both sides are quiet", async || {
            let (a, b) = (self.a.status().await, self.b.status().await);
            let settled = |status: &Status| status.processed_events + status.dead_events;
            let idle = |status: &Status| status.pending_events + status.parked_events + status.failed_events == 0;
            let arrived = settled(&b) >= a.sent_events && settled(&a) >= b.sent_events;
            idle(&a) && idle(&b) && arrived
        })
        .await;
    }

    /// Waits until nothing is on its way, finds that both sides hold the same rows, and gives them back by key.
    pub async fn agree<E: EntityTrait<Model: PartialEq + Debug>>(&self) -> Vec<E::Model> {
        self.quiet().await;
        self.agree_now::<E>().await
    }

    /// Finds that both sides hold the same rows as they are now.
    pub async fn agree_now<E: EntityTrait<Model: PartialEq + Debug>>(&self) -> Vec<E::Model> {
        let (a, b) = self.rows::<E>().await;
        assert_eq!(a, b);
        a
    }

    /// Both sides' rows of an entity, ordered by key.
    pub async fn rows<E: EntityTrait>(&self) -> (Vec<E::Model>, Vec<E::Model>) {
        (rows::<E>(&self.a).await, rows::<E>(&self.b).await)
    }

    /// Stops both bridges in order.
    pub async fn stop(mut self) {
        self.a.stop().await;
        self.b.stop().await;
    }
}

async fn rows<E: EntityTrait>(app: &App) -> Vec<E::Model> {
    let key = <E::PrimaryKey as sea_orm::Iterable>::iter().map(PrimaryKeyToColumn::into_column);
    let select = key.fold(E::find(), |select, column| select.order_by_asc(column));
    select.all(&app.db).await.expect("the rows")
}
