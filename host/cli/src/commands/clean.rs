//! `ghtrader data gc` and `ghtrader data purge`: what nothing needs any more, and rows without depth.

use super::quality::word;
use crate::args::{CollectGarbage, Purge};
use crate::context::Context;
use crate::output::{emit, grouped, table};
use ghtrader_core::{ContractId, ContractTable, ErrorClass, Problem};
use ghtrader_pipeline::{FactsScope, PurgeReport, purge_shallow};
use ghtrader_store::{Dataset, Garbage, GarbageItem, GarbageTotal};
use serde::Serialize;

/// What is of no use, and whether it was removed.
#[derive(Serialize)]
struct Collected {
    applied: bool,
    totals: Vec<GarbageTotal>,
    items: Vec<GarbageItem>,
}

/// Counts what nothing needs any more, or removes it.
pub(crate) fn gc(context: &Context, flags: &CollectGarbage) -> Result<(), Problem> {
    let store = context.store()?;
    let found: Garbage = if flags.apply { store.collect_garbage()? } else { store.garbage()? };
    let collected = Collected { applied: flags.apply, totals: found.totals(), items: found.items };
    emit(context.json, &collected, collected_text)
}

fn collected_text(c: &Collected) -> String {
    if c.items.is_empty() {
        return "nothing to clean up".to_owned();
    }
    let row = |t: &GarbageTotal| {
        let number = |n: u64| if n == 0 { "–".to_owned() } else { grouped(n.cast_signed()) };
        let fate = match (t.stays, t.set_aside, c.applied) {
            (true, _, _) => "stays: the server has no DELETE",
            (_, true, true) => "moved to quarantine/: ticks cannot be made again",
            (_, true, false) => "goes to quarantine/: ticks cannot be made again",
            (false, false, true) => "removed",
            (false, false, false) => "can go",
        };
        vec![word(&t.kind), number(t.items), number(t.bytes), number(t.rows), fate.to_owned()]
    };
    let rows: Vec<Vec<String>> = c.totals.iter().map(row).collect();
    let listed = table(&["kind", "items", "bytes", "rows", "what becomes of it"], &rows);
    let removable = c.totals.iter().any(|t| !t.stays);
    let next = if removable && !c.applied { "\n\nnext: ghtrader data gc --apply" } else { "" };
    let lost = c.totals.iter().any(|t| t.set_aside);
    let lost = if lost { "\n\nif manifests were lost, put them back first; else import these days again" } else { "" };
    format!("{listed}{lost}{next}")
}

/// Counts rows without depth, or takes them out.
pub(crate) fn purge(context: &Context, flags: &Purge) -> Result<(), Problem> {
    let (from, to) = flags.range.checked()?;
    let store = context.store()?;
    let symbols: Vec<String> = match (&flags.symbol, &flags.var) {
        (Some(contract), _) => vec![contract.to_string()],
        (None, Some(var)) => {
            let of_product = |s: &String| s.parse::<ContractId>().is_ok_and(|c| c.variety() == var);
            store.symbols(Dataset::Ticks)?.into_iter().filter(of_product).collect()
        }
        // The flags see to it that one is there.
        (None, None) => Vec::new(),
    };
    let scopes: Vec<FactsScope<'_>> = symbols.iter().map(|symbol| FactsScope { symbol, from, to }).collect();
    let report = purge_shallow(&*store, &scopes, flags.apply, ContractTable::builtin(), &|day| {
        context.progress.show("purge", &format!("{} {}", day.symbol, day.trading_day), 0, 0, "days");
    });
    context.progress.finish();
    let report = report?;
    if report.days_looked_at == 0 {
        return Err(Problem::new(
            "days_missing",
            ErrorClass::User,
            "no day of these contracts is stored in the range",
            "ghtrader data list shows what is stored",
        ));
    }
    emit(context.json, &report, purge_text)
}

fn purge_text(r: &PurgeReport) -> String {
    let rows: Vec<Vec<String>> = r
        .days
        .iter()
        .map(|day| {
            let fate = match (day.left, day.new_sha256) {
                (true, _) => "stays: it has no depth at all".to_owned(),
                (false, Some(sha256)) => sha256.short16(),
                (false, None) => String::new(),
            };
            vec![
                day.symbol.clone(),
                day.trading_day.to_string(),
                grouped(day.rows.cast_signed()),
                grouped(day.rows_without_depth.cast_signed()),
                day.sha256.short16(),
                fate,
            ]
        })
        .collect();
    let head = ["symbol", "trading day", "rows", "without depth", "sha256", "new sha256"];
    let listed = if rows.is_empty() { String::new() } else { table(&head, &rows) + "\n" };
    let counts = format!(
        "{} of {} rows of {} days have no depth; {} days looked at, {} without any depth stay",
        grouped(r.rows_without_depth.cast_signed()),
        grouped(r.rows.cast_signed()),
        r.days_changed,
        r.days_looked_at,
        r.days_left
    );
    let next = match (r.applied, r.days_changed) {
        (_, 0) => "; nothing to take out",
        (true, _) => "; they are gone, the earlier versions stay until data gc",
        (false, _) => "; say it again with --apply to take them out",
    };
    format!("{listed}{counts}{next}")
}
