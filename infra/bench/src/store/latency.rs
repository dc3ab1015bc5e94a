//! How long one question to a store takes: the middle one and the slowest of twenty.

use super::{SYMBOL, touched};
use anyhow::{Context, Result};
use ghtrader_core::TradingDay;
use ghtrader_pipeline::quantile;
use ghtrader_store::{Dataset, Query, QuestDbStore, Store};
use serde::Serialize;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Times one question is asked.
const ASKED: usize = 60;
const PATIENCE: Duration = Duration::from_secs(60);

/// Milliseconds that a question took.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Latency {
    p50_ms: f64,
    p95_ms: f64,
}

impl std::fmt::Display for Latency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:9.3} ms  {:9.3} ms", self.p50_ms, self.p95_ms)
    }
}

/// A question with its latency.
pub(super) type Asked = (String, Latency);

/// Asks both stores the same, day after day in turn, and the server some SQL as well.
pub(super) fn latencies(embedded: &dyn Store, questdb: &QuestDbStore, days: &[TradingDay]) -> Result<Vec<Asked>> {
    let mut all = Vec::new();
    for (name, store) in [("embedded", embedded), ("QuestDB", questdb as &dyn Store)] {
        let mut ask = |what: &str, work: &dyn Fn(TradingDay) -> Result<()>| -> Result<()> {
            all.push((format!("{name}: {what}"), timed(days, work)?));
            Ok(())
        };
        ask("days of a symbol", &|_| {
            black_box(store.days(Dataset::Ticks, SYMBOL)?);
            Ok(())
        })?;
        ask("manifest of a day", &|day| {
            black_box(store.manifest(Dataset::Ticks, SYMBOL, day)?.context("it was stored")?);
            Ok(())
        })?;
        ask("rows of a day", &|day| {
            black_box(touched(&store.read_day(Dataset::Ticks, SYMBOL, day)?.view()));
            Ok(())
        })?;
        ask("rows of a day, mapped copy", &|day| {
            black_box(touched(&store.load_day(Dataset::Ticks, SYMBOL, day)?.view()));
            Ok(())
        })?;
    }
    for (what, sql) in [
        (
            "SQL, last 100 rows",
            "SELECT datetime, last_price FROM ticks WHERE symbol = 'SYMBOL' AND trading_day = 'DAY' ORDER BY datetime DESC LIMIT 100",
        ),
        (
            "SQL, minute bars of a day",
            "SELECT datetime, first(last_price), max(last_price), min(last_price), last(last_price) FROM ticks \
             WHERE symbol = 'SYMBOL' AND trading_day = 'DAY' SAMPLE BY 1m",
        ),
    ] {
        let work = |day: TradingDay| -> Result<()> {
            let query = Query::parse(&sql.replace("SYMBOL", SYMBOL).replace("DAY", &day.to_string()))?;
            let answer = questdb.select(&query, 100_000, PATIENCE)?;
            anyhow::ensure!(answer.rows.len() >= 100, "{day} gave {} rows", answer.rows.len());
            black_box(answer);
            Ok(())
        };
        all.push((format!("QuestDB: {what}"), timed(days, &work)?));
    }
    Ok(all)
}

fn timed(days: &[TradingDay], work: &dyn Fn(TradingDay) -> Result<()>) -> Result<Latency> {
    let mut took = Vec::with_capacity(ASKED);
    for day in days.iter().cycle().take(ASKED) {
        let began = Instant::now();
        work(*day)?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let mut at = |q| quantile(&mut took, q).unwrap_or(f64::NAN);
    Ok(Latency { p50_ms: at(0.5), p95_ms: at(0.95) })
}
