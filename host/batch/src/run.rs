//! Jobs of a manifest run in this process: days loaded once and shared, columns built once, results published one by one.

use crate::days::{data_warnings, load_days, planned_days};
use crate::identify::{Days, Identifier, columns_of, engine_id, job_spec};
use crate::lineup::{Lineup, Scoring, attach, replay};
use crate::manifest::{Job, LineupRecord, Manifest, PartRecord, Period};
use crate::plan::at_point;
use crate::project::{Component, Project};
use crate::residence::{Budget, Residence};
use crate::results::{Kind, Results, State, failure, is_transient};
use ghtrader_backtest::{BacktestError, DayData, ReadyDay, prepare_days, report_json};
use ghtrader_core::{Digest, ErrorClass, Problem, TradingDay};
use ghtrader_durable::io_problem;
use ghtrader_pipeline::{ColumnsOptions, ColumnsReport};
use ghtrader_plugin::Plugin;
use ghtrader_store::Schedule;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Bytes of a row as the exchange and the mapped store hold it.
const ROW_BYTES: u64 = 360;
/// Bytes that a job needs beside its instances: records, metrics, report.
const JOB_BYTES: u64 = 24 << 20;
/// Wait before a job that failed for want of something is tried again; grows with each try.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// How often a store that another process writes into is asked again: ten minutes.
const BUSY_TRIES: u32 = 3_000;

/// How jobs are run.
#[derive(Debug, Clone, Copy)]
pub struct RunOptions {
    /// Jobs at once; 0 = one a core.
    pub threads: usize,
    /// Memory for days and jobs, MiB.
    pub memory_mib: u64,
    /// Tries more for what may pass next time.
    pub retries: u32,
    /// Rows a plugin gets in one call.
    pub block_rows: usize,
}

