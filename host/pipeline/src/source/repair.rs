//! Missing, refused and gappy days: what the source says of them when it is asked again, which of them a new download can
//! mend, and the download.

use super::download::{DownloadOptions, DownloadReport, download};
use super::error::FetchError;
use super::ledger::load_skips;
use super::probe::{Answer, Prober};
use super::{Source, day_end_ns, day_start_ns};
use crate::day_report::resolve;
use crate::validate::{ValidatedDay, ValidationReport, json, kept};
use crate::{Interval, PipelineError};
use ghtrader_core::{ContractId, Digest, NS_PER_S, TradingDay, last_trading_day};
use ghtrader_market::diff::{Instrument, RetryPolicy, SkipReason, TickRow};
use ghtrader_store::{Dataset, Schedule, Store, StoreError};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The store's collection of what a source said of missing days and gaps, a record a symbol.
pub const PROVIDER_ANSWERS: &str = "provider_answers";

/// What a source says of rows that are lacking here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderAnswer {
    /// It has some of them.
    ProviderHasData,
    /// It has none of them either.
    ProviderMissing,
    /// It did not answer.
    ProviderError,
    /// It was not asked: the limits leave it for another time.
    NotChecked,
}

/// A gap with what the source says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedGap {
    /// The seconds without rows.
    #[serde(flatten)]
    pub gap: Interval,
    /// Whether the source has rows in them.
    pub answer: ProviderAnswer,
}

/// What a source said of one symbol-day. It counts as long as the day has the same rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedDay {
    /// Digest of the day's rows when it was asked; none for a day without, and for one of `main_l5` without its ticks.
    pub sha256: Option<Digest>,
    /// Whether it has anything that is lacking here.
    pub answer: ProviderAnswer,
    /// The gaps that it was asked about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<CheckedGap>,
    /// Why it did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Times that it was asked about these rows.
    #[serde(default = "once")]
    pub asked: u32,
}

const fn once() -> u32 {
    1
}

impl CheckedDay {
    fn new(sha256: Option<Digest>, answer: ProviderAnswer) -> Self {
        Self { sha256, answer, gaps: Vec::new(), error: None, asked: 0 }
    }

    /// It was said of these rows, and of what is wrong with them now.
    fn is_of(&self, candidate: &Candidate) -> bool {
        let fits = match self.answer {
            ProviderAnswer::ProviderError | ProviderAnswer::NotChecked => true,
            _ => self.gaps.is_empty() != (candidate.defect == Defect::Gaps),
        };
        self.sha256 == candidate.sha256 && fits
    }
}

/// What a source said of a symbol's days, those it was asked about.
///
/// # Errors
/// As [`Store::load_record`].
pub fn load_answers(store: &dyn Store, symbol: &str) -> Result<BTreeMap<TradingDay, CheckedDay>, StoreError> {
    Ok(kept(store.load_record(PROVIDER_ANSWERS, symbol)?).unwrap_or_default())
}

/// What is wrong with a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Defect {
    /// No row of the contract is stored, even if `main_l5` has rows that were built from it.
    Missing,
    /// Its rows were refused by the rules of the import.
    Refused,
    /// Seconds of trading without rows.
    Gaps,
}

/// What is to be done about a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RepairAction {
    /// Download it.
    Fetch,
    /// Download it once more; what comes takes the place of what is stored.
    FetchAgain,
    /// The source cannot mend it.
    Nothing,
    /// Ask first.
    Ask,
}

/// A day that lacks something.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RepairDay {
    /// The contract whose ticks they are.
    pub contract: ContractId,
    /// The day.
    pub trading_day: TradingDay,
    /// What is wrong.
    pub defect: Defect,
    /// Gaps at or over the threshold.
    pub segments: u64,
    /// What the source says.
    pub answer: ProviderAnswer,
    /// The gaps that it was asked about, the longest first.
    pub gaps: Vec<CheckedGap>,
    /// Why it did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// It said so when it was asked an earlier time, and was not asked again.
    pub kept: bool,
    /// What to do.
    pub action: RepairAction,
}

