//! One symbol-day at a glance: rows, phases, gaps, quality, and how much its book tells; and the verdict over many days.

use crate::{
    DayQuality, GapStatistics, Interval, PipelineError, ValidationCounts, ValidationPolicy, ValidationState,
    compute_day_quality, compute_gap_statistics, compute_signal_figures, compute_validation_state, quantile,
};
use ghtrader_core::{
    Calendar, Column, ContractId, ContractSpec, ContractTable, Digest, ExchangeTimeNs, NS_PER_S, Phase, SessionWindow,
    TickView, TradingDay, Variety,
};
use ghtrader_store::{Counting, Dataset, Manifest, Store};
use serde::{Deserialize, Serialize};

/// Time between a row and the one before it in the same window, s; all 0 with fewer than two rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct RowIntervals {
    /// Median.
    pub median_s: f64,
    /// 95th percentile (nearest rank).
    pub p95_s: f64,
    /// 99th percentile.
    pub p99_s: f64,
    /// Longest.
    pub max_s: f64,
}

/// What the rows around the gaps say about them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapEvidence {
    /// Best quotes and volume are the same before and after: nothing happened.
    pub quiet: u64,
    /// One snapshot explains the change: nothing traded, or at a mean price within the quotes before and after.
    pub plausible: u64,
    /// Trades at a mean price outside those quotes: snapshots are lost.
    pub lost: u64,
    /// No row on one side in the same window, or no turnover to judge by.
    pub unknown: u64,
    /// Quiet gaps over 30 s; they do not count for the gate.
    pub quiet_gt_30: u64,
}

/// Rows by phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the phases of ghtrader_core::Phase")]
pub struct PhaseRows {
    pub pre_open: u64,
    pub auction: u64,
    pub continuous: u64,
    #[serde(rename = "break")]
    pub in_break: u64,
    pub closed: u64,
}

/// One symbol-day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DayReport {
    /// Contract or continuous symbol.
    pub symbol: String,
    /// Trading day.
    pub trading_day: TradingDay,
    /// `ticks` or `main_l5`.
    pub dataset: Dataset,
    /// The contract of a `main_l5` day.
    pub underlying_contract: Option<ContractId>,
    /// Digest of the stored file.
    pub sha256: Digest,
    /// Kind of source.
    pub source: String,
    /// How volumes count.
    pub counting: Counting,
    /// Rows.
    pub rows: u64,
    /// Rows with depth (any field of levels 2 to 5 above 0).
    pub rows_with_l5: u64,
    /// Rows by phase.
    pub phases: PhaseRows,
    /// Exchange time of the first row, Shanghai.
    pub first_time: String,
    /// Exchange time of the last row, Shanghai.
    pub last_time: String,
    /// Rows with both best prices that the two signal figures are taken over.
    pub signal_rows: usize,
    /// See [`crate::SignalFigures`].
    pub queue_imbalance_auc: Option<f64>,
    /// See [`crate::SignalFigures`].
    pub ofi_r2: Option<f64>,
    /// Coverage of the sessions by continuous rows.
    pub gaps: GapStatistics,
    /// What the gaps look like.
    pub gap_evidence: GapEvidence,
    /// Time between continuous rows.
    pub row_intervals: RowIntervals,
    /// Field quality of all rows.
    pub quality: DayQuality,
    /// The verdict on this day alone.
    pub state: ValidationState,
    /// What to do about it.
    pub action_hint: &'static str,
}

/// Reports one stored symbol-day: a contract such as `SHFE.cu2602`, or a continuous symbol such as `KQ.m@SHFE.cu`.
///
/// # Errors
/// `bad_symbol`, `unknown_contract`, `days_missing`, and those of the store.
pub fn report_day(
    store: &dyn Store,
    symbol: &str,
    day: TradingDay,
    policy: &ValidationPolicy,
    calendar: &Calendar,
    table: &ContractTable,
) -> Result<DayReport, PipelineError> {
    let (dataset, symbol, variety) = resolve(symbol)?;
    let spec = table.spec(&variety, day)?;
    let stored = store.read_day(dataset, &symbol, day)?;
    Ok(day_report(stored.manifest(), &stored.view(), &calendar.session_windows(&variety, day), spec, policy))
}

