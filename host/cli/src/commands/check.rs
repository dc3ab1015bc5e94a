//! `ghtrader backtest check`: one run again in every way that has to give the same bits.

use crate::commands::author::{PluginCrate, build_native};
use crate::commands::backtest::{base_of, read_report, read_text};
use crate::commands::plugin;
use crate::commands::walk_forward::{self, WalkSpec};
use crate::context::{Context, io_problem, publish};
use crate::output::{document, emit, table};
use ghtrader_backtest::{
    BacktestError, Cut, DayData, Parting, Records, RunResult, RunSpec, first_parting, reason_of, replay_cut,
};
use ghtrader_batch::{Component, Lineup, Prepared, Project, Scoring, execute, prepare, stored_schedule};
use ghtrader_core::{BorderKind, ErrorClass, Problem, TickTable, day_borders};
use ghtrader_pipeline::ColumnsOptions;
use ghtrader_plugin::{
    Boundary, FeatureInstance, Fixture, Instrument, PluginFault, Role, Splits, StrategyInstance, Trace, trace_feature,
};
use ghtrader_store::{Dataset, EmbeddedStore, Store, copy_days};
use ghtrader_testkit::NativeProcess;
use serde::Serialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Shares of a run's own time after which it is killed.
const KILLED_AFTER: [f64; 2] = [0.3, 0.8];

/// One way of running, held against the first.
#[derive(Debug, Serialize)]
struct Way {
    way: String,
    equal: bool,
    detail: String,
}

/// Where and why a way parted.
#[derive(Debug, Serialize)]
struct Found {
    /// `look_ahead`, `split_variant`, `native_differs`, `copy_differs`, `not_reproducible`, `stored_differs`.
    code: &'static str,
    way: String,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parting: Option<Parting>,
}

#[derive(Debug, Serialize)]
struct Report {
    passed: bool,
    /// Nothing was found that reads rows which are not known yet; a gate asks for it.
    look_ahead: bool,
    result_digest: String,
    output_digest: String,
    days: usize,
    rows: u64,
    ways: Vec<Way>,
    findings: Vec<Found>,
}

/// What all ways share.
struct Check<'a> {
    context: &'a Context,
    spec: RunSpec,
    /// The fold models of a walk-forward.
    scoring: Option<Scoring>,
    prepared: Prepared,
    first: RunResult,
    records: Records,
    ways: Vec<Way>,
    findings: Vec<Found>,
}

pub(crate) fn run(context: &Context, run: &Path, seed: u64, native: &[PathBuf]) -> Result<ExitCode, Problem> {
    let stored = if run.is_dir() { Some(read_report(run)?) } else { None };
    let file = if stored.is_some() { run.join("run.toml") } else { run.to_path_buf() };
    let (shown, base) = (file.display().to_string(), base_of(&file));
    let defaults = if stored.is_some() { Vec::new() } else { context.run_defaults() };
    let (text, walk) = WalkSpec::take(context, &read_text(&file)?, &shown)?;
    let mut spec = RunSpec::parse_with(&text, &shown, &defaults, &[])?;
    spec.read_traces(&shown, |trace| std::fs::read_to_string(base.join(trace)))?;
    // The models of a walk-forward are fitted once; another process fits its own.
    let mut scoring = None;
    if let Some(walk) = &walk {
        let fitted = walk_forward::fit(context, &spec, walk, &base)?;
        (spec, scoring) = (fitted.joined, Some(fitted.scoring));
    }
    let native = native.iter().map(|dir| PluginCrate::find(dir)).collect::<Result<Vec<_>, _>>()?;
    let host = plugin::host(context)?;
    let elsewhere = Elsewhere::new()?;
    let (mut check, took) = {
        let store = context.store()?;
        let began = Instant::now();
        let (lineup, prepared) = context.with_project(&*store, &host, |project| {
            let lineup = Lineup::load(project, &spec, &base, scoring.clone())?;
            Ok((lineup, prepare(project, &spec, &base, scoring.clone())?))
        })?;
        let (first, _) = execute(&spec, &prepared, context.block_rows())?;
        let took = began.elapsed();
        let records = first.models.iter().map(|(name, record, _)| (*name, record.clone())).collect();
        let (ways, findings) = (Vec::new(), Vec::new());
        let mut check = Check { context, spec, scoring, prepared, first, records, ways, findings };
        if let Some(stored) = &stored {
            check.as_stored(stored);
        }
        check.on_threads()?;
        check.cut_otherwise(seed)?;
        context.with_project(&*store, &host, |project| check.on_a_copy(project, &elsewhere, &base, &lineup))?;
        for plugin in &native {
            check.natively(plugin, &lineup)?;
        }
        (check, took)
    };
    check.killed(&std::path::absolute(&file).unwrap_or(file), &elsewhere, took)?;
    let report = check.report();
    if stored.is_some() {
        publish(&run.join("check.json"), format!("{:#}\n", document(&report)?).as_bytes())?;
    }
    emit(context.json, &report, Report::to_string)?;
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::from(ErrorClass::Negative.exit_code()) })
}