/// What a repair would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RepairPlan {
    /// Contract or continuous symbol.
    pub symbol: String,
    /// Days without rows.
    pub days_missing: usize,
    /// Gaps of all days.
    pub segments: u64,
    /// Days to download.
    pub fetch: usize,
    /// Days and gaps that the source lacks too.
    pub provider_missing: usize,
    /// Days that were not asked about.
    pub not_checked: usize,
    /// Questions to the source.
    pub questions: u64,
    /// Somebody ended it before every question was asked.
    pub stopped: bool,
    /// The days, in the order in which they were asked about: those that were asked about the fewest times, of these the
    /// missing ones, then by their longest gap.
    pub days: Vec<RepairDay>,
}

/// What to look at, and how many questions to ask.
#[derive(Debug, Clone, Copy)]
pub struct RepairScope {
    /// Days that the source is asked about; the others are listed with what it said of them before.
    pub max_days: usize,
    /// Gaps of a day that it is asked about, the longest ones.
    pub max_segments: usize,
    /// This day alone, stored or not.
    pub only: Option<TradingDay>,
}

/// Asks the source about the days that a validation found lacking, keeps its answers, and says what a download would mend.
///
/// Of a continuous symbol rows with depth are asked for, of the contract that its schedule names.
///
/// # Errors
/// See [`FetchError`]; a source that is not there is an answer, a login that is refused is an error.
pub fn plan_repair(
    source: &mut Source<'_>,
    validation: &ValidationReport,
    scope: RepairScope,
    retry: RetryPolicy,
) -> Result<RepairPlan, FetchError> {
    let (dataset, symbol, variety) = resolve(&validation.symbol).map_err(wrong)?;
    let schedule = if dataset == Dataset::MainL5 { source.store.load_schedule(&variety)? } else { None };
    let mut candidates = candidates(source, validation, &symbol, schedule.as_ref(), scope.only)?;
    let mut answers = load_answers(source.store, &symbol)?;
    let rows: BTreeMap<TradingDay, Option<Digest>> =
        validation.days.iter().map(|d| (d.trading_day, d.asked_of())).collect();
    answers.retain(|day, said| rows.get(day).is_none_or(|sha256| *sha256 == said.sha256));
    // Days that the source lacks too would else use up the questions of every run.
    let asked = |c: &Candidate| answers.get(&c.trading_day).filter(|said| said.is_of(c)).map_or(0, |said| said.asked);
    candidates
        .sort_by_key(|c| (asked(c), c.defect, Reverse(c.gaps.first().map_or(0, Interval::length_s)), c.trading_day));
    let deep = dataset == Dataset::MainL5;
    let mut prober = Prober::new(source, retry);
    let mut known: BTreeMap<ContractId, Result<Instrument, String>> = BTreeMap::new();
    let mut stopped = false;
    let mut days = Vec::new();
    for (at, candidate) in candidates.into_iter().enumerate() {
        let before = answers.get(&candidate.trading_day).filter(|said| said.is_of(&candidate)).cloned();
        let mut answered = None;
        if at < scope.max_days && !stopped {
            answered = check(&mut prober, &mut known, &candidate, scope.max_segments, deep)?;
            stopped = answered.is_none();
        }
        let answered = answered.filter(|said| said.answer != ProviderAnswer::NotChecked);
        let kept = answered.is_none();
        let checked = match (answered, before) {
            (Some(answered), before) => {
                let asked = before.map_or(0, |said| said.asked).saturating_add(1);
                let answered = CheckedDay { asked, ..answered };
                answers.insert(candidate.trading_day, answered.clone());
                answered
            }
            // That it did not answer at another time is no answer.
            (None, Some(said)) if said.answer != ProviderAnswer::ProviderError => said,
            (None, _) => CheckedDay::new(candidate.sha256, ProviderAnswer::NotChecked),
        };
        days.push(candidate.planned(checked, kept));
    }
    let questions = prober.questions;
    source.store.put_record(PROVIDER_ANSWERS, &symbol, &json(&answers))?;
    source.store.flush()?;
    let count = |answer| days.iter().filter(|d| d.answer == answer).count();
    let fetches = |d: &&RepairDay| matches!(d.action, RepairAction::Fetch | RepairAction::FetchAgain);
    let lacking = |gap: &&CheckedGap| gap.answer == ProviderAnswer::ProviderMissing;
    let days_without = days.iter().filter(|d| d.defect != Defect::Gaps && d.answer == ProviderAnswer::ProviderMissing);
    Ok(RepairPlan {
        days_missing: days.iter().filter(|d| d.defect == Defect::Missing).count(),
        segments: days.iter().map(|d| d.segments).sum(),
        fetch: days.iter().filter(fetches).count(),
        provider_missing: days_without.count() + days.iter().flat_map(|d| &d.gaps).filter(lacking).count(),
        not_checked: count(ProviderAnswer::NotChecked),
        questions,
        stopped,
        symbol,
        days,
    })
}

