//! The event loop over recorded ticks, its metrics and its reports.
//!
//! [`run`] replays days through one lineup under every fill model of a [`RunSpec`]; each model is an exchange and an
//! account with a strategy instance of its own. Nothing here reads a clock or opens a file: equal inputs give equal bytes.

mod account;
mod divergence;
mod engine;
mod error;
mod metrics;
mod record;
mod report;
pub mod report_data;
pub mod report_html;
mod run;
mod spec;
mod walk_forward;

pub use account::Ledger;
pub use divergence::{Divergence, Seen, first_difference};
pub use engine::{Day, DayRun, Engine, EngineSettings, OldContract, Seat, Timeline, run_day};
pub use error::BacktestError;
pub use metrics::{Markout, MetricContext, ModelMetrics, Part, compute_metrics};
pub use record::{DayRecord, EquityPoint, FillRecord, MARKOUT_ROWS, OrderEnd, OrderRecord, Record};
pub use report::{ComponentRecord, ReportContext, equity_daily_csv, fills_csv, report_json};
pub use run::{
    ColumnsOrigin, DayData, DayIdentity, ENGINE_VERSION, Identity, OldDay, OldIdentity, RunResult, ScoredRows,
    days_digest, prepare_days, result_digest, run, run_prepared,
};
pub use spec::{
    AccountSpec, BeyondBookName, CloseFirstName, Delay, FeeSpec, FillModelName, FillSpec, LatencySpec, LineupSpec,
    MarginSpec, MarkName, MetricSpec, ModelSpec, PluginSpec, RiskSpec, RollPolicy, RollSpec, RunSpec, TakerBookName,
};
pub use walk_forward::{
    FoldSpan, FoldTraded, RegimeTraded, Traded, TradedByModel, WalkForwardTraded, traded_on, walk_forward_traded,
};
