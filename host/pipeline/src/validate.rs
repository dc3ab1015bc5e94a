//! The validation of a symbol's days. Each is done once and kept with what it was made from: a later run reads rows of
//! days that are new or different, and nothing of the others but a few hundred bytes.

use crate::coverage::Keep;
use crate::day_report::{counts_of, resolve};
use crate::source::{CheckedDay, ProviderAnswer, load_answers};
use crate::{
    DayValidation, GapRule, Interval, PipelineError, ReasonCode, ValidationCounts, ValidationPolicy, ValidationState,
    compute_validation_state, validate_day,
};
use ghtrader_core::{Calendar, ContractTable, Digest, DigestBuilder, SessionWindow, TickTable, TradingDay, Variety};
use ghtrader_store::{Dataset, Schedule, Store, StoreError};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Raised whenever the same rows would be judged otherwise.
const RULE_VERSION: u32 = 2;
/// Collection of what was validated last, by symbol; the days of a symbol lie in one of their own.
const LAST: &str = "validated";

/// What to validate.
#[derive(Debug, Clone, Copy)]
pub struct ValidationScope<'a> {
    /// A contract such as `SHFE.cu2602`, or a continuous symbol such as `KQ.m@SHFE.cu`.
    pub symbol: &'a str,
    /// First day; all if absent.
    pub from: Option<TradingDay>,
    /// Last day; all if absent.
    pub to: Option<TradingDay>,
    /// Only days after the last one validated, if the main schedule up to that day is still the same.
    pub incremental: bool,
    /// Gaps of a day that are kept one by one, the longest ones.
    pub max_segments: usize,
}

/// One day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ValidatedDay {
    /// The day.
    pub trading_day: TradingDay,
    /// Digest of its rows; none for a day without.
    pub sha256: Option<Digest>,
    /// Nothing that decides the outcome had changed.
    pub reused: bool,
    /// Of a day of `main_l5`: the ticks that it was built from are gone. It cannot be built again, and a download is due.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ticks_missing: bool,
    /// Gaps at or over the threshold; `gaps` holds the longest of them, in order.
    pub segments: u64,
    /// What the source said when it was asked again about these rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<CheckedDay>,
    /// The verdict on this day alone.
    pub state: ValidationState,
    /// Coverage, evidence and intervals.
    #[serde(flatten)]
    pub validation: DayValidation,
}

/// The verdict over the days of a symbol.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ValidationReport {
    /// Contract or continuous symbol.
    pub symbol: String,
    /// The main schedule that says which days are expected; none for a contract.
    pub schedule_hash: Option<String>,
    /// First day.
    pub from: Option<TradingDay>,
    /// Last day.
    pub to: Option<TradingDay>,
    /// Days that should be there.
    pub days_expected: usize,
    /// Of these, those without a stored row.
    pub days_missing: Vec<TradingDay>,
    /// Days of `main_l5` that have rows while the ticks that they were built from are gone.
    pub ticks_missing: Vec<TradingDay>,
    /// Days taken from an earlier run.
    pub days_reused: usize,
    /// The sums.
    pub counts: ValidationCounts,
    /// The verdict.
    pub state: ValidationState,
    /// What to do about it.
    pub action_hint: &'static str,
    /// The limits it was made by.
    pub policy: ValidationPolicy,
    /// The days, ascending.
    pub days: Vec<ValidatedDay>,
}

impl ValidatedDay {
    /// The rows that a source is asked about: none where the contract's are not there, whatever was built from them.
    pub(crate) fn asked_of(&self) -> Option<Digest> {
        self.sha256.filter(|_| !self.ticks_missing)
    }
}

impl ValidationReport {
    /// Keeps the worst days only: by state, then the longest gap, then the day.
    pub fn keep_worst(&mut self, most: usize) {
        self.days.sort_by_key(|d| (std::cmp::Reverse((d.state.overall, d.validation.gaps.max_gap_s)), d.trading_day));
        self.days.truncate(most);
    }
}

/// A day as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    rule: u32,
    sha256: Option<Digest>,
    windows: Digest,
    gap_rule: GapRule,
    segments: u64,
    validation: DayValidation,
}

/// How far a symbol was validated.
#[derive(Serialize, Deserialize)]
struct Last {
    schedule_hash: Option<String>,
    day: TradingDay,
}

/// Validates a symbol's days and keeps each with its gaps, in one step a day.
///
/// Of a continuous symbol the days of its main schedule are expected, of a contract the trading days between its first and
/// its last stored one. Days without rows count as missing.
///
/// # Errors
/// `bad_symbol`, `unknown_contract`, `trading_sessions_missing` for a product without sessions on a day, and those of the
/// store. No expected day is no failure but a verdict: `days_missing`, or `l5_missing` where the product has ticks.
pub fn validate(
    store: &dyn Store,
    scope: ValidationScope<'_>,
    policy: &ValidationPolicy,
    calendar: &Calendar,
    table: &ContractTable,
) -> Result<ValidationReport, PipelineError> {
    validate_with(Keep::Results, store, scope, policy, calendar, table)
}

