//! `ghtrader batch`: many runs planned as one, run wherever there is room, collected into one table.

use crate::args::Batch;
use crate::commands::backtest::{base_of, read_text};
use crate::commands::cluster::{self, OnCluster};
use crate::commands::plugin;
use crate::context::Context;
use crate::output::{SCHEMA_VERSION, emit, grouped, report_problem, table};
use ghtrader_batch::{
    BatchSpec, Death, Ending, JobEvent, Kind, Manifest, Results, RunOptions, RunReport, Said, Shard, State, Status,
    Summary, Supervision, build_batch_features, check_engine, plan, run_jobs, status, summarise, supervise,
};
use ghtrader_core::{Digest, ErrorClass, Problem};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(crate) fn run(context: &Context, command: Batch) -> Result<ExitCode, Problem> {
    match command {
        Batch::Plan { spec, out, results, base } => {
            plan_batch(context, &spec, &base.unwrap_or_else(|| base_of(&spec)), &out, results.as_deref())?;
        }
        Batch::Features { manifest } => {
            let (host, store) = (plugin::host(context)?, context.store()?);
            let manifest = Manifest::open(&manifest)?;
            let built = context.with_project(&*store, &host, |project| build_batch_features(project, &manifest))?;
            let body =
                json!({ "batch": manifest.digest, "feature_days_built": built.0, "feature_days_reused": built.1 });
            emit(context.json, &body, |_| format!("{} days of features computed, {} were there", built.0, built.1))?;
        }
        Batch::Run { manifest, out, threads, memory_mib, on: Some(address), .. } => {
            let threads = threads.map_or(0, usize::from);
            let batch = OnCluster { address: &address, manifest: &manifest, out: &out, threads, memory_mib };
            return Err(cluster::run(context, &batch));
        }
        Batch::Run { manifest, shard, jobs, out, threads, memory_mib, leash, on: None } => {
            if leash {
                hold_leash()?;
            }
            let threads = threads.map_or(context.settings.integer("backtest.threads") as usize, usize::from);
            let asked = Asked { manifest, out, threads, memory_mib };
            let ran = match jobs {
                Some(file) => bare(context, &asked, &file),
                None => supervised(context, &asked, shard.unwrap_or_default()),
            };
            return ran.or_else(|problem| refused(context, &problem));
        }
        Batch::Status { manifest, out } => {
            let status = status(&Manifest::open(&manifest)?, &Results::existing(&out)?)?;
            emit(context.json, &status, status_text)?;
            return Ok(complete(&status));
        }
        Batch::Collect { manifest, out } => {
            let manifest = Manifest::open(&manifest)?;
            let summary = summarise(&manifest, &Results::existing(&out)?)?;
            summary.write(&out)?;
            let body = json!({ "digest": summary.digest, "status": summary.status, "rows": summary.rows.len(),
                               "csv": out.join("summary.csv"), "json": out.join("summary.json") });
            emit(context.json, &body, |_| {
                format!("{}\n{}\ndigest {}", summary_table(&summary, 20), status_text(&summary.status), summary.digest)
            })?;
            return Ok(complete(&summary.status));
        }
        Batch::Retry { manifest, out } => retry(context, &Manifest::open(&manifest)?, &Results::existing(&out)?)?,
        Batch::Poison { out, id, exit_code, signal, stderr } => {
            let stderr: String = stderr.chars().take(2_000).collect();
            let document = Death { exit_code, signal, stderr }.document(&id);
            Results::open(&out)?.put(Kind::Poison, &id, &document)?;
            emit(context.json, &document, |_| format!("{id} is set aside"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn complete(status: &Status) -> ExitCode {
    if status.is_complete() { ExitCode::SUCCESS } else { ExitCode::from(ErrorClass::Negative.exit_code()) }
}

/// A run's own exit codes: 2 and 4 are refusals that no other try can help, 1 leaves something to be done.
fn refused(context: &Context, problem: &Problem) -> Result<ExitCode, Problem> {
    context.progress.finish();
    report_problem(problem, context.json);
    Ok(ExitCode::from(match problem.class {
        class @ (ErrorClass::User | ErrorClass::Conflict | ErrorClass::Internal) => class.exit_code(),
        ErrorClass::Plugin => ErrorClass::User.exit_code(),
        _ => ErrorClass::Negative.exit_code(),
    }))
}

fn plan_batch(context: &Context, file: &Path, base: &Path, out: &Path, results: Option<&Path>) -> Result<(), Problem> {
    let shown = file.display().to_string();
    let mut spec = BatchSpec::parse(&read_text(file)?, &shown, &context.run_defaults())?;
    spec.read_traces(&shown, |trace| std::fs::read_to_string(base.join(trace)))?;
    let host = plugin::host(context)?;
    let store = context.store()?;
    let max_jobs = context.settings.integer("batch.max_jobs").unsigned_abs();
    let planned = context.with_project(&*store, &host, |project| plan(project, &spec, base, max_jobs))?;
    let digest = planned.write(out)?;
    let reused = match results {
        Some(dir) => planned.reused(&Results::open(dir)?)?,
        None => 0,
    };
    let head = planned.head();
    let body = json!({
        "manifest": out,
        "batch": digest,
        "engine": head.engine,
        "jobs": head.jobs,
        "duplicates": planned.duplicates,
        "reused": reused,
        "lineups": head.lineups.len(),
        "periods": head.periods.len(),
        "fill_sets": head.runs.len(),
        "rows": planned.jobs().iter().map(|j| j.weight).sum::<u64>(),
    });
    emit(context.json, &body, |_| {
        let jobs = grouped(head.jobs as i64);
        let (lineups, periods, sets) = (head.lineups.len(), head.periods.len(), head.runs.len());
        let twice = match planned.duplicates {
            0 => String::new(),
            n => format!(", {} asked for twice", grouped(n as i64)),
        };
        format!(
            "{jobs} jobs{twice}: {lineups} lineups, {periods} periods, {sets} sets of fill models\nreused: {reused}\n\
             manifest {}\nbatch {digest}",
            out.display()
        )
    })
}

/// What a run was asked for.
struct Asked {
    manifest: PathBuf,
    out: PathBuf,
    threads: usize,
    memory_mib: Option<u64>,
}

/// Memory for days and jobs, MiB: as asked for, else as set, else most of what is free.
pub(crate) fn memory_mib(context: &Context, asked: Option<u64>) -> u64 {
    let set = (context.settings.number("backtest.memory_gib") * 1024.0) as u64;
    // A fifth is left to the system, whose cache of mapped days is what makes a batch quick.
    let free = || ghtrader_trading::free_memory_mib().map_or(2_048, |mib| mib / 5 * 4);
    asked.unwrap_or(if set > 0 { set } else { free() })
}

/// Ends this process when its parent does: the other end of the standard input is the parent's.
fn hold_leash() -> Result<(), Problem> {
    let watch = || {
        let mut byte = [0u8; 64];
        while matches!(std::io::stdin().read(&mut byte), Ok(n) if n > 0) {}
        // Results are published whole or not at all, so that nothing is to be put in order.
        std::process::exit(143);
    };
    let started = std::thread::Builder::new().name("leash".to_owned()).spawn(watch);
    started.map(drop).map_err(|e| {
        Problem::new("threads", ErrorClass::Limit, format!("a thread cannot be started: {e}"), "run the command again")
    })
}

/// Tells whoever supervises this process; a reader that is gone changes nothing.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn totals(report: &RunReport, started: Instant) -> Value {
    let mut body = serde_json::to_value(report).unwrap_or_default();
    if let Value::Object(map) = &mut body {
        map.insert("schema_version".to_owned(), json!(SCHEMA_VERSION));
        map.insert("peak_memory_mib".to_owned(), json!(peak_memory_mib()));
        map.insert("seconds".to_owned(), json!((started.elapsed().as_secs_f64() * 1e3).round() / 1e3));
    }
    body
}

/// Most memory that this process has held, MiB; null where the system does not say.
fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib / 1024)
}

fn ended(report: &RunReport) -> ExitCode {
    let all = report.done + report.reused == report.total;
    if all { ExitCode::SUCCESS } else { ExitCode::from(ErrorClass::Negative.exit_code()) }
}

/// Runs the jobs of a file in this process.
fn bare(context: &Context, asked: &Asked, file: &Path) -> Result<ExitCode, Problem> {
    let started = Instant::now();
    let manifest = Manifest::open(&asked.manifest)?;
    let mut wanted = BTreeSet::new();
    for line in read_text(file)?.lines().map(str::trim).filter(|l| !l.is_empty()) {
        wanted.insert(line.parse::<Digest>().map_err(|e| {
            let what = format!("{}: {e}", file.display());
            Problem::new("unknown_job", ErrorClass::User, what, "give ids of the manifest, one a line")
        })?);
    }
    let places = manifest.places(&wanted)?;
    let results = Results::open(&asked.out)?;
    let host = plugin::host(context)?;
    let store = context.store()?;
    let options = RunOptions {
        threads: asked.threads,
        memory_mib: memory_mib(context, asked.memory_mib),
        retries: context.settings.integer("batch.retries") as u32,
        block_rows: context.block_rows(),
    };
    let (settled, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let total = places.len() as u64;
    let report = context.with_project(&*store, &host, |project| {
        run_jobs(project, &manifest, &places, &results, options, &|event| {
            match event {
                JobEvent::Started(id) => return say(&format!("start {id}")),
                JobEvent::Done(id) => say(&format!("done {id}")),
                // A typed error is a result: whoever supervises must not take it for a crash.
                JobEvent::Failed(id) => {
                    failed.fetch_add(1, Ordering::Relaxed);
                    say(&format!("done {id}"));
                }
                JobEvent::Missing(id, problem) => {
                    context.progress.finish();
                    let _ = writeln!(std::io::stderr(), "job {id}: {problem}");
                    return;
                }
            }
            let item = failed_text(failed.load(Ordering::Relaxed));
            context.progress.show("batch", &item, settled.fetch_add(1, Ordering::Relaxed) + 1, total, "jobs");
        })
    })?;
    say(&totals(&report, started).to_string());
    Ok(ended(&report))
}

fn failed_text(failed: u64) -> String {
    if failed == 0 { String::new() } else { format!("{failed} failed") }
}

/// Runs a shard by a child of this program that may die.
fn supervised(context: &Context, asked: &Asked, shard: Shard) -> Result<ExitCode, Problem> {
    let started = Instant::now();
    let manifest = Manifest::open(&asked.manifest)?;
    check_engine(&manifest)?;
    let results = Results::open(&asked.out)?;
    results.sweep()?;
    let ids: Vec<Digest> = manifest.shard(shard).into_iter().map(|place| manifest.ids()[place]).collect();
    let mut report = RunReport { total: ids.len(), ..RunReport::default() };
    let mut there = BTreeSet::new();
    for id in &ids {
        if results.state(id)? == State::Settled(Kind::Result) {
            there.insert(*id);
        }
    }
    report.reused = there.len();
    let program = context.again()?;
    let memory_mib = memory_mib(context, asked.memory_mib).to_string();
    let command = |file: &Path, alone: bool| {
        let mut command = std::process::Command::new(program.get_program());
        command
            .args(program.get_args())
            .args(["--quiet", "batch", "run", "--leash", "--manifest"])
            .arg(&asked.manifest);
        command.arg("--jobs").arg(file).arg("--out").arg(&asked.out).args(["--memory-mib", &memory_mib]);
        command.args(["--threads", &if alone { 1 } else { asked.threads }.to_string()]);
        command
    };
    let (total, mut settled, mut failed) = (ids.len() as u64, there.len() as u64, 0);
    let (mut built, mut reused, mut resident, mut threads, mut peak_mib) = (0, 0, 0, 0, 0);
    let mut heard = |said: Said| match said {
        Said::Start(id) => say(&format!("start {id}")),
        Said::Done(id) => {
            say(&format!("done {id}"));
            settled += 1;
            failed += u64::from(results.path(Kind::Failed, &id).is_file());
            context.progress.show("batch", &failed_text(failed), settled, total, "jobs");
        }
    };
    let mut other = |line: &str| {
        // The child's totals; those of jobs are counted from the folder below.
        let Ok(body) = serde_json::from_str::<Value>(line) else { return };
        let count = |key: &str| body[key].as_u64().unwrap_or(0) as usize;
        built += count("feature_days_built");
        reused += count("feature_days_reused");
        resident = resident.max(count("resident_periods"));
        threads = threads.max(count("threads"));
        peak_mib = peak_mib.max(count("peak_memory_mib"));
    };
    let stderr = |line: &str| drop(writeln!(std::io::stderr(), "{line}"));
    let job_timeout = Duration::from_secs(context.settings.integer("batch.job_timeout_s").unsigned_abs());
    let by = Supervision { command: &command, job_timeout, heard: &mut heard, other: &mut other, stderr: &stderr };
    let ending = supervise(&ids, &results, by)?;
    context.progress.finish();
    if let Ending::Refused(code) = ending {
        // The child has said why.
        return Ok(ExitCode::from(code));
    }
    for id in &ids {
        match results.state(id)? {
            State::Settled(Kind::Result) => report.done += usize::from(!there.contains(id)),
            State::Settled(Kind::Failed) => report.failed += 1,
            State::Settled(Kind::Poison) => report.poison += 1,
            State::Missing | State::Damaged => report.missing += 1,
        }
    }
    (report.feature_days_built, report.feature_days_reused) = (built, reused);
    (report.resident_periods, report.threads) = (resident, threads);
    let mut totals = totals(&report, started);
    // The worker's, which does the work.
    totals["peak_memory_mib"] = json!(peak_mib.max(peak_memory_mib().unwrap_or(0) as usize));
    say(&totals.to_string());
    Ok(ended(&report))
}

fn retry(context: &Context, manifest: &Manifest, results: &Results) -> Result<(), Problem> {
    let mut removed = Vec::new();
    for kind in [Kind::Failed, Kind::Poison] {
        let listed = results.listed(kind)?;
        for id in manifest.ids().iter().filter(|id| listed.contains(id)) {
            results.remove(kind, id)?;
            removed.push(*id);
        }
    }
    results.flush()?;
    let body = json!({ "removed": removed });
    emit(context.json, &body, |_| format!("{} jobs will be tried again", removed.len()))
}

fn status_text(status: &Status) -> String {
    let grouped = |n: usize| grouped(n as i64);
    let mut text = format!(
        "{} of {} jobs have results, {} failed, {} set aside, {} missing",
        grouped(status.results),
        grouped(status.jobs),
        grouped(status.failed),
        grouped(status.poison),
        grouped(status.missing)
    );
    for id in &status.damaged {
        text.push_str(&format!("\ndamaged {id}: the next run writes it anew"));
    }
    if status.foreign > 0 {
        text.push_str(&format!(
            "\n{} files are of other batches or another engine; they are left alone",
            status.foreign
        ));
    }
    text
}

/// A value as people write it.
pub(crate) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The best jobs by the pessimistic fill model, for people.
pub(crate) fn summary_table(summary: &Summary, most: usize) -> String {
    let mut rows: Vec<_> = summary.rows.iter().collect();
    let pnl = |row: &serde_json::Map<String, Value>| row.get("pnl_low_cny").and_then(Value::as_f64);
    rows.sort_by(|a, b| pnl(b).partial_cmp(&pnl(a)).unwrap_or(std::cmp::Ordering::Equal));
    let axes: Vec<&String> =
        summary.columns.iter().filter(|c| c.starts_with("strategy.") || c.starts_with("features.")).collect();
    let mut head = vec!["lineup", "from", "to"];
    head.extend(axes.iter().map(|a| a.as_str()));
    head.extend(["state", "pnl low", "central", "high"]);
    let text = |v: Option<&Value>| v.filter(|v| !v.is_null()).map_or_else(|| "–".to_owned(), plain);
    let money = |v: Option<&Value>| v.and_then(Value::as_f64).map_or("–".to_owned(), |x| grouped(x.round() as i64));
    let cells = |row: &&serde_json::Map<String, Value>| {
        let mut cells: Vec<String> = ["lineup", "from", "to"].iter().map(|k| text(row.get(*k))).collect();
        cells.extend(axes.iter().map(|a| text(row.get(a.as_str()))));
        cells.push(text(row.get("state")));
        cells.extend(["pnl_low_cny", "pnl_central_cny", "pnl_high_cny"].iter().map(|k| money(row.get(*k))));
        cells
    };
    let shown: Vec<Vec<String>> = rows.iter().take(most).map(cells).collect();
    let more = rows.len().saturating_sub(most);
    let rest =
        if more == 0 { String::new() } else { format!("\n… and {} more, see summary.csv", grouped(more as i64)) };
    format!("{}{rest}", table(&head, &shown))
}
