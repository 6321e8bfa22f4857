//! Custom handlers that tests provoke by what they save.
