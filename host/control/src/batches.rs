//! Batches of this server: each a folder with specification, manifest, results and a record of what is wanted of it, run
//! one after the other by `ghtrader batch run` as a child process.
//!
//! The folder is the whole state. A child holds one end of a pipe that ends with this process, and ends with it; what a
//! killed server leaves is found at the next start, and what was wanted of it goes on.

use crate::app::App;
use crate::clock::rfc3339;
use crate::events::Topic;
use crate::refusal::Refusal;
use ghtrader_batch::{BatchSpec, Kind, Manifest, Results, Said, Status, Summary, status, summarise};
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_durable::{io_problem, make_folder, publish, sync_folder};
use ghtrader_trading::protocol::Failure;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use utoipa::ToSchema;

/// Digits of a manifest's digest that name its batch.
const ID_DIGITS: usize = 16;
/// Bytes of a run's log that are looked through for the last line.
const LOG_TAIL: u64 = 4_096;

/// What somebody wants of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wanted {
    Run,
    Pause,
    Cancel,
}

/// What is kept of a batch beside its manifest.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    name: String,
    created_at_ns: i64,
    created_by: String,
    wanted: Wanted,
    /// How the last run ended.
    exit_code: Option<i32>,
    /// The last line of its log, where it ended otherwise than by 0.
    error: String,
}

/// How far a batch is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct BatchProgress {
    /// The batch's id: the beginning of its manifest's digest.
    id: String,
    name: String,
    /// `queued`, `running`, `paused`, `cancelled`, `succeeded`, `failed` (some jobs have no result and none will come),
    /// `refused` (another build or other data than planned), `stopped` (run it again).
    state: String,
    /// Jobs of the manifest.
    jobs: usize,
    /// Jobs with a result or an error of their own.
    settled: usize,
    /// Settled jobs a second since the run began; null while none runs.
    jobs_per_s: Option<f64>,
    /// Time until the last job at that rate, s.
    left_s: Option<f64>,
}

/// A batch with all its counts.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct BatchView {
    #[serde(flatten)]
    progress: BatchProgress,
    /// Digest of the manifest.
    #[schema(value_type = String)]
    batch: ghtrader_core::Digest,
    /// The engine that its results are of.
    engine: String,
    results: usize,
    failed: usize,
    /// Jobs that killed their process three times.
    poison: usize,
    missing: usize,
    created_at: String,
    created_by: String,
    /// Exit code of the last run; null before its end and where a signal ended it.
    exit_code: Option<i32>,
    /// Last line of the last run's log, where it did not end by 0.
    error: String,
}

struct Running {
    id: String,
    /// Dropped to end the run.
    leash: Option<ChildStdin>,
    began: Instant,
    jobs: usize,
    settled_before: usize,
    settled: usize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<String>,
    /// The batch whose turn it is, from the queue until its end is written down.
    turn: Option<String>,
    /// That batch was called off, it may be before its process was there.
    off: bool,
    running: Option<Running>,
    ended: bool,
}

/// All batches of a root.
pub(crate) struct Batches {
    dir: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

impl std::fmt::Debug for Batches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batches({})", self.dir.display())
    }
}

fn unknown(id: &str) -> Refusal {
    let what = format!("there is no batch {id}");
    Refusal::new("unknown_batch", ErrorClass::User, what, "GET /api/v1/batches lists all").value(id)
}

fn conflict(code: &'static str, what: String, remedy: &str) -> Refusal {
    Refusal::new(code, ErrorClass::Conflict, what, remedy)
}

