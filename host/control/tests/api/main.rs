//! The control API from outside: without a socket where that is enough, with one where connections matter.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod access;
mod data;
mod document;
mod fake;
mod lineups;
mod plugins;
mod rows;
mod sockets;
mod world;
