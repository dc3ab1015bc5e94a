//! One variety's lineup, driven the same way live and in backtest.
//!
//! The room is pure: rows and account facts come in, order intents go out. What sends an intent on (the simulated
//! exchange, a broker) is not known here, and neither is a clock.

mod desk;
mod layout;
pub mod lifecycle;
mod lineup;
mod strategy;

pub use desk::{Desk, DeskLimits, ExchangeNews, Intent, OrderIntent, PositionView};
pub use layout::{DayColumns, InputLayout};
pub use lineup::{Answer, Lineup, LineupParts, Scorer};
pub use strategy::StrategyRunner;

use ghtrader_core::{ErrorClass, Problem};
use ghtrader_plugin::PluginFault;

/// Why a lineup cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A strategy asks for a column that nothing in the lineup makes.
    #[error("input `{name}` of the strategy is no tick column and no output of the lineup; there are: {known}")]
    UnknownColumn {
        /// The name asked for.
        name: String,
        /// What could have been asked for.
        known: String,
    },
    /// A plugin failed.
    #[error(transparent)]
    Plugin(#[from] PluginFault),
    /// A plugin answered with something the contract does not allow.
    #[error("the strategy broke the contract: {what}")]
    Contract {
        /// What it did, with value and bound.
        what: String,
    },
}

impl From<RuntimeError> for Problem {
    fn from(error: RuntimeError) -> Self {
        let what = error.to_string();
        match error {
            RuntimeError::UnknownColumn { .. } => Self::new(
                "unknown_column",
                ErrorClass::User,
                what,
                "add the feature or model that makes it to the lineup, or correct the name in plugin.toml",
            ),
            RuntimeError::Plugin(fault) => fault.into(),
            RuntimeError::Contract { .. } => {
                Self::new("plugin_contract", ErrorClass::Plugin, what, "build the plugin with the SDK of this host")
            }
        }
    }
}
