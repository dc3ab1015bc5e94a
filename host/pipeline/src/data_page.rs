//! A variety's data on one page: what is there, what is missing, gaps, defects, rolls.

use crate::coverage::{Coverage, DayFacts};
use crate::validate::{ValidatedDay, ValidationReport};
use crate::{DayQuality, State};
use ghtrader_core::{TradingDay, Variety};
use ghtrader_page::chart::{Cell, Chart, Layer, heat_map, legend, table};
use ghtrader_page::{Frame, Tone, grouped, header, page, part, verdict};
use ghtrader_store::Schedule;
use std::collections::{BTreeMap, BTreeSet};

/// Days of a table that lists the worst.
const WORST: usize = 40;

/// What the page is made from.
#[derive(Debug, Clone, Copy)]
pub struct DataPage<'a> {
    /// The product.
    pub variety: &'a Variety,
    /// What its symbols cover.
    pub coverage: &'a [Coverage],
    /// The days of each symbol, in the order of `coverage`.
    pub facts: &'a [Vec<DayFacts>],
    /// The continuous symbol's validation.
    pub validation: &'a ValidationReport,
    /// The main schedule, where there is one.
    pub schedule: Option<&'a Schedule>,
}

/// The page as one HTML file. Equal data gives equal bytes.
pub fn data_page(of: &DataPage<'_>) -> String {
    let mut body = header(
        "Data",
        &format!("{}: ticks and main_l5", of.variety),
        &range_text(of.validation),
        &[
            ("verdict", "Verdict"),
            ("coverage", "Coverage"),
            ("rolls", "Rolls"),
            ("gaps", "Gaps"),
            ("intervals", "Intervals"),
            ("quality", "Quality"),
        ],
    );
    body.push_str(&verdict_part(of));
    body.push_str(&part("coverage", "Coverage by symbol and day", COVERAGE_LEAD, &coverage_part(of)));
    body.push_str(&part(
        "rolls",
        "Rolls on the price",
        "Last price of each main contract's day, as traded; upright lines are rolls.",
        &rolls_part(of),
    ));
    body.push_str(&part("gaps", "Gaps", GAPS_LEAD, &gaps_part(of.validation)));
    body.push_str(&part(
        "intervals",
        "Time between rows",
        "Continuous rows of main_l5, within one window.",
        &intervals_part(of.validation),
    ));
    body.push_str(&part(
        "quality",
        "Field quality",
        "Days with a defect, all symbols; a day without one is not listed.",
        &quality_part(of),
    ));
    page(&Frame {
        title: &format!("{} data", of.variety),
        up: "red",
        style: "",
        body: &body,
        without_script: "",
        data_json: "",
        script: "",
    })
}

const COVERAGE_LEAD: &str = "A square is a trading day: filled where rows are stored, by the state of the day in main_l5; hollow where a day \
                             is expected and missing; nothing where none is expected.";
const GAPS_LEAD: &str = "Seconds of trading without a row. Quiet: best quotes and volume are the same before and after. Plausible: one \
                         snapshot explains the change. Lost: trades happened outside both books.";

fn range_text(validation: &ValidationReport) -> String {
    match (validation.from, validation.to) {
        (Some(from), Some(to)) => format!("{} trading days, {from} to {to}", validation.days_expected),
        _ => "no day stored".to_owned(),
    }
}

fn verdict_part(of: &DataPage<'_>) -> String {
    let validation = of.validation;
    let (tone, word) = match validation.state.overall {
        State::Ok => (Tone::Good, "can be relied on"),
        State::Info | State::Warn => (Tone::Warn, "can be used with care"),
        State::Error => (Tone::Bad, "must not be used as it is"),
    };
    let reason = serde_json::to_value(validation.state.reason_code).unwrap_or_default();
    let rows: u64 = of.coverage.iter().map(|c| c.rows).sum();
    let facts = [
        ("Reason", reason.as_str().unwrap_or_default().to_owned()),
        ("Days expected", validation.days_expected.to_string()),
        ("Days missing", validation.days_missing.len().to_string()),
        ("Gaps over 30 s", validation.counts.count_gt_30.to_string()),
        ("Symbols", of.coverage.len().to_string()),
        ("Rows stored", grouped(rows as f64)),
        ("Schedule", validation.schedule_hash.clone().unwrap_or_else(|| "none".to_owned())),
    ];
    let facts = facts.map(|(label, value)| (label.to_owned(), value));
    verdict(tone, &format!("main_l5 of {} {word}", of.variety), validation.action_hint, &facts)
}

