//! From ticks to `main_l5`: rows a second of a build, and what one more day costs over histories of different length.

use anyhow::{Result, bail};
use ghtrader_core::{Calendar, ContractTable, Digest, Variety};
use ghtrader_market::synth::{SynthMarket, SynthSpec};
use ghtrader_pipeline::{
    MainL5Options, ScheduleRule, ScheduleSource, ValidationPolicy, ValidationScope, build_main_l5, build_main_schedule,
    coverage, validate,
};
use ghtrader_store::{Counting, Dataset, DayMeta, EmbeddedStore, Store};
use serde_json::{Value, json};
use std::time::Instant;

const HISTORIES: [u32; 3] = [1, 10, 100];
const ROWS_PER_DAY: u32 = 20_000;
const ROUNDS: usize = 5;

/// Seconds of each step of an update.
#[derive(Debug, Clone, Copy, Default)]
struct Steps {
    schedule_s: f64,
    build_s: f64,
    validate_s: f64,
    coverage_s: f64,
}

impl Steps {
    fn all_s(self) -> f64 {
        self.schedule_s + self.build_s + self.validate_s + self.coverage_s
    }
}

/// Prints build rows a second on one thread, and an update of one day over 1, 10 and 100 days of history.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let as_json = match args {
        [] => false,
        [flag] if flag == "--json" => true,
        _ => bail!("bench main takes --json only"),
    };
    let cu: Variety = "SHFE.cu".parse()?;
    let mut updates = Vec::new();
    let mut built = json!(null);
    for history in HISTORIES {
        let mut best: Option<Steps> = None;
        // The schedule begins on a market's second day.
        let days = history + 2;
        for round in 0..ROUNDS.min(if history > 10 { 3 } else { ROUNDS }) {
            let dir = tempfile::tempdir()?;
            let store = EmbeddedStore::open(dir.path())?;
            let spec = SynthSpec { rows_per_day: ROWS_PER_DAY, ..SynthSpec::new(cu.clone(), days, 1, 0.0) };
            let market = SynthMarket::new(spec, Calendar::builtin())?;
            let last = (0..market.symbol_days()).map(|i| market.key(i).1).max();
            let meta = DayMeta {
                source: "synthetic".to_owned(),
                counting: Counting::Single,
                build: Digest::of(b"bench"),
                underlying: None,
            };
            let put = |newest: bool| -> Result<()> {
                for index in (0..market.symbol_days()).filter(|i| (Some(market.key(*i).1) == last) == newest) {
                    let day = market.generate(index);
                    let symbol = day.contract.to_string();
                    store.put_day(Dataset::Ticks, &symbol, day.trading_day, &day.ticks.view(), &meta)?;
                }
                Ok(())
            };
            put(false)?;
            update(&store, &cu)?;
            put(true)?;
            let steps = update(&store, &cu)?;
            if best.is_none_or(|best| steps.all_s() < best.all_s()) {
                best = Some(steps);
            }
            if history == 10 && round == 0 {
                built = full_build(&store, &cu)?;
            }
        }
        let best = best.unwrap_or_default();
        updates.push(json!({ "history_days": history, "s": best.all_s(), "schedule_s": best.schedule_s,
                             "build_s": best.build_s, "validate_s": best.validate_s, "coverage_s": best.coverage_s }));
    }
    let seconds = |value: &Value, key: &str| value[key].as_f64().unwrap_or_default();
    let flat = seconds(&updates[2], "s") / seconds(&updates[0], "s");
    if as_json {
        println!(
            "{}",
            json!({ "schema_version": 1, "bench": "main", "build": built, "updates": updates, "flat": flat })
        );
        return Ok(());
    }
    println!("main_l5 build, one thread: {:.2} M rows/s from Parquet to Parquet", seconds(&built, "rows_per_s") / 1e6);
    println!("one more day of {ROWS_PER_DAY} rows over a history of:");
    for update in &updates {
        println!(
            "  {:>4} days  {:6.1} ms = schedule {:.1} + main_l5 {:.1} + validation {:.1} + coverage {:.1}",
            update["history_days"],
            seconds(update, "s") * 1e3,
            seconds(update, "schedule_s") * 1e3,
            seconds(update, "build_s") * 1e3,
            seconds(update, "validate_s") * 1e3,
            seconds(update, "coverage_s") * 1e3
        );
    }
    println!("over 100 days it takes {flat:.2} x what it takes over one");
    Ok(())
}

/// Everything that a new day brings about, up to features.
fn update(store: &dyn Store, variety: &Variety) -> Result<Steps> {
    let (calendar, table) = (Calendar::builtin(), ContractTable::builtin());
    let mut steps = Steps::default();
    let mut began = Instant::now();
    let mut lap = || {
        let passed = began.elapsed().as_secs_f64();
        began = Instant::now();
        passed
    };
    let source = ScheduleSource::OpenInterest(ScheduleRule::default());
    build_main_schedule(store, variety, &source, None, calendar, table)?;
    steps.schedule_s = lap();
    let Some(schedule) = store.load_schedule(variety)? else { bail!("no schedule") };
    build_main_l5(store, &schedule, MainL5Options::default(), &|| {})?;
    steps.build_s = lap();
    let symbol = variety.main_symbol();
    let scope = ValidationScope { symbol: &symbol, from: None, to: None, incremental: false, max_segments: 200 };
    validate(store, scope, &ValidationPolicy::default(), calendar, table)?;
    steps.validate_s = lap();
    coverage(store, variety, calendar, table)?;
    steps.coverage_s = lap();
    Ok(steps)
}

/// Builds every day again on one thread.
fn full_build(store: &dyn Store, variety: &Variety) -> Result<Value> {
    let Some(schedule) = store.load_schedule(variety)? else { bail!("no schedule") };
    let began = Instant::now();
    let report =
        build_main_l5(store, &schedule, MainL5Options { workers: 1, full: true, ..MainL5Options::default() }, &|| {})?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(json!({ "rows": report.rows, "s": seconds, "rows_per_s": report.rows as f64 / seconds }))
}
