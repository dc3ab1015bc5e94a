//! The thread of a variety: ticks in, decisions out. It waits for the market and for nothing else.
//!
//! A tick is answered by the active lineup first, then by the standby and the shadow, each on an account of its own. Whatever
//! changes a seat happens between two ticks: commands are looked at at the top of a tick, seats are filled behind the answers,
//! and a swap exchanges two minds at the top of the tick that it waited for. The copy of the account that the standby goes on
//! with is made at the end of the tick before, so that the tick of the swap pays for an exchange of pointers.

mod day;
mod proof;

use crate::compare::Comparison;
use crate::mail::{Command, Post, Prepared, Report, SeatSnapshot, Snapshot, Waste};
use crate::protocol::{Latency, OrderView};
use crate::seat::{Mind, Seated};
use crate::source::SourceDay;
use crate::warm::NumberedDay;
use day::Runs;
use ghtrader_backtest::{DayRun, Engine, OrderEnd, OrderRecord};
use ghtrader_core::{Problem, TickView};
use ghtrader_kernels::wire::{Action, Side};
use ghtrader_runtime::lifecycle::{At, Orders, Seat, Swap};
use proof::Proof;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// The operator's rules that hold on the variety's thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Times faster than the market; 0 = as fast as it goes.
    pub(crate) speed: f64,
    pub(crate) ring_rows: usize,
    pub(crate) standby_ticks: u64,
    pub(crate) max_consecutive_errors: u64,
}

/// A silence of the market is waited for no longer than this, market time.
const LONGEST_WAIT_S: f64 = 1.0;
/// Time between two views for readers.
const SNAPSHOT_EVERY: Duration = Duration::from_millis(100);

/// A shadow with what is known about it.
struct Shadow {
    seated: Seated,
    comparison: Comparison,
    /// Equity of the active account when the shadow was seated, CNY.
    active_from_cny: f64,
}

/// A swap that waits for its tick.
struct Armed<'a> {
    id: u64,
    seat: Seat,
    swap: Swap,
    generation: u64,
    prove_ticks: u64,
    /// The account that the outgoing lineup goes on with, made when the next tick is the one.
    copy: Option<(Engine, DayRun<'a>)>,
}

impl Armed<'_> {
    /// The same for another day, without the copy of this day's account.
    fn for_another_day<'b>(self) -> Armed<'b> {
        let Self { id, seat, swap, generation, prove_ticks, copy: _ } = self;
        Armed { id, seat, swap, generation, prove_ticks, copy: None }
    }
}

/// A seat that is to be filled behind the next answer.
enum Incoming {
    Shadow(Box<Prepared>),
    Active(Box<Prepared>),
}

/// One variety.
pub(crate) struct Worker {
    post: Post,
    rules: Rules,
    active: Seated,
    standby: Option<Seated>,
    standby_since: u64,
    shadow: Option<Shadow>,
    incoming: Vec<Incoming>,
    proof: Option<Proof>,
    /// A halted account's position is to be closed, as soon as nothing works any more.
    flattening: bool,
    degraded: bool,
    stopping: bool,
    /// Ticks handled.
    seq: u64,
    history: VecDeque<NumberedDay>,
    due: Instant,
    shown: Instant,
    /// Contracts by their number in the account.
    contracts: Vec<String>,
    /// Orders of the account told so far, and those of them that may still change.
    told_orders: u64,
    open_orders: Vec<(u64, u32)>,
    carried: Option<Armed<'static>>,
    active_actions: Vec<Action>,
    other_actions: Vec<Action>,
}

impl Worker {
    pub(crate) fn new(post: Post, rules: Rules, mind: Mind, engine: Engine) -> Self {
        let now = Instant::now();
        Self {
            post,
            rules,
            active: Seated { mind, engine },
            standby: None,
            standby_since: 0,
            shadow: None,
            incoming: Vec::new(),
            proof: None,
            flattening: false,
            degraded: false,
            stopping: false,
            seq: 0,
            history: VecDeque::new(),
            due: now,
            shown: now,
            contracts: Vec::new(),
            told_orders: 0,
            open_orders: Vec::new(),
            carried: None,
            active_actions: Vec::new(),
            other_actions: Vec::new(),
        }
    }