fn coverage_part(of: &DataPage<'_>) -> String {
    let mut days: BTreeSet<TradingDay> = of.coverage.iter().flat_map(|c| c.days_missing.iter().copied()).collect();
    days.extend(of.facts.iter().flatten().map(|f| f.trading_day));
    let states: BTreeMap<TradingDay, State> =
        of.validation.days.iter().map(|d| (d.trading_day, d.state.overall)).collect();
    let rows: Vec<(String, Vec<Cell>)> = of
        .coverage
        .iter()
        .zip(of.facts)
        .map(|(coverage, facts)| {
            let continuous = coverage.symbol == of.validation.symbol;
            let cell = |day: &TradingDay| match facts.binary_search_by_key(day, |f| f.trading_day) {
                Ok(at) => {
                    let state = states.get(day).filter(|_| continuous).copied().unwrap_or(State::Ok);
                    let class = match state {
                        State::Ok => "h-full",
                        State::Info | State::Warn => "h-warn",
                        State::Error => "h-bad",
                    };
                    Cell { class, title: format!("{} {day}: {} rows", coverage.symbol, grouped(facts[at].rows as f64)) }
                }
                Err(_) if coverage.days_missing.binary_search(day).is_ok() => {
                    Cell { class: "h-none", title: format!("{} {day}: missing", coverage.symbol) }
                }
                Err(_) => Cell::default(),
            };
            (coverage.symbol.clone(), days.iter().map(cell).collect())
        })
        .collect();
    let names: Vec<String> = days.iter().map(TradingDay::to_string).collect();
    let figures: Vec<Vec<String>> = of.coverage.iter().map(Coverage::cells).collect();
    heat_map("Stored days by symbol", &names, &rows)
        + &legend(&[("h-full", "stored"), ("h-warn", "with care"), ("h-bad", "not to be used"), ("h-none", "missing")])
        + &table(&Coverage::COLUMNS, &figures)
}

fn rolls_part(of: &DataPage<'_>) -> String {
    let found = of.coverage.iter().zip(of.facts).find(|(c, _)| c.symbol == of.validation.symbol);
    let Some((_, facts)) = found.filter(|(_, facts)| !facts.is_empty()) else {
        return "<p>No main_l5 is built.</p>".to_owned();
    };
    let steps: Vec<String> = facts.iter().map(|f| f.trading_day.to_string()).collect();
    let prices: Vec<f64> = facts.iter().map(|f| f.last_price_cny.unwrap_or(f64::NAN)).collect();
    let base = prices.iter().copied().filter(|p| p.is_finite()).fold(f64::INFINITY, f64::min);
    let contract = |day: TradingDay| of.schedule.and_then(|s| s.on(day)).map(|row| row.main_contract.to_string());
    let mut borders = Vec::new();
    let mut rolls = Vec::new();
    for (at, pair) in facts.windows(2).enumerate() {
        let (before, after) = (contract(pair[0].trading_day), contract(pair[1].trading_day));
        if before != after {
            borders.push(at + 1);
            let price = |f: &DayFacts| f.last_price_cny.map_or_else(|| "–".to_owned(), |p| format!("{p}"));
            rolls.push(vec![
                pair[1].trading_day.to_string(),
                before.unwrap_or_default(),
                after.unwrap_or_default(),
                price(&pair[0]),
                price(&pair[1]),
            ]);
        }
    }
    // The chart's axis begins at 0: a price is shown by how far it stands above the lowest one.
    let above: Vec<f64> = prices.iter().map(|p| p - base).collect();
    let unit = format!("CNY above {}", grouped(base));
    let layers = [Layer::Line { values: above, class: "l-one" }, Layer::Borders { at: borders }];
    let chart = Chart { label: "Last price of the main contract by day", steps: &steps, unit: &unit, layers: &layers };
    chart.svg() + &table(&["first day", "from", "to", "last price before", "last price after"], &rolls)
}

