//! The service of an account: its varieties' threads and keepers, and the socket that they are asked by.

use crate::client::socket_path;
use crate::keeper::{Keeper, Message, Parts};
use crate::mail::{Mailer, Post, Signal};
use crate::maker::LineupMaker;
use crate::protocol::{
    AccountStatus, Call, Failure, LineupRecord, OrderPolicy, PROTOCOL_VERSION, Reply, Request, ResolvedLineup,
    ServiceEvent, VarietyView,
};
use crate::records::{Records, Stored, unwritable};
use crate::seat::{Mind, Tally};
use crate::source::Source;
use crate::worker::{Rules, Worker};
use ghtrader_backtest::{Engine, EngineSettings, FillModelName, Ledger, RunSpec};
use ghtrader_core::{ErrorClass, Problem, Variety};
use ghtrader_durable::{Audit, AuditEntry, Outcome, try_lock};
use ghtrader_plugin::Instrument;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Largest request, bytes.
const MAX_REQUEST: u64 = 16 << 20;
/// Longest time for a request to come in, and for its answer.
const REQUEST_TIME: Duration = Duration::from_secs(10);
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// Connections that may be open at once, those that follow events among them.
const MAX_CALLS: usize = 256;
/// Events that a subscriber may be behind before it is cut off.
const SUBSCRIBER_EVENTS: usize = 4_096;
/// Reports between a variety's thread and its keeper.
const RING_REPORTS: usize = 65_536;
/// Days made ahead of the market.
const DAYS_AHEAD: usize = 1;

/// The operator's rules of an account.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Times faster than the market; 0 = as fast as it goes.
    pub speed: f64,
    /// `lineup.ring_rows`
    pub ring_rows: usize,
    /// `lineup.shadow_min_ticks`
    pub shadow_min_ticks: u64,
    /// `lineup.shadow_min_sessions`
    pub shadow_min_sessions: u64,
    /// `lineup.prove_ticks`
    pub prove_ticks: u64,
    /// `lineup.standby_ticks`
    pub standby_ticks: u64,
    /// `lineup.max_consecutive_errors`
    pub max_consecutive_errors: u64,
    /// `lineup.restart_backoff_ms`
    pub restart_backoff_ms: i64,
    /// `lineup.restart_max`
    pub restart_max: usize,
    /// `lineup.restart_window_s`
    pub restart_window_s: i64,
    /// `lineup.order_policy`
    pub order_policy: OrderPolicy,
    /// `lineup.on_halt`
    pub on_halt: OrderPolicy,
    /// `plugin.live_call_cpu_ms`
    pub live_call_cpu_ms: u64,
    /// `backtest.initial_cny`: money of each variety's part of the account.
    pub initial_cny: f64,
    /// The wall clock, ns since the epoch.
    pub now_ns: fn() -> i64,
}

/// What a service runs.
pub struct ServiceConfig {
    /// Folder of runs.
    pub runs_dir: PathBuf,
    /// Name of the account.
    pub account: String,
    /// Where ticks come from, for people.
    pub source: String,
    /// The rules.
    pub settings: Settings,
    /// How orders fill.
    pub fill_model: FillModelName,
    /// Makes instances.
    pub maker: Arc<dyn LineupMaker>,
}

/// One variety of it.
pub struct VarietyConfig {
    /// The product.
    pub variety: Variety,
    /// Its ticks.
    pub source: Source,
    /// What decides where nothing has decided before.
    pub first_lineup: ResolvedLineup,
    /// Money, fees, limits and delays of its account; the lineup in it is not looked at.
    pub spec: RunSpec,
}

/// What a service that has ended leaves to be said.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Every variety, as it stood last.
    pub varieties: Vec<VarietyView>,
}

/// Who follows events.
#[derive(Clone, Default)]
pub(crate) struct Broadcast {
    heard: Arc<AtomicUsize>,
    followers: Arc<Mutex<Vec<SyncSender<String>>>>,
    ended: Arc<AtomicUsize>,
}

impl Broadcast {
    pub(crate) fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Acquire) > 0
    }

    /// Hands an event to everybody who follows; one who is too far behind is cut off.
    pub(crate) fn send(&self, event: &ServiceEvent) {
        if !self.is_heard() {
            return;
        }
        let line = serde_json::to_string(event).unwrap_or_default();
        let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        followers.retain(|follower| follower.try_send(line.clone()).is_ok());
        self.heard.store(followers.len(), Ordering::Release);
    }

    fn follow(&self) -> Receiver<String> {
        let (to, from) = sync_channel(SUBSCRIBER_EVENTS);
        let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        followers.push(to);
        self.heard.store(followers.len(), Ordering::Release);
        from
    }

    pub(crate) fn variety_ended(&self) {
        self.ended.fetch_add(1, Ordering::AcqRel);
    }
}