pub(crate) fn validate_with(
    keep: Keep,
    store: &dyn Store,
    scope: ValidationScope<'_>,
    policy: &ValidationPolicy,
    calendar: &Calendar,
    table: &ContractTable,
) -> Result<ValidationReport, PipelineError> {
    let (dataset, symbol, variety) = resolve(scope.symbol)?;
    let (expected, schedule) = expected_days(store, dataset, &symbol, &variety, calendar)?;
    let hashes = schedule.as_ref().map(Schedule::hashes);
    let hash_on = |day: &TradingDay| hashes.as_ref().and_then(|hashes| hashes.get(day)).cloned();
    // What was added to the schedule since leaves the days before as they were judged.
    let last = kept::<Last>(store.load_record(LAST, &symbol)?).filter(|last| last.schedule_hash == hash_on(&last.day));
    let after = last.as_ref().filter(|_| scope.incremental).map(|last| last.day);
    let wanted = |day: &TradingDay| {
        scope.from.is_none_or(|from| *day >= from)
            && scope.to.is_none_or(|to| *day <= to)
            && after.is_none_or(|after| *day > after)
    };
    let known = !expected.is_empty();
    let days: Vec<TradingDay> = expected.into_iter().filter(wanted).collect();
    let answers = load_answers(store, &symbol)?;
    let run = DayRun {
        keep,
        store,
        dataset,
        symbol: &symbol,
        variety: &variety,
        scope,
        policy,
        calendar,
        table,
        answers: &answers,
        schedule: schedule.as_ref(),
    };
    let days: Vec<ValidatedDay> = days.par_iter().map(|day| run.day(*day)).collect::<Result<_, _>>()?;
    if keep == Keep::Results {
        if let Some(day) = days.last().map(|d| d.trading_day).filter(|day| last.is_none_or(|last| *day > last.day)) {
            store.put_record(LAST, &symbol, &json(&Last { schedule_hash: hash_on(&day), day }))?;
        }
        store.flush()?;
    }
    let mut counts = counts_of(days.iter().map(|d| &d.validation));
    days.iter().filter_map(|d| d.provider.as_ref()).for_each(|said| add_answer(&mut counts, said));
    counts.missing_days += days.iter().filter(|d| d.ticks_missing).count() as u64;
    let mut state = compute_validation_state(&counts, policy);
    if days.is_empty() {
        if known && after.is_some() {
            state.reason_code = ReasonCode::NoopUpToDate;
        } else {
            state = ValidationState::of_nothing(nothing_expected(store, dataset, &variety, known)?);
        }
    }
    Ok(ValidationReport {
        symbol,
        schedule_hash: schedule.as_ref().map(|s| s.hash().to_owned()),
        from: days.first().map(|d| d.trading_day),
        to: days.last().map(|d| d.trading_day),
        days_expected: days.len(),
        days_missing: days.iter().filter(|d| d.sha256.is_none()).map(|d| d.trading_day).collect(),
        ticks_missing: days.iter().filter(|d| d.ticks_missing).map(|d| d.trading_day).collect(),
        days_reused: days.iter().filter(|d| d.reused).count(),
        counts,
        action_hint: state.reason_code.action_hint(),
        state,
        policy: *policy,
        days,
    })
}

/// Why no day is expected: a name that nothing is stored of must not pass for one without a defect.
fn nothing_expected(
    store: &dyn Store,
    dataset: Dataset,
    variety: &Variety,
    known: bool,
) -> Result<ReasonCode, StoreError> {
    let has_ticks = || Ok::<_, StoreError>(!symbols_of(store, Dataset::Ticks, variety)?.is_empty());
    Ok(if dataset == Dataset::MainL5 && !known && has_ticks()? {
        ReasonCode::L5Missing
    } else {
        ReasonCode::DaysMissing
    })
}

/// Days that a symbol should have, ascending, and the schedule that says so.
pub(crate) fn expected_days(
    store: &dyn Store,
    dataset: Dataset,
    symbol: &str,
    variety: &Variety,
    calendar: &Calendar,
) -> Result<(Vec<TradingDay>, Option<Schedule>), PipelineError> {
    let schedule = if dataset == Dataset::MainL5 { store.load_schedule(variety)? } else { None };
    if let Some(schedule) = schedule {
        return Ok((schedule.rows().iter().map(|row| row.date).collect(), Some(schedule)));
    }
    let stored = store.days(dataset, symbol)?;
    let mut days = match (stored.first(), stored.last()) {
        (Some(first), Some(last)) => calendar.trading_days(*first, *last),
        _ => Vec::new(),
    };
    // A recording of a day that the calendar has closed is there all the same.
    days.extend(stored.iter().filter(|day| days.binary_search(day).is_err()).copied().collect::<Vec<_>>());
    days.sort_unstable();
    Ok((days, None))
}

