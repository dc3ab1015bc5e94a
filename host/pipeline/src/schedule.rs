//! The main contract of each trading day: by open interest, or from given switches.

use ghtrader_core::{Calendar, ContractId, TradingDay, Variety, delivery_month, last_trading_day};
use ghtrader_store::{Schedule, ScheduleRow};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Why the main contract changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollReason {
    /// The later contract held more open interest.
    OpenInterest,
    /// Too few trading days were left.
    Expiry,
    /// The switch was given, by a vendor or a file.
    Given,
}

/// One change of the main contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Roll {
    /// First trading day of the new contract.
    pub trading_day: TradingDay,
    /// The close that decided it; `None` for given switches.
    pub decided_on: Option<TradingDay>,
    /// The contract left.
    pub from: ContractId,
    /// The contract entered.
    pub to: ContractId,
    /// Why.
    pub reason: RollReason,
    /// Closing open interest of both at the decision, lots as counted then.
    pub open_interest_lots: Option<(f64, f64)>,
    /// Closing prices of both at the decision, CNY.
    pub close_cny: Option<(f64, f64)>,
    /// New close less old close, in ticks of the product on that day.
    pub gap_ticks: Option<f64>,
}

/// Something about a schedule that a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleWarning {
    /// Stable name: `candidates_missing`.
    pub code: String,
    /// What and how often.
    pub message: String,
}

/// The main contract of a range of trading days.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MainSchedule {
    /// One row per trading day, ascending, at least one.
    pub rows: Vec<ScheduleRow>,
    /// First 16 hex digits of the SHA-256 of the rows as CSV `date,main_contract,segment_id`.
    pub schedule_hash: String,
    /// The changes, in order.
    pub rolls: Vec<Roll>,
    /// What a person should know.
    pub warnings: Vec<ScheduleWarning>,
}

/// Why there is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// No trading day has a main contract.
    #[error("no trading day has a main contract: {reason}")]
    Empty {
        /// What was lacking.
        reason: String,
    },
    /// The delivery month cannot be told from the contract's name.
    #[error("the delivery month of {contract} cannot be told: its name has a single digit for the year")]
    NoDelivery {
        /// The contract.
        contract: ContractId,
    },
    /// A line of a schedule file.
    #[error("line {line} of the schedule file is `{text}`")]
    BadLine {
        /// From 1.
        line: usize,
        /// As given.
        text: String,
    },
    /// A vendor's table that cannot be read.
    #[error("the table of main contracts {why}")]
    BadTable {
        /// What is wrong with it.
        why: String,
    },
}

/// One contract's state at the close of a day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Close {
    /// Open interest, lots as counted that day.
    pub open_interest_lots: f64,
    /// Volume of the day, lots as counted that day.
    pub volume_lots: f64,
    /// Last price, CNY; NaN if nothing was traded.
    pub close_cny: f64,
}

/// All closes of one trading day; contracts without data are left out.
#[derive(Debug, Clone, PartialEq)]
pub struct DayCloses {
    /// The trading day.
    pub trading_day: TradingDay,
    /// By contract.
    pub closes: BTreeMap<ContractId, Close>,
}

/// A contract that takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The contract.
    pub contract: ContractId,
    /// Trading days after the first day considered, up to and including its last trading day; `None` if not known: it is
    /// then never left for expiry.
    pub days_left: Option<i64>,
}

impl Listed {
    /// By the exchange's rule for the last trading day.
    pub fn by_rule(contract: ContractId, calendar: &Calendar, first_day: TradingDay) -> Self {
        let last = last_trading_day(&contract, calendar);
        let days_left = last.map(|last| calendar.trading_days(first_day.plus_days(1), last).len() as i64);
        Self { contract, days_left }
    }
}

/// When the main contract changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduleRule {
    /// So many closes in a row the candidate must hold more (≥ 1).
    pub confirm_days: u32,
    /// Forced when so many trading days or fewer are left, the last included.
    pub min_days_to_expiry: i64,
}

impl Default for ScheduleRule {
    fn default() -> Self {
        Self { confirm_days: 1, min_days_to_expiry: 5 }
    }
}

