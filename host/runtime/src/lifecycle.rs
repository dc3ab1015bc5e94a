//! The life of a variety's lineups as a pure function: `(state, event, now) → (state, effects)`.
//!
//! One lineup is active. Another may run beside it as a shadow, and the one before is kept warm as a standby, so that going
//! back is one more swap. One operation at a time changes that; a halt waits for none of them. Nothing here waits, reads a
//! clock or does what it decides: the service carries the [`Effect`]s out, in order, and reports back by [`Event`]s.

mod step;
#[cfg(test)]
mod tests;

use ghtrader_core::Digest;

/// A lineup, by the digest of what decides.
pub type LineupId = Digest;

/// An operation, by a number that grows.
pub type OperationId = u64;

/// How a variety stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// Rises by one with each swap, and with nothing else.
    pub generation: u64,
    /// What decides.
    pub active: LineupId,
    /// Whether it does.
    pub run: Run,
    /// The active lineup answered with errors too often in a row.
    pub degraded: bool,
    /// What decided before, warm.
    pub standby: Option<LineupId>,
    /// What runs beside, and the operation that it belongs to.
    pub shadow: Option<(LineupId, OperationId)>,
    /// The operation that changes the active lineup, or prepares a shadow.
    pub operation: Option<Operation>,
    /// When the active lineup was rebuilt lately, ns, oldest first.
    pub rebuilds_ns: Vec<i64>,
}

/// Whether the active lineup decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Run {
    /// It does.
    Running,
    /// Its instance is gone and being rebuilt: targets stand as they are.
    Frozen,
    /// Somebody, or the host, stopped it.
    Halted,
}

/// What somebody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of the API")]
pub enum Kind {
    Shadow,
    Swap,
    Promote,
    Rollback,
    Halt,
    Resume,
}

/// An operation under way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Operation {
    /// Its number.
    pub id: OperationId,
    /// What was asked for.
    pub kind: Kind,
    /// The lineup it brings.
    pub lineup: LineupId,
    /// How far it is.
    pub stage: Stage,
    /// How to swap.
    pub swap: Swap,
    /// It failed and is going back to the standby.
    pub going_back: Option<Reason>,
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Instances are made and warmed up on another thread.
    Preparing,
    /// The fresh instance of a resumed lineup is on its way to its seat.
    Seating,
    /// The swap waits for its tick.
    Armed,
    /// The new lineup decides and has still to show that every channel lives.
    Proving,
}

/// How to swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Swap {
    /// When.
    pub at: At,
    /// What becomes of working orders.
    pub orders: Orders,
}

/// When a swap happens; always at the top of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum At {
    /// The next one.
    #[default]
    NextTick,
    /// The first of the next session.
    SessionOpen,
    /// The one with this number.
    Seq(u64),
}

/// What becomes of working orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Orders {
    /// They stay the host's.
    #[default]
    Keep,
    /// They are cancelled.
    Cancel,
    /// They are cancelled and the position is closed.
    Flatten,
}

/// Which instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "see State")]
pub enum Seat {
    Active,
    Standby,
    Shadow,
}

/// Why an operation did not end as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Instances could not be made, or a plugin failed in the warm-up.
    PrepareFailed,
    /// A plugin of the new lineup failed.
    Faulted,
    /// A channel showed no life in the prove phase.
    NotProved,
    /// A halt came first.
    Halted,
    /// Another lineup took the shadow's seat.
    Replaced,
    /// Somebody asked to go back.
    RolledBack,
    /// The active lineup failed too often, and the host had to act first.
    ActiveFaulted,
    /// No more ticks come.
    SourceEnded,
    /// The tick it waited for has gone by.
    Missed,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// As asked.
    Succeeded,
    /// Without effect on what is active.
    Failed(Reason),
    /// The new lineup was active and the old one is again.
    RolledBack(Reason),
    /// Somebody took it back.
    Cancelled,
}

