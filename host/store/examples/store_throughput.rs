//! Rows a second for writing a symbol-day, reading it back from Parquet, and replaying it from the cache.
//!
//! `cargo run --release -p ghtrader-store --example store_throughput [FOLDER] [DAYS]`; ticks are a seeded random walk of an L5 book.

use ghtrader_core::{Column, Digest, L5_LEVELS, Phase, Problem, TickTable, TradingDay};
use ghtrader_store::{ColumnKind, ColumnsKey, Counting, Dataset, DayMeta, EmbeddedStore, NamedColumn, Store};
use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

const ROWS: usize = 55_800;

struct Lcg(u64);

impl Lcg {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Wall time, and where the system tells it the time on the processor: on a busy machine only the second one compares.
struct Stopwatch(Instant, Option<f64>);

impl Stopwatch {
    fn start() -> Self {
        Self(Instant::now(), Self::on_processor_s())
    }

    fn read(&self) -> (f64, Option<f64>) {
        let cpu = self.1.zip(Self::on_processor_s()).map(|(a, b)| b - a);
        (self.0.elapsed().as_secs_f64(), cpu)
    }

    fn on_processor_s() -> Option<f64> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        Some(text.split_whitespace().next()?.parse::<f64>().ok()? / 1e9)
    }
}

/// A day of snapshots every 0.5 s: a book that moves, trades that add up, as cu's looks.
fn random_walk(seed: u64) -> TickTable {
    let mut rng = Lcg(seed);
    let mut t = TickTable::with_capacity(ROWS);
    let (mut bid, mut volume, mut amount, mut oi) = (7_895i64, 0f64, 0f64, 180_000f64);
    let (mut high, mut low) = (bid, bid);
    let mut sizes = [[20u64; 2]; L5_LEVELS];
    for i in 0..ROWS {
        bid += [0, 0, 0, 0, 0, 0, 1, -1][rng.below(8) as usize];
        let spread = 1 + i64::from(rng.below(10) == 0);
        let traded = if rng.below(3) == 0 { rng.below(30) } else { 0 };
        let last = bid + if rng.below(2) == 0 { 0 } else { spread };
        (high, low) = (high.max(last), low.min(last));
        volume += traded as f64;
        amount += traded as f64 * last as f64 * 50.0;
        oi += rng.below(5) as f64 - 2.0;
        for level in &mut sizes {
            for side in level {
                if rng.below(3) == 0 {
                    *side = 1 + rng.below(80);
                }
            }
        }
        t.ts_ns.push(1_752_757_200_500_000_000 + i as i64 * 500_000_000);
        t.seq.push(i as u32);
        t.phase.push(if i < 2 { Phase::Auction } else { Phase::Continuous } as u8);
        let average = if volume > 0.0 { amount / volume / 5.0 } else { f64::NAN };
        let tick = |p: i64| p as f64 * 10.0;
        let mut put = |c: Column, v: f64| t.floats[c.index() - 1].push(v);
        put(Column::LastPrice, tick(last));
        put(Column::Average, average);
        put(Column::Highest, tick(high));
        put(Column::Lowest, tick(low));
        put(Column::Volume, volume);
        put(Column::Amount, amount);
        put(Column::OpenInterest, oi);
        for (level, size) in sizes.iter().enumerate() {
            put(Column::bid_price(level), tick(bid - level as i64));
            put(Column::bid_volume(level), size[0] as f64);
            put(Column::ask_price(level), tick(bid + spread + level as i64));
            put(Column::ask_volume(level), size[1] as f64);
        }
    }
    t
}

fn main() -> Result<(), Problem> {
    let mut args = std::env::args().skip(1);
    let root = args.next().map_or_else(|| PathBuf::from("target/store-throughput"), PathBuf::from);
    let days: i32 = args.next().and_then(|n| n.parse().ok()).unwrap_or(10);
    let store = EmbeddedStore::open(&root)?;
    let first = TradingDay::from_days(20_000);
    let tables: Vec<TickTable> = (0..days).map(|d| random_walk(d as u64)).collect();
    let rows = ROWS as f64 * f64::from(days);
    let report = |what: &str, started: &Stopwatch| {
        let (wall, cpu) = started.read();
        let cpu = cpu.map_or_else(|| "-".to_owned(), |cpu| format!("{:.0}", cpu / rows * 1e9));
        println!(
            "{what:<28} {:>8.2} M rows/s {:>8.0} ns a row, of these on the processor {cpu:>5}",
            rows / wall / 1e6,
            wall / rows * 1e9
        );
    };

    let started = Stopwatch::start();
    let mut stored = Vec::new();
    for (d, table) in (0..).zip(&tables) {
        let meta = DayMeta {
            source: "random_walk".into(),
            counting: Counting::Single,
            build: Digest::of(&[d as u8]),
            underlying: None,
        };
        stored.push(store.put_day(Dataset::Ticks, "SHFE.cu2602", first.plus_days(d), &table.view(), &meta)?);
    }
    report("put_day", &started);
    let bytes: u64 = stored
        .iter()
        .filter_map(|o| {
            let m = o.manifest();
            let dir = format!("lake/ticks/symbol={}/trading_day={}", m.symbol, m.trading_day);
            std::fs::metadata(root.join(dir).join(format!("{}.parquet", m.sha256))).ok()
        })
        .map(|m| m.len())
        .sum();
    println!("{:<28} {:>8.2} bytes a row", "Parquet", bytes as f64 / rows);

    for what in ["first load (fills the cache)", "load_day + replay", "load_day + replay again"] {
        let started = Stopwatch::start();
        let mut sum = 0u64;
        for d in 0..days {
            let day = store.load_day(Dataset::Ticks, "SHFE.cu2602", first.plus_days(d))?;
            let view = day.view();
            sum = view.ts_ns.iter().fold(sum, |s, v| s.wrapping_add(*v as u64));
            for column in Column::floats() {
                sum = view.float(column).iter().fold(sum, |s, v| s.wrapping_add(v.to_bits()));
            }
        }
        black_box(sum);
        report(what, &started);
    }

    let names: Vec<String> = (0..11).map(|i| format!("factor_{i}")).collect();
    let started = Stopwatch::start();
    for (d, table) in (0..).zip(&tables) {
        let key = ColumnsKey {
            kind: ColumnKind::Feature,
            set: "random-walk".into(),
            symbol: "SHFE.cu2602".into(),
            trading_day: first.plus_days(d),
            key: Digest::of(&[d as u8]),
        };
        let columns: Vec<NamedColumn<'_>> =
            names.iter().zip(&table.floats[7..]).map(|(name, values)| NamedColumn { name, values }).collect();
        store.put_columns(&key, &table.ts_ns, &table.seq, &columns)?;
    }
    report("put_columns, 11 columns", &started);

    let started = Stopwatch::start();
    let found = store.verify(true)?;
    println!("verify: {} days, {} bad, {:.2} s", found.days, found.bad.len(), started.read().0);
    Ok(())
}
