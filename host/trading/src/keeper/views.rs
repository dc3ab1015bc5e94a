//! What readers see, and what is written down for them.

use super::operations::kind_name;
use super::requests::Request;
use super::{KEPT_ORDERS, Keeper, host_actor};
use crate::mail::SeatSnapshot;
use crate::protocol::{
    Actor, Call, Failure, GateCondition, LineupView, OrderView, ServiceEvent, ShadowReport, VarietyView,
};
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_durable::{AuditEntry, Outcome};
use ghtrader_runtime::lifecycle::{End, Kind, LineupId, Reason, Refusal};
use serde::Serialize;
use serde_json::Value;
use std::io::Write as _;

pub(super) fn value<T: Serialize>(of: &T) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}

pub(super) fn lost() -> Failure {
    let what = "the operation's record is gone";
    Problem::new("internal", ErrorClass::Internal, what, "report this").into()
}

pub(super) fn unknown_operation(name: &str) -> Failure {
    let what = format!("there is no operation {name}");
    Problem::new("unknown_operation", ErrorClass::User, what, "list them with `ghtrader lineup operations`").into()
}

impl Keeper {
    pub(super) fn answer(&mut self, call: Call) -> Result<Value, Failure> {
        match call {
            Call::Variety { .. } | Call::Varieties | Call::Status => Ok(value(&self.view())),
            Call::History { .. } => {
                let newest: Vec<_> = self.history.iter().rev().collect();
                Ok(value(&newest))
            }
            Call::Orders { limit, .. } => {
                let newest: Vec<&OrderView> = self.orders.iter().rev().take(limit).collect();
                Ok(value(&newest))
            }
            Call::Shadow { .. } => match self.shadow_report() {
                Some(report) => Ok(value(&report)),
                None => Err(self.failure_of(Refusal::NoShadow)),
            },
            Call::Operations { .. } => {
                let newest: Vec<_> = self.operations.newest().collect();
                Ok(value(&newest))
            }
            Call::Operation { id } => {
                let found = self.operations.number(&id).and_then(|n| self.operations.view(n));
                found.map(value).ok_or_else(|| unknown_operation(&id))
            }
            Call::Deploy(deploy) => self.deploy(deploy),
            Call::Promote(change) => self.change(Kind::Promote, change),
            Call::Rollback(change) => self.change(Kind::Rollback, change),
            Call::Halt(change) => self.change(Kind::Halt, change),
            Call::Resume(change) => self.change(Kind::Resume, change),
            Call::CancelOperation { id, actor } => self.cancel(&id, &actor),
            // The service answers these itself.
            Call::Subscribe | Call::Stop => Ok(Value::Null),
        }
    }

