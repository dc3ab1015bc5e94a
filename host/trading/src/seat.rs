//! A seat: a lineup that answers ticks, and the account that it answers for.

use ghtrader_backtest::{DayRun, Engine};
use ghtrader_core::{Problem, TickView};
use ghtrader_kernels::wire::Action;
use ghtrader_runtime::{Answer, Lineup};
use hdrhistogram::Histogram;
use std::time::Instant;

/// Longest call that a histogram tells apart, ns.
const LONGEST_NS: u64 = 60_000_000_000;

/// What answers: a lineup with its tally. A swap exchanges minds and leaves accounts where they are.
pub(crate) struct Mind {
    /// Unique in the life of a service, so that late news of an earlier instance is told from that of this one.
    pub(crate) token: u64,
    /// None between a fault, or a halt, and the rebuild.
    pub(crate) lineup: Option<Lineup>,
    pub(crate) tally: Tally,
}

/// What a mind has done since it was seated.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    pub(crate) ticks: u64,
    pub(crate) faults: u64,
    pub(crate) errors_in_row: u64,
    /// Equity of its account when it was seated, CNY.
    pub(crate) equity_from_cny: f64,
    /// Fills of its account before it was seated.
    pub(crate) fills_from: usize,
    pub(crate) latency_ns: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new(equity_from_cny: f64, fills_from: usize) -> Self {
        // Two digits of a histogram up to a minute cannot fail to be made.
        #[expect(clippy::expect_used, reason = "the bounds are constants that the histogram allows")]
        let latency_ns = Histogram::new_with_bounds(1, LONGEST_NS, 2).expect("lawful bounds");
        Self { ticks: 0, faults: 0, errors_in_row: 0, equity_from_cny, fills_from, latency_ns }
    }

    /// Counts from here on, in another seat; latencies are the mind's own and stay.
    pub(crate) fn begin(&mut self, equity_from_cny: f64, fills_from: usize) {
        self.ticks = 0;
        self.errors_in_row = 0;
        self.equity_from_cny = equity_from_cny;
        self.fills_from = fills_from;
    }
}

/// A mind with its account. The active one's is the account itself; the others' are copies.
pub(crate) struct Seated {
    pub(crate) mind: Mind,
    pub(crate) engine: Engine,
}

/// Why a mind cannot go on.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) problem: Problem,
}

impl From<ghtrader_runtime::RuntimeError> for Fault {
    fn from(error: ghtrader_runtime::RuntimeError) -> Self {
        Self { problem: error.into() }
    }
}

impl From<ghtrader_backtest::BacktestError> for Fault {
    fn from(error: ghtrader_backtest::BacktestError) -> Self {
        Self { problem: error.into() }
    }
}

impl Seated {
    /// Answers the tick at `row`; `actions` is replaced by what was decided.
    ///
    /// # Errors
    /// The mind's fault: it decided nothing, and its lineup is of no more use. The account has taken the row in.
    pub(crate) fn answer(
        &mut self,
        run: &mut DayRun<'_>,
        view: &TickView<'_>,
        row: usize,
        actions: &mut Vec<Action>,
    ) -> Result<Option<Answer>, Fault> {
        let began = Instant::now();
        self.engine.arrive(run, row);
        actions.clear();
        let Some(lineup) = &mut self.mind.lineup else {
            self.engine.decided(run, row, actions)?;
            return Ok(None);
        };
        let account = self.engine.account_view();
        let answer = match lineup.tick(view, row, &account, self.engine.events(), actions) {
            Ok(answer) => answer,
            Err(error) => {
                actions.clear();
                self.engine.decided(run, row, actions)?;
                return Err(error.into());
            }
        };
        self.engine.decided(run, row, actions)?;
        let tally = &mut self.mind.tally;
        tally.latency_ns.saturating_record(u64::try_from(began.elapsed().as_nanos()).unwrap_or(LONGEST_NS));
        tally.ticks += 1;
        tally.errors_in_row = if answer == Answer::Error { tally.errors_in_row + 1 } else { 0 };
        Ok(Some(answer))
    }

    /// Profit of its account since the mind was seated, CNY.
    pub(crate) fn pnl_cny(&self, run: &DayRun<'_>, row: usize) -> f64 {
        self.engine.equity_cny(run, row) - self.mind.tally.equity_from_cny
    }
}