/// A variety as the socket's threads reach it.
struct Door {
    variety: String,
    inbox: Sender<Message>,
}

/// Runs an account until somebody stops it or every source has ended.
///
/// `ready` is called when the socket answers. `stop` may be set from a signal.
///
/// # Errors
/// `already_running` where another process runs the account; lineups that cannot be made; folders that cannot be written.
pub fn run(
    config: ServiceConfig,
    varieties: Vec<VarietyConfig>,
    stop: &Arc<AtomicBool>,
    ready: impl FnOnce(),
) -> Result<Ended, Problem> {
    let folder = config.runs_dir.join("trading").join(&config.account);
    let lock_path = folder.join("service.lock");
    let lock = try_lock(&lock_path).map_err(|e| unwritable(&lock_path, &e))?;
    let Some(mut lock) = lock else {
        let owner = std::fs::read_to_string(&lock_path).unwrap_or_default();
        let what = format!("the account {} is run by process {owner}", config.account);
        return Err(Problem::new(
            "already_running",
            ErrorClass::Conflict,
            what,
            "stop that one, or use another account",
        ));
    };
    lock.sign(&std::process::id().to_string()).map_err(|e| unwritable(&lock_path, &e))?;
    let socket = socket_path(&config.runs_dir, &config.account);
    // Whoever left it there does not run any more: the lock is ours.
    ghtrader_durable::remove(&socket).map_err(|e| unwritable(&socket, &e))?;
    let audit = Audit::new(&config.runs_dir.join("audit"));
    let broadcast = Broadcast::default();
    let count = varieties.len();
    let mut doors = Vec::new();
    let mut threads = Vec::new();
    for variety in varieties {
        let (door, running) = start(&config, variety, &audit, &broadcast)?;
        doors.push(door);
        threads.extend(running);
    }
    let doors = Arc::new(doors);
    let listener = UnixListener::bind(&socket).map_err(|e| unwritable(&socket, &e))?;
    restrict(&socket);
    listener.set_nonblocking(true).map_err(|e| unwritable(&socket, &e))?;
    ready();
    let calls = Arc::new(AtomicUsize::new(0));
    while !stop.load(Ordering::Acquire) && broadcast.ended.load(Ordering::Acquire) < count {
        match listener.accept() {
            // One more is not answered; whoever asks sees a closed connection and may ask again.
            Ok(_) if calls.load(Ordering::Acquire) >= MAX_CALLS => {}
            Ok((stream, _)) => {
                let call = Open::new(&calls);
                let front = Front {
                    doors: Arc::clone(&doors),
                    broadcast: broadcast.clone(),
                    account: config.account.clone(),
                    source: config.source.clone(),
                    stop: Arc::clone(stop),
                };
                // Without a thread the caller sees a closed connection and may ask again.
                let _ = std::thread::Builder::new().name("service-call".to_owned()).spawn(move || {
                    front.serve(stream);
                    drop(call);
                });
            }
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
    let last =
        doors.iter().filter_map(|door| ask(door, Call::Status).ok()).filter_map(|v| serde_json::from_value(v).ok());
    let ended = Ended { varieties: last.collect() };
    for door in doors.iter() {
        let _ = door.inbox.send(Message::Stop);
    }
    for thread in threads {
        let _ = thread.join();
    }
    let _ = ghtrader_durable::remove(&socket);
    Ok(ended)
}

/// A connection that is open, as it counts against the bound.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(calls: &Arc<AtomicUsize>) -> Self {
        calls.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(calls))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The socket is for the user who runs the service.
fn restrict(socket: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    // Where it does not work the folder's own permissions still hold.
    let _ = std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600));
}

type Threads = Vec<std::thread::JoinHandle<()>>;

