//! Every test of the demo's program and of the files that deploy it, in one binary, so that it is linked once.

mod deploy;
mod health;
mod http;
mod pair;
mod program;
mod secrets;
mod status;
