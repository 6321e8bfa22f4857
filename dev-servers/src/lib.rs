//! Servers for development.
