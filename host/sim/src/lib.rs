//! The DIFF server: recorded or synthetic days, served to any DIFF client, the official Python client unmodified among
//! them, with simulated accounts on the same exchange as backtests.
//!
//! What may be seen is a function of the clock's step ([`Speed`]); lines share rows that never change and make what they
//! send at the moment they may send it. The protocol's words are in its document; IDs `DS-…` name its checklist.

mod accounts;
mod bars;
mod chart;
mod clock;
mod desk;
mod floor;
mod graphql;
mod http;
mod hub;
mod instruments;
mod line;
mod load;
mod md;
mod pace;
mod picture;
mod serve;
mod tape;
mod td;
mod terms;
#[cfg(test)]
mod tests;
mod wire;

pub use clock::Speed;
pub use load::Source;
pub use serve::{Ready, SimConfig, Start, serve, serve_until};
