//! Takes rows without depth out of stored ticks. Counted first; each day is replaced in one step, and its earlier version
//! stays until it is collected.

use crate::lineage::DayLineage;
use crate::main_l5::picked_rows;
use crate::{DayFacts, FactsScope, PipelineError, day_facts};
use ghtrader_core::{ContractTable, Digest, DigestBuilder, TradingDay};
use ghtrader_store::{Dataset, DayMeta, Store};
use serde::Serialize;

/// Raised whenever the rule that picks the rows changes; part of the build digest of a day that was purged.
const RULE_VERSION: i64 = 1;

/// A day with rows without depth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PurgedDay {
    /// The contract.
    pub symbol: String,
    /// The day.
    pub trading_day: TradingDay,
    /// Its rows.
    pub rows: u64,
    /// Of these, rows without depth.
    pub rows_without_depth: u64,
    /// Digest of its rows as they are, or were.
    pub sha256: Digest,
    /// Digest of the rows that took their place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_sha256: Option<Digest>,
    /// No row has depth, and a day has rows: it is left as it is.
    pub left: bool,
}

/// What a purge found, and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PurgeReport {
    /// Days were replaced.
    pub applied: bool,
    /// Days looked at.
    pub days_looked_at: usize,
    /// Rows of the days that are, or would be, replaced.
    pub rows: u64,
    /// Of these, rows without depth.
    pub rows_without_depth: u64,
    /// Days that are, or would be, replaced.
    pub days_changed: usize,
    /// Days without a single row with depth; they stay.
    pub days_left: usize,
    /// Every day with rows without depth.
    pub days: Vec<PurgedDay>,
}

/// Finds the rows without depth of contracts' days, and takes them out if `apply` says so. The rows that stay keep their
/// place in the day (`seq`). `done` is called with each day that was replaced.
///
/// # Errors
/// `bad_symbol`, `unknown_contract`, and those of the store; days that were replaced before stay replaced.
pub fn purge_shallow(
    store: &dyn Store,
    scopes: &[FactsScope<'_>],
    apply: bool,
    table: &ContractTable,
    done: &dyn Fn(&PurgedDay),
) -> Result<PurgeReport, PipelineError> {
    let mut report = PurgeReport { applied: apply, ..PurgeReport::default() };
    for scope in scopes {
        // The counts are kept with each day: only days that are new are read for them.
        let facts = day_facts(store, *scope, table)?;
        report.days_looked_at += facts.len();
        for facts in facts.iter().filter(|f| f.rows_with_l5 < f.rows) {
            let mut day = day_of(scope.symbol, facts);
            if apply && !day.left {
                day.new_sha256 = purge_day(store, &day)?;
                done(&day);
            }
            report.days_left += usize::from(day.left);
            if !day.left {
                report.days_changed += 1;
                report.rows += day.rows;
                report.rows_without_depth += day.rows_without_depth;
            }
            report.days.push(day);
        }
    }
    store.flush()?;
    Ok(report)
}

fn day_of(symbol: &str, facts: &DayFacts) -> PurgedDay {
    PurgedDay {
        symbol: symbol.to_owned(),
        trading_day: facts.trading_day,
        rows: facts.rows,
        rows_without_depth: facts.rows - facts.rows_with_l5,
        sha256: facts.sha256,
        new_sha256: None,
        left: facts.rows_with_l5 == 0,
    }
}

fn purge_day(store: &dyn Store, day: &PurgedDay) -> Result<Option<Digest>, PipelineError> {
    let stored = store.read_day(Dataset::Ticks, &day.symbol, day.trading_day)?;
    let (view, before) = (stored.view(), stored.manifest());
    let rows = picked_rows(&view, |row| view.has_l5(row));
    let build = DigestBuilder::new("purged rows without depth").int(RULE_VERSION).digest(&before.build).finish();
    let meta = DayMeta { build, ..before.meta() };
    let new = DayLineage::carry(store, before, build, || {
        let put = store.put_day(Dataset::Ticks, &day.symbol, day.trading_day, &rows.view(), &meta)?;
        Ok(put.manifest().clone())
    })?;
    Ok(Some(new.sha256))
}