/// What happens while jobs run.
#[derive(Debug, Clone, Copy)]
pub enum JobEvent<'a> {
    /// A job begins; if its process dies it is a suspect.
    Started(&'a Digest),
    /// A job has a result.
    Done(&'a Digest),
    /// A job's typed error was recorded.
    Failed(&'a Digest),
    /// A job could not be run or recorded this time.
    Missing(&'a Digest, &'a Problem),
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RunReport {
    /// Jobs asked for.
    pub total: usize,
    /// Results made now.
    pub done: usize,
    /// Results that were there.
    pub reused: usize,
    /// Jobs with a typed error, now or before.
    pub failed: usize,
    /// Jobs that killed their process three times.
    pub poison: usize,
    /// Jobs without anything.
    pub missing: usize,
    /// Days of features computed now.
    pub feature_days_built: usize,
    /// Days of features that were there.
    pub feature_days_reused: usize,
    /// Most periods in memory at once.
    pub resident_periods: usize,
    /// Jobs that ran at once.
    pub threads: usize,
}

/// Another build or other data than the manifest names.
fn differs(code: &'static str, what: String) -> Problem {
    Problem::new(
        code,
        ErrorClass::Conflict,
        what,
        "run the manifest with the build and the data that it was planned on",
    )
}

/// Refuses a manifest of another engine.
///
/// # Errors
/// `engine_mismatch`.
pub fn check_engine(manifest: &Manifest) -> Result<(), Problem> {
    let (own, planned) = (engine_id(), &manifest.head.engine);
    if own == *planned {
        return Ok(());
    }
    Err(differs("engine_mismatch", format!("the manifest was planned for engine {planned}, this is {own}")))
}

/// A job that is to be run, with everything that is known of it.
struct Task {
    job: Job,
    lineup: Lineup,
    columns: Digest,
}

/// Days of a period in memory.
pub(crate) struct Loaded {
    days: Vec<DayData>,
    exchange: Vec<Arc<ReadyDay>>,
    warnings: Vec<String>,
    /// The same days with a lineup's columns, by what these follow from.
    made: Mutex<BTreeMap<Digest, Made>>,
}

/// Filled by the first job that needs it; the others wait.
type Made = Arc<OnceLock<Result<Vec<DayData>, Problem>>>;

/// Runs the jobs at these places of a manifest, as many as have nothing in the folder yet.
///
/// # Errors
/// Refusals before anything is run: another build or other data than the manifest names (class `conflict`), a memory
/// budget that holds no period, a folder that cannot be written. A job's own error is none of them.
pub fn run_jobs(
    project: &Project<'_>,
    manifest: &Manifest,
    places: &[usize],
    results: &Results,
    options: RunOptions,
    listen: &(dyn Fn(JobEvent<'_>) + Sync),
) -> Result<RunReport, Problem> {
    check_engine(manifest)?;
    results.sweep()?;
    let mut report = RunReport { total: places.len(), ..RunReport::default() };
    let mut todo = Vec::new();
    for place in places {
        match results.state(&manifest.ids()[*place])? {
            State::Settled(Kind::Result) => report.reused += 1,
            State::Settled(Kind::Failed) => report.failed += 1,
            State::Settled(Kind::Poison) => report.poison += 1,
            State::Missing | State::Damaged => todo.push(*place),
        }
    }
    if todo.is_empty() {
        return Ok(report);
    }
    let mut worker = Worker::prepare(project, manifest, &todo, results, options, &mut report)?;
    report.threads = worker.threads;
    let counts = worker.run(listen)?;
    report.done += counts.done;
    report.failed += counts.failed;
    report.missing += counts.missing;
    report.resident_periods = counts.resident;
    results.flush()?;
    Ok(report)
}

/// Builds the columns of every feature that the batch reads, so that its jobs can run where the store may only be read.
///
/// Gives the days computed now and those that were there.
///
/// # Errors
/// As [`run_jobs`], and what stands in the way of a build.
pub fn build_batch_features(project: &Project<'_>, manifest: &Manifest) -> Result<(usize, usize), Problem> {
    check_engine(manifest)?;
    let all: Vec<usize> = (0..manifest.ids().len()).collect();
    let planned = Tasks::read(project, manifest, &all)?;
    let mut report = RunReport::default();
    build_features(project, &planned.tasks, &planned.periods, &planned.schedules, &mut report)?;
    Ok((report.feature_days_built, report.feature_days_reused))
}

/// Jobs of a manifest with their lineups and days, each id held against the data that are here.
struct Tasks {
    tasks: Vec<Task>,
    periods: BTreeMap<usize, Days>,
    schedules: BTreeMap<String, Schedule>,
}

impl Tasks {
    fn read(project: &Project<'_>, manifest: &Manifest, places: &[usize]) -> Result<Self, Problem> {
        let head = &manifest.head;
        let mut plugins: BTreeMap<Digest, Arc<Plugin>> = BTreeMap::new();
        let mut lineups: BTreeMap<usize, Lineup> = BTreeMap::new();
        let mut periods: BTreeMap<usize, Days> = BTreeMap::new();
        let mut identifier = Identifier::new(project);
        let mut tasks = Vec::with_capacity(places.len());
        for place in places {
            let job = manifest.job(*place)?;
            let lineup = match lineups.entry(job.lineup) {
                Entry::Occupied(found) => found.into_mut(),
                Entry::Vacant(free) => {
                    free.insert(load_lineup(project, manifest, &head.lineups[job.lineup], &mut plugins)?)
                }
            };
            let days = match periods.entry(job.period) {
                Entry::Occupied(found) => found.into_mut(),
                Entry::Vacant(free) => free.insert(planned(&mut identifier, &head.periods[job.period])?),
            };
            let lineup = at_point(lineup, &job.params)?;
            let id = identifier.id(&lineup, (job.period, days), (job.run, &head.runs[job.run]))?;
            if id != job.id {
                let what = format!(
                    "job {} is {id} here: its features' warm-up rows, the calendar or the tables of fees and margins are \
                     not those of the plan",
                    job.id
                );
                return Err(differs("job_mismatch", what));
            }
            tasks.push(Task { columns: columns_of(&lineup), job, lineup });
        }
        let mut schedules = BTreeMap::new();
        for days in periods.values() {
            schedules.insert(days.period.variety.clone(), identifier.schedule(&days.variety)?.clone());
        }
        Ok(Self { tasks, periods, schedules })
    }
}

struct Worker<'a> {
    project: &'a Project<'a>,
    results: &'a Results,
    manifest: &'a Manifest,
    options: RunOptions,
    threads: usize,
    tasks: Vec<Task>,
    schedules: BTreeMap<String, Schedule>,
    /// What plugins made of the ticks, by product, component and parameters.
    built: BTreeMap<(String, Digest, String), ColumnsReport>,
    residence: Residence<Loaded>,
}

/// What a job came to: in this run, or in one before or beside it.
enum Ended {
    Now(Kind, Value),
    Before(Kind),
}

/// What a try came to: a report, or an error with the row and time at which it happened.
enum Attempt {
    Report(Value),
    Failed(Problem, Option<(usize, i64)>),
}

/// Counts what jobs come to, and tells whoever listens.
struct Tally<'a> {
    listen: &'a (dyn Fn(JobEvent<'_>) + Sync),
    counts: Mutex<Counts>,
    /// Why no further job is begun: room on the disk does not come back by trying the next one, nor do data that were
    /// replaced.
    stop: OnceLock<Problem>,
}

impl Tally<'_> {
    /// Counts a job that is left for the next run; why has been told.
    fn not_begun(&self) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).missing += 1;
    }

    fn ended(&self, id: &Digest, ended: Result<Kind, Problem>, now: bool) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match &ended {
            Ok(Kind::Result) => counts.done += 1,
            Ok(_) => counts.failed += 1,
            Err(_) => counts.missing += 1,
        }
        drop(counts);
        match ended {
            Ok(Kind::Result) if now => (self.listen)(JobEvent::Done(id)),
            Ok(_) if now => (self.listen)(JobEvent::Failed(id)),
            Ok(_) => {}
            Err(problem) => {
                (self.listen)(JobEvent::Missing(id, &problem));
                if problem.class == ErrorClass::Conflict || ["disk_full", "unwritable"].contains(&problem.code) {
                    // The first reason is the one to report.
                    let _ = self.stop.set(problem);
                }
            }
        }
    }
}

