//! Many runs as one: jobs a second on one thread and two, what a job costs beside its rows, memory, and how cost grows.
//!
//! Everything goes through the program as its users start it: `batch plan`, then `batch run` under supervision.

use crate::{artefacts, program};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// What a job may cost beside its rows, and what two threads must give of twice one.
const GOAL_OVERHEAD_MS: f64 = 5.0;
const GOAL_EFFICIENCY: f64 = 0.9;
/// Rows of a main contract's day in the growth table.
const ROWS_PER_DAY: u32 = 12_000;
/// Jobs of the growth table.
const FEW: usize = 40;

/// `[--jobs N] [--rounds N] [--json]`
pub(crate) fn run(args: &[String]) -> Result<()> {
    let (mut jobs, mut rounds, mut json) = (500_usize, 3_usize, false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut number = |bounds: std::ops::RangeInclusive<usize>| -> Result<usize> {
            let number = args.next().with_context(|| format!("{arg} needs a number"))?.parse()?;
            if bounds.contains(&number) { Ok(number) } else { bail!("{arg} {number}; give {bounds:?}") }
        };
        match arg.as_str() {
            "--jobs" => jobs = number(20..=100_000)?,
            "--rounds" => rounds = number(1..=99)?,
            "--json" => json = true,
            _ => bail!("unknown flag `{arg}`; known are --jobs N, --rounds N, --json"),
        }
    }
    let dir = tempfile::tempdir()?;
    let small = Market::new(&dir.path().join("small"), 4, 1_000)?;
    let large = Market::new(&dir.path().join("large"), 18, ROWS_PER_DAY)?;
    let scaling = scaling(&large, jobs, rounds)?;
    let overhead = overhead(&small, jobs, rounds)?;
    let single = singles(&large)?;
    let growth = growth(&large)?;
    let met = [overhead["ms_a_job"].as_f64(), scaling["efficiency_2"].as_f64()];
    let met = met[0].is_some_and(|ms| ms <= GOAL_OVERHEAD_MS) && met[1].is_some_and(|e| e >= GOAL_EFFICIENCY);
    let report = json!({
        "schema_version": 1, "bench": "batch", "rounds": rounds, "scaling": scaling, "overhead": overhead,
        "single_runs": single, "growth": growth,
        "goal": { "overhead_ms": GOAL_OVERHEAD_MS, "efficiency_2": GOAL_EFFICIENCY }, "met": met,
    });
    println!("{}", if json { report.to_string() } else { text(&report)? });
    Ok(())
}

/// A root with a synthetic market and a place for manifests and results.
struct Market {
    root: PathBuf,
}

impl Market {
    fn new(root: &Path, days: u32, rows: u32) -> Result<Self> {
        std::fs::create_dir_all(root)?;
        let market = Self { root: root.to_path_buf() };
        let (days, rows) = (days.to_string(), rows.to_string());
        market.ask(&["data", "synth", "--var", "cu", "--days", &days, "--rows-per-day", &rows, "--signal", "1"])?;
        market.ask(&["main", "schedule", "--var", "cu"])?;
        market.ask(&["main", "build", "--var", "cu"])?;
        Ok(market)
    }

    fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(program()?);
        command.arg("--root").arg(&self.root).args(args).current_dir(&self.root).env_remove("GHTRADER_ARTEFACTS");
        Ok(command)
    }

    fn ask(&self, args: &[&str]) -> Result<Value> {
        let output = self.command(args)?.arg("--json").output()?;
        if !output.status.success() {
            bail!("ghtrader {} failed: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Trading days of `main_l5`.
    fn days(&self) -> Result<Vec<String>> {
        let shown = self.ask(&["main", "show", "--var", "cu"])?;
        let rows = shown["rows"].as_array().context("the schedule's rows")?;
        Ok(rows.iter().filter_map(|r| r["date"].as_str().map(str::to_owned)).collect())
    }

    /// Plans a batch of thresholds of the taker over the last `days` days.
    fn plan(&self, name: &str, jobs: usize, days: usize, features: &str) -> Result<Value> {
        let all = self.days()?;
        let from = all.get(all.len().saturating_sub(days)).context("days enough")?;
        let taker = artefacts()?.join("taker.wasm");
        let taker = std::path::absolute(taker)?;
        let thresholds: Vec<String> = (0..jobs).map(|k| format!("{:.6}", 0.3 + 0.6 * k as f64 / jobs as f64)).collect();
        let spec = format!(
            "version = 1\nname = '{name}'\nvariety = 'cu'\nfrom = '{from}'\n[[lineups]]\nname = 'taker'\n{features}\
             [lineups.strategy]\nplugin = '{}'\n[grid]\nstrategy.threshold = [{}]\n",
            taker.display(),
            thresholds.join(", ")
        );
        std::fs::write(self.root.join(format!("{name}.toml")), spec)?;
        self.ask(&["batch", "plan", &format!("{name}.toml"), "--out", &format!("{name}.m")])
    }

    /// Runs a planned batch into a folder of its own; gives its totals.
    fn run(&self, name: &str, threads: usize) -> Result<Value> {
        // File systems avoid inodes that were just given back: a folder that was emptied would cost more than a new one.
        let out = tempfile::Builder::new().prefix("out-").tempdir_in(&self.root)?.keep();
        let (manifest, threads, out) = (format!("{name}.m"), threads.to_string(), out.to_string_lossy().into_owned());
        let args = ["batch", "run", "--manifest", &manifest, "--out", &out, "--threads", &threads];
        let output = self.command(&args)?.stderr(Stdio::inherit()).output()?;
        let lines = String::from_utf8_lossy(&output.stdout);
        let last = lines.lines().last().unwrap_or_default();
        if !output.status.success() {
            bail!("the batch {name} ended with {}: {last}", output.status);
        }
        Ok(serde_json::from_str(last)?)
    }
}

fn seconds(totals: &Value) -> Result<f64> {
    totals["seconds"].as_f64().context("seconds of a run")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Jobs a second and memory on one thread and two, rounds alternating so that both see the same machine.
fn scaling(market: &Market, jobs: usize, rounds: usize) -> Result<Value> {
    let planned = market.plan("scaling", jobs, 1, "")?;
    let (mut one, mut two, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut peak_one, mut peak_two) = (0.0_f64, 0.0_f64);
    for _ in 0..rounds {
        let (a, b) = (market.run("scaling", 1)?, market.run("scaling", 2)?);
        let (a_s, b_s) = (seconds(&a)?, seconds(&b)?);
        one.push(jobs as f64 / a_s);
        two.push(jobs as f64 / b_s);
        ratios.push(a_s / b_s / 2.0);
        peak_one = peak_one.max(a["peak_memory_mib"].as_f64().unwrap_or(0.0));
        peak_two = peak_two.max(b["peak_memory_mib"].as_f64().unwrap_or(0.0));
    }
    market.plan("alone", 1, 1, "")?;
    let alone = market.run("alone", 1)?;
    Ok(json!({
        "jobs": jobs, "rows_a_job": planned["rows"].as_u64().unwrap_or(0) / jobs as u64,
        "jobs_per_s_1": median(one), "jobs_per_s_2": median(two), "efficiency_2": median(ratios),
        "peak_mib_one_job": alone["peak_memory_mib"], "peak_mib_1": peak_one, "peak_mib_2": peak_two,
    }))
}

/// What a job costs beside its rows: jobs over one short day, less what their rows cost by the slope of four days to one.
fn overhead(market: &Market, jobs: usize, rounds: usize) -> Result<Value> {
    market.plan("short", jobs, 1, "")?;
    market.plan("long", jobs, 3, "")?;
    let (mut ms, mut upper) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let short = seconds(&market.run("short", 1)?)? / jobs as f64 * 1e3;
        let long = seconds(&market.run("long", 1)?)? / jobs as f64 * 1e3;
        upper.push(short);
        ms.push(short - (long - short) / 2.0);
    }
    Ok(json!({ "jobs": jobs, "ms_a_job": median(ms), "ms_a_job_over_1000_rows": median(upper) }))
}

/// The same jobs as single runs, one process each: what a batch saves.
fn singles(market: &Market) -> Result<Value> {
    const JOBS: usize = 10;
    market.plan("ten", JOBS, 3, "")?;
    let batch = seconds(&market.run("ten", 1)?)?;
    let all = market.days()?;
    let from = all.get(all.len().saturating_sub(3)).context("three days")?;
    let taker = std::path::absolute(artefacts()?.join("taker.wasm"))?;
    let began = Instant::now();
    for k in 0..JOBS {
        let threshold = 0.3 + 0.6 * k as f64 / JOBS as f64;
        let spec = format!(
            "version = 1\nname = 'single'\nvariety = 'cu'\nfrom = '{from}'\n[lineup.strategy]\nplugin = '{}'\n\
             params = {{ threshold = {threshold:.6} }}\n",
            taker.display()
        );
        std::fs::write(market.root.join("single.toml"), spec)?;
        market.ask(&["backtest", "run", "single.toml", "--out", &format!("single{k}")])?;
    }
    let single = began.elapsed().as_secs_f64();
    Ok(json!({ "jobs": JOBS, "batch_s": batch, "single_s": single, "ratio": single / batch }))
}

/// How cost grows with days, with variants, and with the columns that a lineup makes.
fn growth(market: &Market) -> Result<Value> {
    let core = std::path::absolute(artefacts()?.join("core-factors.wasm"))?;
    let features = format!("[[lineups.features]]\nplugin = '{}'\n", core.display());
    let mut rows = Vec::new();
    let mut add = |what: &str, jobs: usize, days: usize, features: &str| -> Result<()> {
        let planned = market.plan("growth", jobs, days, features)?;
        let ran = market.run("growth", 2)?;
        let seconds = seconds(&ran)?;
        let weight = planned["rows"].as_f64().unwrap_or(0.0);
        rows.push(json!({
            "what": what, "jobs": jobs, "days": days, "columns": if features.is_empty() { 0 } else { 11 },
            "feature_days_built": ran["feature_days_built"], "seconds": seconds, "jobs_per_s": jobs as f64 / seconds,
            "m_rows_per_s": weight / seconds / 1e6, "peak_mib": ran["peak_memory_mib"],
        }));
        Ok(())
    };
    for days in [1, 2, 4, 8, 16] {
        add("days", FEW, days, "")?;
    }
    for jobs in [10, 100, 1_000] {
        add("variants", jobs, 2, "")?;
    }
    add("columns", FEW, 8, "")?;
    add("columns, computed in the run", FEW, 8, &features)?;
    add("columns, there already", FEW, 8, &features)?;
    Ok(Value::Array(rows))
}

fn text(report: &Value) -> Result<String> {
    let number = |v: &Value| v.as_f64().unwrap_or(f64::NAN);
    let (s, o, one) = (&report["scaling"], &report["overhead"], &report["single_runs"]);
    let mut out = String::new();
    writeln!(
        out,
        "{} jobs of {} rows × fill models, the taker as a component, median of {} rounds",
        s["jobs"], s["rows_a_job"], report["rounds"]
    )?;
    writeln!(out, "threads  jobs/s  peak MiB")?;
    writeln!(out, "1      {:8.1}  {:8.0}", number(&s["jobs_per_s_1"]), number(&s["peak_mib_1"]))?;
    writeln!(out, "2      {:8.1}  {:8.0}", number(&s["jobs_per_s_2"]), number(&s["peak_mib_2"]))?;
    writeln!(
        out,
        "efficiency of two threads {:.2} (goal ≥ {GOAL_EFFICIENCY}); one job alone peaks at {:.0} MiB",
        number(&s["efficiency_2"]),
        number(&s["peak_mib_one_job"])
    )?;
    writeln!(
        out,
        "a job costs {:.2} ms beside its rows (goal ≤ {GOAL_OVERHEAD_MS}); over a day of 1,000 rows {:.2} ms in all",
        number(&o["ms_a_job"]),
        number(&o["ms_a_job_over_1000_rows"])
    )?;
    writeln!(
        out,
        "{} jobs over three days: {:.2} s as a batch, {:.2} s as single runs, {:.1} ×",
        one["jobs"],
        number(&one["batch_s"]),
        number(&one["single_s"]),
        number(&one["ratio"])
    )?;
    writeln!(
        out,
        "\n| grows with | jobs | days | columns | feature days computed | s | jobs/s | M rows/s | peak MiB |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|")?;
    for row in report["growth"].as_array().into_iter().flatten() {
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {:.2} | {:.1} | {:.2} | {:.0} |",
            row["what"].as_str().unwrap_or_default(),
            row["jobs"],
            row["days"],
            row["columns"],
            row["feature_days_built"],
            number(&row["seconds"]),
            number(&row["jobs_per_s"]),
            number(&row["m_rows_per_s"]),
            number(&row["peak_mib"])
        )?;
    }
    write!(out, "{}", if report["met"] == true { "goals met" } else { "a goal is MISSED" })?;
    Ok(out)
}
