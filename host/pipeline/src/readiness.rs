//! What is known about the quality of a symbol's days, as commands and the control API show it: the same answer from both.

use crate::coverage::{Keep, coverage_of, facts_with};
use crate::day_report::resolve;
use crate::settled::{max_segments, report_days};
use crate::validate::validate_with;
use crate::{
    Coverage, DayFacts, FactsScope, GapBuckets, PipelineError, ReasonCode, ValidationProfile, ValidationReport,
    ValidationScope, ValidationState, validation_policy, validation_profile,
};
use ghtrader_core::{Calendar, ContractTable, ErrorClass, Problem, TradingDay, Variety};
use ghtrader_settings::Settings;
use ghtrader_store::{Dataset, Store};
use serde::Serialize;

/// Whether a product's continuous series can be relied on, in one answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Readiness {
    /// The continuous symbol.
    pub symbol: String,
    /// Hash of the main schedule.
    pub schedule_hash: Option<String>,
    /// The verdicts: engineering, policy, source, and the worst of them.
    pub state: ValidationState,
    /// What to do about it.
    pub action_hint: &'static str,
    /// Days that should be there.
    pub days_expected: usize,
    /// Of these, days without a row.
    pub days_missing: usize,
    /// Of these, days with rows while the ticks that they were built from are gone.
    pub ticks_missing: usize,
    /// First day.
    pub first_day: Option<TradingDay>,
    /// Last day with rows.
    pub last_day: Option<TradingDay>,
    /// Trading days by which that lies behind the product's latest.
    pub days_behind: usize,
    /// Share of the strict seconds of days at half a second that miss one of two rows.
    pub half_missing_rate: f64,
    /// Share of the strict seconds without a row.
    pub missing_rate: f64,
    /// Share of the rows without a defect.
    pub clean_rate: f64,
    /// Gaps by length, over all days.
    pub gap_buckets: GapBuckets,
    /// Of those over 30 s: without quiet ones.
    pub gaps_over_30_s: u64,
    /// The longest gap, s.
    pub max_gap_s: i64,
    /// Gaps and the stretches between them, a day.
    pub segments_per_day: f64,
    /// Seconds with rows outside the sessions.
    pub outside_s: i64,
    /// Seconds between the last row of the last day and the end of its sessions.
    pub end_lag_s: Option<i64>,
}

/// A gap of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DayGap {
    /// The day.
    pub trading_day: TradingDay,
    /// Of the night session.
    pub night: bool,
    /// First second without a row, UTC.
    pub start_s: i64,
    /// Last second without a row, UTC.
    pub end_s: i64,
    /// Its length.
    pub seconds: i64,
}

/// A store with what it is looked at by.
///
/// Looking keeps nothing: it takes no writer's lock, so that whoever watches stands in no writer's way. What a command has
/// kept is used; what it has not is worked out again each time.
#[derive(Clone, Copy)]
pub struct Inspection<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// Limits.
    pub settings: &'a Settings,
    /// Trading days and sessions.
    pub calendar: &'a Calendar,
    /// Price ticks and multipliers.
    pub table: &'a ContractTable,
}