#[derive(Default)]
struct Counts {
    done: usize,
    failed: usize,
    missing: usize,
    resident: usize,
}

impl<'a> Worker<'a> {
    /// Loads the lineups, holds every id against the data that are here, builds columns, and sets the budget.
    fn prepare(
        project: &'a Project<'a>,
        manifest: &'a Manifest,
        todo: &[usize],
        results: &'a Results,
        options: RunOptions,
        report: &mut RunReport,
    ) -> Result<Self, Problem> {
        let head = &manifest.head;
        let Tasks { tasks, periods, schedules } = Tasks::read(project, manifest, todo)?;
        let budget = Budget::new(options.memory_mib);
        let sizes: BTreeMap<usize, u64> = periods.iter().map(|(p, d)| (*p, period_bytes(*p, d, &tasks))).collect();
        let largest = sizes.values().copied().max().unwrap_or(0);
        let job_bytes = tasks.iter().map(|t| job_bytes(project, head.runs[t.job.run].fills.models.len(), t)).max();
        let wanted = if options.threads == 0 {
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
        } else {
            options.threads
        };
        let threads = budget.threads(largest, job_bytes.unwrap_or(0), wanted.min(tasks.len()))?;
        let built = build_features(project, &tasks, &periods, &schedules, report)?;
        let room = budget.left_for_days(job_bytes.unwrap_or(0), threads);
        let order: Vec<(usize, u64)> = tasks.iter().map(|t| (t.job.period, sizes[&t.job.period])).collect();
        let residence = Residence::new(&order, room);
        Ok(Self { project, results, manifest, options, threads, tasks, schedules, built, residence })
    }