/// The main contract by closing open interest.
///
/// `days` are consecutive trading days, ascending. At each close the candidate is, of the contracts delivering later than
/// the current one, that with the largest open interest (ties: larger volume, then nearer delivery). It becomes main on the
/// next day once it has held strictly more than the current one on `confirm_days` closes in a row, or at once when the
/// current one is about to expire. A day without any data decides nothing; nor does one without the current contract's
/// data, expiry apart. Causal: a day's contract depends on closes before that day only, so the first day has no row.
///
/// # Errors
/// `Empty` if no day follows the first close with data; `NoDelivery`.
pub fn schedule_from_open_interest(
    listed: &[Listed],
    days: &[DayCloses],
    rule: ScheduleRule,
) -> Result<MainSchedule, ScheduleError> {
    let mut by_delivery = Vec::with_capacity(listed.len());
    for l in listed {
        let month =
            delivery_month(&l.contract).ok_or_else(|| ScheduleError::NoDelivery { contract: l.contract.clone() })?;
        by_delivery.push((month, l));
    }
    by_delivery.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.contract.cmp(&b.1.contract)));

    let missing = listed.iter().map(|l| (&l.contract, None)).collect();
    let mut walk = Walk { by_delivery: &by_delivery, rule, current: None, streak: None, missing, stuck: 0 };
    let mut rows: Vec<ScheduleRow> = Vec::with_capacity(days.len());
    let mut rolls = Vec::new();
    let mut segment_id = 0;
    for (i, day) in days.iter().enumerate() {
        if let Some(current) = walk.current {
            let contract = by_delivery[current].1.contract.clone();
            rows.push(ScheduleRow { date: day.trading_day, main_contract: contract, segment_id });
        }
        let before = walk.current;
        let decision = walk.close(day, i as i64);
        // A switch at the last close shows in no row: the day it would govern is not listed.
        if let (Some(from), Some((to, reason)), Some(next)) = (before, decision, days.get(i + 1)) {
            segment_id += 1;
            let contract = |n: usize| &by_delivery[n].1.contract;
            let both =
                |f: fn(&Close) -> f64| Some((f(day.closes.get(contract(from))?), f(day.closes.get(contract(to))?)));
            rolls.push(Roll {
                trading_day: next.trading_day,
                decided_on: Some(day.trading_day),
                from: contract(from).clone(),
                to: contract(to).clone(),
                reason,
                open_interest_lots: both(|c| c.open_interest_lots),
                close_cny: both(|c| c.close_cny),
                gap_ticks: None,
            });
        }
    }
    if rows.is_empty() {
        let reason = match (days.len(), walk.current) {
            (0, _) | (_, None) => "no close with data",
            _ => "the first close with data decides for the day after it, and no later day is stored",
        };
        return Err(ScheduleError::Empty { reason: reason.to_owned() });
    }
    Ok(MainSchedule { schedule_hash: Schedule::hash_of(&rows), rows, rolls, warnings: walk.warnings() })
}

/// The state between two closes.
struct Walk<'a> {
    by_delivery: &'a [((i32, u32), &'a Listed)],
    rule: ScheduleRule,
    current: Option<usize>,
    /// The candidate that held more at the last close, and how many closes in a row.
    streak: Option<(usize, u32)>,
    /// Contracts by how many closes lacked them since they first had data; `None` until then.
    missing: BTreeMap<&'a ContractId, Option<u32>>,
    /// Closes at which no later contract had data.
    stuck: u32,
}