/// What happens to a variety.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "fields are those of State and Operation")]
pub enum Event {
    /// Somebody asks for a shadow, or for a swap.
    Deploy { id: OperationId, lineup: LineupId, shadow_only: bool, swap: Swap, generation: u64 },
    /// Somebody asks to make the shadow active.
    Promote { id: OperationId, swap: Swap, generation: u64, gate_open: bool },
    /// Somebody asks to go back to the standby.
    Rollback { id: OperationId, swap: Swap, generation: u64 },
    /// Somebody asks to stop.
    Halt { id: OperationId, orders: Orders },
    /// Somebody asks to go on.
    Resume { id: OperationId, generation: u64 },
    /// Somebody takes an operation back.
    Cancel { id: OperationId },
    /// The instances of an operation are made and warm.
    Prepared { id: OperationId },
    /// They could not be made.
    PrepareFailed { id: OperationId },
    /// The active lineup has a fresh, warm instance again.
    Reseated,
    /// The rebuild of the active lineup did not work; `id` names an operation that the host may have to begin.
    RebuildFailed { id: OperationId },
    /// The armed swap happened.
    Swapped,
    /// The tick of the armed swap had gone by when it was armed.
    Missed,
    /// The prove phase is over.
    Proved { alive: bool },
    /// An instance failed; `id` as above.
    Faulted { seat: Seat, id: OperationId },
    /// Error answers in a row reached the limit, or ended.
    Degraded(bool),
    /// The standby was warm for long enough.
    StandbyExpired,
    /// No more ticks come.
    SourceEnded,
}

/// What the service has to do, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "fields are those of Operation")]
pub enum Effect {
    /// Make instances of a lineup and warm them up.
    Prepare { id: OperationId, lineup: LineupId },
    /// Throw away what is, or will be, prepared for an operation.
    Discard { id: OperationId },
    /// Seat what was prepared as the shadow, in place of one that is there.
    Install { id: OperationId },
    /// Swap this seat with the active one when the tick comes.
    Arm { seat: Seat, swap: Swap, generation: u64 },
    /// Forget the armed swap.
    Disarm,
    /// Seat what was prepared as the active lineup's fresh instance.
    Reseat { id: OperationId },
    /// Make the active lineup anew after a while.
    Rebuild { after_ns: i64, lineup: LineupId },
    /// Take the seat's instance away.
    Drop(Seat),
    /// Stop deciding at once, with the orders so treated.
    Halt(Orders),
    /// An operation has got this far.
    Stage { id: OperationId, stage: &'static str },
    /// An operation is over.
    Ended { id: OperationId, end: End },
    /// The host began an operation by itself.
    Began { id: OperationId, kind: Kind, lineup: LineupId, why: Reason },
}

/// Why a request is refused; the state is as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The person saw another generation.
    #[error("the generation is {present}, the request was made against {given}")]
    GenerationStale {
        /// The present one.
        present: u64,
        /// As given.
        given: u64,
    },
    /// Another operation is under way.
    #[error("operation op-{id} is under way")]
    OperationRunning {
        /// It.
        id: OperationId,
    },
    /// There is none.
    #[error("there is no shadow")]
    NoShadow,
    /// There is none.
    #[error("there is no standby")]
    NoStandby,
    /// A condition of the gate does not hold.
    #[error("the shadow's gate is closed")]
    GateFailed,
    /// The variety is halted.
    #[error("the variety is halted")]
    Halted,
    /// The variety is not halted.
    #[error("the variety is not halted")]
    NotHalted,
    /// It has ended, or is past the point of no return.
    #[error("operation op-{id} cannot be taken back any more")]
    OperationEnded {
        /// It.
        id: OperationId,
    },
}

/// The operator's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Ticks of the prove phase; 0 = none.
    pub prove_ticks: u64,
    /// Wait before the first rebuild; doubles with each within the window, ns.
    pub backoff_ns: i64,
    /// Rebuilds within the window.
    pub rebuilds: usize,
    /// The window, ns.
    pub window_ns: i64,
    /// What becomes of orders when the host halts.
    pub on_halt: Orders,
}

/// Longest wait before a rebuild.
pub const MAX_BACKOFF_NS: i64 = 5_000_000_000;

impl State {
    /// A variety with its first lineup.
    pub fn new(generation: u64, active: LineupId) -> Self {
        Self {
            generation,
            active,
            run: Run::Running,
            degraded: false,
            standby: None,
            shadow: None,
            operation: None,
            rebuilds_ns: Vec::new(),
        }
    }

    /// The next state, and what has to be done on the way.
    ///
    /// # Errors
    /// A request that cannot be granted now. Whatever is no request is always taken: news that came too late has no effect.
    pub fn step(&self, event: &Event, policy: &Policy, now_ns: i64) -> Result<(Self, Vec<Effect>), Refusal> {
        let mut next = step::Step { state: self.clone(), policy, now_ns, effects: Vec::new() };
        next.take(event)?;
        Ok((next.state, next.effects))
    }

    /// The name of the state for readers.
    pub fn name(&self) -> &'static str {
        let proving = self.operation.as_ref().is_some_and(|o| o.stage == Stage::Proving);
        match self.run {
            Run::Halted => "halted",
            Run::Frozen => "degraded",
            Run::Running if proving => "proving",
            Run::Running if self.degraded => "degraded",
            Run::Running => "running",
        }
    }
}
