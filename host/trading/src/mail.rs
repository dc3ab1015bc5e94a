//! What passes between the thread of a variety and its keeper. Nothing here makes the variety wait: it looks at one atomic a
//! tick, takes commands from a lock-free queue, and leaves reports in a wait-free ring.

use crate::compare::Comparison;
use crate::protocol::{Latency, OrderView};
use crate::seat::{Fault, Seated};
use crate::source::SourceDay;
use crate::warm::Warm;
use ghtrader_backtest::Engine;
use ghtrader_core::Problem;
use ghtrader_runtime::Lineup;
use ghtrader_runtime::lifecycle::{Orders, Seat, Swap};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

/// A lineup made for a seat.
pub(crate) struct Prepared {
    pub(crate) token: u64,
    pub(crate) warm: Warm,
}

/// From keeper to variety.
pub(crate) enum Command {
    /// Seat this as the shadow.
    Install(Box<Prepared>),
    /// Give the active seat this fresh instance of the same lineup; it decides from then on.
    Reseat(Box<Prepared>),
    /// Swap when the tick comes.
    Arm { id: u64, seat: Seat, swap: Swap, generation: u64, prove_ticks: u64 },
    /// Give a seat up.
    Drop(Seat),
    /// Stop deciding.
    Halt(Orders),
    /// End the thread.
    Stop,
}

/// From variety to keeper.
pub(crate) enum Report {
    /// A day has begun.
    Day(usize, Arc<SourceDay>),
    /// The armed swap happened.
    Swapped { seq: u64, ts_ns: i64, pause_ns: u64, generation: u64 },
    /// Its tick had gone by.
    Missed { id: u64 },
    /// The shadow sits.
    Installed { token: u64, seq: u64, warmed_rows: u64 },
    /// The active lineup decides again.
    Reseated { seq: u64, warmed_rows: u64 },
    /// A mind failed.
    Faulted { token: u64, seq: u64, fault: Fault },
    /// It was warmed up and failed on the way to its seat.
    InstallFailed { token: u64, fault: Fault },
    /// Error answers in a row reached the limit, or ended.
    Degraded(bool),
    /// The prove phase is over.
    Proved(Channels),
    /// Deciding has stopped.
    Halted { seq: u64, cancelled: usize },
    /// The standby was warm for long enough.
    StandbyExpired,
    /// An order was sent, or has got further.
    Order(Box<OrderView>),
    /// How things stand.
    Snapshot(Box<Snapshot>),
    /// What is of no more use, for another thread to take apart.
    Waste(Waste),
    /// No more ticks come.
    Ended(Option<Problem>),
}

/// Freed by the keeper, because unmapping a sandbox takes longer than a tick may.
#[expect(dead_code, reason = "its fields are there to be dropped elsewhere")]
pub(crate) enum Waste {
    Seated(Box<Seated>),
    Lineup(Box<Lineup>),
    Account(Box<Engine>),
    Prepared(Box<Prepared>),
    Day(Arc<SourceDay>),
}

/// Which channels were seen alive in the prove phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub(crate) struct Channels {
    /// Ticks handled.
    pub(crate) ticks: u64,
    /// Outputs of features that were a number at least once, of all.
    pub(crate) features: (usize, usize),
    /// The same of scores.
    pub(crate) scores: (usize, usize),
    /// Ticks that the strategy answered without an error.
    pub(crate) targets: u64,
    /// Orders that the exchange acknowledged, of those that had time to be.
    pub(crate) acknowledgements: (u64, u64),
}

impl Channels {
    pub(crate) fn alive(&self) -> bool {
        let all = |(some, of): (usize, usize)| some == of;
        let acknowledged = self.acknowledgements.0 == self.acknowledgements.1;
        self.ticks > 0 && all(self.features) && all(self.scores) && self.targets > 0 && acknowledged
    }
}

/// How a variety stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    pub(crate) ts_ns: i64,
    pub(crate) contract: String,
    pub(crate) equity_cny: f64,
    pub(crate) working_orders: u64,
    pub(crate) active: SeatSnapshot,
    pub(crate) standby: Option<SeatSnapshot>,
    pub(crate) shadow: Option<(SeatSnapshot, Comparison, f64)>,
}

/// How a seat stands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SeatSnapshot {
    pub(crate) token: u64,
    pub(crate) ticks: u64,
    pub(crate) faults: u64,
    pub(crate) errors_in_row: u64,
    pub(crate) pnl_cny: f64,
    pub(crate) fills: u64,
    pub(crate) position_lots: i64,
    pub(crate) memory_bytes: u64,
    pub(crate) latency_ns: Latency,
}

/// What both sides look at without waiting.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    /// Commands wait.
    pending: AtomicBool,
    /// Ticks handled.
    seq: AtomicU64,
    /// The swap that is armed; 0 = none. Whoever takes it to 0 has it.
    armed: AtomicU64,
    thread: OnceLock<Thread>,
}

impl Signal {
    pub(crate) fn seq(&self) -> u64 {
        self.seq.load(Ordering::Acquire)
    }

    pub(crate) fn handled(&self, seq: u64) {
        self.seq.store(seq, Ordering::Release);
    }

    /// Of the swap and its withdrawal exactly one succeeds.
    pub(crate) fn claim(&self, id: u64) -> bool {
        self.armed.compare_exchange(id, 0, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    pub(crate) fn arm(&self, id: u64) {
        self.armed.store(id, Ordering::Release);
    }

    pub(crate) fn runs_here(&self) {
        let _ = self.thread.set(std::thread::current());
    }
}

/// The keeper's end.
pub(crate) struct Mailer {
    pub(crate) signal: Arc<Signal>,
    pub(crate) commands: Sender<Command>,
}

impl Mailer {
    pub(crate) fn send(&self, command: Command) {
        // A variety that has ended takes no more commands; its keeper knows by the last report.
        if self.commands.send(command).is_ok() {
            self.signal.pending.store(true, Ordering::Release);
            if let Some(thread) = self.signal.thread.get() {
                thread.unpark();
            }
        }
    }
}

/// The variety's end.
pub(crate) struct Post {
    pub(crate) signal: Arc<Signal>,
    pub(crate) commands: Receiver<Command>,
    pub(crate) ring: rtrb::Producer<Report>,
    /// Reports that found no room; told before any later one.
    pub(crate) backlog: VecDeque<Report>,
}

impl Post {
    /// One atomic look; a command only where one waits.
    #[inline]
    pub(crate) fn has_mail(&self) -> bool {
        self.signal.pending.load(Ordering::Acquire)
    }

    /// The next command.
    pub(crate) fn take(&self) -> Option<Command> {
        // Cleared first: a command that comes in between sets it again.
        self.signal.pending.store(false, Ordering::Release);
        let command = self.commands.try_recv().ok();
        if command.is_some() {
            self.signal.pending.store(true, Ordering::Release);
        }
        command
    }

    pub(crate) fn tell(&mut self, report: Report) {
        self.backlog.push_back(report);
        self.flush();
    }

    pub(crate) fn flush(&mut self) {
        while let Some(report) = self.backlog.pop_front() {
            if let Err(rtrb::PushError::Full(report)) = self.ring.push(report) {
                self.backlog.push_front(report);
                return;
            }
        }
    }

    /// The keeper is far behind: what is only for show can be left out.
    pub(crate) fn is_crowded(&self) -> bool {
        !self.backlog.is_empty()
    }
}
