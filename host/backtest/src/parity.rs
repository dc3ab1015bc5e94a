//! A run again in other ways: rows cut otherwise, one at a time as live, by another build of the same code. All ways of
//! one lineup over the same rows have to give the same bits; where they part, the first row says why.

use crate::account::Ledger;
use crate::engine::{Day, Engine, EngineSettings, Seat, run_day_cut};
use crate::record::{FillRecord, OrderRecord, Record};
use crate::run::{DayData, ReadyDay};
use crate::spec::{FillModelName, RunSpec};
use crate::{BacktestError, MakeStrategy};
use ghtrader_core::{TradingDay, Variety};
use ghtrader_runtime::StrategyRunner;
use ghtrader_stats::Rng;
use rayon::prelude::*;
use serde::Serialize;
use std::sync::Arc;

/// How the rows of a day reach a strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Blocks of so many rows.
    Blocks(usize),
    /// A day in one block.
    Whole,
    /// Blocks of random size by a seed: short ones show what hangs on a border, long ones what hangs on a length.
    Random(u64),
    /// A row at a time, answered before anything of the next one is known: as live.
    Live,
    /// All rows up to and with one of a day in a block, and those behind it in another.
    Behind {
        /// The day; the others are whole.
        trading_day: TradingDay,
        /// Last row of its first block.
        row: usize,
    },
}

impl Cut {
    /// Row behind the block that begins at `start`.
    fn block_end(self, day: TradingDay, start: usize, rows: usize) -> usize {
        match self {
            Self::Blocks(length) => start + length.max(1),
            Self::Live => start + 1,
            Self::Random(seed) => {
                let mut rng = Rng::new(seed ^ (u64::from(day.days().unsigned_abs()) << 32 | start as u64));
                start + if rng.below(2) == 0 { 1 + rng.below(7) } else { 1 + rng.below(2_000) }
            }
            Self::Behind { trading_day, row } if trading_day == day && start <= row => row + 1,
            Self::Whole | Self::Behind { .. } => rows,
        }
    }
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Blocks(1) => f.write_str("blocks of one row"),
            Self::Blocks(rows) => write!(f, "blocks of {rows} rows"),
            Self::Whole => f.write_str("whole days"),
            Self::Random(seed) => write!(f, "random blocks of seed {seed}"),
            Self::Live => f.write_str("row by row as live"),
            Self::Behind { trading_day, row } => write!(f, "a block that ends with row {row} of {trading_day}"),
        }
    }
}

/// What every fill model of a specification did.
pub type Records = Vec<(FillModelName, Record)>;

/// Replays prepared days through a strategy with its rows cut in one way, under every fill model of the specification.
///
/// # Errors
/// As [`crate::run`].
pub fn replay_cut(
    spec: &RunSpec,
    variety: &Variety,
    (days, prepared): (&[DayData], &[Arc<ReadyDay>]),
    make_strategy: MakeStrategy<'_>,
    cut: Cut,
) -> Result<Records, BacktestError> {
    let made = days.first().map(|day| day.columns.names.as_slice()).unwrap_or_default();
    let one = |name: &FillModelName| -> Result<(FillModelName, Record), BacktestError> {
        let runner = StrategyRunner::new(make_strategy()?, made)?;
        let engine = Engine::new(EngineSettings::of(spec, *name, 1), Ledger::new(spec, variety)?);
        let mut seats = [Seat { engine, runner }];
        for (data, prepared) in days.iter().zip(prepared) {
            let day = data.as_day(prepared);
            if cut == Cut::Live {
                let [Seat { engine, runner }] = &mut seats;
                live_day(engine, &day, runner)?;
            } else {
                let (trading_day, rows) = (day.trading_day, day.view.rows());
                let cut = |start| cut.block_end(trading_day, start, rows);
                run_day_cut(&day, &mut seats, cut).map_err(|(_, fault)| fault)?;
            }
        }
        let [Seat { engine, .. }] = seats;
        Ok((*name, engine.finish()))
    };
    spec.fills.models.par_iter().map(one).collect()
}

/// A day as a live lineup has it: a row arrives, is answered, and nothing of the next one is known.
fn live_day(engine: &mut Engine, day: &Day<'_>, runner: &mut StrategyRunner) -> Result<(), BacktestError> {
    if engine.record().bust || day.view.rows() == 0 {
        return Ok(());
    }
    let mut run = engine.open_day(day, runner.warmup_rows() as usize)?;
    let (mut words, mut actions) = (Vec::new(), Vec::new());
    for row in 0..day.view.rows() {
        engine.arrive(&mut run, row);
        runner.layout().pack(&day.view, day.columns, row..row + 1, &mut words);
        let view = engine.account_view();
        let answered = runner.run(Some(&words), 0..1, &view, engine.events(), &mut actions);
        answered.map_err(|e| BacktestError::at(e, day.view.ts_ns[row], row))?;
        engine.decided(&mut run, row, &actions)?;
        if engine.record().bust {
            break;
        }
    }
    engine.close_day(&mut run);
    Ok(())
}

