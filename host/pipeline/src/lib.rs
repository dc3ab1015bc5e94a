//! Main schedule, main_l5, validation, data quality, building features and labels through plugins.

mod columns;
mod import;
mod import_summary;
mod lineage;
mod rejects;
mod source;

pub use columns::{
    ColumnPlugin, ColumnsDayReport, ColumnsOptions, ColumnsReport, FailedDay, build_columns, columns_keys,
    compute_feature_columns, compute_label_columns, session_ranges,
};

pub use import::{ImportOptions, ImportProgress, MAX_REJECTED_SHARE, import, import_timed};
pub use import_summary::{ImportError, ImportOutcome, ImportSummary, ImportedDay, ImportedFile};
pub use source::{
    CheckedDay, CheckedGap, Defect, DownloadOptions, DownloadReport, DownloadedSymbol, EMPTY_DAYS, FetchError, L5Start,
    PROVIDER_ANSWERS, ProviderAnswer, RecordOptions, RecordProgress, RecordReport, RecordedSymbol, RepairAction,
    RepairDay, RepairPlan, RepairScope, SKIP_LEDGER, Skip, Source, apply_repair, download, find_l5_start, load_answers,
    load_empty_days, load_skips, plan_repair, record,
};

mod adjust;
mod coverage;
mod data_page;
mod day_report;
mod error;
mod export;
mod file_check;
mod fixture;
mod main_l5;
mod main_schedule;
mod purge;
mod quality;
mod readiness;
mod schedule;
mod settled;
mod signal;
mod sql;
mod trace;
mod validate;
mod validation;

pub use adjust::{Adjustment, SegmentAdjustment, segment_adjustments};
pub use coverage::{Coverage, DayFacts, FactsScope, coverage, day_facts};
pub use data_page::{DataPage, data_page};
pub use day_report::{
    DayReport, DayValidation, GapEvidence, PhaseRows, RowIntervals, day_report, report_day, resolve, validate_day,
};
pub use error::PipelineError;
pub use export::{
    ExportFormat, ExportOptions, ExportedDay, MAX_XLSX_ROWS, Provenance, RowPlace, RowsForm, RowsPage, RowsQuery,
    export, rows_page,
};
pub use file_check::{ColumnNulls, FileCheck, Violation, check_file};
pub use fixture::{fixture_of, standard_fixture};
pub use lineage::SourceFile;
pub use main_l5::{DayOutcome, MainL5Options, MainL5Report, MissingDay, SegmentReport, build_main_l5};
pub use main_schedule::{ScheduleReport, ScheduleSource, build_main_schedule};
pub use purge::{PurgeReport, PurgedDay, purge_shallow};
pub use quality::{
    DayQuality, FieldQuality, Finding, compute_day_quality, compute_field_quality, quantile, row_findings,
};
pub use readiness::{DayGap, Inspection, Readiness};
pub use schedule::{
    Close, DayCloses, Listed, MainSchedule, Roll, RollReason, ScheduleError, ScheduleRule, ScheduleWarning,
    parse_events, parse_vendor_table, schedule_from_events, schedule_from_open_interest,
};
pub use settled::{
    ProfileLimit, ValidationProfile, open_embedded, open_questdb, open_store, origin_name, questdb_options,
    validation_policy, validation_profile,
};
pub use signal::{SignalFigures, compute_signal_figures};
pub use sql::{lake, run_sql};
pub use trace::{MadeFrom, RowTrace, SourceLine, TracedRow, trace_row};
pub use validate::{ValidatedDay, ValidationReport, ValidationScope, validate};
pub use validation::{
    Cadence, GapBuckets, GapRule, GapStatistics, Interval, MIN_GAP_THRESHOLD_S, ReasonCode, State, ValidationCounts,
    ValidationPolicy, ValidationState, compute_gap_statistics, compute_validation_state,
};
