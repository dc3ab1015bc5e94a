//! Whole runs over stored days.

use crate::world::{Dice, MODELS, Native, OneDay, instrument, plain_world, rolling_world, spec};
use ghtrader_backtest::{
    BacktestError, ColumnsOrigin, DayData, Identity, OldDay, RunResult, RunSpec, ScoredRows, days_digest,
};
use ghtrader_core::{Digest, ErrorClass, Problem, TickTable};
use ghtrader_plugin::{Answer, CallSite, PluginFault, Step, StrategyDescription, StrategyInstance};
use ghtrader_runtime::{DayColumns, RuntimeError};
use ghtrader_store::{Counting, Dataset, DayMeta, EmbeddedStore, Store, TickDay};
use std::sync::Arc;

fn stored(store: &EmbeddedStore, contract: &str, day: &OneDay, table: &TickTable) -> TickDay {
    let meta =
        DayMeta { source: "test".to_owned(), counting: Counting::Single, build: Digest::of(b"test"), underlying: None };
    store.put_day(Dataset::Ticks, contract, day.trading_day, &table.view(), &meta).expect("a day stored");
    store.load_day(Dataset::Ticks, contract, day.trading_day).expect("the same day loaded")
}

pub(crate) fn data(world: &[OneDay]) -> (tempfile::TempDir, Vec<DayData>) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = EmbeddedStore::open(folder.path()).expect("a store");
    let mut before = "";
    let days = world
        .iter()
        .map(|day| {
            let ticks = stored(&store, day.contract, day, &day.table);
            let old = day.old.as_ref().map(|old| OldDay {
                ticks: old.table.as_ref().map(|table| stored(&store, before, day, table)),
                instrument: instrument(),
                last_price_cny: old.last_price_cny,
            });
            before = day.contract;
            DayData {
                trading_day: day.trading_day,
                contract: day.contract.to_owned(),
                instrument: instrument(),
                double_sided: false,
                digest: ticks.manifest().sha256,
                ticks,
                columns: Arc::new(day.columns.clone()),
                origin: ColumnsOrigin::default(),
                windows: day.windows.clone(),
                auction_starts_ns: Vec::new(),
                tradable_from: 0,
                old,
            }
        })
        .collect();
    (folder, days)
}

pub(crate) type Make<'a> = &'a (dyn Fn() -> Result<Box<dyn StrategyInstance>, BacktestError> + Sync);

fn dice() -> Result<Box<dyn StrategyInstance>, BacktestError> {
    Ok(Box::new(Native::new(Dice::new(5, true))))
}

pub(crate) fn replay(
    spec: &RunSpec,
    days: &[DayData],
    make: Make<'_>,
    rows: usize,
) -> Result<RunResult, BacktestError> {
    let variety = "SHFE.cu".parse().expect("a variety");
    ghtrader_backtest::run(spec, &variety, days, &Identity::default(), make, rows)
}

/// B-03, B-17: models of one pass know nothing of each other, on one thread or many.
#[test]
fn one_pass_equals_single_runs() {
    let (_folder, days) = data(&rolling_world(3));
    let mut all = spec();
    all.fills.models = MODELS.to_vec();
    let together = replay(&all, &days, &dice, 4_096).expect("a run");
    for (model, record, metrics) in &together.models {
        let mut single = all.clone();
        single.fills.models = vec![*model];
        let alone = replay(&single, &days, &dice, 64).expect("a run");
        // By their text: prices of market orders are NaN, which equals nothing.
        let same = format!("{record:?}{metrics:?}") == format!("{:?}{:?}", alone.models[0].1, alone.models[0].2);
        assert!(same, "{}", model.as_str());
    }
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let again = one.install(|| replay(&all, &days, &dice, 512)).expect("a run");
    assert_eq!((again.output_digest, again.result_digest), (together.output_digest, together.result_digest));
}