/// The first place at which two ways of one run part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parting {
    /// The fill model.
    pub model: &'static str,
    /// Trading day.
    pub trading_day: TradingDay,
    /// Row of the day that was decided on; none where orders agree and what became of them does not.
    pub row: Option<usize>,
    /// Exchange time, ns.
    pub ts_ns: i64,
    /// What the one and the other did there.
    pub what: [String; 2],
}

impl std::fmt::Display for Parting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let row = self.row.map_or(String::new(), |row| format!("row {row} of "));
        write!(f, "{}, {row}{}: {} and {}", self.model, self.trading_day, self.what[0], self.what[1])
    }
}

/// Where two ways of one run part; `None` if their outputs are equal to the bit.
pub fn first_parting(one: &Records, other: &Records) -> Option<Parting> {
    one.iter().zip(other).find_map(|((name, a), (_, b))| part(name.as_str(), a, b))
}

fn part(model: &'static str, a: &Record, b: &Record) -> Option<Parting> {
    if a.output_digest() == b.output_digest() {
        return None;
    }
    let longest = a.orders.len().max(b.orders.len());
    let differs = (0..longest).find(|&at| a.orders.get(at).map(decision) != b.orders.get(at).map(decision));
    if let Some(at) = differs {
        let (x, y) = (a.orders.get(at), b.orders.get(at));
        let when = |o: &&OrderRecord| (o.trading_day, o.decided_row);
        let first = x.into_iter().chain(y).min_by_key(when)?;
        let what = [x, y].map(|o| match o {
            Some(o) if when(&o) == when(&first) => said(o),
            _ => "nothing".to_owned(),
        });
        let (trading_day, ts_ns) = (first.trading_day, first.decided_ts_ns);
        return Some(Parting { model, trading_day, row: Some(first.decided_row as usize), ts_ns, what });
    }
    let longest = a.fills.len().max(b.fills.len());
    let differs = (0..longest).find(|&at| a.fills.get(at).map(booking) != b.fills.get(at).map(booking));
    if let Some(at) = differs {
        let (x, y) = (a.fills.get(at), b.fills.get(at));
        let first = x.into_iter().chain(y).min_by_key(|f| f.ts_ns)?;
        let what = [x, y].map(|f| f.map_or("no fill".to_owned(), filled));
        return Some(Parting { model, trading_day: first.trading_day, row: None, ts_ns: first.ts_ns, what });
    }
    // Orders and fills agree: an order ended otherwise, or a day's equity is another.
    let ended = a.orders.iter().zip(&b.orders).find(|(x, y)| (x.end, x.reason_name()) != (y.end, y.reason_name()));
    if let Some((x, y)) = ended {
        let what = [x, y].map(|o| format!("order {} {:?} {}", o.id, o.end, o.reason_name()));
        return Some(Parting { model, trading_day: x.trading_day, row: None, ts_ns: x.arrival_ts_ns, what });
    }
    let equity = |r: &Record, at: usize| r.days.get(at).map(|d| (d.trading_day, d.equity_cny));
    let longest = a.days.len().max(b.days.len());
    let bits = |day: Option<(TradingDay, f64)>| day.map(|(day, cny)| (day, cny.to_bits()));
    let at = (0..longest).find(|&at| bits(equity(a, at)) != bits(equity(b, at)))?;
    let trading_day = equity(a, at).or(equity(b, at))?.0;
    let what = [a, b].map(|r| equity(r, at).map_or("no day".to_owned(), |(_, cny)| format!("equity {cny} CNY")));
    Some(Parting { model, trading_day, row: None, ts_ns: 0, what })
}

/// What of an order the strategy decided.
fn decision(o: &OrderRecord) -> impl PartialEq + use<> {
    let asked = (o.side as u8, o.offset as u8, o.tif as u8, o.post_only, o.lots, o.limit_cny.to_bits());
    (o.id, o.contract, o.trading_day, o.decided_row, o.arrival_ts_ns, asked)
}

fn booking(f: &FillRecord) -> impl PartialEq + use<> {
    let paid = (f.price_cny.to_bits(), f.fee_cny.to_bits(), f.maker);
    (f.order_id, f.contract, f.ts_ns, f.side as u8, f.lots, f.position_lots, paid)
}

fn said(o: &OrderRecord) -> String {
    let price = if o.limit_cny.is_nan() { "the market".to_owned() } else { o.limit_cny.to_string() };
    format!("order {}: {:?} {} at {price}", o.id, o.side, o.lots)
}

fn filled(f: &FillRecord) -> String {
    format!("order {} filled {} at {}", f.order_id, f.lots, f.price_cny)
}

/// Why blocks and single rows part at a row: `look_ahead` if rows behind it in its block made the difference, else
/// `split_variant`.
///
/// `behind` is the run whose block ends with that row, `single` the one row by row.
pub fn reason_of(parting: &Parting, behind: &Records, single: &Records) -> &'static str {
    let until = (parting.trading_day, parting.row.unwrap_or(usize::MAX));
    match first_parting(behind, single) {
        Some(other) if (other.trading_day, other.row.unwrap_or(usize::MAX)) <= until => "split_variant",
        _ => "look_ahead",
    }
}