fn start(
    config: &ServiceConfig,
    variety: VarietyConfig,
    audit: &Audit,
    broadcast: &Broadcast,
) -> Result<(Door, Threads), Problem> {
    let VarietyConfig { variety, source, first_lineup, spec } = variety;
    let product = variety.product().to_owned();
    let records = Records::new(&config.runs_dir, &config.account, &product);
    let (stored, lineup) = match records.load()? {
        Some(stored) => {
            let lineup = records.lineup(&stored.active)?.ok_or_else(|| {
                let what = format!("the active lineup {} of {product} is not on the disk", stored.active);
                Problem::new(
                    "state_damaged",
                    ErrorClass::Internal,
                    what,
                    "remove the variety's state.json to start anew",
                )
            })?;
            (stored, lineup)
        }
        None => (begin(config, &records, &product, &first_lineup, audit)?, first_lineup),
    };
    let (to_days, days) = sync_channel(DAYS_AHEAD);
    let mut source = source.peekable();
    // The first day names the contract for which the lineup is made.
    let instrument = match source.peek() {
        Some(Ok(day)) => Instrument {
            symbol: day.contract().to_owned(),
            price_tick: day.instrument().price_tick,
            multiplier: day.instrument().multiplier,
        },
        Some(Err(problem)) => return Err(problem.clone()),
        None => {
            let what = format!("there are no days of {product} to play");
            return Err(Problem::new("no_days", ErrorClass::User, what, "import ticks, or use --source synthetic"));
        }
    };
    let token = 1;
    let made = if stored.halted { None } else { Some(config.maker.make(&lineup, &instrument)?) };
    let settings = EngineSettings::of(&spec, config.fill_model, 1);
    let mut engine = Engine::new(settings, Ledger::new(&spec, &variety)?);
    engine.take_over(stored.generation, &[], &[]);
    let mind = Mind { token, lineup: made, tally: Tally::new(config.settings.initial_cny, 0) };
    let (to_variety, commands) = channel();
    let (producer, consumer) = rtrb::RingBuffer::new(RING_REPORTS);
    let signal = Arc::new(Signal::default());
    let post =
        Post { signal: Arc::clone(&signal), commands, ring: producer, backlog: std::collections::VecDeque::new() };
    let rules = Rules {
        speed: config.settings.speed,
        ring_rows: config.settings.ring_rows,
        standby_ticks: config.settings.standby_ticks,
        max_consecutive_errors: config.settings.max_consecutive_errors,
    };
    let worker = Worker::new(post, rules, mind, engine);
    let (outbox, inbox) = channel();
    let keeper = Keeper::new(Parts {
        account: config.account.clone(),
        variety: product.clone(),
        settings: config.settings.clone(),
        records,
        stored,
        lineup,
        token,
        mailer: Mailer { signal, commands: to_variety },
        ring: consumer,
        inbox,
        outbox: outbox.clone(),
        maker: Arc::clone(&config.maker),
        audit: audit.clone(),
        broadcast: broadcast.clone(),
    })?;
    let spawn = |name: String, run: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new().name(name).spawn(run).map_err(|e| {
            Problem::new("no_thread", ErrorClass::Limit, format!("no thread starts: {e}"), "end other programs")
        })
    };
    // Ends when there are no more days, or nobody plays them.
    let feed = move || {
        for day in source {
            if to_days.send(day).is_err() {
                break;
            }
        }
    };
    let threads = vec![
        spawn(format!("source-{product}"), Box::new(feed))?,
        spawn(format!("ticks-{product}"), Box::new(move || worker.run(&days)))?,
        spawn(format!("keeper-{product}"), Box::new(move || keeper.run()))?,
    ];
    Ok((Door { variety: product, inbox: outbox }, threads))
}

/// Writes down the first lineup of a variety.
fn begin(
    config: &ServiceConfig,
    records: &Records,
    product: &str,
    lineup: &ResolvedLineup,
    audit: &Audit,
) -> Result<Stored, Problem> {
    let now_ns = (config.settings.now_ns)();
    let id = lineup.id();
    records.keep_lineup(lineup)?;
    let first = LineupRecord { generation: 1, id, lineup: lineup.clone(), operation: String::new(), since_ns: now_ns };
    let stored = Stored { version: 1, generation: 1, active: id, halted: false, history: vec![first] };
    records.save(&stored)?;
    let entry = AuditEntry {
        actor: "host".to_owned(),
        role: String::new(),
        action: "lineup.first".to_owned(),
        subject: format!("{}/{product}", config.account),
        generation: Some(1),
        from: String::new(),
        to: id.to_string(),
        plan_hash: String::new(),
        operation: String::new(),
        reason: String::new(),
        evidence: vec![lineup.strategy.identity.clone()],
        outcome: Outcome::Done,
    };
    audit.append(now_ns, entry)?;
    Ok(stored)
}

/// One connection.
struct Front {
    doors: Arc<Vec<Door>>,
    broadcast: Broadcast,
    account: String,
    source: String,
    stop: Arc<AtomicBool>,
}

impl Front {
    fn serve(&self, stream: UnixStream) {
        // A caller that has gone needs no answer; the operation it began goes on.
        let _ = self.try_serve(stream);
    }