impl Batches {
    pub(crate) fn new(runs_dir: &Path) -> Self {
        Self { dir: runs_dir.join("batches"), state: Mutex::default(), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder of a batch that is there.
    fn folder(&self, id: &str) -> Result<PathBuf, Refusal> {
        let plain = id.len() == ID_DIGITS && id.bytes().all(|c| c.is_ascii_hexdigit());
        let folder = self.dir.join(id);
        if plain && folder.join("manifest").is_file() { Ok(folder) } else { Err(unknown(id)) }
    }

    fn record(&self, id: &str) -> Result<Record, Refusal> {
        let path = self.folder(id)?.join("record.json");
        let bytes = std::fs::read(&path).map_err(|e| io_problem("batch_unreadable", "a batch's record", &e))?;
        serde_json::from_slice(&bytes).map_err(|e| {
            let what = format!("{} is damaged: {e}", path.display());
            Refusal::new("batch_damaged", ErrorClass::Internal, what, "post the specification again under another name")
        })
    }

    fn keep(&self, id: &str, record: &Record) -> Result<(), Problem> {
        let path = self.dir.join(id).join("record.json");
        let bytes = serde_json::to_vec_pretty(record).unwrap_or_default();
        publish(&path, &bytes).map_err(|e| io_problem("batch_unwritable", "a batch's record cannot be written", &e))
    }

    /// Ids of all batches.
    pub(crate) fn ids(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let mut ids: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        ids.retain(|id| self.folder(id).is_ok());
        ids.sort();
        ids
    }

    /// When a batch was planned, ns.
    pub(crate) fn created_at_ns(&self, id: &str) -> i64 {
        self.record(id).map_or(0, |r| r.created_at_ns)
    }

    fn opened(&self, id: &str) -> Result<(Manifest, Results), Refusal> {
        let folder = self.folder(id)?;
        Ok((Manifest::open(&folder.join("manifest"))?, Results::open(&folder)?))
    }

    /// A batch as it is now.
    pub(crate) fn view(&self, id: &str) -> Result<BatchView, Refusal> {
        let (manifest, results) = self.opened(id)?;
        // Looked at before its files: what has had its turn by then has written its end down.
        let (queued, turn, rate) = {
            let state = self.state();
            let running = state.running.as_ref().filter(|r| r.id == id);
            (state.queue.iter().any(|q| q == id), state.turn.as_deref() == Some(id), running.and_then(Running::rate))
        };
        let record = self.record(id)?;
        let counts = status(&manifest, &results)?;
        let progress = progress(id, &record, &counts, (queued, turn, rate));
        Ok(BatchView {
            progress,
            batch: manifest.digest,
            engine: manifest.head.engine.clone(),
            results: counts.results,
            failed: counts.failed,
            poison: counts.poison,
            missing: counts.missing,
            created_at: rfc3339(record.created_at_ns),
            created_by: record.created_by,
            exit_code: record.exit_code,
            error: record.error,
        })
    }

    /// Plans a specification and queues its batch. An equal one is the same batch; `true` says that it is new.
    pub(crate) fn plan(&self, app: &App, text: &str, actor: &str) -> Result<(String, bool), Refusal> {
        let spec = BatchSpec::parse(text, "spec", &[])?;
        for file in spec.files() {
            if !Path::new(file).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)) {
                let what = format!("`{file}` leaves the project's root");
                let remedy = "name a plugin of the registry, or a file below the root";
                return Err(Refusal::new("outside_root", ErrorClass::User, what, remedy).value(file));
            }
        }
        let unwritable = |e: std::io::Error| io_problem("batch_unwritable", "the batch cannot be written", &e);
        make_folder(&self.dir).map_err(unwritable)?;
        let fresh = tempfile::Builder::new().prefix(".new-").tempdir_in(&self.dir).map_err(unwritable)?;
        let spec_file = fresh.path().join("batch.toml");
        publish(&spec_file, text.as_bytes()).map_err(unwritable)?;
        let mut command = program(app)?;
        command.args(["--json", "--quiet", "batch", "plan"]).arg(&spec_file);
        command.arg("--out").arg(fresh.path().join("manifest")).arg("--base").arg(&app.config.root);
        let output = command.stdin(Stdio::null()).output().map_err(|e| unstarted(&e))?;
        if !output.status.success() {
            return Err(told(&output.stdout));
        }
        let manifest = Manifest::open(&fresh.path().join("manifest"))?;
        let id: String = manifest.digest.to_string().chars().take(ID_DIGITS).collect();
        if self.folder(&id).is_ok() {
            return Ok((id, false));
        }
        let record = Record {
            name: spec.name.clone(),
            created_at_ns: app.now_ns(),
            created_by: actor.to_owned(),
            wanted: Wanted::Run,
            exit_code: None,
            error: String::new(),
        };
        let bytes = serde_json::to_vec_pretty(&record).unwrap_or_default();
        publish(&fresh.path().join("record.json"), &bytes).map_err(unwritable)?;
        let folder = self.dir.join(&id);
        std::fs::rename(fresh.path(), &folder).map_err(unwritable)?;
        // It has another name now; nothing is left to be removed under the old one.
        let _ = fresh.keep();
        sync_folder(&self.dir).map_err(unwritable)?;
        self.enqueue(&id);
        self.tell(app, &id);
        Ok((id, true))
    }

