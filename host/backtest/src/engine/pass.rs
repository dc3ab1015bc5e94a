//! One pass over a day's rows for several accounts.

use super::{Day, DayRun, Engine};
use crate::BacktestError;
use ghtrader_runtime::StrategyRunner;

/// An account with the strategy that trades it.
pub struct Seat {
    /// The account under its fill model.
    pub engine: Engine,
    /// The strategy.
    pub runner: StrategyRunner,
}

/// A seat on its way through a day; the next row that its strategy has not seen.
struct Riding<'a> {
    seat: &'a mut Seat,
    place: usize,
    run: DayRun<'a>,
    row: usize,
}

/// Runs one trading day through all seats; days come in order.
///
/// What follows from the rows alone is worked out once, and each block of rows is packed once, for all seats whose strategies
/// read the same columns. The outcome of a seat is what it is alone.
///
/// # Errors
/// The place of the first seat, in order of blocks, that could not go on, with a plugin's fault or broken contract, its row and
/// time, or a position over a roll under the policy `ignore`.
pub fn run_day<'a>(day: &'a Day<'a>, seats: &'a mut [Seat]) -> Result<(), (usize, BacktestError)> {
    let block_rows = seats.iter().map(|seat| seat.engine.settings.block_rows).min().unwrap_or(1).max(1);
    run_day_cut(day, seats, |start| start.saturating_add(block_rows))
}

/// As [`run_day`], in blocks that end where `block_end` says of their first row.
///
/// # Errors
/// As there.
pub fn run_day_cut<'a>(
    day: &'a Day<'a>,
    seats: &'a mut [Seat],
    block_end: impl Fn(usize) -> usize,
) -> Result<(), (usize, BacktestError)> {
    let rows = day.view.rows();
    let mut riding = Vec::with_capacity(seats.len());
    for (place, seat) in seats.iter_mut().enumerate() {
        if rows > 0 && !seat.engine.record.bust {
            // Room for a busy strategy: what is not used is never touched, and growing would copy.
            seat.engine.record.orders.reserve(rows / 4);
            seat.engine.record.fills.reserve(rows / 4);
            let opened = seat.engine.open_day(day, seat.runner.warmup_rows() as usize);
            let run = opened.map_err(|fault| (place, fault))?;
            riding.push(Riding { seat, place, run, row: 0 });
        }
    }
    let mut words = Vec::new();
    let mut start = 0;
    while start < rows {
        let end = block_end(start).clamp(start + 1, rows);
        day.prepared.warm(start..end);
        day.timeline.warm(start..end);
        let mut packed = None;
        for rider in &mut riding {
            let Seat { engine, runner } = &mut *rider.seat;
            if engine.record.bust {
                continue;
            }
            if packed.as_ref() != Some(runner.layout()) {
                runner.layout().pack(&day.view, day.columns, start..end, &mut words);
                packed = Some(runner.layout().clone());
            }
            let ran = engine.run_block(&mut rider.run, runner, &words, start..end, rider.row);
            rider.row = ran.map_err(|fault| (rider.place, fault))?;
        }
        start = end;
    }
    for rider in &mut riding {
        rider.seat.engine.close_day(&mut rider.run);
    }
    Ok(())
}
