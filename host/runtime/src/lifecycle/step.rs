//! The transitions.

use super::{
    At, Effect, End, Event, Kind, LineupId, MAX_BACKOFF_NS, Operation, OperationId, Orders, Policy, Reason, Refusal,
    Run, Seat, Stage, State, Swap,
};

pub(super) struct Step<'a> {
    pub(super) state: State,
    pub(super) policy: &'a Policy,
    pub(super) now_ns: i64,
    pub(super) effects: Vec<Effect>,
}

type Taken = Result<(), Refusal>;

impl Step<'_> {
    pub(super) fn take(&mut self, event: &Event) -> Taken {
        match *event {
            Event::Deploy { id, lineup, shadow_only, swap, generation } => {
                return self.deploy(id, lineup, shadow_only, swap, generation);
            }
            Event::Promote { id, swap, generation, gate_open } => return self.promote(id, swap, generation, gate_open),
            Event::Rollback { id, swap, generation } => return self.rollback(id, swap, generation),
            Event::Halt { id, orders } => {
                self.halt(orders);
                self.end(id, End::Succeeded);
            }
            Event::Resume { id, generation } => return self.resume(id, generation),
            Event::Cancel { id } => return self.cancel(id),
            Event::Prepared { id } => self.prepared(id),
            Event::PrepareFailed { id } => {
                let seating = self.state.operation.as_ref().is_some_and(|o| o.id == id && o.stage == Stage::Seating);
                if seating || self.preparing(id) {
                    self.end_running(End::Failed(Reason::PrepareFailed));
                }
            }
            Event::Reseated => self.reseated(),
            Event::RebuildFailed { id } => {
                if self.state.run == Run::Frozen {
                    self.active_faulted(id);
                }
            }
            Event::Swapped => self.swapped(),
            Event::Missed => self.give_up(Reason::Missed),
            Event::Proved { alive } => self.proved(alive),
            Event::Faulted { seat: Seat::Active, id } => {
                if self.state.run == Run::Running {
                    self.active_faulted(id);
                }
            }
            Event::Faulted { seat: Seat::Shadow, .. } => self.shadow_faulted(),
            Event::Faulted { seat: Seat::Standby, .. } => self.standby_faulted(),
            Event::Degraded(degraded) => self.state.degraded = degraded,
            Event::StandbyExpired => {
                if self.state.operation.as_ref().is_none_or(|o| o.stage == Stage::Preparing) {
                    self.drop_standby();
                }
            }
            Event::SourceEnded => self.give_up(Reason::SourceEnded),
        }
        Ok(())
    }

    /// What every request but a halt has to pass.
    fn free(&self, generation: u64) -> Taken {
        let present = self.state.generation;
        if generation != present {
            return Err(Refusal::GenerationStale { present, given: generation });
        }
        match &self.state.operation {
            Some(running) => Err(Refusal::OperationRunning { id: running.id }),
            None => Ok(()),
        }
    }

    fn deciding(&self) -> Taken {
        if self.state.run == Run::Halted { Err(Refusal::Halted) } else { Ok(()) }
    }

    fn begin(&mut self, id: OperationId, kind: Kind, lineup: LineupId, swap: Swap, stage: Stage) {
        self.state.operation = Some(Operation { id, kind, lineup, stage, swap, going_back: None });
        match stage {
            Stage::Preparing => {
                self.effects.push(Effect::Stage { id, stage: "preparing" });
                self.effects.push(Effect::Prepare { id, lineup });
            }
            Stage::Armed => self.effects.push(Effect::Stage { id, stage: "armed" }),
            Stage::Seating | Stage::Proving => {}
        }
    }

    fn arm(&mut self, seat: Seat, swap: Swap) {
        self.effects.push(Effect::Arm { seat, swap, generation: self.state.generation + 1 });
    }

    fn deploy(&mut self, id: OperationId, lineup: LineupId, shadow_only: bool, swap: Swap, generation: u64) -> Taken {
        self.free(generation)?;
        if shadow_only {
            self.begin(id, Kind::Shadow, lineup, swap, Stage::Preparing);
            return Ok(());
        }
        self.deciding()?;
        // A lineup that runs beside already is warm.
        if self.state.shadow.is_some_and(|(warm, _)| warm == lineup) {
            self.begin(id, Kind::Swap, lineup, swap, Stage::Armed);
            self.arm(Seat::Shadow, swap);
        } else {
            self.begin(id, Kind::Swap, lineup, swap, Stage::Preparing);
        }
        Ok(())
    }

    fn promote(&mut self, id: OperationId, swap: Swap, generation: u64, gate_open: bool) -> Taken {
        let (lineup, _) = self.state.shadow.ok_or(Refusal::NoShadow)?;
        self.free(generation)?;
        self.deciding()?;
        if !gate_open {
            return Err(Refusal::GateFailed);
        }
        self.begin(id, Kind::Promote, lineup, swap, Stage::Armed);
        self.arm(Seat::Shadow, swap);
        Ok(())
    }

    fn rollback(&mut self, id: OperationId, swap: Swap, generation: u64) -> Taken {
        let lineup = self.state.standby.ok_or(Refusal::NoStandby)?;
        // What is being proved may be taken back by hand; that is what the standby is for.
        let proving = self.state.operation.as_ref().is_some_and(|o| o.stage == Stage::Proving);
        let present = self.state.generation;
        if proving && generation == present {
            self.deciding()?;
            self.end_running(End::RolledBack(Reason::RolledBack));
        } else {
            self.free(generation)?;
            self.deciding()?;
        }
        self.begin(id, Kind::Rollback, lineup, swap, Stage::Armed);
        self.arm(Seat::Standby, swap);
        Ok(())
    }

    fn resume(&mut self, id: OperationId, generation: u64) -> Taken {
        self.free(generation)?;
        if self.state.run != Run::Halted {
            return Err(Refusal::NotHalted);
        }
        let active = self.state.active;
        self.begin(id, Kind::Resume, active, Swap::default(), Stage::Preparing);
        Ok(())
    }

    fn cancel(&mut self, id: OperationId) -> Taken {
        if let Some(operation) = self.state.operation.as_ref().filter(|o| o.id == id) {
            if operation.stage == Stage::Proving || operation.going_back.is_some() {
                return Err(Refusal::OperationEnded { id });
            }
            self.undo_running();
            self.end_running(End::Cancelled);
            self.rebuild_if_left_frozen();
            return Ok(());
        }
        match self.state.shadow {
            // Its seat is wanted by the swap under way, which would have to be taken back first.
            Some((_, owner))
                if owner == id && self.state.operation.as_ref().is_some_and(|o| o.stage == Stage::Armed) =>
            {
                let running = self.state.operation.as_ref().map_or(id, |o| o.id);
                Err(Refusal::OperationRunning { id: running })
            }
            Some((_, owner)) if owner == id => {
                self.drop_shadow(End::Cancelled);
                Ok(())
            }
            _ => Err(Refusal::OperationEnded { id }),
        }
    }

    fn preparing(&self, id: OperationId) -> bool {
        self.state.operation.as_ref().is_some_and(|o| o.id == id && o.stage == Stage::Preparing)
    }

    fn prepared(&mut self, id: OperationId) {
        if !self.preparing(id) {
            self.effects.push(Effect::Discard { id });
            return;
        }
        let Some(operation) = self.state.operation.take() else { return };
        if operation.kind == Kind::Resume {
            self.effects.push(Effect::Reseat { id });
            self.state.operation = Some(Operation { stage: Stage::Seating, ..operation });
            return;
        }
        if let Some((_, old)) = self.state.shadow.replace((operation.lineup, id)) {
            self.end(old, End::Failed(Reason::Replaced));
        }
        self.effects.push(Effect::Install { id });
        if operation.kind == Kind::Shadow {
            self.effects.push(Effect::Stage { id, stage: "shadowing" });
            return;
        }
        let swap = operation.swap;
        self.begin(id, operation.kind, operation.lineup, swap, Stage::Armed);
        self.arm(Seat::Shadow, swap);
    }

    fn reseated(&mut self) {
        match self.state.run {
            Run::Frozen => self.state.run = Run::Running,
            Run::Halted if self.state.operation.as_ref().is_some_and(|o| o.stage == Stage::Seating) => {
                self.state.run = Run::Running;
                self.state.degraded = false;
                self.state.rebuilds_ns.clear();
                self.end_running(End::Succeeded);
            }
            // A halt came meanwhile, and its command takes this instance away again.
            Run::Halted | Run::Running => {}
        }
    }

    fn swapped(&mut self) {
        let Some(mut operation) = self.state.operation.take() else { return };
        if operation.stage != Stage::Armed {
            self.state.operation = Some(operation);
            return;
        }
        let id = operation.id;
        let was = self.state.active;
        let gone = self.state.run == Run::Frozen;
        self.state.generation += 1;
        self.state.run = Run::Running;
        self.state.degraded = false;
        self.state.rebuilds_ns.clear();
        let back = operation.kind == Kind::Rollback || operation.going_back.is_some();
        if back {
            self.state.active = self.state.standby.unwrap_or(was);
        } else if let Some((lineup, owner)) = self.state.shadow.take() {
            self.state.active = lineup;
            if owner != id {
                self.end(owner, End::Succeeded);
            }
        }
        self.state.standby = Some(was);
        if let Some(reason) = operation.going_back {
            // What failed is not kept to go back to.
            self.drop_standby();
            self.end(id, End::RolledBack(reason));
            return;
        }
        if gone {
            // Its instance had failed: there is nothing warm to go back to.
            self.drop_standby();
        }
        if self.policy.prove_ticks == 0 || operation.kind == Kind::Rollback {
            self.end(id, End::Succeeded);
            return;
        }
        operation.stage = Stage::Proving;
        self.effects.push(Effect::Stage { id, stage: "proving" });
        self.state.operation = Some(operation);
    }

    fn proved(&mut self, alive: bool) {
        if self.state.operation.as_ref().is_none_or(|o| o.stage != Stage::Proving) {
            return;
        }
        if alive {
            self.end_running(End::Succeeded);
        } else {
            self.go_back(Reason::NotProved);
        }
    }

    /// The operation in its prove phase goes back to the standby, if there is one.
    fn go_back(&mut self, reason: Reason) {
        let Some(operation) = &mut self.state.operation else { return };
        if self.state.standby.is_none() {
            self.end_running(End::Failed(reason));
            return;
        }
        operation.stage = Stage::Armed;
        operation.going_back = Some(reason);
        let swap = Swap { at: At::NextTick, orders: operation.swap.orders };
        let id = operation.id;
        self.effects.push(Effect::Stage { id, stage: "rolling_back" });
        self.arm(Seat::Standby, swap);
    }

    fn active_faulted(&mut self, id: OperationId) {
        self.state.run = Run::Frozen;
        let proving = self.state.operation.as_ref().is_some_and(|o| o.stage == Stage::Proving);
        if proving && self.state.standby.is_some() {
            self.go_back(Reason::Faulted);
            return;
        }
        if proving {
            self.end_running(End::Failed(Reason::Faulted));
        }
        // Already on the way to another lineup that is warm.
        if self.state.operation.as_ref().is_some_and(|o| o.stage == Stage::Armed && o.swap.at == At::NextTick) {
            return;
        }
        let since = self.now_ns - self.policy.window_ns;
        self.state.rebuilds_ns.retain(|at| *at > since);
        let done = self.state.rebuilds_ns.len();
        if done < self.policy.rebuilds {
            self.state.rebuilds_ns.push(self.now_ns);
            let after_ns = self.policy.backoff_ns.saturating_mul(1 << done.min(32)).min(MAX_BACKOFF_NS);
            self.effects.push(Effect::Rebuild { after_ns, lineup: self.state.active });
            return;
        }
        if self.state.operation.is_some() {
            self.undo_running();
            self.end_running(End::Failed(Reason::ActiveFaulted));
        }
        match self.state.standby {
            Some(lineup) => {
                let why = Reason::ActiveFaulted;
                self.effects.push(Effect::Began { id, kind: Kind::Rollback, lineup, why });
                self.begin(id, Kind::Rollback, lineup, Swap::default(), Stage::Armed);
                if let Some(operation) = &mut self.state.operation {
                    operation.going_back = Some(why);
                }
                self.arm(Seat::Standby, Swap::default());
            }
            None => {
                let (active, orders) = (self.state.active, self.policy.on_halt);
                self.effects.push(Effect::Began { id, kind: Kind::Halt, lineup: active, why: Reason::ActiveFaulted });
                self.halt(orders);
                self.end(id, End::Succeeded);
            }
        }
    }

    fn shadow_faulted(&mut self) {
        let Some((_, owner)) = self.state.shadow.take() else { return };
        let wanted = self
            .state
            .operation
            .as_ref()
            .is_some_and(|o| o.stage == Stage::Armed && o.kind != Kind::Rollback && o.going_back.is_none());
        if wanted {
            let id = self.state.operation.as_ref().map_or(owner, |o| o.id);
            self.effects.push(Effect::Disarm);
            self.end_running(End::Failed(Reason::Faulted));
            if id != owner {
                self.end(owner, End::Failed(Reason::Faulted));
            }
        } else {
            self.end(owner, End::Failed(Reason::Faulted));
        }
        // An active lineup that failed meanwhile was to be replaced by this one.
        self.rebuild_if_left_frozen();
    }

    fn standby_faulted(&mut self) {
        if self.state.standby.take().is_none() {
            return;
        }
        let Some(operation) = &self.state.operation else { return };
        let back = operation.kind == Kind::Rollback || operation.going_back.is_some();
        if !back || operation.stage != Stage::Armed {
            return;
        }
        let forced = operation.going_back;
        self.effects.push(Effect::Disarm);
        self.end_running(End::Failed(forced.unwrap_or(Reason::Faulted)));
        if forced.is_some() && self.state.run == Run::Frozen {
            // Nothing is left to go back to.
            self.halt(self.policy.on_halt);
        } else {
            self.rebuild_if_left_frozen();
        }
    }

    fn rebuild_if_left_frozen(&mut self) {
        if self.state.run == Run::Frozen && self.state.operation.is_none() {
            let after_ns = self.policy.backoff_ns.min(MAX_BACKOFF_NS);
            self.effects.push(Effect::Rebuild { after_ns, lineup: self.state.active });
        }
    }

    fn halt(&mut self, orders: Orders) {
        if self.state.operation.is_some() {
            self.undo_running();
            self.end_running(End::Failed(Reason::Halted));
        }
        self.state.run = Run::Halted;
        self.effects.push(Effect::Halt(orders));
    }

    fn give_up(&mut self, reason: Reason) {
        if let Some(operation) = &self.state.operation
            && (reason == Reason::SourceEnded || operation.stage == Stage::Armed)
        {
            self.undo_running();
            self.end_running(End::Failed(reason));
            self.rebuild_if_left_frozen();
        }
        if reason == Reason::SourceEnded {
            self.drop_shadow(End::Failed(reason));
        }
    }

    /// Takes back what the running operation has set in motion.
    fn undo_running(&mut self) {
        let Some(operation) = &self.state.operation else { return };
        let id = operation.id;
        match operation.stage {
            Stage::Preparing => self.effects.push(Effect::Discard { id }),
            Stage::Armed => {
                self.effects.push(Effect::Disarm);
                // A candidate that was seated for this swap alone goes with it.
                if self.state.shadow.is_some_and(|(_, owner)| owner == id) {
                    self.state.shadow = None;
                    self.effects.push(Effect::Drop(Seat::Shadow));
                }
            }
            // Its fresh instance is on the way, and would decide.
            Stage::Seating => self.effects.push(Effect::Halt(Orders::Keep)),
            Stage::Proving => {}
        }
    }

    fn end_running(&mut self, end: End) {
        if let Some(operation) = self.state.operation.take() {
            self.end(operation.id, end);
        }
    }

    fn end(&mut self, id: OperationId, end: End) {
        self.effects.push(Effect::Ended { id, end });
    }

    fn drop_shadow(&mut self, end: End) {
        if let Some((_, owner)) = self.state.shadow.take() {
            self.effects.push(Effect::Drop(Seat::Shadow));
            self.end(owner, end);
        }
    }

    fn drop_standby(&mut self) {
        if self.state.standby.take().is_some() {
            self.effects.push(Effect::Drop(Seat::Standby));
        }
    }
}
