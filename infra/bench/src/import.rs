//! Import of a TqSdk file, parsing, checking and storing included, against pyarrow reading the same file and no more.

use anyhow::{Context, Result, bail};
use ghtrader_core::{Calendar, ContractId};
use ghtrader_market::synth::{SynthMarket, SynthSpec, write_tqsdk_csv};
use ghtrader_pipeline::import_timed;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;

const ROUNDS: usize = 5;

/// Reads with one thread and prints the seconds of the best of some rounds.
const PYARROW: &str = "
import sys, time, pyarrow as pa, pyarrow.csv as csv
pa.set_cpu_count(1)
best = 1e9
for _ in range(int(sys.argv[2])):
    t = time.perf_counter()
    table = csv.read_csv(sys.argv[1], read_options=csv.ReadOptions(use_threads=False))
    best = min(best, time.perf_counter() - t)
print(table.num_rows, best)
";

/// Prints rows a second on one core and on all, and pyarrow's on one.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let json = match args {
        [] => false,
        [flag] if flag == "--json" => true,
        _ => bail!("bench import takes --json only"),
    };
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("ticks.csv");
    let (contract, written) = write_file(&file)?;
    let bytes = std::fs::metadata(&file)?.len();
    let python =
        std::env::var_os("GHTRADER_PYTHON").context("GHTRADER_PYTHON is not set; run `cargo xtask bench import`")?;
    let (mut one_s, mut all_s, mut rows) = (f64::INFINITY, f64::INFINITY, 0);
    for round in 0..ROUNDS {
        for (workers, best) in [(1, &mut one_s), (0, &mut all_s)] {
            let place = dir.path().join(format!("{round}-{workers}"));
            let (stored, took) = import_timed(&file, &place, workers)?;
            (rows, *best) = (stored, best.min(took.as_secs_f64()));
            std::fs::remove_dir_all(&place)?;
        }
    }
    if rows != written {
        bail!("{written} rows were written and {rows} stored");
    }
    let output = Command::new(&python).arg("-c").arg(PYARROW).arg(&file).arg(ROUNDS.to_string()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let pyarrow_s: f64 = text
        .split_whitespace()
        .nth(1)
        .and_then(|s| s.parse().ok())
        .with_context(|| format!("pyarrow printed `{text}` and `{}`", String::from_utf8_lossy(&output.stderr)))?;
    let rate = |s: f64| rows as f64 / s;
    if json {
        println!(
            "{}",
            json!({ "schema_version": 1, "bench": "import", "rows": rows, "bytes": bytes, "rounds": ROUNDS,
                    "one_core_rows_per_s": rate(one_s), "all_cores_rows_per_s": rate(all_s),
                    "pyarrow_read_rows_per_s": rate(pyarrow_s), "ratio_to_pyarrow": pyarrow_s / one_s })
        );
    } else {
        println!("{contract}: {rows} rows, {} MB, best of {ROUNDS}", bytes / 1_000_000);
        println!("import, one core    {:6.2} M rows/s  (parse, check, store)", rate(one_s) / 1e6);
        println!("import, all cores   {:6.2} M rows/s", rate(all_s) / 1e6);
        println!("pyarrow, one core   {:6.2} M rows/s  (parse only)", rate(pyarrow_s) / 1e6);
        println!("import / pyarrow    {:6.2}", pyarrow_s / one_s);
    }
    Ok(())
}

/// One contract's days of a synthetic market in one file.
fn write_file(path: &Path) -> Result<(ContractId, u64)> {
    let market = SynthMarket::new(SynthSpec::new("SHFE.cu".parse()?, 24, 1, 0.5), Calendar::builtin())?;
    let mut days: BTreeMap<ContractId, (usize, Vec<usize>)> = BTreeMap::new();
    for index in 0..market.symbol_days() {
        let (contract, _, rows) = market.key(index);
        let entry = days.entry(contract.clone()).or_default();
        entry.0 += rows;
        entry.1.push(index);
    }
    let (contract, (_, indexes)) =
        days.into_iter().max_by_key(|(_, (rows, _))| *rows).context("a market has contracts")?;
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let mut rows = 0;
    for (i, index) in indexes.iter().enumerate() {
        let day = market.generate(*index);
        rows += day.ticks.rows() as u64;
        let mut text = Vec::new();
        write_tqsdk_csv(&mut text, &day.contract, &day.ticks.view())?;
        let body = if i == 0 { 0 } else { text.iter().position(|c| *c == b'\n').map_or(0, |at| at + 1) };
        file.write_all(&text[body..])?;
    }
    file.flush()?;
    Ok((contract, rows))
}