    fn try_serve(&self, stream: UnixStream) -> std::io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(REQUEST_TIME))?;
        stream.set_write_timeout(Some(REQUEST_TIME))?;
        let mut line = Vec::new();
        BufReader::new((&stream).take(MAX_REQUEST)).read_until(b'\n', &mut line)?;
        let request: Result<Request, _> = serde_json::from_slice(&line);
        let reply = match request {
            Ok(request) if request.version != PROTOCOL_VERSION => {
                let what =
                    format!("version {} of the protocol, this service speaks {PROTOCOL_VERSION}", request.version);
                error(Problem::new("protocol_version", ErrorClass::Conflict, what, "use programs of one version"))
            }
            Ok(Request { call: Call::Subscribe, .. }) => return self.follow(&stream),
            Ok(Request { call, .. }) => self.answer(call),
            Err(e) => {
                let what = format!("the request cannot be read: {e}");
                error(Problem::new("bad_request", ErrorClass::User, what, "send one JSON document a line"))
            }
        };
        let mut line = serde_json::to_vec(&reply)?;
        line.push(b'\n');
        (&stream).write_all(&line)
    }

    fn follow(&self, mut stream: &UnixStream) -> std::io::Result<()> {
        for line in self.broadcast.follow() {
            stream.write_all(line.as_bytes())?;
            stream.write_all(b"\n")?;
        }
        Ok(())
    }

    fn answer(&self, call: Call) -> Reply {
        let result = match &call {
            Call::Stop => {
                self.stop.store(true, Ordering::Release);
                Ok(Value::Null)
            }
            Call::Varieties => self.all(&Call::Varieties).map(Value::Array),
            Call::Status => self.status(),
            Call::Operations { variety: None } => self.operations(),
            Call::Operation { id } | Call::CancelOperation { id, .. } => {
                let variety = id.split('-').nth(1).unwrap_or_default().to_owned();
                let known = self.doors.iter().any(|d| d.variety == variety);
                if known { self.ask(&variety, call) } else { Err(unknown_operation(id)) }
            }
            Call::Variety { variety }
            | Call::History { variety }
            | Call::Orders { variety, .. }
            | Call::Shadow { variety }
            | Call::Operations { variety: Some(variety) } => self.ask(&variety.clone(), call),
            Call::Deploy(deploy) => self.ask(&deploy.plan.variety.clone(), call),
            Call::Promote(change) | Call::Rollback(change) | Call::Halt(change) | Call::Resume(change) => {
                self.ask(&change.variety.clone(), call)
            }
            Call::Subscribe => Ok(Value::Null),
        };
        match result {
            Ok(value) => Reply::Ok(value),
            Err(failure) => Reply::Error(failure),
        }
    }

    fn all(&self, call: &Call) -> Result<Vec<Value>, Failure> {
        self.doors.iter().map(|door| ask(door, call.clone())).collect()
    }

    fn status(&self) -> Result<Value, Failure> {
        let views: Result<Vec<VarietyView>, _> =
            self.all(&Call::Status)?.into_iter().map(serde_json::from_value).collect();
        let status = AccountStatus {
            account: self.account.clone(),
            kind: "paper".to_owned(),
            pid: std::process::id(),
            source: self.source.clone(),
            varieties: views.unwrap_or_default(),
        };
        Ok(serde_json::to_value(status).unwrap_or_default())
    }

    /// Of all varieties, newest first.
    fn operations(&self) -> Result<Value, Failure> {
        let lists = self.all(&Call::Operations { variety: None })?;
        let mut all: Vec<Value> = lists.into_iter().filter_map(|l| l.as_array().cloned()).flatten().collect();
        all.sort_by_key(|o| std::cmp::Reverse(o["trace"][0]["at_ns"].as_i64()));
        Ok(Value::Array(all))
    }

    fn ask(&self, variety: &str, call: Call) -> Result<Value, Failure> {
        match self.doors.iter().find(|d| d.variety == variety) {
            Some(door) => ask(door, call),
            None => {
                let known: Vec<&str> = self.doors.iter().map(|d| d.variety.as_str()).collect();
                let what = format!("account {} does not run `{variety}`; it runs {}", self.account, known.join(", "));
                Err(Problem::new("unknown_variety", ErrorClass::User, what, "name one of those").into())
            }
        }
    }
}

fn ask(door: &Door, call: Call) -> Result<Value, Failure> {
    let late =
        |what: &str| Problem::new("service_busy", ErrorClass::Unavailable, what, "look at the variety, then ask again");
    let (to, from) = channel();
    door.inbox.send(Message::Call(call, to)).map_err(|_| late("the variety has ended"))?;
    match from.recv_timeout(ANSWER_TIME) {
        Ok(Reply::Ok(value)) => Ok(value),
        Ok(Reply::Error(failure)) => Err(failure),
        Err(_) => Err(late("the variety does not answer").into()),
    }
}

fn error(problem: Problem) -> Reply {
    Reply::Error(problem.into())
}

fn unknown_operation(id: &str) -> Failure {
    let what = format!("there is no operation {id}");
    Problem::new("unknown_operation", ErrorClass::User, what, "list them with `ghtrader lineup operations`").into()
}