impl Inspection<'_> {
    fn validation(&self, variety: &Variety) -> Result<ValidationReport, Problem> {
        let (product, symbol) = (variety.product(), variety.main_symbol());
        let policy = validation_policy(self.settings, product)?;
        let scope = ValidationScope {
            symbol: &symbol,
            from: None,
            to: None,
            incremental: false,
            max_segments: max_segments(self.settings, product),
        };
        Ok(validate_with(Keep::Nothing, self.store, scope, &policy, self.calendar, self.table)?)
    }

    /// The verdict with the figures behind it.
    ///
    /// # Errors
    /// Those of a validation.
    pub fn readiness(&self, variety: &Variety) -> Result<Readiness, Problem> {
        let report = self.validation(variety)?;
        let covered = self.coverage(variety)?;
        Ok(readiness_of(&report, covered.iter().find(|c| c.dataset == Dataset::MainL5)))
    }

    /// The worst days first, as `ghtrader data validate` lists them.
    ///
    /// # Errors
    /// Those of a validation.
    pub fn anomalies(&self, variety: &Variety) -> Result<ValidationReport, Problem> {
        let mut report = self.validation(variety)?;
        report.keep_worst(report_days(self.settings, variety.product()));
        Ok(report)
    }

    /// The limits with their origin.
    ///
    /// # Errors
    /// `bad_settings`.
    pub fn profile(&self, variety: &Variety) -> Result<ValidationProfile, Problem> {
        validation_profile(self.settings, variety.product())
    }

    /// The gaps that were kept, longest first, then by time.
    ///
    /// # Errors
    /// Those of a validation; `days_missing` or `l5_missing` where no day is expected: no gap would say that all is there.
    pub fn gaps(&self, variety: &Variety) -> Result<Vec<DayGap>, Problem> {
        let report = self.validation(variety)?;
        if report.days.is_empty() {
            let code = match report.state.reason_code {
                ReasonCode::L5Missing => "l5_missing",
                _ => "days_missing",
            };
            let what = format!("no day of {} is stored or expected", report.symbol);
            return Err(Problem::new(code, ErrorClass::Negative, what, report.action_hint));
        }
        let mut gaps: Vec<DayGap> = report
            .days
            .iter()
            .flat_map(|day| day.validation.gaps.gaps.iter().map(move |gap| (day.trading_day, gap)))
            .map(|(trading_day, gap)| DayGap {
                trading_day,
                night: gap.night,
                start_s: gap.start_s,
                end_s: gap.end_s,
                seconds: gap.length_s(),
            })
            .collect();
        gaps.sort_by_key(|gap| (std::cmp::Reverse(gap.seconds), gap.start_s));
        Ok(gaps)
    }

    /// Facts and field quality of each day of a contract or a continuous symbol.
    ///
    /// # Errors
    /// As [`crate::day_facts`].
    pub fn days(&self, symbol: &str) -> Result<(String, Vec<DayFacts>), PipelineError> {
        let (_, name, _) = resolve(symbol)?;
        let scope = FactsScope { symbol, from: None, to: None };
        Ok((name, facts_with(Keep::Nothing, self.store, scope, self.table)?))
    }

    /// What each symbol of a product covers.
    ///
    /// # Errors
    /// As [`crate::coverage`].
    pub fn coverage(&self, variety: &Variety) -> Result<Vec<Coverage>, PipelineError> {
        coverage_of(Keep::Nothing, self.store, variety, self.calendar, self.table)
    }
}

fn readiness_of(report: &ValidationReport, covered: Option<&Coverage>) -> Readiness {
    let mut buckets = GapBuckets::default();
    let (mut missing_s, mut strict_s, mut max_gap_s) = (0, 0, 0);
    for gaps in report.days.iter().map(|day| &day.validation.gaps) {
        buckets.from_2_to_5_s += gaps.buckets.from_2_to_5_s;
        buckets.from_6_to_15_s += gaps.buckets.from_6_to_15_s;
        buckets.from_16_to_30_s += gaps.buckets.from_16_to_30_s;
        buckets.over_30_s += gaps.buckets.over_30_s;
        if !gaps.missing_day {
            (missing_s, strict_s) = (missing_s + gaps.missing_s, strict_s + gaps.strict_s);
            max_gap_s = max_gap_s.max(gaps.max_gap_s);
        }
    }
    let rate = |part: i64, whole: i64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let there = report.days.iter().rev().find(|day| day.sha256.is_some());
    Readiness {
        symbol: report.symbol.clone(),
        schedule_hash: report.schedule_hash.clone(),
        state: report.state,
        action_hint: report.action_hint,
        days_expected: report.days_expected,
        days_missing: report.days_missing.len(),
        ticks_missing: report.ticks_missing.len(),
        first_day: report.from,
        last_day: there.map(|day| day.trading_day),
        days_behind: covered.map_or(0, |c| c.days_behind),
        half_missing_rate: rate(report.counts.half_missing_s, report.counts.strict_fixed_s),
        missing_rate: rate(missing_s, strict_s),
        clean_rate: covered.map_or(0.0, |c| c.clean_share),
        gap_buckets: buckets,
        gaps_over_30_s: report.counts.count_gt_30,
        max_gap_s,
        segments_per_day: report.counts.segments_avg_per_day,
        outside_s: report.counts.outside_s,
        end_lag_s: there.and_then(|day| day.validation.gaps.end_lag_s),
    }
}
