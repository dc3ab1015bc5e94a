//! Writing and reading symbol-days on both back ends, beside QuestDB's own Python client on the same server and Polars on one
//! thread.
//!
//! Every round writes into a fresh folder and fresh tables; what takes turns in one run can be compared. Writing to a server
//! ends when all rows can be read and have been counted, for both clients.

mod latency;

use anyhow::{Context, Result, bail};
use ghtrader_core::{Calendar, Digest, TickTable, TickView, TradingDay};
use ghtrader_market::synth::{SynthMarket, SynthSpec};
use ghtrader_store::{Counting, Dataset, DayMeta, EmbeddedStore, QuestDbOptions, QuestDbStore, Store, TickDay};
use latency::{Asked, latencies};
use questdb_server::{Options, Server};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const SYMBOL: &str = "SHFE.cu2509";
const PYTHON: &str = include_str!("store.py");

/// Ways of using the Python client: how many senders take the days in turn, each in a thread, and after how many rows a sender
/// sends (0 = as it does by itself). The fastest with as many senders as writers counts.
const CLIENTS: [(&str, u32, u32); 4] = [
    ("client_one_write", 1, 0),
    ("client_large_write", 1, 50_000),
    ("client_two_write", 2, 0),
    ("client_two_large_write", 2, 50_000),
];

/// Seconds of one round, by what was done.
type Seconds = BTreeMap<&'static str, f64>;

/// Prints rows a second, bytes a row, and how long single questions take.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let (mut days, mut rounds, mut json) = (6u32, 4usize, false);
    let QuestDbOptions { mut batch_rows, mut requests, .. } = QuestDbOptions::default();
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let mut number = || -> Result<u32> { Ok(args.next().context("a number is missing")?.parse()?) };
        match flag.as_str() {
            "--days" => days = number()?,
            "--rounds" => rounds = number()? as usize,
            "--batch-rows" => batch_rows = number()? as usize,
            "--requests" => requests = number()? as usize,
            "--json" => json = true,
            _ => bail!("bench store takes --days N, --rounds N, --batch-rows N, --requests N and --json"),
        }
    }
    if days == 0 || rounds == 0 {
        bail!("--days and --rounds are at least 1");
    }
    let python =
        std::env::var_os("GHTRADER_PYTHON").context("GHTRADER_PYTHON is not set; run `cargo xtask bench store`")?;
    let rows = liquid_days(days)?;
    let count: usize = rows.iter().map(|(_, rows)| rows.rows()).sum();
    let place = tempfile::tempdir()?;
    let server = Server::start(&place.path().join("server"), &Options::default()).map_err(anyhow::Error::msg)?;
    let bench = Bench { place: place.path(), url: server.url(), rows, python, batch_rows, requests };
    let mut best = Seconds::new();
    let mut sizes = BTreeMap::new();
    let mut asked = Vec::new();
    // One round more: the first one warms the server up.
    for round in 0..=rounds {
        let mut seconds = Seconds::new();
        (sizes, asked) = bench.round(round, &mut seconds, round == rounds)?;
        if round > 0 {
            for (what, s) in seconds {
                let best = best.entry(what).or_insert(f64::INFINITY);
                *best = best.min(s);
            }
        }
    }
    let rate = |what: &str| count as f64 / best.get(what).copied().unwrap_or(f64::NAN);
    let fastest = |senders: u32| {
        let ways = CLIENTS.into_iter().filter(|(_, n, _)| *n == senders).map(|(key, ..)| rate(key));
        ways.fold(f64::NAN, f64::max)
    };
    let (one, two) = (rate("questdb_write") / fastest(1), rate("questdb_two_write") / fastest(2));
    if json {
        let rates: BTreeMap<&str, f64> = best.keys().map(|what| (*what, rate(what))).collect();
        println!(
            "{}",
            json!({ "schema_version": 1, "bench": "store", "rows": count, "days": days, "rounds": rounds,
                    "rows_per_s": rates, "bytes_per_row": sizes, "questdb_write_to_client": one, "questdb_two_writers_to_two_clients": two,
                    "latency": asked.iter().map(|(what, took)| (what.as_str(), took)).collect::<BTreeMap<_, _>>() })
        );
        return Ok(());
    }
    println!(
        "{count} rows of {days} days, best of {rounds}, one writer, one reader, {batch_rows} rows a request, {requests} at a time"
    );
    for (what, text) in [
        ("embedded_write", "embedded, write"),
        ("polars_write", "Polars, write"),
        ("embedded_read", "embedded, read Parquet"),
        ("polars_read", "Polars, read Parquet"),
        ("embedded_replay", "embedded, read the mapped copy"),
        ("questdb_write", "QuestDB, one writer"),
        ("questdb_two_write", "QuestDB, two writers"),
        ("client_one_write", "QuestDB, its Python client"),
        ("client_two_write", "QuestDB, two of them"),
        ("client_large_write", "QuestDB, one, a request a day"),
        ("client_two_large_write", "QuestDB, two, a request a day"),
        ("questdb_read", "QuestDB, read"),
        ("client_read", "QuestDB, Polars over HTTP, read"),
        ("questdb_replay", "QuestDB, read the mapped copy"),
    ] {
        println!("{text:<36} {:8.3} M rows/s", rate(what) / 1e6);
    }
    for (what, bytes) in sizes {
        println!("{what:<36} {bytes:8.1} bytes a row");
    }
    println!("QuestDB, one writer / its Python client  {one:8.2}");
    println!("QuestDB, two writers / two of its clients {two:7.2}");
    println!("{:<44} {:>12}  {:>12}", "one question", "median", "p95");
    asked.iter().for_each(|(what, took)| println!("{what:<44} {took}"));
    Ok(())
}