impl<'a> Walk<'a> {
    fn close(&mut self, day: &DayCloses, day_index: i64) -> Option<(usize, RollReason)> {
        if day.closes.is_empty() {
            return None;
        }
        for contract in day.closes.keys() {
            if let Some(count @ None) = self.missing.get_mut(contract) {
                *count = Some(0);
            }
        }
        let Some(current) = self.current else {
            self.current = self.largest(day, 0..self.by_delivery.len());
            return None;
        };
        let month = self.by_delivery[current].0;
        let first_later = self.by_delivery.partition_point(|(m, _)| *m <= month);
        let candidate = self.largest(day, first_later..self.by_delivery.len());
        self.note_missing(day, first_later, day_index, candidate.is_none());
        let candidate = candidate?;
        let held = |n: usize| day.closes.get(&self.by_delivery[n].1.contract).map(|c| c.open_interest_lots);
        let left = self.by_delivery[current].1.days_left.map(|left| left - day_index);
        let reason = if left.is_some_and(|left| left <= self.rule.min_days_to_expiry) {
            RollReason::Expiry
        } else {
            let (now, then) = (held(current)?, held(candidate)?);
            self.streak = match self.streak {
                _ if then <= now => None,
                Some((n, count)) if n == candidate => Some((candidate, count + 1)),
                _ => Some((candidate, 1)),
            };
            if self.streak.is_none_or(|(_, count)| count < self.rule.confirm_days.max(1)) {
                return None;
            }
            RollReason::OpenInterest
        };
        self.current = Some(candidate);
        self.streak = None;
        Some((candidate, reason))
    }

    fn largest(&self, day: &DayCloses, range: std::ops::Range<usize>) -> Option<usize> {
        let mut best: Option<(usize, Close)> = None;
        for n in range {
            let Some(close) = day.closes.get(&self.by_delivery[n].1.contract) else { continue };
            let more = best.is_none_or(|(_, b)| {
                let by_interest = close.open_interest_lots.total_cmp(&b.open_interest_lots);
                by_interest.then(close.volume_lots.total_cmp(&b.volume_lots)) == Ordering::Greater
            });
            if more {
                best = Some((n, *close));
            }
        }
        best.map(|(n, _)| n)
    }

    fn note_missing(&mut self, day: &DayCloses, first_later: usize, day_index: i64, stuck: bool) {
        self.stuck += u32::from(stuck);
        for (_, l) in &self.by_delivery[first_later..] {
            let traded = l.days_left.is_none_or(|left| left >= day_index);
            let Some(count) = self.missing.get_mut(&l.contract) else { continue };
            if let Some(n) = count.as_mut().filter(|_| traded && !day.closes.contains_key(&l.contract)) {
                *n += 1;
            }
        }
    }

    fn warnings(&self) -> Vec<ScheduleWarning> {
        let warning = |message| ScheduleWarning { code: "candidates_missing".to_owned(), message };
        let of_contracts = self.missing.iter().filter_map(|(contract, count)| match count {
            None => Some(warning(format!("{contract} is listed but has no data at any close"))),
            Some(0) => None,
            Some(n) => Some(warning(format!("{contract} lacks data at {n} closes after its first"))),
        });
        let none = (self.stuck > 0).then(|| warning(format!("no later contract has data at {} closes", self.stuck)));
        of_contracts.chain(none).collect()
    }
}

/// The main contract from switches: each of `days` takes the latest event on or before it.
///
/// Events come in any order; of several on one day the last listed wins. Days before the first event are dropped, and an
/// event that names the same contract again opens no segment.
///
/// # Errors
/// `Empty` if no day is left.
pub fn schedule_from_events(
    events: &[(TradingDay, ContractId)],
    days: &[TradingDay],
) -> Result<MainSchedule, ScheduleError> {
    let by_day: BTreeMap<TradingDay, &ContractId> = events.iter().map(|(day, contract)| (*day, contract)).collect();
    let mut rows: Vec<ScheduleRow> = Vec::with_capacity(days.len());
    let mut rolls = Vec::new();
    for &trading_day in days {
        let Some((_, contract)) = by_day.range(..=trading_day).next_back() else { continue };
        let segment_id = match rows.last() {
            None => 0,
            Some(last) if last.main_contract == **contract => last.segment_id,
            Some(last) => {
                rolls.push(Roll {
                    trading_day,
                    decided_on: None,
                    from: last.main_contract.clone(),
                    to: (*contract).clone(),
                    reason: RollReason::Given,
                    open_interest_lots: None,
                    close_cny: None,
                    gap_ticks: None,
                });
                last.segment_id + 1
            }
        };
        rows.push(ScheduleRow { date: trading_day, main_contract: (*contract).clone(), segment_id });
    }
    if rows.is_empty() {
        let reason = if events.is_empty() { "no switch is given" } else { "every day lies before the first switch" };
        return Err(ScheduleError::Empty { reason: reason.to_owned() });
    }
    Ok(MainSchedule { schedule_hash: Schedule::hash_of(&rows), rows, rolls, warnings: Vec::new() })
}

