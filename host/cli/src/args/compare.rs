//! Flags of `ghtrader compare`.

use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// Result folders of `backtest run`, or results/<id>.json of a batch; the first is the champion
    #[arg(required_unless_present = "batch", conflicts_with = "batch", value_name = "RESULT")]
    pub(crate) results: Vec<PathBuf>,
    /// All results of a batch's folder
    #[arg(long, value_name = "DIR")]
    pub(crate) batch: Option<PathBuf>,
    /// The batch's manifest, where it is not in its folder: a folder may hold results of several batches
    #[arg(long, requires = "batch", value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    /// What every variant is held against: a name, an id's beginning, key=value,…, a result folder, or `flat`, an account that does nothing. Without it the first result; of a batch, `flat`
    #[arg(long)]
    pub(crate) champion: Option<String>,
    /// Writes the page of the comparison
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Compares results of other days, fees or fill parameters as well; the differences are listed
    #[arg(long)]
    pub(crate) allow_different: bool,
    /// Variants that were tried in all, if more than are given
    #[arg(long)]
    pub(crate) trials: Option<usize>,
    /// Seed of the resamples
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Resamples of the days
    #[arg(long, default_value_t = 10_000)]
    pub(crate) draws: usize,
    /// Mean block of a resample, trading days
    #[arg(long, default_value_t = 5.0)]
    pub(crate) block: f64,
    /// Coverage of the intervals
    #[arg(long, default_value_t = 0.95)]
    pub(crate) level: f64,
    /// Two result folders: runs both again and names the first row where their orders part
    #[arg(long, conflicts_with_all = ["batch", "champion", "html"])]
    pub(crate) first_difference: bool,
}
