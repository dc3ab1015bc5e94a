//! Flags of `ghtrader data download` and `ghtrader data record`.

use clap::Args;
use ghtrader_core::{ContractId, TradingDay, Variety};

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