    /// Plays day after day until there is no more or the keeper says stop.
    pub(crate) fn run(mut self, days: &Receiver<Result<SourceDay, Problem>>) {
        self.post.signal.runs_here();
        self.due = Instant::now();
        let mut ended = None;
        for (number, day) in days.iter().enumerate() {
            match day.map(Arc::new).and_then(|day| self.play(number, &day)) {
                Ok(()) if self.stopping => break,
                Ok(()) => {}
                Err(problem) => {
                    ended = Some(problem);
                    break;
                }
            }
        }
        self.post.tell(Report::Ended(ended));
        while !self.post.backlog.is_empty() && !self.post.ring.is_abandoned() {
            std::thread::sleep(Duration::from_millis(1));
            self.post.flush();
        }
    }

    fn remember(&mut self, number: usize, day: &Arc<SourceDay>) {
        self.history.push_back((number, Arc::clone(day)));
        let mut kept = 0;
        let mut days = self.history.len();
        for (_, day) in self.history.iter().rev() {
            if kept >= self.rules.ring_rows {
                break;
            }
            kept += day.view().rows();
            days -= 1;
        }
        for (_, day) in self.history.drain(..days) {
            self.post.tell(Report::Waste(Waste::Day(day)));
        }
        self.post.tell(Report::Day(number, Arc::clone(day)));
    }