    fn run(&mut self, listen: &(dyn Fn(JobEvent<'_>) + Sync)) -> Result<Counts, Problem> {
        // A pool a thread: its job's fill models ride in one pass and not in as many as there are threads, which all have jobs.
        let pool = |_| rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let pools: Vec<rayon::ThreadPool> = (0..self.threads).map(pool).collect::<Result<_, _>>().map_err(|e| {
            let what = format!("{} threads cannot be started: {e}", self.threads);
            Problem::new("threads", ErrorClass::Limit, what, "ask for fewer with --threads")
        })?;
        let next = AtomicUsize::new(0);
        let tally = Tally { listen, counts: Mutex::default(), stop: OnceLock::new() };
        let this = &*self;
        // One loop a thread rather than a task a job: jobs are taken in the manifest's order, which is that of the days.
        let work = || {
            while let Some(task) = this.tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                let id = &task.job.id;
                if tally.stop.get().is_some() {
                    tally.not_begun();
                    this.residence.left(task.job.period);
                    continue;
                }
                let ended = this.one(task, listen);
                this.residence.left(task.job.period);
                match ended {
                    Ok(Ended::Now(kind, document)) => {
                        let put = this.patiently(|| this.results.put(kind, id, &document));
                        tally.ended(id, put.map(|()| kind), true);
                    }
                    Ok(Ended::Before(kind)) => tally.ended(id, Ok(kind), false),
                    Err(problem) => tally.ended(id, Err(problem), false),
                }
            }
        };
        std::thread::scope(|scope| pools.iter().for_each(|pool| drop(scope.spawn(|| pool.install(work)))));
        let mut counts = tally.counts.into_inner().unwrap_or_else(PoisonError::into_inner);
        counts.resident = self.residence.most();
        match tally.stop.into_inner() {
            Some(problem) if problem.class == ErrorClass::Conflict => Err(problem),
            _ => Ok(counts),
        }
    }

    /// Tries again what may pass next time.
    fn patiently<T>(&self, mut attempt: impl FnMut() -> Result<T, Problem>) -> Result<T, Problem> {
        let mut tried = 0;
        loop {
            match attempt() {
                Err(problem) if is_transient(&problem) && tried < self.options.retries => {
                    tried += 1;
                    std::thread::sleep(RETRY_PAUSE * tried);
                }
                ended => return ended,
            }
        }
    }

    /// Runs a job: its report or its typed error. What may pass next time is tried again; what remains is left for the next
    /// run.
    fn one(&self, task: &Task, listen: &(dyn Fn(JobEvent<'_>) + Sync)) -> Result<Ended, Problem> {
        let id = &task.job.id;
        // Another run on the same folder may have been here.
        if let State::Settled(kind) = self.results.state(id)? {
            return Ok(Ended::Before(kind));
        }
        listen(JobEvent::Started(id));
        let ended = catch_unwind(AssertUnwindSafe(|| self.patiently(|| self.attempt(task))));
        let (problem, place) = match ended {
            Ok(Ok(Attempt::Report(report))) => return Ok(Ended::Now(Kind::Result, report)),
            Ok(Ok(Attempt::Failed(problem, place))) => (problem, place),
            Ok(Err(problem)) if is_transient(&problem) || problem.class == ErrorClass::Conflict => return Err(problem),
            Ok(Err(problem)) => (problem, None),
            // The panic's own message, with file and line, is on stderr by then.
            Err(_) => {
                let what = "the job failed by a defect of this program";
                (Problem::new("internal", ErrorClass::Internal, what, "report it with the log"), None)
            }
        };
        Ok(Ended::Now(Kind::Failed, failure(id, &self.manifest.head.engine, &problem, place)))
    }

    /// One try; an `Err` of the classes that may pass is worth another one.
    fn attempt(&self, task: &Task) -> Result<Attempt, Problem> {
        let id = &task.job.id;
        let period = &self.manifest.head.periods[task.job.period];
        let loaded = self.residence.get(task.job.period, || self.load(period))?;
        let made = {
            let mut made = loaded.made.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(made.entry(task.columns).or_default())
        };
        let days = match made.get_or_init(|| self.columns(task, &loaded.days)) {
            Ok(days) => days,
            Err(problem) if is_transient(problem) => {
                // The next try makes them anew.
                let mut all = loaded.made.lock().unwrap_or_else(PoisonError::into_inner);
                all.remove(&task.columns);
                return Err(problem.clone());
            }
            Err(problem) => return Err(problem.clone()),
        };
        let run = &self.manifest.head.runs[task.job.run];
        let spec = job_spec(run, period, &task.lineup);
        let variety = crate::lineup::variety_of(&period.variety)?;
        let identity = task.lineup.identity(&period.schedule);
        let ran = replay(
            &spec,
            &variety,
            (days, &loaded.exchange),
            &identity,
            &task.lineup.strategy,
            self.options.block_rows,
        );
        let result = match ran {
            Ok(result) => result,
            Err(error) => {
                let place = match &error {
                    BacktestError::Runtime { row, ts_ns, .. } => Some((*row, *ts_ns)),
                    _ => None,
                };
                let problem = Problem::from(error);
                return if is_transient(&problem) { Err(problem) } else { Ok(Attempt::Failed(problem, place)) };
            }
        };
        if result.result_digest != *id {
            // The data were replaced while the batch ran.
            let what = format!("job {id} gave the result {}", result.result_digest);
            return Err(differs("job_mismatch", what));
        }
        let about = task.lineup.report(&period.schedule, loaded.warnings.clone());
        Ok(Attempt::Report(report_json(&spec, days, &result, &about)?))
    }

    fn load(&self, period: &Period) -> Result<Loaded, Problem> {
        let schedule = self.schedule(period)?;
        let (store, calendar) = (self.project.store, self.project.calendar);
        let planned = planned_days(store, calendar, schedule, Some(period.from), Some(period.to))?;
        let days = load_days(store, schedule, planned)?;
        let exchange = prepare_days(&days)?;
        Ok(Loaded { warnings: data_warnings(&days), days, exchange, made: Mutex::default() })
    }

    fn schedule(&self, period: &Period) -> Result<&Schedule, Problem> {
        self.schedules.get(&period.variety).ok_or_else(|| {
            let what = format!("no schedule of {}", period.variety);
            Problem::new("schedule_missing", ErrorClass::Internal, what, "report this")
        })
    }

    /// The days with the columns of a job's lineup; rows stay where they are.
    fn columns(&self, task: &Task, days: &[DayData]) -> Result<Vec<DayData>, Problem> {
        let variety = &self.manifest.head.periods[task.job.period].variety;
        let mut built = Vec::new();
        for feature in &task.lineup.features {
            let (digest, params) = feature.identity();
            built.extend(self.built.get(&(variety.clone(), digest, params)));
        }
        let mut days: Vec<DayData> = days.iter().map(DayData::share).collect();
        attach(self.project.store, &built, &task.lineup.scoring, &mut days)?;
        Ok(days)
    }
}

/// The days of a period as they are here, which have to be those of the plan.
fn planned(identifier: &mut Identifier<'_>, period: &Period) -> Result<Days, Problem> {
    let variety = crate::lineup::variety_of(&period.variety)?;
    let days = identifier.period(&variety, period.from, period.to)?;
    if days.period == *period {
        return Ok(days);
    }
    let here = &days.period;
    let what = format!(
        "{} from {} to {}: the plan has {} days, {} rows, data {} under schedule {}; here are {} days, {} rows, data {} \
         under schedule {}",
        period.variety,
        period.from,
        period.to,
        period.days,
        period.rows,
        period.data.short16(),
        period.schedule,
        here.days,
        here.rows,
        here.data.short16(),
        here.schedule
    );
    Err(differs("data_mismatch", what))
}

fn load_lineup(
    project: &Project<'_>,
    manifest: &Manifest,
    record: &LineupRecord,
    plugins: &mut BTreeMap<Digest, Arc<Plugin>>,
) -> Result<Lineup, Problem> {
    let parts = manifest.parts();
    let mut load = |part: &PartRecord| -> Result<Component, Problem> {
        let plugin = match plugins.get(&part.digest) {
            Some(plugin) => Arc::clone(plugin),
            None => {
                let file = parts.join(format!("{}.wasm", part.digest));
                let bytes = std::fs::read(&file).map_err(|e| {
                    let what = format!("cannot read {}, the artefact of {}", file.display(), part.identity);
                    let problem = io_problem("part_missing", &what, &e);
                    Problem { remedy: "keep the manifest together with its .parts folder".to_owned(), ..problem }
                })?;
                let found = Digest::of(&bytes);
                if found != part.digest {
                    let what = format!("{} holds an artefact of digest {found}", file.display());
                    return Err(differs("part_mismatch", what));
                }
                let plugin = crate::project::admitted(project.host, &part.identity, &bytes)?;
                plugins.insert(part.digest, Arc::clone(&plugin));
                plugin
            }
        };
        Component::settled(plugin, &part.params)
    };
    let features = record.features.iter().map(&mut load).collect::<Result<_, _>>()?;
    let strategy = load(&record.strategy)?;
    let scoring = match &record.model {
        Some(digest) => Scoring::open(&parts.join(digest.to_string()))?,
        None => Scoring::None,
    };
    Ok(Lineup { features, scoring, strategy })
}

/// Builds the columns of every feature once for all jobs that read them.
fn build_features(
    project: &Project<'_>,
    tasks: &[Task],
    periods: &BTreeMap<usize, Days>,
    schedules: &BTreeMap<String, Schedule>,
    report: &mut RunReport,
) -> Result<BTreeMap<(String, Digest, String), ColumnsReport>, Problem> {
    let mut wanted: BTreeMap<(String, Digest, String), (&Component, TradingDay, TradingDay)> = BTreeMap::new();
    for task in tasks {
        let period = &periods[&task.job.period].period;
        for feature in &task.lineup.features {
            let (digest, params) = feature.identity();
            let range = wanted.entry((period.variety.clone(), digest, params));
            let range = range.or_insert((feature, period.from, period.to));
            (range.1, range.2) = (range.1.min(period.from), range.2.max(period.to));
        }
    }
    let mut built = BTreeMap::new();
    for (key, (feature, from, to)) in wanted {
        let options = ColumnsOptions { days: Some((from, to)), ..project.columns };
        let mut tried = 0;
        let columns = loop {
            match project.build_columns(&schedules[&key.0], &feature.plugin, &feature.params, options) {
                Ok(columns) => break columns,
                // Another process builds: what it has built is found afterwards.
                Err(problem) if problem.code == "store_busy" && tried < BUSY_TRIES => {
                    tried += 1;
                    std::thread::sleep(RETRY_PAUSE);
                }
                Err(problem) if problem.code == "store_unwritable" => {
                    return Err(Problem::new(
                        "features_missing",
                        ErrorClass::User,
                        format!(
                            "{} has to be computed and the store cannot be written: {}",
                            feature.plugin.identity(),
                            problem.what
                        ),
                        "run `ghtrader batch features --manifest M` where the store may be written, then everywhere else",
                    ));
                }
                Err(problem) => return Err(problem),
            }
        };
        report.feature_days_built += columns.built_days;
        report.feature_days_reused += columns.reused_days;
        built.insert(key, columns);
    }
    // Others may want to write into the store while the jobs run.
    project.store.yield_writer()?;
    Ok(built)
}

/// Memory of a period: rows as matched, and each lineup's columns.
fn period_bytes(place: usize, days: &Days, tasks: &[Task]) -> u64 {
    let mut widths: BTreeMap<Digest, u64> = BTreeMap::new();
    for task in tasks.iter().filter(|t| t.job.period == place) {
        widths.entry(task.columns).or_insert_with(|| {
            let outputs = task.lineup.features.iter().map(|f| f.plugin.manifest().output.len() as u64).sum::<u64>();
            outputs + if matches!(task.lineup.scoring, Scoring::None) { 0 } else { 3 }
        });
    }
    days.period.rows * (ROW_BYTES + 8 * widths.values().sum::<u64>())
}

/// Memory of a job while it runs, at most: an instance a fill model, and what it writes down.
fn job_bytes(project: &Project<'_>, models: usize, task: &Task) -> u64 {
    let limits = project.host.config().limits.lowered_to(&task.lineup.strategy.plugin.manifest().limits);
    models as u64 * (u64::from(limits.memory_mib) << 20) + JOB_BYTES
}
