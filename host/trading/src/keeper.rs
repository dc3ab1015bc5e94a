//! The keeper of a variety: takes requests, works out what follows, tells the variety's thread, and writes down what has
//! happened before anybody is told that it has.

mod operations;
mod requests;
mod views;

use crate::mail::{Command, Mailer, Prepared, Report, Snapshot};
use crate::maker::LineupMaker;
use crate::prepare::{History, Order};
use crate::protocol::{Actor, Call, Failure, LineupRecord, OrderView, Reply, ResolvedLineup};
use crate::records::{Records, Stored};
use crate::service::{Broadcast, Settings};
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_durable::{Audit, AuditEntry, Outcome};
use ghtrader_runtime::lifecycle::{Effect, Event, Kind, LineupId, Policy, Refusal, Run, Seat, Stage, State};
use operations::Operations;
use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// Time after which the ring of reports is looked at again.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Longest wait for the news of a swap that is happening at this very moment.
const SWAP_NEWS: Duration = Duration::from_secs(2);
/// Orders kept for readers.
const KEPT_ORDERS: usize = 10_000;

/// What reaches a keeper.
#[expect(clippy::large_enum_variant, reason = "a few a minute, each moved once")]
pub(crate) enum Message {
    /// A request, and where its answer goes.
    Call(Call, Sender<Reply>),
    /// A lineup is made, or not.
    Made(For, Box<Result<Prepared, Problem>>),
    /// The service ends.
    Stop,
}

/// What a lineup is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// An operation.
    Operation(u64),
    /// The active seat, after a fault.
    Rebuild(u64),
}

/// Which instance sits where.
#[derive(Debug, Default)]
struct Tokens {
    last: u64,
    active: u64,
    standby: Option<u64>,
    shadow: Option<u64>,
}

pub(crate) struct Keeper {
    account: String,
    variety: String,
    settings: Settings,
    policy: Policy,
    state: State,
    operations: Operations,
    records: Records,
    history: Vec<LineupRecord>,
    lineups: BTreeMap<LineupId, ResolvedLineup>,
    tokens: Tokens,
    mailer: Mailer,
    ring: rtrb::Consumer<Report>,
    inbox: Receiver<Message>,
    outbox: Sender<Message>,
    maker: Arc<dyn LineupMaker>,
    days: History,
    made: BTreeMap<u64, Box<Prepared>>,
    abandon: BTreeMap<u64, Arc<AtomicBool>>,
    rebuild: Option<(u64, Arc<AtomicBool>)>,
    armed: u64,
    last_armed: u64,
    snapshot: Snapshot,
    snapshot_at: Option<Instant>,
    orders: VecDeque<OrderView>,
    /// When this session began, wall clock, ns: order ids are unique in it.
    session: i64,
    journal: Option<std::fs::File>,
    audit: Audit,
    broadcast: Broadcast,
    /// An operation whose swap could not be written down: it is not proved.
    untraced: Option<u64>,
    /// What is on the disk is older than what is true.
    unsaved: bool,
    ended: bool,
    stopping: bool,
}

/// A keeper's parts, made by the service.
pub(crate) struct Parts {
    pub(crate) account: String,
    pub(crate) variety: String,
    pub(crate) settings: Settings,
    pub(crate) records: Records,
    pub(crate) stored: Stored,
    pub(crate) lineup: ResolvedLineup,
    pub(crate) token: u64,
    pub(crate) mailer: Mailer,
    pub(crate) ring: rtrb::Consumer<Report>,
    pub(crate) inbox: Receiver<Message>,
    pub(crate) outbox: Sender<Message>,
    pub(crate) maker: Arc<dyn LineupMaker>,
    pub(crate) audit: Audit,
    pub(crate) broadcast: Broadcast,
}