    /// Waits until the row is due, looking at commands that wake it.
    fn wait<'a>(&mut self, runs: &mut Runs<'a>, view: &TickView<'_>, row: usize) {
        if self.rules.speed <= 0.0 {
            return;
        }
        let silence_ns = if row == 0 { 0 } else { view.ts_ns[row] - view.ts_ns[row - 1] };
        let silence_s = (silence_ns as f64 / 1e9).clamp(0.0, LONGEST_WAIT_S) / self.rules.speed;
        self.due += Duration::from_secs_f64(silence_s);
        let now = Instant::now();
        // Far behind, after a halted process or a slow machine: the market is followed from here.
        if now.saturating_duration_since(self.due) > Duration::from_secs(1) {
            self.due = now;
        }
        loop {
            let left = self.due.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stopping {
                return;
            }
            self.show(runs, row.saturating_sub(1));
            std::thread::park_timeout(left.min(SNAPSHOT_EVERY));
            if self.post.has_mail() {
                self.read_commands(runs, row);
                // There is time here, and the next tick may be the one.
                self.seat_incoming(runs, row);
                self.copy_if_due(runs);
            }
        }
    }

    fn disarm(&mut self, runs: &mut Runs<'_>) {
        if let Some(Armed { copy: Some((engine, _)), .. }) = runs.armed.take() {
            self.post.tell(Report::Waste(Waste::Account(Box::new(engine))));
        }
    }

    /// Takes every command that waits; `row` is the next one.
    fn read_commands<'a>(&mut self, runs: &mut Runs<'a>, row: usize) {
        while let Some(command) = self.post.take() {
            match command {
                Command::Install(prepared) => self.incoming.push(Incoming::Shadow(prepared)),
                Command::Reseat(prepared) => self.incoming.push(Incoming::Active(prepared)),
                Command::Arm { id, seat, swap, generation, prove_ticks } => {
                    let armed = Armed { id, seat, swap, generation, prove_ticks, copy: None };
                    if let At::Seq(seq) = swap.at
                        && seq <= self.seq
                    {
                        self.post.tell(Report::Missed { id });
                    } else {
                        self.disarm(runs);
                        runs.armed = Some(armed);
                    }
                }
                Command::Drop(Seat::Standby) => self.drop_standby(runs),
                Command::Drop(Seat::Shadow) => {
                    runs.shadow = None;
                    self.give_up_incoming(|i| matches!(i, Incoming::Shadow(_)));
                    if let Some(shadow) = self.shadow.take() {
                        self.waste(shadow.seated);
                    }
                }
                Command::Drop(Seat::Active) => {}
                Command::Halt(orders) => self.halt(runs, row, orders),
                Command::Stop => self.stopping = true,
            }
        }
        // A swap that waits for this very tick, with an instance that may have come in the same mail; any other has its seat
        // filled and its copy made at the tick's end.
        let at = runs.armed.as_ref().map(|a| a.swap.at);
        if (at == Some(At::SessionOpen) && runs.opens) || at == Some(At::Seq(self.seq + 1)) {
            self.seat_incoming(runs, row);
            self.copy_if_due(runs);
        }
    }

    /// Hands over what was made for a seat and is not wanted there any more.
    fn give_up_incoming(&mut self, unwanted: impl Fn(&Incoming) -> bool) {
        let (unwanted, kept) = std::mem::take(&mut self.incoming).into_iter().partition(|i| unwanted(i));
        self.incoming = kept;
        let unwanted: Vec<Incoming> = unwanted;
        for Incoming::Shadow(prepared) | Incoming::Active(prepared) in unwanted {
            self.post.tell(Report::Waste(Waste::Prepared(prepared)));
        }
    }

    fn halt(&mut self, runs: &mut Runs<'_>, row: usize, orders: Orders) {
        self.disarm(runs);
        self.proof = None;
        // A shadow that waits for its seat goes on; what was to decide does not.
        self.give_up_incoming(|i| matches!(i, Incoming::Active(_)));
        if let Some(lineup) = self.active.mind.lineup.take() {
            self.post.tell(Report::Waste(Waste::Lineup(Box::new(lineup))));
        }
        let cancelled = self.active.engine.working_orders();
        // Between two ticks the last row is the one that was decided on. What is to be closed is closed when nothing works any
        // more: an order that fills before its cancel arrives would be closed twice.
        if orders != Orders::Keep {
            self.active.engine.cancel_all(&runs.active, row.saturating_sub(1));
        }
        self.flattening |= orders == Orders::Flatten;
        self.post.tell(Report::Halted { seq: self.seq, cancelled });
    }

    fn treat_orders(&mut self, runs: &Runs<'_>, at: usize, orders: Orders) {
        match orders {
            Orders::Keep => {}
            Orders::Cancel => self.active.engine.cancel_all(&runs.active, at),
            // A target of the host's own breaks no contract.
            Orders::Flatten => drop(self.active.engine.flatten(&runs.active, at)),
        }
    }

    fn drop_standby(&mut self, runs: &mut Runs<'_>) {
        runs.standby = None;
        if let Some(standby) = self.standby.take() {
            self.waste(standby);
        }
    }

    fn waste(&mut self, seated: Seated) {
        self.post.tell(Report::Waste(Waste::Seated(Box::new(seated))));
    }

    /// Exchanges the minds of the armed seat and the active one, before row `row` arrives.
    fn swap<'a>(&mut self, runs: &mut Runs<'a>, ts_ns: i64, row: usize, opens: bool) {
        let Some(Armed { id, seat, swap, generation, prove_ticks, copy: Some((engine, run)) }) = runs.armed.take()
        else {
            return;
        };
        let began = Instant::now();
        // Withdrawn in the last moment.
        if !self.post.signal.claim(id) {
            self.post.tell(Report::Waste(Waste::Account(Box::new(engine))));
            return;
        }
        let incoming = match seat {
            Seat::Shadow => self.shadow.take().map(|s| s.seated),
            Seat::Standby => self.standby.take(),
            Seat::Active => None,
        };
        let Some(mut seated) = incoming else {
            self.post.tell(Report::Missed { id });
            return;
        };
        // A rebuilt instance on its way to this seat was made for the outgoing lineup.
        self.give_up_incoming(|i| matches!(i, Incoming::Active(_)));
        self.flattening = false;
        // What the incoming mind had working in its own account ends there; what it was still to be told, it is told.
        let (told, wakes_ns) = seated.engine.handover();
        // On the last row of a session the market has closed: what is sent there is refused.
        let at = if opens { row } else { row.saturating_sub(1) };
        self.treat_orders(runs, at, swap.orders);
        self.active.engine.take_over(generation, &told, &wakes_ns);
        std::mem::swap(&mut self.active.mind, &mut seated.mind);
        let left = std::mem::replace(&mut seated.engine, engine);
        let former = self.standby.replace(seated);
        runs.standby = Some(run);
        let equity_cny = self.active.engine.equity_cny(&runs.active, at);
        self.active.mind.tally.begin(equity_cny, self.active.engine.fills());
        if let Some(standby) = &mut self.standby {
            standby.mind.tally.begin(equity_cny, 0);
        }
        self.standby_since = self.seq;
        self.degraded = false;
        self.proof = (prove_ticks > 0).then(|| Proof::new(&self.active, generation, prove_ticks));
        let pause_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        if seat == Seat::Shadow {
            runs.shadow = None;
        } else if let (Some(shadow), Some(active)) = (&mut self.shadow, &self.active.mind.lineup) {
            // What was compared until here was another active lineup.
            let names = shadow.seated.mind.lineup.as_ref().map(|l| l.names().to_vec()).unwrap_or_default();
            shadow.comparison = Comparison::new(active.names(), &names);
        }
        self.post.tell(Report::Swapped { seq: self.seq + 1, ts_ns, pause_ns, generation });
        self.post.tell(Report::Waste(Waste::Account(Box::new(left))));
        if let Some(former) = former {
            self.waste(former);
        }
    }

    /// A view for readers, now and then.
    fn show(&mut self, runs: &Runs<'_>, row: usize) {
        self.post.flush();
        let now = Instant::now();
        if now.duration_since(self.shown) < SNAPSHOT_EVERY || self.post.is_crowded() {
            return;
        }
        self.shown = now;
        let snapshot = self.snapshot(runs, row);
        self.post.tell(Report::Snapshot(Box::new(snapshot)));
    }

    fn snapshot(&self, runs: &Runs<'_>, row: usize) -> Snapshot {
        let engine = &self.active.engine;
        let equity_cny = engine.equity_cny(&runs.active, row);
        Snapshot {
            ts_ns: runs.ts_ns(row),
            contract: runs.contract().to_owned(),
            equity_cny,
            working_orders: engine.working_orders() as u64,
            active: view_of(&self.active, &runs.active, row),
            standby: self.standby.as_ref().zip(runs.standby.as_ref()).map(|(s, run)| view_of(s, run, row)),
            shadow: self.shadow.as_ref().zip(runs.shadow.as_ref()).map(|(s, run)| {
                let seat = view_of(&s.seated, run, row);
                (seat, s.comparison.clone(), equity_cny - s.active_from_cny)
            }),
        }
    }

    /// Tells of orders that were sent or have got further.
    fn tell_orders(&mut self) {
        let record = self.active.engine.record();
        let mut news = Vec::new();
        while let Some(order) = record.order(self.told_orders + 1) {
            self.told_orders += 1;
            news.push(order_view(order, &self.contracts, self.seq));
            if order.end == OrderEnd::Open {
                self.open_orders.push((order.id, order.filled_lots));
            }
        }
        self.open_orders.retain_mut(|(id, filled)| {
            let Some(order) = record.order(*id) else { return false };
            if order.filled_lots != *filled || order.end != OrderEnd::Open {
                *filled = order.filled_lots;
                news.push(order_view(order, &self.contracts, 0));
            }
            order.end == OrderEnd::Open
        });
        for order in news {
            self.post.tell(Report::Order(Box::new(order)));
        }
    }
}