/// The dataset, the stored spelling and the product of a symbol: contracts lie in `ticks`, continuous ones such as
/// `KQ.m@SHFE.cu` in `main_l5`.
///
/// # Errors
/// `bad_symbol`.
pub fn resolve(symbol: &str) -> Result<(Dataset, String, Variety), PipelineError> {
    let symbol = symbol.trim();
    if let Some((head, variety)) = symbol.split_once('@')
        && head.eq_ignore_ascii_case("KQ.m")
    {
        let variety: Variety = variety.parse()?;
        return Ok((Dataset::MainL5, variety.main_symbol(), variety));
    }
    let contract: ContractId = symbol.parse()?;
    Ok((Dataset::Ticks, contract.to_string(), contract.variety().clone()))
}

/// Reports rows of one symbol-day in order. `windows` are the day's sessions.
pub fn day_report(
    manifest: &Manifest,
    rows: &TickView<'_>,
    windows: &[SessionWindow],
    spec: &ContractSpec,
    policy: &ValidationPolicy,
) -> DayReport {
    let signal = compute_signal_figures(&signal_rows(rows, windows, manifest.counting));
    let validation = validate_day(rows, windows, spec, policy);
    let state = compute_validation_state(&counts_of(std::iter::once(&validation)), policy);
    let time = |t: Option<&i64>| t.map(|t| ExchangeTimeNs(*t).to_string()).unwrap_or_default();
    let in_phase = |phase: Phase| rows.phase.iter().filter(|p| **p == phase as u8).count() as u64;
    DayReport {
        symbol: manifest.symbol.clone(),
        trading_day: manifest.trading_day,
        dataset: manifest.dataset,
        underlying_contract: manifest.underlying.as_ref().map(|u| u.contract.clone()),
        sha256: manifest.sha256,
        source: manifest.source.clone(),
        counting: manifest.counting,
        rows: rows.rows() as u64,
        rows_with_l5: (0..rows.rows()).filter(|i| rows.has_l5(*i)).count() as u64,
        phases: PhaseRows {
            pre_open: in_phase(Phase::PreOpen),
            auction: in_phase(Phase::Auction),
            continuous: in_phase(Phase::Continuous),
            in_break: in_phase(Phase::Break),
            closed: in_phase(Phase::Closed),
        },
        first_time: time(rows.ts_ns.first()),
        last_time: time(rows.ts_ns.last()),
        signal_rows: signal.rows,
        queue_imbalance_auc: signal.queue_imbalance_auc,
        ofi_r2: signal.ofi_r2,
        gaps: validation.gaps,
        gap_evidence: validation.evidence,
        row_intervals: validation.row_intervals,
        quality: compute_day_quality(rows, spec),
        state,
        action_hint: state.reason_code.action_hint(),
    }
}

/// The rows that the signal figures are taken over: all of them, but on days that count both sides only those from the
/// opening of the first window to the end of the last. The only auction of those days stands at their head, and its book is
/// one price the market then leaves in a jump; the published figures of such days begin after it.
fn signal_rows<'a>(rows: &TickView<'a>, windows: &[SessionWindow], counting: Counting) -> TickView<'a> {
    match (counting, windows.first(), windows.last()) {
        (Counting::Double, Some(first), Some(last)) => {
            let from = rows.ts_ns.partition_point(|t| *t < first.start_ns);
            let to = rows.ts_ns.partition_point(|t| *t < last.end_ns);
            rows.slice(from..to.max(from))
        }
        _ => *rows,
    }
}

/// Coverage of one day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DayValidation {
    /// Seconds and gaps.
    pub gaps: GapStatistics,
    /// What the gaps look like.
    pub evidence: GapEvidence,
    /// Time between rows.
    pub row_intervals: RowIntervals,
}