/// Downloads the days that a plan says can be mended; a day that is stored is replaced in one step, by the import's rules.
///
/// # Errors
/// As [`download`]; days that were fetched before stay.
pub fn apply_repair(
    source: &mut Source<'_>,
    plan: &RepairPlan,
    options: &DownloadOptions,
    progress: &dyn Fn(&ContractId, TradingDay, u64, u64, u64),
) -> Result<DownloadReport, FetchError> {
    let mut report = DownloadReport::default();
    let wanted = plan.days.iter().filter(|d| matches!(d.action, RepairAction::Fetch | RepairAction::FetchAgain));
    let wanted: BTreeSet<(&ContractId, TradingDay)> = wanted.map(|d| (&d.contract, d.trading_day)).collect();
    let all = wanted.len() as u64;
    for (done, (contract, day)) in (0..).zip(wanted) {
        if source.stopping() {
            report.stopped = true;
            break;
        }
        let options =
            DownloadOptions { from: day, to: day, first_days: BTreeMap::new(), again: true, ..options.clone() };
        let show = |symbol: &ContractId, day: TradingDay, _: u64, _: u64, rows: u64| {
            progress(symbol, day, done, all, rows);
        };
        report.add(download(source, std::slice::from_ref(contract), &options, &show)?);
    }
    Ok(report)
}

fn wrong(e: PipelineError) -> FetchError {
    FetchError::Pipeline(Box::new(e))
}

/// A day that lacks something, before anybody was asked.
struct Candidate {
    contract: ContractId,
    trading_day: TradingDay,
    sha256: Option<Digest>,
    defect: Defect,
    segments: u64,
    /// The longest first.
    gaps: Vec<Interval>,
}

impl Candidate {
    fn planned(self, checked: CheckedDay, kept: bool) -> RepairDay {
        let action = match (checked.answer, self.sha256) {
            (ProviderAnswer::ProviderHasData, None) => RepairAction::Fetch,
            (ProviderAnswer::ProviderHasData, Some(_)) => RepairAction::FetchAgain,
            (ProviderAnswer::ProviderMissing, _) => RepairAction::Nothing,
            (ProviderAnswer::NotChecked | ProviderAnswer::ProviderError, _) => RepairAction::Ask,
        };
        RepairDay {
            contract: self.contract,
            trading_day: self.trading_day,
            defect: self.defect,
            segments: self.segments,
            answer: checked.answer,
            gaps: checked.gaps,
            error: checked.error,
            kept: kept && checked.answer != ProviderAnswer::NotChecked,
            action,
        }
    }
}