/// Reads a variety's switches from a file of lines `date,contract`; empty lines, `#` comments and a header `date,contract`
/// are skipped.
///
/// # Errors
/// `BadLine` with its number, for another product's contract as well.
pub fn parse_events(text: &str, variety: &Variety) -> Result<Vec<(TradingDay, ContractId)>, ScheduleError> {
    let mut events = Vec::new();
    // Spreadsheets begin a text with a byte order mark.
    for (n, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || (n == 0 && line.eq_ignore_ascii_case("date,contract")) {
            continue;
        }
        let event = line.split_once(',').and_then(|(day, contract)| {
            let contract: ContractId = contract.parse().ok()?;
            (contract.variety() == variety).then_some((day.parse().ok()?, contract))
        });
        events.push(event.ok_or_else(|| ScheduleError::BadLine { line: n + 1, text: line.to_owned() })?);
    }
    Ok(events)
}

/// Reads a variety's switches from a vendor's table of main contracts, as DIFF servers have it: a JSON object that gives
/// each product, such as `SHFE.cu`, a list of `[first day, contract]`. A first day that is no trading day counts from the
/// next one on.
///
/// # Errors
/// `BadTable` for another shape, an entry that cannot be read or another product's contract; `Empty` if the table does not
/// have the variety.
pub fn parse_vendor_table(text: &str, variety: &Variety) -> Result<Vec<(TradingDay, ContractId)>, ScheduleError> {
    let bad = |why: String| ScheduleError::BadTable { why };
    let table: serde_json::Value = serde_json::from_str(text).map_err(|e| bad(format!("is no JSON: {e}")))?;
    let table = table.as_object().ok_or_else(|| bad("is no object of products".to_owned()))?;
    let key = variety.to_string();
    let Some(entries) = table.get(&key).or_else(|| table.get(&variety.main_symbol())) else {
        return Err(ScheduleError::Empty {
            reason: format!("the vendor's table has {} products, not {key}", table.len()),
        });
    };
    let entries = entries.as_array().ok_or_else(|| bad(format!("has no list for {key}")))?;
    let event = |entry: &serde_json::Value| -> Option<(TradingDay, ContractId)> {
        let [day, contract] = entry.as_array()?.as_slice() else { return None };
        let contract: ContractId = contract.as_str()?.parse().ok()?;
        (contract.variety() == variety).then_some((day.as_str()?.parse().ok()?, contract))
    };
    let read = |(at, entry)| event(entry).ok_or_else(|| bad(format!("has {entry} as entry {at} of {key}")));
    entries.iter().enumerate().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> TradingDay {
        text.parse().unwrap()
    }

    /// D-20
    #[test]
    fn the_documented_example_has_its_hash() {
        let cu = "SHFE.cu".parse().unwrap();
        let events = parse_events("\u{feff}date,contract\n2025-01-02,SHFE.cu2501\n# roll\n2025-01-04,cu2502\n", &cu);
        let events = events.unwrap();
        let days = ["2025-01-02", "2025-01-03", "2025-01-04"].map(day);
        let s = schedule_from_events(&events, &days).unwrap();
        assert_eq!(s.schedule_hash, "f25225a1507bb808");
        assert_eq!(s.rolls.len(), 1);
        for bad in ["2025-01-02", "x,cu2501", "2025-01-02,cu", "2025-01-02,SHFE.au2508"] {
            assert!(matches!(parse_events(bad, &cu), Err(ScheduleError::BadLine { line: 1, .. })), "{bad}");
        }
    }

    /// D-20
    #[test]
    fn a_vendors_table_gives_the_same_schedule() {
        let cu: Variety = "SHFE.cu".parse().unwrap();
        let table = r#"{"SHFE.au":[["20250101","SHFE.au2506"]],
                        "SHFE.cu":[["20250101","SHFE.cu2501"],["20250104","SHFE.cu2503"],["20250104","SHFE.cu2502"]]}"#;
        let events = parse_vendor_table(table, &cu).unwrap();
        let days = ["2025-01-02", "2025-01-03", "2025-01-04"].map(day);
        let s = schedule_from_events(&events, &days).unwrap();
        assert_eq!(s.schedule_hash, "f25225a1507bb808", "the last of one day holds");
        let by_symbol = parse_vendor_table(&table.replace("SHFE.cu\":", "KQ.m@SHFE.cu\":"), &cu).unwrap();
        assert_eq!(by_symbol, events);
        for bad in [
            "",
            "[]",
            r#"{"SHFE.cu":1}"#,
            r#"{"SHFE.cu":[["20250101"]]}"#,
            r#"{"SHFE.cu":[["2025","SHFE.cu2501"]]}"#,
            r#"{"SHFE.cu":[["20250101","SHFE.au2506"]]}"#,
            r#"{"SHFE.cu":[["20250101",2501]]}"#,
        ] {
            assert!(matches!(parse_vendor_table(bad, &cu), Err(ScheduleError::BadTable { .. })), "{bad}");
        }
        let absent = parse_vendor_table(r#"{"SHFE.au":[]}"#, &cu);
        assert!(matches!(absent, Err(ScheduleError::Empty { .. })), "{absent:?}");
    }

    /// D-19
    #[test]
    fn a_day_depends_on_earlier_closes_only() {
        let contracts: Vec<ContractId> = ["cu2507", "cu2508", "cu2509"].map(|c| c.parse().unwrap()).to_vec();
        let dates = Calendar::builtin().trading_days(day("2025-06-03"), day("2025-07-11"));
        let closes = |last_interest: f64| -> Vec<DayCloses> {
            let at = |i: usize, n: usize| {
                if i + 1 == dates.len() { last_interest } else { (i * n * 10 + 500 - n * 150) as f64 }
            };
            let of_day = |i: usize| {
                let close = |n: usize| Close { open_interest_lots: at(i, n), volume_lots: 1.0, close_cny: 100.0 };
                contracts.iter().enumerate().map(|(n, c)| (c.clone(), close(n))).collect()
            };
            dates.iter().enumerate().map(|(i, d)| DayCloses { trading_day: *d, closes: of_day(i) }).collect()
        };
        let listed: Vec<_> =
            contracts.iter().map(|c| Listed::by_rule(c.clone(), Calendar::builtin(), dates[0])).collect();
        let a = schedule_from_open_interest(&listed, &closes(1.0), ScheduleRule::default()).unwrap();
        let b = schedule_from_open_interest(&listed, &closes(9e9), ScheduleRule::default()).unwrap();
        assert_eq!(a.rows, b.rows);
        assert!(!a.rolls.is_empty());
    }

    /// D-19
    #[test]
    fn a_hole_in_the_candidates_is_told() {
        let (near, far): (ContractId, ContractId) = ("cu2507".parse().unwrap(), "cu2508".parse().unwrap());
        let listed = [&near, &far].map(|c| Listed { contract: c.clone(), days_left: Some(30) });
        let close = Close { open_interest_lots: 5.0, volume_lots: 1.0, close_cny: 1.0 };
        let days = ["2025-06-16", "2025-06-17", "2025-06-18"]
            .map(|d| DayCloses { trading_day: day(d), closes: [(near.clone(), close)].into() });
        let s = schedule_from_open_interest(&listed, &days, ScheduleRule::default()).unwrap();
        assert_eq!(s.warnings.len(), 2);
        assert!(s.warnings.iter().all(|w| w.code == "candidates_missing"));
        let alone = schedule_from_open_interest(&listed, &days[..1], ScheduleRule::default());
        assert!(matches!(alone, Err(ScheduleError::Empty { .. })));
    }
}