impl Check<'_> {
    fn report(self) -> Report {
        Report {
            passed: self.findings.is_empty() && self.ways.iter().all(|way| way.equal),
            look_ahead: self.findings.iter().all(|found| found.code != "look_ahead"),
            result_digest: self.first.result_digest.to_string(),
            output_digest: self.first.output_digest.to_string(),
            days: self.prepared.days.len(),
            rows: self.first.rows,
            ways: self.ways,
            findings: self.findings,
        }
    }

    fn held(&mut self, way: &str, differs: Option<Found>) {
        let detail = differs.as_ref().map_or(String::new(), |found| found.what.clone());
        self.ways.push(Way { way: way.to_owned(), equal: differs.is_none(), detail });
        self.findings.extend(differs);
    }

    /// Two digests that have to be those of the first run.
    fn digests(&mut self, code: &'static str, way: &str, result: &str, output: &str) {
        let (first_result, first_output) = (self.first.result_digest.to_string(), self.first.output_digest.to_string());
        let what = match (result == first_result, output == first_output) {
            (true, true) => None,
            (false, _) => Some(format!("result digest {result}, not {first_result}")),
            (true, false) => Some(format!("output digest {output}, not {first_output}")),
        };
        self.held(way, what.map(|what| Found { code, way: way.to_owned(), what, parting: None }));
    }

    fn as_stored(&mut self, stored: &Value) {
        let text = |key: &str| stored[key].as_str().unwrap_or("missing").to_owned();
        self.digests("stored_differs", "as stored", &text("result_digest"), &text("output_digest"));
    }

    fn on_threads(&mut self) -> Result<(), Problem> {
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|e| {
                Problem::new(
                    "no_threads",
                    ErrorClass::Unavailable,
                    e.to_string(),
                    "free memory, or raise the limit on threads",
                )
            })?;
            let (again, _) = pool.install(|| execute(&self.spec, &self.prepared, self.context.block_rows()))?;
            let way = format!("again on {threads} thread{}", if threads == 1 { "" } else { "s" });
            let (result, output) = (again.result_digest.to_string(), again.output_digest.to_string());
            self.digests("not_reproducible", &way, &result, &output);
        }
        Ok(())
    }

    /// The strategy's rows in other blocks, down to one at a time.
    fn cut_otherwise(&mut self, seed: u64) -> Result<(), Problem> {
        let single = self.replay(Cut::Live, None)?;
        for cut in [Cut::Live, Cut::Blocks(1), Cut::Random(seed), Cut::Whole] {
            let other = if cut == Cut::Live { None } else { Some(self.replay(cut, None)?) };
            let other = other.as_ref().unwrap_or(&single);
            let parting = first_parting(&self.records, other);
            let found = match parting {
                None => None,
                Some(parting) => Some(self.explain(&cut.to_string(), parting, &single)?),
            };
            self.held(&cut.to_string(), found);
        }
        Ok(())
    }

    /// Why the run and another cutting part: by what stands behind the row in its block, or by the cutting itself.
    fn explain(&self, way: &str, parting: Parting, single: &Records) -> Result<Found, Problem> {
        let code = match parting.row {
            None => "split_variant",
            Some(row) => {
                let cut = Cut::Behind { trading_day: parting.trading_day, row };
                reason_of(&parting, &self.replay(cut, None)?, single)
            }
        };
        Ok(Found { code, way: way.to_owned(), what: format!("{code} at {parting}"), parting: Some(parting) })
    }

    fn replay(&self, cut: Cut, native: Option<&Path>) -> Result<Records, Problem> {
        let Component { plugin, params } = &self.prepared.strategy;
        let instrument = self.prepared.days.first().map(instrument_of).unwrap_or_else(no_instrument);
        let make = || -> Result<Box<dyn StrategyInstance>, BacktestError> {
            let made: Result<Box<dyn StrategyInstance>, PluginFault> = match native {
                Some(program) => {
                    NativeProcess::new(program, params, &instrument).map(|p| Box::new(p) as Box<dyn StrategyInstance>)
                }
                None => plugin.strategy(params, &instrument),
            };
            made.map_err(|fault| BacktestError::Lineup(fault.into()))
        };
        let days = (&self.prepared.days[..], &self.prepared.exchange[..]);
        Ok(replay_cut(&self.spec, &self.prepared.variety, days, &make, cut)?)
    }

    /// The same days in a store elsewhere, their features built row by row.
    fn on_a_copy(
        &mut self,
        project: &Project<'_>,
        elsewhere: &Elsewhere,
        base: &Path,
        lineup: &Lineup,
    ) -> Result<(), Problem> {
        let way = "a copy of the data, features row by row";
        let copy = EmbeddedStore::open(&elsewhere.0.join("data"))?;
        let variety = &self.prepared.variety;
        let schedule = stored_schedule(project.store, variety)?;
        let symbol = variety.main_symbol();
        copy_days(project.store, &copy, Dataset::MainL5, &symbol, schedule.rows().iter().map(|row| row.date))?;
        for (before, day) in self.prepared.days.iter().zip(self.prepared.days.iter().skip(1)) {
            if day.old.as_ref().is_some_and(|old| old.ticks.is_some()) {
                copy_days(project.store, &copy, Dataset::Ticks, &before.contract, [day.trading_day])?;
            }
        }
        copy.put_schedule(&schedule)?;
        let columns = ColumnsOptions { block_rows: 1, ..project.columns };
        let there = prepare(&Project { store: &copy, columns, ..*project }, &self.spec, base, self.scoring.clone())?;
        if let Some(found) = self.columns_part(way, &there.days, lineup)? {
            self.held(way, Some(found));
            return Ok(());
        }
        let (again, _) = execute(&self.spec, &there, self.context.block_rows())?;
        let (result, output) = (again.result_digest.to_string(), again.output_digest.to_string());
        self.digests("copy_differs", way, &result, &output);
        Ok(())
    }

    /// The first feature value that differs between blocks and single rows, with the reason.
    fn columns_part(&self, way: &str, there: &[DayData], lineup: &Lineup) -> Result<Option<Found>, Problem> {
        for (here, there) in self.prepared.days.iter().zip(there) {
            let pairs = here.columns.values.iter().zip(&there.columns.values);
            let differs =
                |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).position(|(x, y)| x.to_bits() != y.to_bits());
            let rows = pairs.enumerate().filter_map(|(column, pair)| Some((differs(pair)?, column)));
            let Some((row, column)) = rows.min() else { continue };
            let name = here.columns.names.get(column).map_or("", String::as_str);
            let code = self.reason_of_feature(lineup, here, row)?;
            let (day, a, b) = (here.trading_day, here.columns.values[column][row], there.columns.values[column][row]);
            let what = format!("{code} at row {row} of {day}: {name} is {a} in blocks and {b} row by row");
            return Ok(Some(Found { code, way: way.to_owned(), what, parting: None }));
        }
        Ok(None)
    }

    /// Whether any feature gives another value at a row when the rows behind it are withheld.
    fn reason_of_feature(&self, lineup: &Lineup, day: &DayData, row: usize) -> Result<&'static str, Problem> {
        for feature in &lineup.features {
            let (all, cut) = (fixture(day, day.ticks.view().rows()), fixture(day, row + 1));
            let (whole, short) =
                (trace(feature, &all, Splits::Whole, None)?, trace(feature, &cut, Splits::Whole, None)?);
            if short.first_difference_before(&whole, row + 1).is_some() {
                return Ok("look_ahead");
            }
        }
        Ok("split_variant")
    }

    /// The code of a component compiled for this machine.
    fn natively(&mut self, plugin: &PluginCrate, lineup: &Lineup) -> Result<(), Problem> {
        let about = &plugin.manifest.plugin;
        let way = format!("{} {} compiled for this machine", about.role, about.name);
        let all = lineup.features.iter().chain([&lineup.strategy]);
        let same = |c: &&Component| {
            let of = &c.plugin.manifest().plugin;
            (of.role, &of.name, &of.version) == (about.role, &about.name, &about.version)
        };
        let component = all.clone().find(same).ok_or_else(|| {
            let named: Vec<String> = all.map(|c| c.record()).map(|r| format!("{}@{}", r.name, r.version)).collect();
            Problem::new(
                "not_of_the_lineup",
                ErrorClass::User,
                format!("{} is {}/{}@{}", plugin.dir.display(), about.role, about.name, about.version),
                format!("name the crate of {}", named.join(" or ")),
            )
        })?;
        let program = build_native(plugin)?;
        let found = if about.role == Role::Strategy {
            first_parting(&self.records, &self.replay(Cut::Whole, Some(&program))?).map(|parting| Found {
                code: "native_differs",
                way: way.clone(),
                what: format!("native_differs at {parting}"),
                parting: Some(parting),
            })
        } else {
            let mut found = None;
            for day in &self.prepared.days {
                let rows = fixture(day, day.ticks.view().rows());
                let here = trace(component, &rows, Splits::Whole, None)?;
                let there = trace(component, &rows, Splits::Whole, Some(&program))?;
                if let Some(differs) = here.first_difference(&there) {
                    let what = format!("native_differs on {}: {differs}", day.trading_day);
                    found = Some(Found { code: "native_differs", way: way.clone(), what, parting: None });
                    break;
                }
            }
            found
        };
        self.held(&way, found);
        Ok(())
    }

    /// The run as a process that is killed, and once more over what it left behind.
    fn killed(&mut self, file: &Path, elsewhere: &Elsewhere, took: Duration) -> Result<(), Problem> {
        let out = elsewhere.0.join("killed");
        let command = || -> Result<std::process::Command, Problem> {
            let mut command = self.context.again()?;
            let verb = if self.scoring.is_some() { "walk-forward" } else { "run" };
            command.args(["--json", "backtest", verb]).arg(file).arg("--out").arg(&out);
            command.stdin(Stdio::null());
            Ok(command)
        };
        let failed = |e: &std::io::Error| io_problem("child_failed", "this program cannot be started again", e);
        let mut kills = 0;
        for share in KILLED_AFTER {
            let mut child = command()?.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(|e| failed(&e))?;
            std::thread::sleep(took.mul_f64(share));
            kills += usize::from(matches!(child.try_wait(), Ok(None)));
            // Whether it was still there or not: now it is gone.
            let _ = child.kill();
            child.wait().map_err(|e| failed(&e))?;
        }
        let ended = command()?.output().map_err(|e| failed(&e))?;
        if !ended.status.success() {
            return Err(Problem::new(
                "child_failed",
                ErrorClass::Internal,
                format!("the run as a process of its own: {}", String::from_utf8_lossy(&ended.stderr).trim()),
                "run it by hand: ghtrader backtest run",
            ));
        }
        let report = read_report(&out)?;
        let text = |key: &str| report[key].as_str().unwrap_or("missing").to_owned();
        let way = format!("another process, killed {kills} times and run again");
        self.digests("not_reproducible", &way, &text("result_digest"), &text("output_digest"));
        Ok(())
    }
}