fn view_of(seated: &Seated, run: &DayRun<'_>, row: usize) -> SeatSnapshot {
    let tally = &seated.mind.tally;
    let quantile = |q| tally.latency_ns.value_at_quantile(q);
    SeatSnapshot {
        token: seated.mind.token,
        ticks: tally.ticks,
        faults: tally.faults,
        errors_in_row: tally.errors_in_row,
        pnl_cny: seated.pnl_cny(run, row),
        fills: seated.engine.fills().saturating_sub(tally.fills_from) as u64,
        position_lots: seated.engine.lots().net_lots(),
        memory_bytes: seated.mind.lineup.as_ref().map_or(0, ghtrader_runtime::Lineup::memory_bytes),
        latency_ns: Latency { p50: quantile(0.5), p99: quantile(0.99), max: tally.latency_ns.max() },
    }
}

/// An order as readers see it; the keeper knows the tick of one that is told again.
fn order_view(order: &OrderRecord, contracts: &[String], seq: u64) -> OrderView {
    OrderView {
        id: order.id,
        session: 0,
        generation: order.generation,
        lineup: None,
        contract: contracts.get(order.contract as usize).cloned().unwrap_or_default(),
        seq,
        decided_ts_ns: order.decided_ts_ns,
        side: if order.side == Side::Buy { "buy" } else { "sell" }.to_owned(),
        lots: order.lots,
        limit_cny: (!order.limit_cny.is_nan()).then_some(order.limit_cny),
        filled_lots: order.filled_lots,
        state: match order.end {
            OrderEnd::Open => "open",
            OrderEnd::Filled => "filled",
            OrderEnd::Cancelled => "cancelled",
            OrderEnd::Rejected => "rejected",
        }
        .to_owned(),
        reason: order.reason_name().to_owned(),
    }
}