impl Keeper {
    /// A keeper that begins where the last one ended; operations that were under way then are failed by name.
    pub(crate) fn new(parts: Parts) -> Result<Self, Problem> {
        let Parts { account, variety, settings, records, stored, lineup, token, .. } = parts;
        let mut state = State::new(stored.generation, stored.active);
        if stored.halted {
            state.run = Run::Halted;
        }
        let policy = Policy {
            prove_ticks: settings.prove_ticks,
            backoff_ns: settings.restart_backoff_ms.saturating_mul(1_000_000),
            rebuilds: settings.restart_max,
            window_ns: settings.restart_window_s.saturating_mul(1_000_000_000),
            on_halt: settings.on_halt.into(),
        };
        let session = (settings.now_ns)();
        let operations = Operations::open(&account, &variety, &records)?;
        let journal_path = records.dir().join("orders.jsonl");
        let journal = open_journal(&journal_path).map_err(|e| crate::records::unwritable(&journal_path, &e))?;
        let mut keeper = Self {
            account,
            variety,
            settings,
            policy,
            state,
            operations,
            records,
            history: stored.history,
            lineups: BTreeMap::from([(lineup.id(), lineup)]),
            tokens: Tokens { last: token, active: token, ..Tokens::default() },
            mailer: parts.mailer,
            ring: parts.ring,
            inbox: parts.inbox,
            outbox: parts.outbox,
            maker: parts.maker,
            days: History::default(),
            made: BTreeMap::new(),
            abandon: BTreeMap::new(),
            rebuild: None,
            armed: 0,
            last_armed: 0,
            snapshot: Snapshot::default(),
            snapshot_at: None,
            orders: VecDeque::new(),
            session,
            journal: Some(journal),
            audit: parts.audit,
            broadcast: parts.broadcast,
            untraced: None,
            unsaved: false,
            ended: false,
            stopping: false,
        };
        keeper.fail_unfinished()?;
        Ok(keeper)
    }

    /// Keeps until the service ends.
    pub(crate) fn run(mut self) {
        while !self.stopping {
            match self.inbox.recv_timeout(LOOK_EVERY) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            while let Ok(message) = self.inbox.try_recv() {
                self.take(message);
            }
            self.hear_all();
        }
        self.mailer.send(Command::Stop);
        // What the thread still has to say, its last orders among it, is written down.
        let patience = Instant::now();
        while !self.ended && patience.elapsed() < SWAP_NEWS {
            self.hear_all();
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Call(call, answer) => {
                // Decisions are made on what has happened, not on what was last heard.
                self.hear_all();
                let reply = match self.answer(call) {
                    Ok(value) => Reply::Ok(value),
                    Err(failure) => Reply::Error(failure),
                };
                // Whoever asked may have left; what was begun goes on.
                let _ = answer.send(reply);
            }
            Message::Made(For::Operation(id), result) => self.made(id, *result),
            Message::Made(For::Rebuild(token), result) => self.rebuilt(token, *result),
            Message::Stop => self.stopping = true,
        }
    }

    /// Takes an event in and carries out what follows.
    fn apply(&mut self, event: &Event) -> Result<(), Refusal> {
        let now_ns = (self.settings.now_ns)();
        let (mut next, mut effects) = self.state.step(event, &self.policy, now_ns)?;
        let withdraws = |effects: &[Effect]| effects.iter().any(|e| matches!(e, Effect::Disarm));
        while withdraws(&effects) && !self.mailer.signal.claim(self.armed) {
            // The thread has taken the swap: it has happened, and everything is to be worked out behind it.
            self.await_swap();
            (next, effects) = self.state.step(event, &self.policy, now_ns)?;
        }
        // What stops comes before what is written down.
        for effect in &effects {
            if let Effect::Halt(orders) = effect {
                self.abandon_rebuild();
                self.mailer.send(Command::Halt(*orders));
            }
        }
        let before = std::mem::replace(&mut self.state, next);
        self.save_if_changed(&before);
        for effect in effects {
            self.carry_out(effect);
        }
        Ok(())
    }

    /// For news, which is always taken.
    fn note(&mut self, event: &Event) {
        let taken = self.apply(event);
        debug_assert!(taken.is_ok(), "{event:?} was refused");
    }

