//! A report: all that can be seen of an app's events from outside its bridge.

use chrono::{DateTime, Utc};
use sea_orm::DatabaseConnection;
use serde::Serialize;

use super::{Connection, ConsumerState, StreamState};
use crate::causes::chain;
use crate::config::Config;
use crate::jetstream::StreamError;
use crate::preflight::{self, StartError};
use crate::registry;
use crate::status::Tables;

const NO_CONNECTION: &str = "there is no connection to NATS";
const NO_DATABASE: &str = "no database was given";

/// What was seen, or why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Part<T> {
    /// It was seen.
    Seen(T),
    /// It was not.
    Unseen {
        /// Why.
        unseen: String,
        /// Whether that is a fault; it is none that nobody asked, or that this user may not.
        is_fault: bool,
    },
}

/// How far the events of an app have come.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The app.
    pub app: String,
    /// The app that it syncs with.
    pub destination: String,
    /// Whether NATS answered.
    #[serde(skip)]
    pub is_connected: bool,
    /// The stream that carries the pair.
    pub stream: Part<StreamState>,
    /// The app's consumer.
    pub consumer: Part<ConsumerState>,
    /// Since when the oldest message waits that the app's consumer has not acknowledged, if any does.
    pub oldest_unacknowledged: Part<Option<DateTime<Utc>>>,
    /// The consumer of the other app.
    pub peer: Part<ConsumerState>,
    /// How many letters are in the app's DLQ; with USE_DLQ=false, how many events are dead in its inbox.
    pub dead_letters: Part<u64>,
    /// The app's outbox and inbox.
    pub tables: Part<Tables>,
    /// The entities that this program knows.
    pub resources: Vec<&'static str>,
}

impl Report {
    /// Whether neither the stream nor the consumer was seen, as where a name is wrong: what another app has is denied.
    pub fn is_blind(&self) -> bool {
        self.stream.seen().is_none() && self.consumer.seen().is_none()
    }
}

impl<T> Part<T> {
    /// It was not to be seen, since something is wrong.
    pub fn fault(why: impl Into<String>) -> Self {
        Self::Unseen { unseen: why.into(), is_fault: true }
    }

    /// It was not looked at, which is nobody's fault.
    pub(crate) fn not_asked(why: impl Into<String>) -> Self {
        Self::Unseen { unseen: why.into(), is_fault: false }
    }

    /// What was seen.
    pub fn seen(&self) -> Option<&T> {
        match self {
            Self::Seen(seen) => Some(seen),
            Self::Unseen { .. } => None,
        }
    }

    /// A part of what was seen, or why it was not.
    fn map<U>(&self, part: impl FnOnce(&T) -> U) -> Part<U> {
        match self {
            Self::Seen(seen) => Part::Seen(part(seen)),
            Self::Unseen { unseen, is_fault } => Part::Unseen { unseen: unseen.clone(), is_fault: *is_fault },
        }
    }
}

impl<T> From<Result<T, StreamError>> for Part<T> {
    fn from(asked: Result<T, StreamError>) -> Self {
        match asked {
            Ok(seen) => Self::Seen(seen),
            Err(error) => Self::Unseen { unseen: chain(&error), is_fault: !error.is_denied() },
        }
    }
}

/// How much of the tables is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All events.
    Everything,
    /// What [`Report::checks`] judges, which may be asked for every minute: what waits, and nothing of what is done. The rest
    /// is left out of [`Report::tables`], as if there were none.
    Judged,
}

/// Looks at the server and, if `db` is given, at the tables. What cannot be seen says why.
///
/// It connects by [`Connection::open`]: unless [`Config::nats_inbox_prefix`] is set, answers come below `_INBOX.` and the user of
/// the URL, or below `_INBOX.admin` without one, but not below the app's own `_INBOX.{APP_NAME}`. A user who may not hear them sees
/// nothing, and the check of the stream is a fault.
///
/// # Example
///
/// ```no_run
/// # async fn example(db: sea_orm::DatabaseConnection) -> Result<(), Box<dyn std::error::Error>> {
/// use jsb_runtime::Config;
/// use jsb_runtime::operate::{self, Extent};
///
/// let report = operate::report(Config::from_env()?, Some(&db), Extent::Judged).await;
/// let faults = report.checks(&operate::Limits::default()).into_iter().filter(|check| check.is_fault());
/// faults.for_each(|check| println!("{}: {}", check.name, check.detail));
/// # Ok(())
/// # }
/// ```
pub async fn report(config: Config, db: Option<&DatabaseConnection>, extent: Extent) -> Report {
    let tables = async {
        match db {
            Some(db) => read(db, &config, extent).await.map_or_else(|error| Part::fault(chain(&error)), Part::Seen),
            None => Part::not_asked(NO_DATABASE),
        }
    };
    let (mut report, tables) = tokio::join!(server(config.clone()), tables);
    if !config.use_dlq {
        report.dead_letters = tables.map(|tables| tables.dead_events);
    }
    report.tables = tables;
    report
}

async fn read(db: &DatabaseConnection, config: &Config, extent: Extent) -> Result<Tables, StartError> {
    preflight::check_owner(db, &config.app_name).await?;
    Ok(match extent {
        Extent::Everything => Tables::read(db).await?,
        // Without a DLQ, the dead events of the inbox are what is judged as the dead letters.
        Extent::Judged => Tables::judged(db, !config.use_dlq).await?,
    })
}

async fn server(config: Config) -> Report {
    let (app, destination) = (config.app_name.clone(), config.destination_app.clone());
    let mut report = Report {
        is_connected: false,
        stream: Part::not_asked(NO_CONNECTION),
        consumer: Part::not_asked(NO_CONNECTION),
        oldest_unacknowledged: Part::not_asked(NO_CONNECTION),
        peer: Part::not_asked(NO_CONNECTION),
        dead_letters: Part::not_asked(NO_CONNECTION),
        tables: Part::not_asked(NO_DATABASE),
        resources: registry::all().entities().map(|entity| entity.resource).collect(),
        app,
        destination,
    };
    match Connection::open(config).await {
        Ok(connection) => {
            report.is_connected = true;
            let (stream, consumer, peer, dead_letters) = tokio::join!(
                connection.stream(),
                connection.consumer(&report.app),
                connection.consumer(&report.destination),
                connection.dead_letters(&report.app)
            );
            report.stream = stream.into();
            report.consumer = consumer.into();
            report.peer = peer.into();
            report.dead_letters = dead_letters.into();
            report.oldest_unacknowledged = match &report.consumer {
                Part::Seen(consumer) => connection.oldest_unacknowledged(consumer).await.into(),
                unseen => unseen.map(|_| None),
            };
            connection.close().await;
        }
        Err(error) => report.stream = Part::fault(chain(&error)),
    }
    report
}