/// Validates the continuous rows of one symbol-day in order; rows of other phases belong to no session and are left out.
pub fn validate_day(
    rows: &TickView<'_>,
    windows: &[SessionWindow],
    spec: &ContractSpec,
    policy: &ValidationPolicy,
) -> DayValidation {
    let continuous: Vec<usize> = (0..rows.rows()).filter(|i| rows.phase[*i] == Phase::Continuous as u8).collect();
    let mut seconds: Vec<(i64, u64)> = Vec::new();
    for &i in &continuous {
        let s = rows.ts_ns[i].div_euclid(NS_PER_S);
        match seconds.last_mut() {
            Some(last) if last.0 == s => last.1 += 1,
            _ => seconds.push((s, 1)),
        }
    }
    let interval = |w: &SessionWindow| Interval {
        night: w.night,
        start_s: w.start_ns.div_euclid(NS_PER_S),
        end_s: w.end_ns.div_euclid(NS_PER_S),
    };
    let intervals: Vec<Interval> = windows.iter().map(interval).collect();
    let gaps = compute_gap_statistics(&intervals, &seconds, policy.gap_rule());
    let window_of = |t: i64| windows.iter().position(|w| t >= w.start_ns && t < w.data_end_ns());
    let same_window = |a: usize, b: usize| window_of(rows.ts_ns[a]) == window_of(rows.ts_ns[b]);

    let mut evidence = GapEvidence::default();
    for gap in &gaps.gaps {
        let after = continuous.partition_point(|i| rows.ts_ns[*i].div_euclid(NS_PER_S) < gap.start_s);
        let around = after.checked_sub(1).and_then(|b| Some((continuous[b], *continuous.get(after)?)));
        let kind = around.filter(|(b, a)| same_window(*b, *a)).map(|(b, a)| judge_gap(rows, b, a, spec));
        match kind {
            Some(Some(Gap::Quiet)) => {
                evidence.quiet += 1;
                evidence.quiet_gt_30 += u64::from(gap.length_s() > 30);
            }
            Some(Some(Gap::Plausible)) => evidence.plausible += 1,
            Some(Some(Gap::Lost)) => evidence.lost += 1,
            _ => evidence.unknown += 1,
        }
    }
    let pairs = continuous.windows(2).filter(|w| same_window(w[0], w[1]));
    let mut between: Vec<f64> = pairs.map(|w| (rows.ts_ns[w[1]] - rows.ts_ns[w[0]]) as f64 / NS_PER_S as f64).collect();
    let mut at = |q| quantile(&mut between, q).unwrap_or(0.0);
    let row_intervals = RowIntervals { median_s: at(0.5), p95_s: at(0.95), p99_s: at(0.99), max_s: at(1.0) };
    DayValidation { gaps, evidence, row_intervals }
}

enum Gap {
    Quiet,
    Plausible,
    Lost,
}

/// `None` where turnover or quotes are lacking.
fn judge_gap(rows: &TickView<'_>, before: usize, after: usize, spec: &ContractSpec) -> Option<Gap> {
    let both = |c: Column| (rows.float(c)[before], rows.float(c)[after]);
    let same = |(a, b): (f64, f64)| a == b || (a.is_nan() && b.is_nan());
    let rise = |(a, b): (f64, f64)| b - a;
    let (bid, ask) = (both(Column::bid_price(0)), both(Column::ask_price(0)));
    let lots = rise(both(Column::Volume));
    if lots == 0.0 {
        return Some(if same(bid) && same(ask) { Gap::Quiet } else { Gap::Plausible });
    }
    let mean_price = rise(both(Column::Amount)) / (lots * spec.multiplier);
    let (low, high) = (bid.0.min(bid.1), ask.0.max(ask.1));
    if lots < 0.0 || mean_price.is_nan() || low.is_nan() || high.is_nan() {
        return None;
    }
    Some(if (low..=high).contains(&mean_price) { Gap::Plausible } else { Gap::Lost })
}

/// The sums that the verdict is made from. A day without rows is missing, and nothing else is said of it.
pub(crate) fn counts_of<'a>(days: impl Iterator<Item = &'a DayValidation>) -> ValidationCounts {
    let mut counts = ValidationCounts::default();
    let (mut there, mut segments) = (0u64, 0);
    for day in days {
        let gaps = &day.gaps;
        counts.outside_s += gaps.outside_s;
        if gaps.missing_day {
            counts.missing_days += 1;
            continue;
        }
        there += 1;
        segments += gaps.observed_segments;
        counts.count_gt_30 += gaps.count_gt_30.saturating_sub(day.evidence.quiet_gt_30);
        if gaps.cadence == crate::Cadence::Fixed {
            counts.half_missing_s += gaps.half_missing_s;
            counts.strict_fixed_s += gaps.strict_s;
        }
    }
    counts.segments_avg_per_day = if there == 0 { 0.0 } else { segments as f64 / there as f64 };
    counts
}