    fn await_swap(&mut self) {
        let armed = self.armed;
        while self.armed == armed {
            self.hear_all();
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    fn save_if_changed(&mut self, before: &State) {
        let facts = |s: &State| (s.generation, s.active, s.run == Run::Halted);
        if facts(before) == facts(&self.state) && !self.unsaved {
            return;
        }
        let now_ns = (self.settings.now_ns)();
        if before.generation != self.state.generation
            && let Some(lineup) = self.lineups.get(&self.state.active)
        {
            let operation = self.state.operation.as_ref().or(before.operation.as_ref());
            self.history.push(LineupRecord {
                generation: self.state.generation,
                id: self.state.active,
                lineup: lineup.clone(),
                operation: operation.map(|o| self.operations.name(o.id)).unwrap_or_default(),
                since_ns: now_ns,
            });
        }
        let stored = Stored {
            version: 1,
            generation: self.state.generation,
            active: self.state.active,
            halted: self.state.run == Run::Halted,
            history: self.history.clone(),
        };
        self.unsaved = false;
        if let Err(problem) = self.records.save(&stored) {
            self.unsaved = true;
            self.untraced = self.state.operation.as_ref().map(|o| o.id);
            self.alert(&problem);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Prepare { id, lineup } => self.prepare(For::Operation(id), lineup, Duration::ZERO),
            Effect::Discard { id } => {
                self.made.remove(&id);
                if let Some(flag) = self.abandon.remove(&id) {
                    flag.store(true, Ordering::Release);
                }
            }
            Effect::Install { id } => {
                if let Some(prepared) = self.made.remove(&id) {
                    self.tokens.shadow = Some(prepared.token);
                    self.mailer.send(Command::Install(prepared));
                }
            }
            Effect::Reseat { id } => {
                if let Some(prepared) = self.made.remove(&id) {
                    self.tokens.active = prepared.token;
                    self.mailer.send(Command::Reseat(prepared));
                }
            }
            Effect::Arm { seat, swap, generation } => {
                self.last_armed += 1;
                self.armed = self.last_armed;
                self.mailer.signal.arm(self.armed);
                let going_back =
                    self.state.operation.as_ref().is_some_and(|o| o.kind == Kind::Rollback || o.going_back.is_some());
                let prove_ticks = if going_back { 0 } else { self.policy.prove_ticks };
                self.mailer.send(Command::Arm { id: self.armed, seat, swap, generation, prove_ticks });
            }
            // Withdrawn when it was worked out.
            Effect::Disarm => self.armed = 0,
            Effect::Rebuild { after_ns, lineup } => {
                let wait = Duration::from_nanos(after_ns.unsigned_abs());
                self.prepare(For::Rebuild(0), lineup, wait);
            }
            Effect::Drop(seat) => {
                match seat {
                    Seat::Shadow => self.tokens.shadow = None,
                    Seat::Standby => self.tokens.standby = None,
                    Seat::Active => {}
                }
                self.mailer.send(Command::Drop(seat));
            }
            // Sent before anything was written down.
            Effect::Halt(_) => {}
            Effect::Stage { id, stage } => self.stage(id, stage),
            Effect::Ended { id, end } => self.end(id, end),
            Effect::Began { id, kind, lineup, why } => self.host_began(id, kind, lineup, why),
        }
    }

    fn abandon_rebuild(&mut self) {
        if let Some((_, flag)) = self.rebuild.take() {
            flag.store(true, Ordering::Release);
        }
    }

    fn prepare(&mut self, what: For, lineup: LineupId, wait: Duration) {
        self.tokens.last += 1;
        let token = self.tokens.last;
        let abandoned = Arc::new(AtomicBool::new(false));
        let what = match what {
            For::Operation(id) => {
                self.abandon.insert(id, Arc::clone(&abandoned));
                what
            }
            For::Rebuild(_) => {
                self.abandon_rebuild();
                self.rebuild = Some((token, Arc::clone(&abandoned)));
                For::Rebuild(token)
            }
        };
        let outbox = self.outbox.clone();
        let Some(resolved) = self.lineups.get(&lineup).cloned() else {
            let problem =
                Problem::new("unknown_lineup", ErrorClass::Internal, "the lineup is not on the disk", "plan again");
            let _ = outbox.send(Message::Made(what, Box::new(Err(problem))));
            return;
        };
        let order = Order {
            token,
            lineup: resolved,
            maker: Arc::clone(&self.maker),
            history: Arc::clone(&self.days),
            ring_rows: self.settings.ring_rows,
            balance_cny: self.settings.initial_cny,
            wait,
            abandoned,
        };
        let spawned = std::thread::Builder::new().name(format!("prepare-{}", self.variety)).spawn({
            let outbox = outbox.clone();
            move || {
                let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| order.carry_out()));
                let made = made.unwrap_or_else(|_| {
                    Err(Problem::new(
                        "internal",
                        ErrorClass::Internal,
                        "making the lineup failed by a defect",
                        "report this",
                    ))
                });
                let _ = outbox.send(Message::Made(what, Box::new(made)));
            }
        });
        if let Err(e) = spawned {
            let problem =
                Problem::new("no_thread", ErrorClass::Limit, format!("no thread starts: {e}"), "end other programs");
            let _ = outbox.send(Message::Made(what, Box::new(Err(problem))));
        }
    }