    fn enqueue(&self, id: &str) {
        let mut state = self.state();
        let runs = state.running.as_ref().is_some_and(|r| r.id == id);
        if !runs && !state.queue.iter().any(|q| q == id) {
            state.queue.push_back(id.to_owned());
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Does what is wanted of a batch from now on.
    pub(crate) fn want(&self, app: &App, id: &str, wanted: Wanted) -> Result<BatchView, Refusal> {
        let view = self.view(id)?;
        if view.progress.state == "succeeded" {
            let what = format!("every job of batch {id} has a result");
            return Err(conflict("batch_ended", what, "read its summary"));
        }
        let mut record = self.record(id)?;
        record.wanted = wanted;
        (record.exit_code, record.error) = (None, String::new());
        self.keep(id, &record)?;
        if wanted == Wanted::Run {
            self.enqueue(id);
        } else {
            let mut state = self.state();
            state.queue.retain(|q| q != id);
            if state.turn.as_deref() == Some(id) {
                state.off = true;
                if let Some(running) = &mut state.running {
                    // Its input ends, and it with it; what is done is done.
                    running.leash = None;
                }
            }
            while state.turn.as_deref() == Some(id) {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        self.tell(app, id);
        self.view(id)
    }

    /// Forgets a batch's failures and queues it.
    pub(crate) fn retry(&self, app: &App, id: &str) -> Result<BatchView, Refusal> {
        let view = self.view(id)?;
        if ["running", "queued"].contains(&view.progress.state.as_str()) {
            let what = format!("batch {id} is {}", view.progress.state);
            return Err(conflict("batch_running", what, "pause it first, or wait for its end"));
        }
        let (manifest, results) = self.opened(id)?;
        for kind in [Kind::Failed, Kind::Poison] {
            let listed = results.listed(kind)?;
            for job in manifest.ids().iter().filter(|job| listed.contains(job)) {
                results.remove(kind, job)?;
            }
        }
        self.want(app, id, Wanted::Run)
    }

    /// The table of a batch.
    pub(crate) fn summary(&self, id: &str) -> Result<Summary, Refusal> {
        let (manifest, results) = self.opened(id)?;
        Ok(summarise(&manifest, &results)?)
    }

    /// Tells those who follow the events how far a batch is.
    fn tell(&self, app: &App, id: &str) {
        if let Ok(view) = self.view(id) {
            let data = serde_json::to_value(&view.progress).unwrap_or_default();
            app.events.publish(Topic::Batch, id, "", data, Instant::now());
        }
    }

    /// Queues what was wanted when the server ended.
    fn take_up(&self) {
        let mut ids = self.ids();
        ids.sort_by_key(|id| self.created_at_ns(id));
        for id in ids {
            let wanted = self.record(&id).is_ok_and(|r| r.wanted == Wanted::Run && r.exit_code.is_none());
            if wanted {
                self.enqueue(&id);
            }
        }
        for entry in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            // A plan that was cut short.
            if entry.file_name().to_string_lossy().starts_with(".new-") {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Ends the run that is under way; it goes on at the next start.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        if let Some(running) = &mut state.running {
            running.leash = None;
        }
        drop(state);
        self.changed.notify_all();
    }

    fn next(&self) -> Option<String> {
        let mut state = self.state();
        loop {
            if state.ended {
                return None;
            }
            match state.queue.pop_front() {
                Some(id) => {
                    (state.turn, state.off) = (Some(id.clone()), false);
                    return Some(id);
                }
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl Running {
    fn rate(&self) -> Option<f64> {
        let seconds = self.began.elapsed().as_secs_f64();
        (seconds > 0.0).then(|| (self.settled - self.settled_before) as f64 / seconds)
    }
}

/// How far a batch is: in the queue, or at its turn with a rate in jobs a second, or neither.
fn progress(
    id: &str,
    record: &Record,
    counts: &Status,
    (queued, turn, rate): (bool, bool, Option<f64>),
) -> BatchProgress {
    let name = match () {
        () if turn => "running",
        () if queued => "queued",
        () if counts.is_complete() => "succeeded",
        () if record.wanted == Wanted::Pause => "paused",
        () if record.wanted == Wanted::Cancel => "cancelled",
        () if matches!(record.exit_code, Some(2 | 4)) => "refused",
        () if counts.missing == 0 => "failed",
        () => "stopped",
    };
    BatchProgress {
        id: id.to_owned(),
        name: record.name.clone(),
        state: name.to_owned(),
        jobs: counts.jobs,
        settled: counts.jobs - counts.missing,
        jobs_per_s: rate,
        left_s: rate.filter(|r| *r > 0.0).map(|r| counts.missing as f64 / r),
    }
}

/// This program, as it was told to be started.
fn program(app: &App) -> Result<Command, Refusal> {
    let Some((name, args)) = app.config.program.split_first() else {
        let what = "this server was started without a program that runs batches";
        return Err(Refusal::new("no_program", ErrorClass::Unavailable, what, "start it by `ghtrader serve`"));
    };
    let mut command = Command::new(name);
    command.args(args);
    Ok(command)
}

fn unstarted(e: &std::io::Error) -> Refusal {
    io_problem("program_unstarted", "the program that runs batches cannot be started", e).into()
}

/// What a command has printed as its error.
fn told(stdout: &[u8]) -> Refusal {
    let body: Value = serde_json::from_slice(stdout).unwrap_or_default();
    match serde_json::from_value::<Failure>(body["error"].clone()) {
        Ok(failure) => Refusal::from(failure).unaudited(),
        Err(_) => {
            let what = "planning failed without saying why";
            Refusal::new("internal", ErrorClass::Internal, what, "report it with the server's log")
        }
    }
}

/// Runs batches, one after the other, until the server ends.
pub(crate) fn run(app: &App) {
    let batches = &app.batches;
    batches.take_up();
    while let Some(id) = batches.next() {
        if let Err(refusal) = run_one(app, &id) {
            tracing::error!(batch = id, code = refusal.code(), "a batch cannot be run");
            if let Ok(mut record) = batches.record(&id) {
                (record.exit_code, record.error) = (Some(1), refusal.code().to_owned());
                // The next start tries it again.
                let _ = batches.keep(&id, &record);
            }
        }
        {
            let mut state = batches.state();
            (state.running, state.turn) = (None, None);
        }
        batches.changed.notify_all();
        batches.tell(app, &id);
    }
}

fn run_one(app: &App, id: &str) -> Result<(), Refusal> {
    let batches = &app.batches;
    let folder = batches.folder(id)?;
    let (manifest, results) = batches.opened(id)?;
    let counts = status(&manifest, &results)?;
    let log_path = folder.join("run.log");
    let log = File::options().create(true).append(true).open(&log_path);
    let log = log.map_err(|e| io_problem("batch_unwritable", "the batch's log cannot be written", &e))?;
    let mut command = program(app)?;
    command.args(["--quiet", "batch", "run", "--leash", "--manifest"]).arg(folder.join("manifest"));
    command.arg("--out").arg(&folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
    let mut child = command.spawn().map_err(|e| unstarted(&e))?;
    let settled = counts.jobs - counts.missing;
    let mut running = Running {
        id: id.to_owned(),
        leash: child.stdin.take(),
        began: Instant::now(),
        jobs: counts.jobs,
        settled_before: settled,
        settled,
    };
    {
        let mut state = batches.state();
        // The server may have been told to end in between, or the batch been called off: the pipe is closed here and now,
        // or nothing would end the child.
        if state.ended || state.off {
            running.leash = None;
        }
        state.running = Some(running);
    }
    batches.tell(app, id);
    let name = batches.record(id)?.name;
    for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()).map_while(Result::ok) {
        if let Some(Said::Done(_)) = Said::parse(&line) {
            let mut state = batches.state();
            let Some(running) = &mut state.running else { continue };
            running.settled = (running.settled + 1).min(running.jobs);
            let (rate, left) = (running.rate(), running.jobs - running.settled);
            let data = json!(BatchProgress {
                id: id.to_owned(),
                name: name.clone(),
                state: "running".to_owned(),
                jobs: running.jobs,
                settled: running.settled,
                jobs_per_s: rate,
                left_s: rate.filter(|r| *r > 0.0).map(|r| left as f64 / r),
            });
            drop(state);
            app.events.publish(Topic::Batch, id, "", data, Instant::now());
        }
    }
    let ended = child.wait().map_err(|e| unstarted(&e))?;
    let called_off = batches.state().running.as_ref().is_some_and(|r| r.leash.is_none());
    let mut record = batches.record(id)?;
    // A run that was called off has not ended by itself: it may go on.
    record.exit_code = if called_off { None } else { Some(ended.code().unwrap_or(1)) };
    record.error = if ended.success() || called_off { String::new() } else { last_line(&log_path) };
    batches.keep(id, &record)?;
    tracing::info!(batch = id, exit_code = ended.code(), called_off, "a batch's run has ended");
    Ok(())
}

/// The last line of a log, or as much of it as is worth showing.
fn last_line(path: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let error = text.lines().rev().find(|l| l.starts_with("error["));
    error.or(text.lines().rev().find(|l| !l.trim().is_empty())).unwrap_or_default().to_owned()
}