fn gaps_part(validation: &ValidationReport) -> String {
    let steps: Vec<String> = validation.days.iter().map(|d| d.trading_day.to_string()).collect();
    let values =
        validation.days.iter().map(|d| if d.sha256.is_some() { d.segments as f64 } else { f64::NAN }).collect();
    let chart = Chart {
        label: "Gaps at or over the threshold by day",
        steps: &steps,
        unit: "gaps",
        layers: &[Layer::Bars { values }],
    };
    let mut worst: Vec<&ValidatedDay> = validation.days.iter().filter(|d| d.segments > 0).collect();
    worst.sort_by_key(|d| (std::cmp::Reverse(d.validation.gaps.max_gap_s), d.trading_day));
    let rows: Vec<Vec<String>> = worst
        .iter()
        .take(WORST)
        .map(|d| {
            let (gaps, evidence) = (&d.validation.gaps, &d.validation.evidence);
            let numbers = [
                d.segments,
                gaps.max_gap_s.unsigned_abs(),
                gaps.buckets.from_2_to_5_s,
                gaps.buckets.from_6_to_15_s,
                gaps.buckets.from_16_to_30_s,
                gaps.buckets.over_30_s,
                evidence.quiet,
                evidence.plausible,
                evidence.lost,
                evidence.unknown,
            ];
            std::iter::once(d.trading_day.to_string()).chain(numbers.map(|n| n.to_string())).collect()
        })
        .collect();
    let head =
        ["day", "gaps", "longest s", "2–5 s", "6–15 s", "16–30 s", "> 30 s", "quiet", "plausible", "lost", "unknown"];
    chart.svg() + &table(&head, &rows)
}

fn intervals_part(validation: &ValidationReport) -> String {
    let there: Vec<&ValidatedDay> = validation.days.iter().filter(|d| d.sha256.is_some()).collect();
    let steps: Vec<String> = there.iter().map(|d| d.trading_day.to_string()).collect();
    let line =
        |of: fn(&ValidatedDay) -> f64, class| Layer::Line { values: there.iter().map(|d| of(d)).collect(), class };
    let layers = [
        line(|d| d.validation.row_intervals.median_s, "l-one"),
        line(|d| d.validation.row_intervals.p95_s, "l-median"),
        line(|d| d.validation.row_intervals.p99_s, "l-best"),
    ];
    let chart = Chart { label: "Time between rows by day", steps: &steps, unit: "s", layers: &layers };
    chart.svg() + &legend(&[("l-one", "median"), ("l-median", "95 %"), ("l-best", "99 %")])
}

fn quality_part(of: &DataPage<'_>) -> String {
    let mut rows = Vec::new();
    for (coverage, facts) in of.coverage.iter().zip(of.facts) {
        for day in facts {
            let counts: Vec<u64> = std::iter::once(day.rows - day.clean_rows).chain(day.quality.defects()).collect();
            if counts.iter().any(|n| *n > 0) {
                let head = [coverage.symbol.clone(), day.trading_day.to_string()];
                rows.push(head.into_iter().chain(counts.iter().map(u64::to_string)).collect::<Vec<_>>());
            }
        }
    }
    if rows.is_empty() {
        return "<p>No defect is found.</p>".to_owned();
    }
    let head: Vec<&str> = ["symbol", "day", "rows with defects"].into_iter().chain(DayQuality::DEFECTS).collect();
    table(&head, &rows)
}
