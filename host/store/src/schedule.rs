//! Main schedules: which contract is the main one, day by day.

use crate::StoreError;
use ghtrader_core::{ContractId, Digest, TradingDay, Variety};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One day of a main schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleRow {
    /// Trading day.
    pub date: TradingDay,
    /// Main contract of the day.
    pub main_contract: ContractId,
    /// From 0, one more at each change of contract.
    pub segment_id: u32,
}

/// A variety's main schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    variety: Variety,
    source: String,
    hash: String,
    rows: Vec<ScheduleRow>,
}

impl Schedule {
    /// A schedule from its rows; `source` is `oi`, `vendor` or `file`.
    ///
    /// # Errors
    /// `schedule_empty` if there are no rows, if dates do not grow, or if segments are not 0, 0, …, 1, … with the contract.
    pub fn new(variety: Variety, source: &str, rows: Vec<ScheduleRow>) -> Result<Self, StoreError> {
        let refuse = |why: String| Err(StoreError::ScheduleEmpty { variety: variety.to_string(), why });
        let Some(first) = rows.first() else { return refuse("it has no rows".into()) };
        if first.segment_id != 0 {
            return refuse(format!("its first segment is {}, it must be 0", first.segment_id));
        }
        for w in rows.windows(2) {
            if w[1].date <= w[0].date {
                return refuse(format!("{} stands after {}", w[1].date, w[0].date));
            }
            let changed = u32::from(w[1].main_contract != w[0].main_contract);
            if w[1].segment_id != w[0].segment_id + changed {
                return refuse(format!(
                    "{} has segment {}, expected {}",
                    w[1].date,
                    w[1].segment_id,
                    w[0].segment_id + changed
                ));
            }
        }
        let hash = Self::hash_of(&rows);
        Ok(Self { variety, source: source.to_owned(), hash, rows })
    }

    /// First 16 hex digits of the digest of the CSV `date,main_contract,segment_id` (D-20).
    pub fn hash_of(rows: &[ScheduleRow]) -> String {
        Self::prefix_hashes(rows).pop().unwrap_or_default()
    }

    /// The hash of the schedule as it was on each of its days: [`Self::hash_of`] of the rows up to it.
    ///
    /// This is what a day of `main_l5` is stamped with: a day that is added later changes no stamp before it.
    pub fn hashes(&self) -> BTreeMap<TradingDay, String> {
        self.rows.iter().map(|row| row.date).zip(Self::prefix_hashes(&self.rows)).collect()
    }

    /// The hash of the schedule up to a day: what a result over days up to it depends on.
    pub fn hash_on(&self, day: TradingDay) -> String {
        let rows = self.rows.partition_point(|row| row.date <= day);
        Self::hash_of(&self.rows[..rows])
    }

    fn prefix_hashes(rows: &[ScheduleRow]) -> Vec<String> {
        let line = |row: &ScheduleRow| format!("{},{},{}\n", row.date, row.main_contract, row.segment_id);
        let mut lines: Vec<String> = rows.iter().map(line).collect();
        let head = "date,main_contract,segment_id\n";
        match lines.first_mut() {
            Some(first) => first.insert_str(0, head),
            None => lines.push(head.to_owned()),
        }
        Digest::of_prefixes(lines.iter().map(String::as_bytes)).iter().map(Digest::short16).collect()
    }

    /// The variety.
    pub const fn variety(&self) -> &Variety {
        &self.variety
    }

    /// `oi`, `vendor` or `file`.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The schedule's hash, 16 hex digits.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The rows, by date.
    pub fn rows(&self) -> &[ScheduleRow] {
        &self.rows
    }

    /// The row of a day.
    pub fn on(&self, day: TradingDay) -> Option<&ScheduleRow> {
        self.rows.binary_search_by_key(&day, |r| r.date).ok().map(|i| &self.rows[i])
    }
}

/// What [`crate::Store::put_schedule`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScheduleOutcome {
    /// The same schedule was there already.
    Unchanged,
    /// The variety had none.
    Stored,
    /// Another one was there.
    Replaced {
        /// Its hash.
        old: String,
    },
}
