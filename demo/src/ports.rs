//! Taking a port, or saying plainly that it is taken.

use std::io;
use std::net::IpAddr;

use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};

/// Why a port cannot be had.
#[derive(Debug, Error)]
pub(crate) enum PortError {
    #[error("port {0} is taken by another program")]
    Taken(u16),
    #[error("cannot listen on port {0}: {1}")]
    Refused(u16, io::Error),
}

/// Listens on a port.
pub(crate) async fn listen(ip: IpAddr, port: u16) -> Result<TcpListener, PortError> {
    // Someone who listens on `::1` alone does not stop us, and would answer to `localhost` in our place.
    if TcpStream::connect(("localhost", port)).await.is_ok() {
        return Err(PortError::Taken(port));
    }
    TcpListener::bind((ip, port)).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => PortError::Taken(port),
        _ => PortError::Refused(port, error),
    })
}