/// B-17: whatever decides a result is in its digest, and what does not is not.
#[test]
fn the_result_digest_covers_what_decides() {
    let (_folder, mut days) = data(&rolling_world(3));
    let digest = |spec: &RunSpec, days: &[DayData]| {
        let days: Vec<_> = days.iter().map(DayData::identity).collect();
        ghtrader_backtest::result_digest(spec, &days_digest(&days), &Identity::default(), &Digest::of(b"tables"))
    };
    let base = digest(&spec(), &days);
    let mut named = spec();
    named.name = "another".to_owned();
    assert_eq!(digest(&named, &days), base);
    let changes: [fn(&mut RunSpec); 6] = [
        |s| s.fees.broker_markup = 1.5,
        |s| s.latency.feed_us = 1,
        |s| s.seed = 9,
        |s| s.roll.penalty_ticks = 6,
        |s| s.risk.max_abs_position = 9,
        |s| s.fills.central_power = 2.0,
    ];
    for (i, change) in changes.iter().enumerate() {
        let mut spec = spec();
        change(&mut spec);
        assert_ne!(digest(&spec, &days), base, "change {i}");
    }
    days[1].old.as_mut().expect("a roll").ticks = None;
    let rolled = digest(&spec(), &days);
    assert_ne!(rolled, base, "the old contract's rows decide what a roll costs");
    days[0].auction_starts_ns = vec![days[0].windows[0].start_ns];
    let auctioned = digest(&spec(), &days);
    assert_ne!(auctioned, rolled);
    days[0].origin.features.push(Digest::of(b"warm-up rows of the day before"));
    let featured = digest(&spec(), &days);
    assert_ne!(featured, auctioned);
    days[0].origin.scores.push(ScoredRows { model: Digest::of(b"model"), horizon_rows: 10, rows: 0..100 });
    let scored = digest(&spec(), &days);
    assert_ne!(scored, featured);
    days[0].origin.scores[0].rows.end = 99;
    assert_ne!(digest(&spec(), &days), scored, "which rows a model scored decides");
}

/// Fails at one row of the run.
struct Faulty {
    description: StrategyDescription,
    left: usize,
}

impl StrategyInstance for Faulty {
    fn description(&self) -> &StrategyDescription {
        &self.description
    }

    fn run(&mut self, step: &Step<'_>, _: &mut Vec<u64>) -> Result<u32, PluginFault> {
        let rows = (step.until - step.start) as usize;
        if self.left < rows {
            let at = CallSite { plugin: "faulty".into(), function: "run", rows: 0..1 };
            return Err(PluginFault::Error { at, answer: Answer::Other, message: "broken".to_owned() });
        }
        self.left -= rows;
        Ok(step.until)
    }
}

/// B-21
#[test]
fn a_fault_stops_the_run_and_names_row_and_time() {
    let (_folder, days) = data(&plain_world(1));
    let row = 37;
    let left = days[0].ticks.view().rows() + row;
    let make = move || -> Result<Box<dyn StrategyInstance>, BacktestError> {
        let description = StrategyDescription { inputs: vec!["datetime".to_owned()], warmup_rows: 0 };
        Ok(Box::new(Faulty { description, left }))
    };
    for block_rows in [1, 64, 4_096] {
        let fault = replay(&spec(), &days, &make, block_rows).err().expect("no result");
        let BacktestError::Runtime { row: at, ts_ns, .. } = &fault else { panic!("{fault}") };
        assert_eq!((*at, *ts_ns), (row, days[1].ticks.view().ts_ns[row]), "blocks of {block_rows}");
        assert_eq!(Problem::from(fault).class, ErrorClass::Plugin);
    }
}

/// A strategy may read what the lineup makes, null where there is none, and nothing else.
#[test]
fn inputs_come_from_the_lineup() {
    let mut world = plain_world(2);
    for day in &mut world {
        let mut values = vec![f64::NAN; day.table.rows()];
        values[5] = 0.25;
        day.columns = DayColumns { names: vec!["score/up@10".to_owned()], values: vec![values] };
    }
    let (_folder, days) = data(&world);
    struct Reader(StrategyDescription, std::sync::Arc<std::sync::atomic::AtomicUsize>);
    impl StrategyInstance for Reader {
        fn description(&self) -> &StrategyDescription {
            &self.0
        }
        fn run(&mut self, step: &Step<'_>, _: &mut Vec<u64>) -> Result<u32, PluginFault> {
            let rows = step.rows.unwrap_or_default();
            let scored = rows.iter().map(|w| f64::from_bits(*w)).filter(|v| *v == 0.25).count();
            let null = rows.iter().filter(|w| f64::from_bits(**w).is_nan()).count();
            assert_eq!(scored + null, rows.len());
            self.1.fetch_add(scored, std::sync::atomic::Ordering::Relaxed);
            Ok(step.until)
        }
    }
    let scored = std::sync::Arc::default();
    let make = |input: &'static str| {
        let scored = std::sync::Arc::clone(&scored);
        move || -> Result<Box<dyn StrategyInstance>, BacktestError> {
            let description = StrategyDescription { inputs: vec![input.to_owned()], warmup_rows: 0 };
            Ok(Box::new(Reader(description, std::sync::Arc::clone(&scored))))
        }
    };
    let mut one = spec();
    one.fills.models.truncate(1);
    replay(&one, &days, &make("score/up@10"), 64).expect("a run");
    assert_eq!(scored.load(std::sync::atomic::Ordering::Relaxed), 3, "one scored row a day");
    let missing = replay(&one, &days, &make("score/up@50"), 64).err().expect("no such column");
    assert!(
        matches!(&missing, BacktestError::Lineup(RuntimeError::UnknownColumn { name, .. }) if name == "score/up@50")
    );
    assert_eq!(Problem::from(missing).code, "unknown_column");
}
