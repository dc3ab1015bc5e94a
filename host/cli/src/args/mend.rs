//! Flags of the commands that look at, mend and clean up stored days.

use clap::Args;
use ghtrader_core::{ContractId, ErrorClass, Problem, TradingDay, Variety};

/// Days of one symbol.
#[derive(Debug, Args)]
pub(crate) struct StoredDays {
    /// Product: its main_l5
    #[arg(long, required_unless_present = "symbol")]
    pub(crate) var: Option<Variety>,
    /// A contract instead, such as SHFE.cu2602
    #[arg(long, conflicts_with = "var")]
    pub(crate) symbol: Option<String>,
    #[command(flatten)]
    pub(crate) range: DayRange,
}

/// Trading days, both ends included.
#[derive(Debug, Args)]
pub(crate) struct DayRange {
    /// First trading day
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) from: Option<TradingDay>,
    /// Last trading day
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) to: Option<TradingDay>,
}

impl DayRange {
    /// First and last day as given.
    ///
    /// # Errors
    /// `bad_range` for a first day after the last: it holds no day, which must not look like days without a defect.
    pub(crate) fn checked(&self) -> Result<(Option<TradingDay>, Option<TradingDay>), Problem> {
        match (self.from, self.to) {
            (Some(from), Some(to)) if from > to => {
                let what = format!("{from} lies after {to}");
                Err(Problem::new("bad_range", ErrorClass::User, what, "give the earlier day first"))
            }
            range => Ok(range),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Repair {
    /// A contract such as SHFE.cu2602
    #[arg(required_unless_present = "var", conflicts_with = "var")]
    pub(crate) symbol: Option<ContractId>,
    /// One trading day, stored or not; all days of the contract that lack something if absent
    #[arg(requires = "symbol", conflicts_with_all = ["from", "to"])]
    pub(crate) day: Option<TradingDay>,
    /// Product: the days of its main_l5, by the contracts of the main schedule
    #[arg(long)]
    pub(crate) var: Option<Variety>,
    #[command(flatten)]
    pub(crate) range: DayRange,
    /// Days that the source is asked about; the setting l5_validate.recheck_days if absent
    #[arg(long, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub(crate) days: Option<u16>,
    /// Downloads what the source has; without it the plan is shown
    #[arg(long)]
    pub(crate) apply: bool,
}

#[derive(Debug, Args)]
pub(crate) struct L5StartFlags {
    /// Product
    #[arg(long)]
    pub(crate) var: Variety,
    /// Asks even if the answer of the last 24 hours is there
    #[arg(long)]
    pub(crate) again: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Purge {
    /// Product: every contract of it that is stored
    #[arg(long, required_unless_present = "symbol")]
    pub(crate) var: Option<Variety>,
    /// A contract instead, such as SHFE.cu2602
    #[arg(long, conflicts_with = "var")]
    pub(crate) symbol: Option<ContractId>,
    #[command(flatten)]
    pub(crate) range: DayRange,
    /// Replaces the days; without it they are counted
    #[arg(long)]
    pub(crate) apply: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CollectGarbage {
    /// Removes what is found; without it it is counted
    #[arg(long)]
    pub(crate) apply: bool,
}
