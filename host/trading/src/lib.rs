//! The service of one account: variety threads, lineups, shadows and swaps, the paper account.

mod client;
pub mod protocol;

pub use client::{Client, ClientError, socket_path};