    pub(super) fn view(&self) -> VarietyView {
        let s = &self.snapshot;
        let seat = |id: LineupId, generation: Option<u64>, seat: Option<&SeatSnapshot>, token: Option<u64>| {
            let lineup = self.lineups.get(&id)?.clone();
            // A snapshot of the instance that sat there before says nothing about this one.
            let seen = seat.filter(|seen| Some(seen.token) == token).copied().unwrap_or_default();
            Some(LineupView {
                id,
                generation,
                name: lineup.name.clone(),
                lineup,
                ticks: seen.ticks,
                faults: seen.faults,
                errors_in_row: seen.errors_in_row,
                pnl_cny: seen.pnl_cny,
                fills: seen.fills,
                position_lots: seen.position_lots,
                memory_bytes: seen.memory_bytes,
            })
        };
        let before = self.history.iter().rev().nth(1).map(|r| r.generation);
        let state = &self.state;
        VarietyView {
            account: self.account.clone(),
            variety: self.variety.clone(),
            generation: state.generation,
            state: if self.ended { "stopped" } else { state.name() }.to_owned(),
            active: seat(state.active, Some(state.generation), Some(&s.active), Some(self.tokens.active)),
            standby: state.standby.and_then(|id| seat(id, before, s.standby.as_ref(), self.tokens.standby)),
            shadow: state
                .shadow
                .and_then(|(id, _)| seat(id, None, s.shadow.as_ref().map(|(seen, ..)| seen), self.tokens.shadow)),
            operation: state.operation.as_ref().map(|o| self.operations.name(o.id)),
            contract: s.contract.clone(),
            ticks: self.mailer.signal.seq(),
            last_tick_ns: s.ts_ns,
            tick_age_ms: self.snapshot_at.map(|at| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX)),
            position_lots: s.active.position_lots,
            working_orders: s.working_orders,
            equity_cny: s.equity_cny,
            updated_at_ns: (self.settings.now_ns)(),
        }
    }

    pub(super) fn shadow_report(&self) -> Option<ShadowReport> {
        let (lineup_id, _) = self.state.shadow?;
        let seen = self.snapshot.shadow.as_ref().filter(|(seat, ..)| Some(seat.token) == self.tokens.shadow);
        let (seat, comparison, active_pnl_cny) = seen.cloned().unwrap_or_default();
        let condition = |name: &str, value: f64, bound: f64, holds: bool| GateCondition {
            name: name.to_owned(),
            value,
            bound,
            holds,
        };
        let at_least = |name: &str, value: u64, bound: u64| condition(name, value as f64, bound as f64, value >= bound);
        let settings = &self.settings;
        let half_limit_ns = settings.live_call_cpu_ms as f64 * 1e6 / 2.0;
        let gate = vec![
            at_least("shadow_min_ticks", comparison.ticks, settings.shadow_min_ticks),
            at_least("shadow_min_sessions", comparison.sessions, settings.shadow_min_sessions),
            condition("faults", seat.faults as f64, 0.0, seat.faults == 0),
            condition(
                "p99_call_ns",
                seat.latency_ns.p99 as f64,
                half_limit_ns,
                (seat.latency_ns.p99 as f64) < half_limit_ns,
            ),
        ];
        Some(ShadowReport {
            lineup_id,
            ticks: comparison.ticks,
            sessions: comparison.sessions,
            equal_ticks: comparison.equal_ticks,
            equal_share: (comparison.ticks > 0).then(|| comparison.equal_ticks as f64 / comparison.ticks as f64),
            first_difference: comparison.first_difference,
            outputs: comparison.outputs,
            target_disagreements: comparison.target_disagreements,
            latency_ns: [seat.latency_ns, self.snapshot.active.latency_ns],
            faults: self.operations.faults().clone(),
            pnl_cny: [seat.pnl_cny, active_pnl_cny],
            gate_open: gate.iter().all(|c| c.holds),
            gate,
        })
    }

    pub(super) fn failure_of(&self, refusal: Refusal) -> Failure {
        let (code, class, remedy) = match refusal {
            Refusal::GenerationStale { .. } => {
                ("generation_stale", ErrorClass::Conflict, "look at the variety and ask again")
            }
            Refusal::OperationRunning { .. } => {
                ("operation_running", ErrorClass::Conflict, "wait for it, cancel it, or halt")
            }
            Refusal::NoShadow => ("no_shadow", ErrorClass::Conflict, "apply a plan with mode shadow"),
            Refusal::NoStandby => ("no_standby", ErrorClass::Conflict, "plan the lineup that you want and apply it"),
            Refusal::GateFailed => ("gate_failed", ErrorClass::Conflict, "see `gate` of the shadow's report"),
            Refusal::Halted => ("halted", ErrorClass::Conflict, "resume first"),
            Refusal::NotHalted => ("not_halted", ErrorClass::Conflict, "nothing has to be resumed"),
            Refusal::OperationEnded { .. } => {
                ("operation_ended", ErrorClass::Conflict, "roll back to undo what it did")
            }
        };
        let what = match refusal {
            Refusal::OperationRunning { id } => format!("operation {} is under way", self.operations.name(id)),
            Refusal::OperationEnded { id } => {
                format!("operation {} cannot be taken back any more", self.operations.name(id))
            }
            other => format!("{}/{}: {other}", self.account, self.variety),
        };
        let mut failure: Failure = Problem::new(code, class, what, remedy).into();
        if let Refusal::GenerationStale { present, .. } = refusal {
            failure.generation = Some(present);
        }
        failure
    }

    pub(super) fn entry(&self, actor: &Actor, kind: Kind, outcome: Outcome) -> AuditEntry {
        AuditEntry {
            actor: actor.name.clone(),
            role: actor.role.clone(),
            action: format!("lineup.{}", kind_name(kind)),
            subject: format!("{}/{}", self.account, self.variety),
            generation: Some(self.state.generation),
            from: self.state.active.to_string(),
            to: String::new(),
            plan_hash: String::new(),
            operation: String::new(),
            reason: actor.reason.clone(),
            evidence: Vec::new(),
            outcome,
        }
    }

    pub(super) fn write_audit(&self, entry: AuditEntry) -> Result<(), Problem> {
        match self.audit.append((self.settings.now_ns)(), entry) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a refusal down and gives it back.
    pub(super) fn refused(&self, request: &Request, failure: Failure) -> Failure {
        let entry = AuditEntry {
            plan_hash: request.plan_hash.map(|h| h.to_string()).unwrap_or_default(),
            to: request.lineup.map(|l| l.to_string()).unwrap_or_default(),
            evidence: vec![failure.code.clone()],
            ..self.entry(&request.actor, request.kind, Outcome::Refused)
        };
        if let Err(problem) = self.write_audit(entry) {
            self.alert(&problem);
        }
        failure
    }

    pub(super) fn audit_swap(&mut self, id: u64, from: LineupId, to: LineupId, seq: u64) {
        let actor =
            Actor { name: self.operations.view(id).map_or_else(String::new, |o| o.actor.clone()), ..host_actor() };
        let entry = AuditEntry {
            action: "lineup.swapped".to_owned(),
            from: from.to_string(),
            to: to.to_string(),
            plan_hash: self.operations.view(id).and_then(|o| o.plan_hash).map(|h| h.to_string()).unwrap_or_default(),
            operation: self.operations.name(id),
            evidence: vec![format!("tick {seq}")],
            ..self.entry(&actor, Kind::Swap, Outcome::Done)
        };
        if let Err(problem) = self.write_audit(entry) {
            // A swap that cannot be traced is not proved.
            self.untraced = Some(id);
            self.operations.cause(id, problem.clone().into());
            self.alert(&problem);
        }
    }

    pub(super) fn stage(&mut self, id: u64, stage: &str) {
        if let Err(problem) = self.operations.stage(id, stage, (self.settings.now_ns)()) {
            self.alert(&problem);
        }
        self.publish_operation(id);
    }

    pub(super) fn end(&mut self, id: u64, end: End) {
        if let Err(problem) = self.operations.end(id, end, (self.settings.now_ns)()) {
            self.alert(&problem);
        }
        let Some(operation) = self.operations.view(id) else { return };
        let outcome = if end == End::Succeeded { Outcome::Done } else { Outcome::Failed };
        let actor = Actor { name: operation.actor.clone(), ..host_actor() };
        let entry = AuditEntry {
            from: String::new(),
            to: operation.lineup_id.map(|l| l.to_string()).unwrap_or_default(),
            operation: operation.id.clone(),
            evidence: operation.error.iter().map(|e| e.code.clone()).chain([operation.state.clone()]).collect(),
            ..self.entry(&actor, self.operations.kind(id), outcome)
        };
        if let Err(problem) = self.write_audit(entry) {
            self.alert(&problem);
        }
        self.publish_operation(id);
    }

    pub(super) fn host_began(&mut self, id: u64, kind: Kind, lineup: LineupId, why: Reason) {
        let actor = Actor { reason: format!("{why:?}"), ..host_actor() };
        let request = Request { kind, actor: actor.clone(), plan_hash: None, lineup: Some(lineup) };
        let begun = self.operations.begin(id, &request, Some(lineup), self.state.generation, (self.settings.now_ns)());
        let entry = AuditEntry {
            to: lineup.to_string(),
            operation: self.operations.name(id),
            ..self.entry(&actor, kind, Outcome::Accepted)
        };
        for problem in [begun.err(), self.write_audit(entry).err()].into_iter().flatten() {
            self.alert(&problem);
        }
        self.publish_operation(id);
    }

    /// What was under way when the host ended did not end well, and says so.
    pub(super) fn fail_unfinished(&mut self) -> Result<(), Problem> {
        for id in self.operations.unfinished() {
            let failure: Failure = Problem::new(
                "host_restarted",
                ErrorClass::Unavailable,
                format!(
                    "the host ended while the operation was under way; generation {} is active",
                    self.state.generation
                ),
                "look at the variety, plan again, apply again",
            )
            .into();
            self.operations.fail(id, failure, (self.settings.now_ns)())?;
            let entry = AuditEntry {
                operation: self.operations.name(id),
                evidence: vec!["host_restarted".to_owned()],
                ..self.entry(&host_actor(), self.operations.kind(id), Outcome::Failed)
            };
            self.write_audit(entry)?;
        }
        Ok(())
    }

    pub(super) fn order(&mut self, mut order: OrderView) {
        order.lineup = self.history.iter().rev().find(|r| r.generation == order.generation).map(|r| r.id);
        order.session = self.session;
        // Ids ascend.
        match self.orders.binary_search_by_key(&order.id, |known| known.id) {
            Ok(at) => {
                order.seq = self.orders[at].seq;
                self.orders[at] = order.clone();
            }
            // Of an order that is kept no longer, its ticks are in the journal.
            Err(at) if at < self.orders.len() => {}
            Err(_) => {
                self.orders.push_back(order.clone());
                if self.orders.len() > KEPT_ORDERS {
                    self.orders.pop_front();
                }
            }
        }
        let mut line = serde_json::to_string(&order).unwrap_or_default();
        line.push('\n');
        let written = self.journal.as_mut().map(|file| file.write_all(line.as_bytes()));
        if let Some(Err(error)) = written {
            self.journal = None;
            let path = self.records.dir().join("orders.jsonl");
            self.alert(&crate::records::unwritable(&path, &error));
        }
        self.publish("order", value(&order));
    }

    pub(super) fn alert(&self, problem: &Problem) {
        tracing::error!(variety = %self.variety, code = problem.code, "{}", problem.what);
        self.publish("alert", value(problem));
    }

    pub(super) fn publish_operation(&self, id: u64) {
        if let Some(operation) = self.operations.view(id) {
            self.publish("operation", value(operation));
        }
    }

    pub(super) fn publish_variety(&self) {
        if !self.broadcast.is_heard() {
            return;
        }
        self.publish("variety", value(&self.view()));
        if let Some(report) = self.shadow_report() {
            self.publish("shadow", value(&report));
        }
    }

    fn publish(&self, topic: &str, data: Value) {
        self.broadcast.send(&ServiceEvent { topic: topic.to_owned(), variety: self.variety.clone(), data });
    }
}
