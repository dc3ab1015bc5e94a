//! Flags of `ghtrader sim`.

use clap::{Args, Subcommand};
use ghtrader_core::{Problem, TradingDay, Variety};
use ghtrader_exchange::FillModel;
use ghtrader_sim::{Speed, Start};
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Sim {
    /// Serves recorded or synthetic days to DIFF clients, with simulated accounts, until SIGINT or SIGTERM
    #[command(after_help = "Example: ghtrader sim serve --synthetic 1 | python demo.py\n\
                            Prints one line of JSON with the addresses md, td, auth, holidays, contracts when ready.")]
    Serve(Box<SimServe>),
}

#[derive(Debug, Args)]
pub(crate) struct SimServe {
    /// Address and port to listen on; port 0 = any free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7788")]
    pub(crate) listen: SocketAddr,
    /// Tick files of any dialect that can be imported; several days and contracts at once
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present = "synthetic", conflicts_with = "synthetic")]
    pub(crate) data: Vec<PathBuf>,
    /// The trading day of compact CTP files, which have no dates
    #[arg(long, requires = "data")]
    pub(crate) trading_day: Option<TradingDay>,
    /// A synthetic market of this seed
    #[arg(long, value_name = "SEED")]
    pub(crate) synthetic: Option<u64>,
    /// Variety of the synthetic market: cu, au or ag
    #[arg(long, default_value = "cu", requires = "synthetic")]
    pub(crate) var: Variety,
    /// Trading days of the synthetic market
    #[arg(long, default_value_t = 3, requires = "synthetic", value_parser = clap::value_parser!(u32).range(1..=250))]
    pub(crate) days: u32,
    /// Rows a day of the synthetic market's main contract
    #[arg(long, default_value_t = 40_000, requires = "synthetic", value_parser = clap::value_parser!(u32).range(1000..=66000))]
    pub(crate) rows_per_day: u32,
    /// Market seconds a second, 0 = it stands still, or max = as fast as all clients keep up with
    #[arg(long, value_name = "N|max", default_value = "1", value_parser = parsed::<Speed>)]
    pub(crate) speed: Speed,
    /// Where the market's clock begins: open = first book of two sides, end = all is history, or a Shanghai time
    #[arg(long, value_name = "open|end|TIME", default_value = "open", value_parser = parsed::<Start>)]
    pub(crate) start: Start,
    /// Accounts as TOML: [[account]] with user, password, balance; without it everybody trades with 1,000,000 CNY
    #[arg(long, value_name = "FILE")]
    pub(crate) accounts: Option<PathBuf>,
    /// How orders fill: pessimistic, central, optimistic, cross_only or touch
    #[arg(long, default_value = "central")]
    pub(crate) fills: FillModel,
    /// Daily price limit, a share of the last settlement
    #[arg(long, value_name = "RATE", default_value_t = 0.1)]
    pub(crate) price_limit: f64,
    /// Seconds that --speed max waits for one client before it goes on without it
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub(crate) patience: u64,
    /// Never compresses, whatever clients offer
    #[arg(long)]
    pub(crate) no_deflate: bool,
}

/// A value whose error is a problem with a remedy.
fn parsed<T: std::str::FromStr<Err = Problem>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|e: Problem| format!("{}; {}", e.what, e.remedy))
}