/// The most liquid contract of each day of a synthetic market, under one name.
fn liquid_days(days: u32) -> Result<Vec<(TradingDay, TickTable)>> {
    let mut spec = SynthSpec::new("SHFE.cu".parse()?, days, 1, 0.5);
    spec.rows_per_day = 55_000;
    let market = SynthMarket::new(spec, Calendar::builtin())?;
    let mut largest: BTreeMap<TradingDay, (usize, usize)> = BTreeMap::new();
    for index in 0..market.symbol_days() {
        let (_, day, rows) = market.key(index);
        let entry = largest.entry(day).or_default();
        *entry = (*entry).max((rows, index));
    }
    Ok(largest.into_iter().map(|(day, (_, index))| (day, market.generate(index).ticks)).collect())
}

struct Bench<'a> {
    place: &'a Path,
    url: String,
    rows: Vec<(TradingDay, TickTable)>,
    python: OsString,
    /// Rows of a request to the server.
    batch_rows: usize,
    /// Requests with rows of one day at a time.
    requests: usize,
}

impl Bench<'_> {
    fn round(
        &self,
        round: usize,
        seconds: &mut Seconds,
        asks: bool,
    ) -> Result<(BTreeMap<&'static str, f64>, Vec<Asked>)> {
        let root = self.place.join(format!("embedded-{round}"));
        let embedded = EmbeddedStore::open(&root)?;
        self.work(&embedded, ["embedded_write", "embedded_read", "embedded_replay"], seconds)?;
        let files: Vec<PathBuf> =
            self.rows.iter().map(|(day, _)| file_of(&embedded, &root, *day)).collect::<Result<_>>()?;
        let count: usize = self.rows.iter().map(|(_, rows)| rows.rows()).sum();
        let bytes: u64 = files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|m| m.len()).sum();

        let prefix = format!("r{round}");
        let options = |prefix: &str| QuestDbOptions {
            url: self.url.clone(),
            prefix: prefix.to_owned(),
            wait: Duration::from_secs(120),
            batch_rows: self.batch_rows,
            requests: self.requests,
            cache_root: self.place.join(format!("questdb-{round}")),
            ..QuestDbOptions::default()
        };
        // Tables of the same kind for the other client, made by whoever makes ours.
        let mut ways = Vec::new();
        for (key, senders, flush_rows) in CLIENTS {
            let prefix = format!("{key}_{round}");
            drop(QuestDbStore::open(&options(&prefix))?);
            ways.push(
                json!({ "key": key, "table": format!("{prefix}_ticks"), "senders": senders, "flush_rows": flush_rows }),
            );
        }
        let questdb = QuestDbStore::open(&options(&prefix))?;
        self.work(&questdb, ["questdb_write", "questdb_read", "questdb_replay"], seconds)?;
        let two = QuestDbStore::open(&options(&format!("two{round}")))?;
        let began = Instant::now();
        std::thread::scope(|scope| {
            let write = |first: usize| self.rows.iter().skip(first).step_by(2).try_for_each(|day| Self::put(&two, day));
            let other = scope.spawn(move || write(1));
            write(0).and(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })?;
        two.flush()?;
        seconds.insert("questdb_two_write", began.elapsed().as_secs_f64());
        let days: Vec<TradingDay> = self.rows.iter().map(|(day, _)| *day).collect();
        let asked = if asks { latencies(&embedded, &questdb, &days)? } else { Vec::new() };
        let server_bytes = self.server_bytes(&format!("{prefix}_ticks"))?;

        let mut peer = Command::new(&self.python);
        peer.args(["-W", "ignore", "-c", PYTHON, &self.url, &Value::from(ways).to_string()]).args(&files);
        let output = peer.output()?;
        let said: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("the peers failed: {}", String::from_utf8_lossy(&output.stderr)))?;
        let number = |key: &str| said[key].as_f64().with_context(|| format!("the peers told no {key}"));
        let measured = ["client_read", "polars_write", "polars_read"];
        for what in CLIENTS.map(|(key, ..)| key).into_iter().chain(measured) {
            seconds.insert(what, number(&format!("{what}_s"))?);
        }
        let sizes = [
            ("embedded", bytes as f64 / count as f64),
            ("QuestDB", server_bytes),
            ("Polars", number("polars_bytes")? / count as f64),
        ];
        std::fs::remove_dir_all(&root)?;
        Ok((sizes.into_iter().collect(), asked))
    }

    fn put(store: &dyn Store, (day, rows): &(TradingDay, TickTable)) -> Result<()> {
        let meta = DayMeta {
            source: "synthetic".to_owned(),
            counting: Counting::Single,
            build: Digest::of(b"bench"),
            underlying: None,
        };
        store.put_day(Dataset::Ticks, SYMBOL, *day, &rows.view(), &meta)?;
        Ok(())
    }

    /// Writes all days, reads them once from where they lie, and once more from the mapped copies.
    fn work(&self, store: &dyn Store, names: [&'static str; 3], seconds: &mut Seconds) -> Result<()> {
        let [write, read, replay] = names;
        let began = Instant::now();
        self.rows.iter().try_for_each(|day| Self::put(store, day))?;
        store.flush()?;
        seconds.insert(write, began.elapsed().as_secs_f64());
        let timed = |what: &dyn Fn(TradingDay) -> Result<TickDay>| -> Result<f64> {
            let began = Instant::now();
            for (day, rows) in &self.rows {
                let found = what(*day)?;
                if found.view().rows() != rows.rows() {
                    bail!("{day} came back with {} rows", found.view().rows());
                }
                black_box(touched(&found.view()));
            }
            Ok(began.elapsed().as_secs_f64())
        };
        seconds.insert(read, timed(&|day| Ok(store.read_day(Dataset::Ticks, SYMBOL, day)?))?);
        let load = |day| Ok(store.load_day(Dataset::Ticks, SYMBOL, day)?);
        timed(&load)?;
        seconds.insert(replay, timed(&load)?);
        Ok(())
    }

    /// Bytes a row of the partitions that the server does not write to; the last one holds room for more.
    fn server_bytes(&self, table: &str) -> Result<f64> {
        let statement =
            format!("SELECT sum(diskSize), sum(numRows) FROM table_partitions('{table}') WHERE active = false");
        let mut answer = ureq::get(format!("{}/exec", self.url)).query("query", &statement).call()?;
        let answer: Value = answer.body_mut().read_json()?;
        let number = |at: usize| answer["dataset"][0][at].as_f64();
        Ok(number(0).zip(number(1)).map_or(f64::NAN, |(bytes, rows)| bytes / rows))
    }
}

/// Reads every value.
fn touched(view: &TickView<'_>) -> u64 {
    let times = view.ts_ns.iter().fold(0u64, |sum, v| sum.wrapping_add(v.cast_unsigned()));
    view.floats.iter().flat_map(|column| column.iter()).fold(times, |sum, v| sum.wrapping_add(v.to_bits()))
}

fn file_of(store: &dyn Store, root: &Path, day: TradingDay) -> Result<PathBuf> {
    let manifest = store.manifest(Dataset::Ticks, SYMBOL, day)?.context("the day was stored")?;
    let folder = root.join(format!("lake/ticks/symbol={SYMBOL}/trading_day={day}"));
    Ok(folder.join(format!("{}.parquet", manifest.sha256)))
}