/// A folder for what is made to compare; it is gone with this value.
struct Elsewhere(PathBuf);

impl Elsewhere {
    fn new() -> Result<Self, Problem> {
        let folder = std::env::temp_dir().join(format!("ghtrader-check-{}", std::process::id()));
        std::fs::create_dir_all(&folder)
            .map_err(|e| io_problem("unwritable", &format!("cannot make {}", folder.display()), &e))?;
        Ok(Self(folder))
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // What cannot be removed is the system's to clear.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn instrument_of(day: &DayData) -> Instrument {
    Instrument {
        symbol: day.contract.clone(),
        price_tick: day.instrument.price_tick,
        multiplier: day.instrument.multiplier,
    }
}

/// A run without a day ends before this is read.
fn no_instrument() -> Instrument {
    Instrument { symbol: String::new(), price_tick: f64::NAN, multiplier: f64::NAN }
}

/// The first rows of a day as a stretch on which a plugin is tried.
fn fixture(day: &DayData, rows: usize) -> Fixture {
    let view = day.ticks.view();
    let mut ticks = TickTable::with_capacity(rows);
    ticks.extend_from(&view, 0..rows);
    let borders = day_borders(&view.ts_ns[..rows], &day.windows)
        .into_iter()
        .map(|border| match border.kind {
            BorderKind::Session => (border.row, Boundary::Session),
            BorderKind::Gap => (border.row, Boundary::Gap),
        })
        .collect();
    Fixture { instrument: instrument_of(day), ticks, borders }
}

fn trace(feature: &Component, rows: &Fixture, splits: Splits, native: Option<&Path>) -> Result<Trace, Problem> {
    let instance: Result<Box<dyn FeatureInstance>, PluginFault> = match native {
        Some(program) => NativeProcess::new(program, &feature.params, &rows.instrument)
            .map(|p| Box::new(p) as Box<dyn FeatureInstance>),
        None => feature.plugin.feature(&feature.params, &rows.instrument),
    };
    let traced = instance.and_then(|mut instance| trace_feature(&mut *instance, rows, splits));
    traced.map_err(|fault| ghtrader_plugin::Finding::into_problem(&[fault.into()]))
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rows: Vec<Vec<String>> = self
            .ways
            .iter()
            .map(|w| vec![w.way.clone(), if w.equal { "equal" } else { "DIFFERS" }.to_owned(), w.detail.clone()])
            .collect();
        writeln!(f, "{}", table(&["way", "outcome", ""], &rows))?;
        writeln!(f, "result digest {}\noutput digest {}", self.result_digest, self.output_digest)?;
        if self.passed {
            write!(
                f,
                "passed: {} ways over {} rows of {} days give the same bits",
                self.ways.len(),
                self.rows,
                self.days
            )
        } else {
            write!(f, "failed: {} of {} ways differ", self.ways.iter().filter(|w| !w.equal).count(), self.ways.len())
        }
    }
}
