//! Flags of `ghtrader data download` and `ghtrader data record`.

use clap::Args;
use ghtrader_core::{ContractId, TradingDay, Variety};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Download {
    /// Contracts, such as SHFE.cu2509
    #[arg(required_unless_present = "var")]
    pub(crate) symbols: Vec<ContractId>,
    /// Products: every contract of theirs that the source knows and that was listed in the range
    #[arg(long, value_delimiter = ',')]
    pub(crate) var: Vec<Variety>,
    /// First trading day
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) from: TradingDay,
    /// Last trading day
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) to: TradingDay,
    /// Fetches days again that are stored or known to have no rows
    #[arg(long)]
    pub(crate) again: bool,
    /// Asks the source which contracts there are, however young its last list is
    #[arg(long)]
    pub(crate) refresh: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Update {
    /// Products; all with stored ticks if absent
    #[arg(long, value_delimiter = ',')]
    pub(crate) var: Vec<Variety>,
    /// First trading day to fetch; the last stored one if absent
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) from: Option<TradingDay>,
    /// Last trading day to fetch; the latest if absent
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) to: Option<TradingDay>,
    /// Fetches nothing and works on what is stored
    #[arg(long, conflicts_with_all = ["from", "to"])]
    pub(crate) offline: bool,
    /// Asks the source which contracts there are, however young its last list is
    #[arg(long, conflicts_with = "offline")]
    pub(crate) refresh: bool,
    /// Features and labels whose columns are built too
    #[arg(long, value_name = "FILE")]
    pub(crate) plugin: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Record {
    /// Contracts, such as SHFE.cu2509
    #[arg(required_unless_present = "var")]
    pub(crate) symbols: Vec<ContractId>,
    /// Products: every contract of theirs that has not expired
    #[arg(long, value_delimiter = ',')]
    pub(crate) var: Vec<Variety>,
    /// Ends when this trading day is over and stored
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) until: Option<TradingDay>,
}