fn candidates(
    source: &Source<'_>,
    validation: &ValidationReport,
    symbol: &str,
    schedule: Option<&Schedule>,
    only: Option<TradingDay>,
) -> Result<Vec<Candidate>, FetchError> {
    let contract_on = |day: TradingDay| match schedule {
        Some(schedule) => schedule.on(day).map(|row| row.main_contract.clone()),
        None => symbol.parse::<ContractId>().ok(),
    };
    let mut refused: BTreeMap<ContractId, BTreeSet<TradingDay>> = BTreeMap::new();
    let mut is_refused = |contract: &ContractId, day: TradingDay| -> Result<bool, StoreError> {
        if !refused.contains_key(contract) {
            let skips = load_skips(source.store, contract)?;
            let days = skips.into_iter().filter(|(_, skip)| skip.reason == SkipReason::Refused).map(|(day, _)| day);
            refused.insert(contract.clone(), days.collect());
        }
        Ok(refused.get(contract).is_some_and(|days| days.contains(&day)))
    };
    let mut found = Vec::new();
    for day in validation.days.iter().filter(|d| only.is_none_or(|only| only == d.trading_day)) {
        let Some(contract) = contract_on(day.trading_day) else { continue };
        let defect = match day.asked_of() {
            _ if is_refused(&contract, day.trading_day)? => Defect::Refused,
            None => Defect::Missing,
            Some(_) if day.segments > 0 => Defect::Gaps,
            Some(_) => continue,
        };
        found.push(candidate(contract, day, defect));
    }
    // A day outside those that are expected: nothing of the contract is stored around it.
    if let Some(day) = only.filter(|day| validation.days.iter().all(|d| d.trading_day != *day))
        && let Some(contract) = contract_on(day)
        && source.calendar.is_trading_day(day)
        && last_trading_day(&contract, source.calendar).is_none_or(|last| day <= last)
    {
        let (sha256, defect) = (None, Defect::Missing);
        found.push(Candidate { contract, trading_day: day, sha256, defect, segments: 0, gaps: Vec::new() });
    }
    Ok(found)
}

fn candidate(contract: ContractId, day: &ValidatedDay, defect: Defect) -> Candidate {
    let (trading_day, sha256) = (day.trading_day, day.asked_of());
    let missing = sha256.is_none();
    let mut gaps = if missing { Vec::new() } else { day.validation.gaps.gaps.clone() };
    gaps.sort_by_key(|gap| (Reverse(gap.length_s()), gap.start_s));
    Candidate { contract, trading_day, sha256, defect, segments: if missing { 0 } else { day.segments }, gaps }
}

/// Asks about one day; `None` if somebody ended it.
fn check(
    prober: &mut Prober<'_, '_>,
    known: &mut BTreeMap<ContractId, Result<Instrument, String>>,
    candidate: &Candidate,
    max_segments: usize,
    deep: bool,
) -> Result<Option<CheckedDay>, FetchError> {
    let mut checked = CheckedDay::new(candidate.sha256, ProviderAnswer::ProviderMissing);
    let failed = |mut checked: CheckedDay, error: String| {
        (checked.answer, checked.error) = (ProviderAnswer::ProviderError, Some(error));
        Ok(Some(checked))
    };
    // A wrong name would only look like a contract without rows.
    if !known.contains_key(&candidate.contract) {
        let told = match prober.told_of(&candidate.contract)? {
            Answer::Found(told) => Ok(told),
            Answer::Nothing => Err(format!("the source does not know {}", candidate.contract)),
            Answer::Failed(error) => return failed(checked, error),
            Answer::Stopped => return Ok(None),
        };
        known.insert(candidate.contract.clone(), told);
    }
    if let Some(Err(error)) = known.get(&candidate.contract) {
        return failed(checked, error.clone());
    }
    let counts = |row: &TickRow| (!deep || row.has_l5()).then_some(());
    let day = candidate.trading_day;
    // A refused day is read as a whole; its gaps are those of the rows that stay.
    if candidate.defect != Defect::Gaps {
        let span = (day_start_ns(prober.source.calendar, day)?, day_end_ns(day));
        match prober.rows(&candidate.contract, span, counts)? {
            Answer::Found(()) => checked.answer = ProviderAnswer::ProviderHasData,
            Answer::Nothing => {}
            Answer::Failed(error) => return failed(checked, error),
            Answer::Stopped => return Ok(None),
        }
        return Ok(Some(checked));
    }
    for gap in candidate.gaps.iter().take(max_segments) {
        let span = (gap.start_s * NS_PER_S, (gap.end_s + 1) * NS_PER_S);
        let answer = match prober.rows(&candidate.contract, span, counts)? {
            Answer::Found(()) => ProviderAnswer::ProviderHasData,
            Answer::Nothing => ProviderAnswer::ProviderMissing,
            Answer::Failed(error) => return failed(checked, error),
            Answer::Stopped => return Ok(None),
        };
        if answer == ProviderAnswer::ProviderHasData {
            checked.answer = answer;
        }
        checked.gaps.push(CheckedGap { gap: *gap, answer });
    }
    if checked.gaps.is_empty() {
        checked.answer = ProviderAnswer::NotChecked;
    }
    Ok(Some(checked))
}
