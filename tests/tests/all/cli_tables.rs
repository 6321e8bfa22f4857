//! The commands on the outbox and the inbox, end to end.
