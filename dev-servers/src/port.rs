//! Ports that servers can listen on.

use std::net::{Ipv4Addr, TcpListener};

/// Below the range that systems draw the ports of outgoing connections from, so that none of those
/// takes the port of a server that is down for a moment: a client on the same machine that keeps
/// reconnecting can even end up connected to itself.
const DRAWN_FROM: std::ops::Range<u16> = 20_000..32_000;

/// Draws a port of 127.0.0.1 that nobody listens on.
pub fn free() -> u16 {
    loop {
        let port = rand::random_range(DRAWN_FROM);
        if is_free(port) {
            return port;
        }
    }
}

/// Whether a server could listen on this port now.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
