//! The service of one account: variety threads, lineups, shadows and swaps, the paper account.
//!
//! Each variety has a thread that plays its ticks ([`worker`]) and a keeper that owns its life: requests, operations, what is
//! on the disk. The keeper works out what follows by `ghtrader_runtime::lifecycle` and tells the thread, which waits for
//! nobody. The control API and the command line ask over a local socket, in the form of [`protocol`].

mod client;
mod compare;
mod keeper;
mod mail;
mod maker;
mod plan;
mod prepare;
pub mod protocol;
mod records;
mod seat;
mod service;
mod source;
mod warm;
mod worker;

pub use client::{Client, ClientError, socket_path};
pub use maker::{LineupMaker, RegistryMaker};
pub use plan::{
    LineupFile, ModelRef, PluginRef, Room, first_lineup, free_memory_mib, make_plan, moved_tags, plan_hash,
};
pub use records::kept_artefacts;
pub use service::{Ended, ServiceConfig, Settings, VarietyConfig, run};
pub use source::{Source, SourceDay, synthetic};