struct DayRun<'a> {
    keep: Keep,
    store: &'a dyn Store,
    dataset: Dataset,
    symbol: &'a str,
    variety: &'a Variety,
    scope: ValidationScope<'a>,
    policy: &'a ValidationPolicy,
    calendar: &'a Calendar,
    table: &'a ContractTable,
    answers: &'a BTreeMap<TradingDay, CheckedDay>,
    schedule: Option<&'a Schedule>,
}

/// Counts what a source said of a day.
fn add_answer(counts: &mut ValidationCounts, said: &CheckedDay) {
    let lacking = said.gaps.iter().filter(|gap| gap.answer == ProviderAnswer::ProviderMissing).count();
    counts.provider_missing_segments += lacking as u64;
    counts.provider_errors += u64::from(said.answer == ProviderAnswer::ProviderError);
}

impl DayRun<'_> {
    fn day(&self, day: TradingDay) -> Result<ValidatedDay, PipelineError> {
        let windows = self.calendar.session_windows(self.variety, day);
        if windows.is_empty() {
            return Err(PipelineError::SessionsMissing { symbol: self.symbol.to_owned(), day });
        }
        let sha256 = self.store.manifest(self.dataset, self.symbol, day)?.map(|m| m.sha256);
        let (collection, name) = (format!("validation.{}", self.symbol), day.to_string());
        let (windows_digest, gap_rule) = (digest_of(&windows), self.policy.gap_rule());
        let before = kept::<Kept>(self.store.load_record(&collection, &name)?).filter(|kept| {
            kept.rule == RULE_VERSION
                && kept.sha256 == sha256
                && kept.windows == windows_digest
                && kept.gap_rule == gap_rule
        });
        let reused = before.is_some();
        let kept = match before {
            Some(kept) => kept,
            None => {
                let spec = self.table.spec(self.variety, day)?;
                let mut validation = match sha256 {
                    Some(_) => {
                        let rows = self.store.read_day(self.dataset, self.symbol, day)?;
                        validate_day(&rows.view(), &windows, spec, self.policy)
                    }
                    None => validate_day(&TickTable::default().view(), &windows, spec, self.policy),
                };
                let segments = validation.gaps.gaps.len() as u64;
                keep_longest(&mut validation.gaps.gaps, self.scope.max_segments);
                let kept = Kept { rule: RULE_VERSION, sha256, windows: windows_digest, gap_rule, segments, validation };
                if self.keep == Keep::Results {
                    self.store.put_record(&collection, &name, &json(&kept))?;
                }
                kept
            }
        };
        let Kept { segments, validation, .. } = kept;
        let ticks_missing = sha256.is_some() && self.lost_its_ticks(day)?;
        let mut counts = counts_of(std::iter::once(&validation));
        counts.missing_days += u64::from(ticks_missing);
        let state = compute_validation_state(&counts, self.policy);
        let (trading_day, provider) = (day, None);
        let mut day =
            ValidatedDay { trading_day, sha256, reused, ticks_missing, segments, provider, state, validation };
        // What was said of other rows says nothing of these.
        day.provider = self.answers.get(&trading_day).filter(|said| said.sha256 == day.asked_of()).cloned();
        if let Some(said) = &day.provider {
            add_answer(&mut counts, said);
            day.state = compute_validation_state(&counts, self.policy);
        }
        Ok(day)
    }

    /// The schedule's contract has no ticks of the day.
    fn lost_its_ticks(&self, day: TradingDay) -> Result<bool, StoreError> {
        let Some(row) = self.schedule.and_then(|schedule| schedule.on(day)) else { return Ok(false) };
        Ok(self.store.manifest(Dataset::Ticks, &row.main_contract.to_string(), day)?.is_none())
    }
}

/// Keeps the longest gaps, of equal ones the earlier, in order of time.
fn keep_longest(gaps: &mut Vec<Interval>, most: usize) {
    gaps.sort_by_key(|gap| (std::cmp::Reverse(gap.length_s()), gap.start_s));
    gaps.truncate(most);
    gaps.sort_by_key(|gap| gap.start_s);
}

fn digest_of(windows: &[SessionWindow]) -> Digest {
    let mut digest = DigestBuilder::new("session windows");
    for w in windows {
        digest.int(w.start_ns).int(w.end_ns).int(i64::from(w.night));
    }
    digest.finish()
}

pub(crate) fn json<T: Serialize>(value: &T) -> Value {
    // These are plain structures: they have no keys that JSON cannot hold.
    serde_json::to_value(value).unwrap_or_default()
}

/// What a record holds; one that cannot be read is made again.
pub(crate) fn kept<T: for<'de> Deserialize<'de>>(record: Option<Value>) -> Option<T> {
    record.and_then(|value| serde_json::from_value(value).ok())
}

/// The symbols of a variety in a dataset, sorted.
pub(crate) fn symbols_of(store: &dyn Store, dataset: Dataset, variety: &Variety) -> Result<Vec<String>, StoreError> {
    let of_variety = |symbol: &String| resolve(symbol).is_ok_and(|(_, _, of)| of == *variety);
    Ok(store.symbols(dataset)?.into_iter().filter(of_variety).collect())
}