    fn made(&mut self, id: u64, result: Result<Prepared, Problem>) {
        if self.abandon.remove(&id).is_none() {
            return;
        }
        match result {
            Ok(prepared) => {
                self.operations.evidence(id, "warmed_rows", prepared.warm.rows().into());
                self.made.insert(id, Box::new(prepared));
                self.note(&Event::Prepared { id });
            }
            Err(problem) => {
                self.operations.cause(id, problem.into());
                self.note(&Event::PrepareFailed { id });
            }
        }
    }

    fn rebuilt(&mut self, token: u64, result: Result<Prepared, Problem>) {
        // Another one has been begun, or a halt came.
        if self.rebuild.as_ref().is_none_or(|(due, _)| *due != token) {
            return;
        }
        self.rebuild = None;
        match result {
            Ok(prepared) if self.state.run == Run::Frozen => {
                self.tokens.active = prepared.token;
                self.mailer.send(Command::Reseat(Box::new(prepared)));
            }
            Ok(_) => {}
            Err(problem) => {
                self.alert(&problem);
                let id = self.operations.next();
                self.note(&Event::RebuildFailed { id });
            }
        }
    }

    /// Takes in everything that the variety's thread has reported.
    fn hear_all(&mut self) {
        // What is there now; a market at full speed may never leave the ring empty.
        for _ in 0..self.ring.slots() {
            let Ok(report) = self.ring.pop() else { break };
            self.hear(report);
        }
        if !self.ended && self.ring.is_abandoned() && self.ring.is_empty() {
            let what = "the variety's thread failed by a defect";
            let problem =
                Problem::new("internal", ErrorClass::Internal, what, "report this, and start the service again");
            self.hear(Report::Ended(Some(problem)));
        }
    }

    fn hear(&mut self, report: Report) {
        match report {
            Report::Day(number, day) => self.new_day(number, day),
            Report::Swapped { seq, ts_ns, pause_ns, generation } => {
                self.armed = 0;
                let Some(operation) = self.state.operation.clone() else { return };
                let id = operation.id;
                let back = operation.kind == Kind::Rollback || operation.going_back.is_some();
                let incoming = if back { self.tokens.standby.take() } else { self.tokens.shadow.take() };
                let outgoing = std::mem::replace(&mut self.tokens.active, incoming.unwrap_or_default());
                self.tokens.standby = Some(outgoing);
                self.operations.evidence(id, "swapped_at_seq", seq.into());
                self.operations.evidence(id, "swapped_at_ns", ts_ns.into());
                self.operations.evidence(id, "pause_ns", pause_ns.into());
                self.abandon_rebuild();
                let from = self.state.active;
                self.operations.swapped(id, generation);
                self.note(&Event::Swapped);
                let to = self.state.active;
                self.audit_swap(id, from, to, seq);
                self.publish_variety();
            }
            // Its tick had gone by, or its seat was empty.
            Report::Missed { id } => {
                if id == self.armed {
                    self.armed = 0;
                    self.mailer.signal.arm(0);
                    self.note(&Event::Missed);
                }
            }
            Report::Installed { token, seq, warmed_rows } => {
                if self.tokens.shadow == Some(token)
                    && let Some((_, owner)) = self.state.shadow
                {
                    self.operations.evidence(owner, "seated_at_seq", seq.into());
                    self.operations.evidence(owner, "warmed_rows", warmed_rows.into());
                    self.publish_operation(owner);
                }
            }
            Report::InstallFailed { token, fault } if token == self.tokens.active => self.reseat_failed(&fault.problem),
            Report::InstallFailed { token, fault } => self.faulted(token, 0, &fault.problem),
            Report::Faulted { token, seq, fault } => self.faulted(token, seq, &fault.problem),
            Report::Reseated { seq, warmed_rows } => {
                if let Some(operation) = &self.state.operation
                    && operation.stage == Stage::Seating
                {
                    let id = operation.id;
                    self.operations.evidence(id, "warmed_rows", warmed_rows.into());
                    self.operations.evidence(id, "seated_at_seq", seq.into());
                }
                self.note(&Event::Reseated);
                self.publish_variety();
            }
            Report::Degraded(degraded) => {
                self.note(&Event::Degraded(degraded));
                self.publish_variety();
            }
            Report::Proved(channels) => {
                let operation = self.state.operation.as_ref().map(|o| o.id);
                let alive = channels.alive() && (self.untraced.is_none() || self.untraced != operation);
                if let Some(operation) = self.state.operation.as_ref().filter(|o| o.stage == Stage::Proving) {
                    let id = operation.id;
                    self.operations.evidence(id, "channels", serde_json::to_value(channels).unwrap_or_default());
                    self.operations.evidence(id, "proved_ticks", channels.ticks.into());
                }
                self.note(&Event::Proved { alive });
                self.publish_variety();
            }
            Report::Halted { seq, cancelled } => {
                self.operations.last_halt(seq, cancelled);
                self.publish_variety();
            }
            Report::StandbyExpired => self.note(&Event::StandbyExpired),
            Report::Order(order) => self.order(*order),
            Report::Snapshot(snapshot) => {
                self.snapshot = *snapshot;
                self.snapshot_at = Some(Instant::now());
                self.publish_variety();
            }
            Report::Waste(waste) => drop(waste),
            Report::Ended(problem) => {
                self.ended = true;
                self.armed = 0;
                self.mailer.signal.arm(0);
                if let Some(problem) = problem {
                    self.alert(&problem);
                }
                self.note(&Event::SourceEnded);
                self.publish_variety();
                self.broadcast.variety_ended();
            }
        }
    }

