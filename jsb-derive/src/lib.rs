//! The derive and attribute macros of JSB.
