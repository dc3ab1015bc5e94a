//! Why a backtest stops.

use ghtrader_core::{ErrorClass, ExchangeTimeNs, Problem, TradingDay};
use ghtrader_exchange::ExchangeError;
use ghtrader_runtime::RuntimeError;

/// Why a backtest stops. A fault stops a run; it never bends a number.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// A plugin failed at a row.
    #[error("at row {row} of the day, {}: {source}", ExchangeTimeNs(*ts_ns))]
    Runtime {
        /// Row of the day.
        row: usize,
        /// Its exchange time, ns.
        ts_ns: i64,
        /// What happened.
        source: RuntimeError,
    },
    /// A plugin failed before the first row, or asks for what the lineup does not make.
    #[error(transparent)]
    Lineup(#[from] RuntimeError),
    /// Tables or rows that the exchange cannot work with.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// A position stood over a roll where the policy or the data do not allow it.
    #[error("a position of {lots} lots stands over the roll of {trading_day}")]
    PositionOverRoll {
        /// First day of the new contract.
        trading_day: TradingDay,
        /// Net position, lots.
        lots: i64,
    },
    /// A trace of delays is named and was not read.
    #[error("{key}.file = {file} was not read before the run")]
    UnreadTrace {
        /// The key.
        key: &'static str,
        /// Its file.
        file: String,
    },
    /// There is nothing to run over.
    #[error("no trading day from {from} to {to} has rows of {what}")]
    NoDays {
        /// First day asked for.
        from: String,
        /// Last day asked for.
        to: String,
        /// The data set.
        what: String,
    },
}

impl BacktestError {
    pub(crate) fn at(source: RuntimeError, ts_ns: i64, row: usize) -> Self {
        Self::Runtime { row, ts_ns, source }
    }
}

impl From<BacktestError> for Problem {
    fn from(error: BacktestError) -> Self {
        let what = error.to_string();
        match error {
            BacktestError::Runtime { source, .. } => Self { what, ..Self::from(source) },
            BacktestError::Lineup(source) => source.into(),
            BacktestError::Exchange(source) => source.into(),
            BacktestError::PositionOverRoll { .. } => Self::new(
                "position_over_roll",
                ErrorClass::User,
                what,
                "set roll.policy to transfer or flatten, or close before the roll",
            ),
            BacktestError::UnreadTrace { .. } => {
                Self::new("trace_unread", ErrorClass::Internal, what, "give the delays themselves: us = [500, 700]")
            }
            BacktestError::NoDays { .. } => Self::new(
                "no_days",
                ErrorClass::User,
                what,
                "import ticks and run `ghtrader main build`, or widen from and to",
            ),
        }
    }
}