    fn new_day(&mut self, number: usize, day: Arc<crate::source::SourceDay>) {
        let mut days = self.days.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        days.push((number, day));
        let mut kept = 0;
        let mut first = days.len();
        for (_, day) in days.iter().rev() {
            if kept >= self.settings.ring_rows {
                break;
            }
            kept += day.view().rows();
            first -= 1;
        }
        days.drain(..first);
    }

    /// A rebuilt or resumed instance failed on the way to its seat.
    fn reseat_failed(&mut self, problem: &Problem) {
        self.alert(problem);
        let seating = self.state.operation.as_ref().filter(|o| o.stage == Stage::Seating).map(|o| o.id);
        match seating {
            Some(id) => {
                self.operations.cause(id, problem.clone().into());
                self.note(&Event::PrepareFailed { id });
            }
            None => {
                let id = self.operations.next();
                self.note(&Event::RebuildFailed { id });
            }
        }
    }

    fn faulted(&mut self, token: u64, seq: u64, problem: &Problem) {
        let seat = if token == self.tokens.active {
            Seat::Active
        } else if self.tokens.shadow == Some(token) {
            self.tokens.shadow = None;
            Seat::Shadow
        } else if self.tokens.standby == Some(token) {
            self.tokens.standby = None;
            Seat::Standby
        } else {
            return;
        };
        self.operations.count_fault(problem.code);
        let failure: Failure = problem.clone().into();
        let concerned = match seat {
            Seat::Shadow => self.state.shadow.map(|(_, id)| id),
            // Only what failed while it was proved, or was to be gone back to, is that operation's failure.
            Seat::Active => self.state.operation.as_ref().filter(|o| o.stage == Stage::Proving).map(|o| o.id),
            Seat::Standby => self.state.operation.as_ref().filter(|o| o.stage == Stage::Armed).map(|o| o.id),
        };
        if let Some(id) = concerned {
            self.operations.cause(id, failure);
        }
        self.alert(problem);
        let entry = AuditEntry {
            action: "lineup.fault".to_owned(),
            evidence: vec![problem.code.to_owned(), format!("seat {seat:?}"), format!("tick {seq}")],
            ..self.entry(&host_actor(), Kind::Halt, Outcome::Failed)
        };
        if let Err(problem) = self.write_audit(entry) {
            self.alert(&problem);
        }
        let id = self.operations.next();
        self.note(&Event::Faulted { seat, id });
        self.publish_variety();
    }
}

/// The journal of orders, ready for a line; the last session may have been cut in the middle of one.
fn open_journal(path: &std::path::Path) -> std::io::Result<std::fs::File> {
    let mut file = std::fs::File::options().create(true).read(true).append(true).open(path)?;
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(file)
}

/// The host itself.
pub(crate) fn host_actor() -> Actor {
    Actor { name: "host".to_owned(), role: String::new(), reason: String::new() }
}
