//! What can go wrong between stored ticks and `main_l5`, each with a stable code.

use crate::ScheduleError;
use ghtrader_core::{CalendarError, ContractId, ErrorClass, Problem, SpecError, SymbolError, TradingDay};
use ghtrader_store::StoreError;

/// A failure of schedule, `main_l5`, validation or report.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A trading day.
    #[error(transparent)]
    Calendar(#[from] CalendarError),
    /// Multiplier or price tick.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A symbol.
    #[error(transparent)]
    Symbol(#[from] SymbolError),
    /// There is no main schedule to make.
    #[error("{variety}: {source}")]
    Schedule {
        /// The variety.
        variety: String,
        /// Why.
        source: ScheduleError,
    },
    /// Days of the schedule without rows.
    #[error(
        "{symbol}: {engineering} of {expected} days were never imported and {provider} have no usable row, e.g. {sample}"
    )]
    DaysMissing {
        /// The continuous symbol.
        symbol: String,
        /// Days of the schedule.
        expected: usize,
        /// Days whose ticks are not stored.
        engineering: usize,
        /// Days whose ticks hold no continuous row with depth, above the tolerance.
        provider: usize,
        /// Some of them.
        sample: String,
    },
    /// Ticks without a single row with depth.
    #[error("{symbol}: no stored row of the scheduled days has depth (levels 2 to 5)")]
    L5Missing {
        /// The continuous symbol.
        symbol: String,
    },
    /// Days that were stamped under another schedule and are not in this one.
    #[error("{symbol}: {days} stored days, the first {first}, are not in the schedule {schedule_hash}")]
    ScheduleMismatch {
        /// The continuous symbol.
        symbol: String,
        /// How many.
        days: usize,
        /// The first of them.
        first: TradingDay,
        /// The schedule that governs.
        schedule_hash: String,
    },
    /// Rows that another main schedule chose than the one whose rolls are to be taken out.
    #[error("{symbol}: the rows of {day} were chosen by another main schedule than the stored one")]
    OtherSchedule {
        /// The continuous symbol.
        symbol: String,
        /// The first such day.
        day: TradingDay,
    },
    /// A roll whose gap cannot be told.
    #[error("the roll from {from} to {to} has no gap: {contract} has no close on {day}")]
    RollGapUnknown {
        /// The contract left.
        from: ContractId,
        /// The contract entered.
        to: ContractId,
        /// The one that has no close.
        contract: ContractId,
        /// The last day before the roll.
        day: TradingDay,
    },
    /// An adjustment of rows that have no rolls.
    #[error("a contract has no rolls to adjust")]
    AdjustNeedsMain,
    /// A range without a stored day.
    #[error("nothing of {symbol} is stored {}", range_text(*from, *to))]
    NothingInRange {
        /// Contract or continuous symbol.
        symbol: String,
        /// First day asked for.
        from: Option<TradingDay>,
        /// Last day asked for.
        to: Option<TradingDay>,
    },
    /// More rows than a worksheet has.
    #[error("the export has {rows} rows, a worksheet holds {bound}")]
    TooManyRows {
        /// Rows.
        rows: u64,
        /// The bound.
        bound: u64,
    },
    /// An export that could not be written.
    #[error("the export cannot be written: {why}")]
    Unwritten {
        /// The disk is full.
        full: bool,
        /// The system's word.
        why: String,
    },
    /// A row that is not stored.
    #[error("{symbol} {day} has no row {seq}; its rows are {first} to {last}{gaps}")]
    RowMissing {
        /// Contract or continuous symbol.
        symbol: String,
        /// The day.
        day: TradingDay,
        /// The number asked for.
        seq: u32,
        /// The first row's number.
        first: u32,
        /// The last row's number.
        last: u32,
        /// That some in between are left out, where they are.
        gaps: &'static str,
    },
    /// A day on which the product has no session.
    #[error("{symbol} has no trading session on {day}")]
    SessionsMissing {
        /// Contract or continuous symbol.
        symbol: String,
        /// The day.
        day: TradingDay,
    },
    /// A plugin that makes no columns.
    #[error("{plugin} is a {role}; columns are made by features and labels")]
    Role {
        /// `role/name@version`.
        plugin: String,
        /// Its role.
        role: String,
    },
    /// Parameters that the plugin's manifest does not allow.
    #[error("{}", findings.iter().map(|f| f.what.as_str()).collect::<Vec<_>>().join("; "))]
    Params {
        /// All that is wrong.
        findings: Vec<ghtrader_plugin::Finding>,
    },
    /// The thread pool could not be started.
    #[error("{workers} workers cannot be started: {why}")]
    Workers {
        /// How many were asked for.
        workers: usize,
        /// The system's word.
        why: String,
    },
}

