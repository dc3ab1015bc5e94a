//! Where the rows come from: tick files, or a synthetic market.

use crate::tape::Part;
use ghtrader_core::{Calendar, ContractId, ContractTable, ErrorClass, Problem, TradingDay, Variety};
use ghtrader_market::synth::{SynthMarket, SynthSpec};
use ghtrader_market::{DayPart, ReadOptions, SymbolDay, TickFile};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What is served.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// Tick files of any dialect that can be imported; several of one contract and day are joined.
    Files {
        /// The files.
        paths: Vec<PathBuf>,
        /// The trading day of compact CTP files, which have no dates.
        trading_day: Option<TradingDay>,
    },
    /// Made from a seed.
    Synthetic(SynthSpec),
}

/// Reads or makes all rows.
///
/// # Errors
/// What import would refuse a file for, `sim_no_rows`, or a synthetic market outside its bounds.
pub(crate) fn load(source: &Source, calendar: &Calendar, table: &ContractTable) -> Result<Vec<Part>, Problem> {
    let parts = match source {
        Source::Files { paths, trading_day } => files(paths, *trading_day, calendar, table)?,
        Source::Synthetic(spec) => {
            let market = SynthMarket::new(spec.clone(), calendar)?;
            market.iter().map(|d| Part { contract: d.contract, day: d.trading_day, ticks: d.ticks }).collect()
        }
    };
    if parts.iter().all(|p: &Part| p.ticks.rows() == 0) {
        let what = "the files hold no good row";
        return Err(Problem::new("sim_no_rows", ErrorClass::User, what, "look at them with `ghtrader data import`"));
    }
    Ok(parts)
}

fn files(
    paths: &[PathBuf],
    trading_day: Option<TradingDay>,
    calendar: &Calendar,
    table: &ContractTable,
) -> Result<Vec<Part>, Problem> {
    let options = ReadOptions { trading_day, calendar, table, ..ReadOptions::default() };
    let mut found: BTreeMap<(TradingDay, ContractId), Vec<DayPart>> = BTreeMap::new();
    for path in paths {
        let file = TickFile::open(path, &options)?;
        let rows = file.read(&options)?;
        if !rows.rejects.is_empty() {
            let first = rows.rejects.first().map_or(0, |r| r.line);
            tracing::warn!(file = %path.display(), rejected = rows.rejects.len(), first, "some lines are left out");
        }
        for part in rows.days {
            found.entry((part.day, file.contract.clone())).or_default().push(part);
        }
    }
    let part = |((day, contract), files): ((TradingDay, ContractId), Vec<DayPart>)| {
        let phases = calendar.day_phases(contract.variety(), day);
        let ticks = SymbolDay::assemble(&contract, &phases, files).ticks;
        Part { contract, day, ticks }
    };
    Ok(found.into_iter().map(part).filter(|p| p.ticks.rows() > 0).collect())
}

/// The varieties that rows are of.
pub(crate) fn varieties(parts: &[Part]) -> Vec<Variety> {
    let mut all: Vec<Variety> = parts.iter().map(|p| p.contract.variety().clone()).collect();
    all.sort();
    all.dedup();
    all
}
