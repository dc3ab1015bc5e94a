//! The event loop by its features: cuts, rolls, money, sessions, faults.
#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where an assumption breaks")]

mod account;
mod cuts;
mod honesty;
mod parity;
mod roll;
mod runs;
mod sessions;
mod world;