impl PipelineError {
    /// A failed write of an export.
    pub(crate) fn unwritten(error: &std::io::Error) -> Self {
        Self::Unwritten { full: ghtrader_durable::is_full(error), why: error.to_string() }
    }
}

fn range_text(from: Option<TradingDay>, to: Option<TradingDay>) -> String {
    match (from, to) {
        (None, None) => "at all".to_owned(),
        (Some(from), None) => format!("from {from} on"),
        (None, Some(to)) => format!("up to {to}"),
        (Some(from), Some(to)) => format!("from {from} to {to}"),
    }
}

impl From<PipelineError> for Problem {
    fn from(e: PipelineError) -> Self {
        let user = |code, what: String, remedy: &str| Self::new(code, ErrorClass::User, what, remedy);
        let what = e.to_string();
        match e {
            PipelineError::Store(e) => e.into(),
            PipelineError::Calendar(e) => e.into(),
            PipelineError::Spec(e) => e.into(),
            PipelineError::Symbol(_) => user("bad_symbol", what, "write a symbol such as SHFE.cu2602 or KQ.m@SHFE.cu"),
            PipelineError::Schedule { source: ScheduleError::Empty { .. }, .. } => {
                user("schedule_empty", what, "import more days, or give the contracts with `--source file`")
            }
            PipelineError::Schedule { source: ScheduleError::BadTable { .. }, .. } => user(
                "bad_schedule",
                what,
                "give an object such as {\"SHFE.cu\": [[\"20250102\", \"SHFE.cu2502\"]]}, or check diff.contracts_url",
            ),
            PipelineError::Schedule { .. } => {
                user("bad_schedule", what, "write lines such as `2025-01-02,SHFE.cu2502`")
            }
            PipelineError::DaysMissing { .. } => Self::new(
                "days_missing",
                ErrorClass::Negative,
                what,
                "ghtrader data repair --var asks the source for them; or import them, or raise main_l5.missing_days_tolerance",
            ),
            PipelineError::L5Missing { .. } => {
                user("l5_missing", what, "import ticks with five levels; one level is not enough for main_l5")
            }
            PipelineError::ScheduleMismatch { .. } => Self::new(
                "schedule_mismatch",
                ErrorClass::Negative,
                what,
                "build the schedule over all stored days, or use an empty data folder",
            ),
            PipelineError::OtherSchedule { .. } => Self::new(
                "schedule_mismatch",
                ErrorClass::Negative,
                what,
                "run `ghtrader main build` first, or take prices as traded (--adjust none)",
            ),
            PipelineError::RollGapUnknown { .. } => {
                user("roll_gap_unknown", what, "import that contract's day, or take prices as traded (--adjust none)")
            }
            PipelineError::AdjustNeedsMain => {
                user("adjust_needs_main", what, "name a continuous symbol such as KQ.m@SHFE.cu, or leave --adjust out")
            }
            PipelineError::NothingInRange { .. } => {
                user("days_missing", what, "ghtrader data list shows what is stored")
            }
            PipelineError::TooManyRows { .. } => {
                user("too_many_rows", what, "give fewer days or --max-rows, or choose csv or parquet")
            }
            PipelineError::Unwritten { full: true, .. } => {
                Self::new("disk_full", ErrorClass::Limit, what, "free some space and run the command again")
            }
            PipelineError::Unwritten { .. } => {
                Self::new("export_unwritten", ErrorClass::Unavailable, what, "choose a folder that may be written to")
            }
            PipelineError::RowMissing { .. } => user("row_missing", what, "give the `seq` of a stored row"),
            PipelineError::SessionsMissing { .. } => user(
                "trading_sessions_missing",
                what,
                "leave the day out with --from and --to, or mend the calendar (calendar.holidays_file)",
            ),
            PipelineError::Role { .. } => user("wrong_role", what, "give an artefact of a feature or a label"),
            PipelineError::Params { findings } => ghtrader_plugin::Finding::into_problem(&findings),
            PipelineError::Workers { .. } => {
                Self::new("no_threads", ErrorClass::Limit, what, "give fewer with --workers")
            }
        }
    }
}
