//! The event loop over recorded ticks, its metrics and its reports.
//!
//! [`run`] replays days through one lineup under every fill model of a [`RunSpec`]; each model is an exchange and an
//! account with a strategy instance of its own. Nothing here reads a clock or opens a file: equal inputs give equal bytes.

mod account;
mod divergence;
mod engine;
mod error;
mod latency;
mod metrics;
mod parity;
mod record;
mod report;
pub mod report_data;
pub mod report_html;
mod run;
mod spec;
mod tables;
mod walk_forward;

pub use account::Ledger;
pub use divergence::{Divergence, Seen, first_difference};
pub use engine::{Day, DayRun, Engine, EngineSettings, OldContract, Seat, Timeline, run_day, run_day_cut};
pub use error::BacktestError;
pub use latency::{Delay, LatencySpec};
pub use metrics::{Markout, MetricContext, ModelMetrics, Part, TakerBookFigures, compute_metrics};
pub use parity::{Cut, Parting, Records, first_parting, reason_of, replay_cut};
pub use record::{DayRecord, EquityPoint, FillRecord, MARKOUT_ROWS, OrderEnd, OrderRecord, Record, TakerBooks};
pub use report::{ComponentRecord, ReportContext, equity_daily_csv, fills_csv, report_json, volume_split_json};
pub use run::{
    ColumnsOrigin, DayData, DayIdentity, ENGINE_VERSION, Identity, MakeStrategy, OldDay, OldIdentity, ReadyDay,
    RunResult, ScoredRows, days_digest, prepare_days, result_digest, run, run_prepared,
};
pub use spec::{
    AccountSpec, BeyondBookName, CloseFirstName, FeeSpec, FillModelName, FillSpec, LineupSpec, MarginSpec, MarkName,
    MetricSpec, ModelSpec, PluginSpec, RiskSpec, RollPolicy, RollSpec, RunSpec, TakerBookName,
};
pub use tables::result_tables;
pub use walk_forward::{
    FoldSpan, FoldTraded, RegimeTraded, Traded, TradedByModel, WalkForwardTraded, traded_on, walk_forward_traded,
};
