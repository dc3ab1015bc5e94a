//! Requests: checked, written down, granted or refused with nothing changed.

use super::{Keeper, views};
use crate::plan::plan_hash;
use crate::protocol::{ActivateAt, Actor, Change, Deploy, Failure, Mode, OrderPolicy, Plan};
use ghtrader_core::{Digest, ErrorClass, Problem};
use ghtrader_durable::{AuditEntry, Outcome};
use ghtrader_runtime::lifecycle::{At, Event, Kind, LineupId, Orders, Swap};

/// Who asked for what.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) kind: Kind,
    pub(crate) actor: Actor,
    pub(crate) plan_hash: Option<Digest>,
    pub(crate) lineup: Option<LineupId>,
}

impl Keeper {
    pub(super) fn deploy(&mut self, deploy: Deploy) -> Result<serde_json::Value, Failure> {
        let Deploy { plan, mode, activate_at, order_policy, acknowledge, generation, actor } = deploy;
        let kind = if mode == Mode::Shadow { Kind::Shadow } else { Kind::Swap };
        let swap = self.swap_of(activate_at, order_policy);
        let lineup = plan.resolved.id();
        let request = Request { kind, actor, plan_hash: Some(plan.plan_hash), lineup: Some(lineup) };
        let checked = self.check_plan(&plan, kind, &acknowledge).and_then(|()| self.check_seq(swap.at));
        if let Err(failure) = checked {
            return Err(self.refused(&request, failure));
        }
        let kept = self.records.keep_lineup(&plan.resolved);
        if let Err(problem) = kept {
            return Err(self.refused(&request, problem.into()));
        }
        self.lineups.insert(lineup, plan.resolved);
        let shadow_only = mode == Mode::Shadow;
        self.begin(request, |id| Event::Deploy { id, lineup, shadow_only, swap, generation })
    }

    fn check_plan(&self, plan: &Plan, kind: Kind, acknowledged: &[String]) -> Result<(), Failure> {
        let conflict = |code, what: String, remedy: &str| Problem::new(code, ErrorClass::Conflict, what, remedy).into();
        if plan_hash(plan) != plan.plan_hash || plan.lineup_id != plan.resolved.id() {
            return Err(conflict(
                "plan_damaged",
                "the plan is not the one that its hash names".to_owned(),
                "plan again",
            ));
        }
        if plan.variety != self.variety || plan.account != self.account {
            let what =
                format!("the plan is for {}/{}, not for {}/{}", plan.account, plan.variety, self.account, self.variety);
            return Err(Problem::new("variety_mismatch", ErrorClass::User, what, "plan for this variety").into());
        }
        if plan.base_generation != self.state.generation || plan.base_lineup != Some(self.state.active) {
            let what = format!(
                "the plan was made against generation {}, the present one is {}",
                plan.base_generation, self.state.generation
            );
            let mut failure: Failure = conflict("plan_stale", what, "plan again and look at what it says now");
            failure.generation = Some(self.state.generation);
            return Err(failure);
        }
        if let Some(short) = plan.capacity.iter().find(|c| !c.fits) {
            let what = format!("the lineup needs {} = {}, there is {}", short.name, short.wanted, short.bound);
            return Err(
                Problem::new("capacity_exceeded", ErrorClass::Limit, what, "lower its limits, or make room").into()
            );
        }
        let unknown: Vec<&str> =
            plan.breaking.iter().map(String::as_str).filter(|b| !acknowledged.iter().any(|a| a == b)).collect();
        if kind == Kind::Swap && !unknown.is_empty() {
            let what = format!("the change is breaking: {}", unknown.join(", "));
            return Err(conflict("breaking_needs_acknowledge", what, "name each in `acknowledge` if it is meant"));
        }
        Ok(())
    }

    fn check_seq(&self, at: At) -> Result<(), Failure> {
        let now = self.mailer.signal.seq();
        match at {
            At::Seq(seq) if seq <= now => {
                let what = format!("tick {seq} has gone by, the present one is {now}");
                Err(Problem::new("seq_passed", ErrorClass::Conflict, what, "name a later tick, or next_tick").into())
            }
            _ if self.ended => {
                let what = format!("{} has no more ticks", self.variety);
                Err(Problem::new("source_ended", ErrorClass::Conflict, what, "start the account's service again")
                    .into())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn change(&mut self, kind: Kind, change: Change) -> Result<serde_json::Value, Failure> {
        let Change { generation, order_policy, activate_at, actor, .. } = change;
        let swap = self.swap_of(activate_at, order_policy);
        let request = Request { kind, actor, plan_hash: None, lineup: None };
        if kind != Kind::Halt
            && let Err(failure) = self.check_seq(swap.at)
        {
            return Err(self.refused(&request, failure));
        }
        let Some(generation) = generation.or((kind == Kind::Halt).then_some(self.state.generation)) else {
            let what = "the request names no generation";
            let problem = Problem::new("precondition_required", ErrorClass::User, what, "name the one that you saw");
            return Err(self.refused(&request, problem.into()));
        };
        let gate_open = kind == Kind::Promote && self.shadow_report().is_some_and(|r| r.gate_open);
        let on_halt = order_policy.unwrap_or(self.settings.on_halt).into();
        self.begin(request, |id| match kind {
            Kind::Promote => Event::Promote { id, swap, generation, gate_open },
            Kind::Rollback => Event::Rollback { id, swap, generation },
            Kind::Resume => Event::Resume { id, generation },
            Kind::Halt | Kind::Shadow | Kind::Swap => Event::Halt { id, orders: on_halt },
        })
    }

    fn swap_of(&self, at: ActivateAt, orders: Option<OrderPolicy>) -> Swap {
        let at = match at {
            ActivateAt::NextTick => At::NextTick,
            ActivateAt::SessionOpen => At::SessionOpen,
            ActivateAt::Seq(seq) => At::Seq(seq),
        };
        Swap { at, orders: orders.unwrap_or(self.settings.order_policy).into() }
    }

    /// Takes a request on, or refuses it with nothing changed. It is on the disk and in the audit before it is acknowledged.
    fn begin(&mut self, request: Request, event: impl Fn(u64) -> Event) -> Result<serde_json::Value, Failure> {
        let id = self.operations.next();
        let event = event(id);
        // A refusal must leave no trace of an operation, and an operation one before anything follows from it.
        if let Err(refusal) = self.state.step(&event, &self.policy, 0) {
            let failure = self.failure_of(refusal);
            return Err(self.refused(&request, failure));
        }
        let now_ns = (self.settings.now_ns)();
        let lineup = request.lineup.or(match request.kind {
            Kind::Promote => self.state.shadow.map(|(lineup, _)| lineup),
            Kind::Rollback => self.state.standby,
            _ => Some(self.state.active),
        });
        let entry = AuditEntry {
            to: lineup.map(|l| l.to_string()).unwrap_or_default(),
            plan_hash: request.plan_hash.map(|h| h.to_string()).unwrap_or_default(),
            operation: self.operations.name(id),
            ..self.entry(&request.actor, request.kind, Outcome::Accepted)
        };
        if request.kind == Kind::Halt {
            return self.halt(id, &request, &event, entry);
        }
        self.operations.begin(id, &request, lineup, self.state.generation, now_ns)?;
        if let Err(problem) = self.write_audit(entry) {
            self.operations.withdraw(id);
            return Err(problem.into());
        }
        if let Err(refusal) = self.apply(&event) {
            // The swap that was under way happened in between.
            let failure = self.failure_of(refusal);
            self.operations.fail(id, failure.clone(), now_ns)?;
            self.publish_operation(id);
            return Err(self.refused(&request, failure));
        }
        self.operations.view(id).map(views::value).ok_or_else(views::lost)
    }

    /// Halts first and writes down afterwards: neither the disk nor the audit may stand in its way.
    fn halt(
        &mut self,
        id: u64,
        request: &Request,
        event: &Event,
        entry: AuditEntry,
    ) -> Result<serde_json::Value, Failure> {
        let now_ns = (self.settings.now_ns)();
        let lineup = Some(self.state.active);
        self.operations.remember(id, request, lineup, self.state.generation, now_ns);
        self.note(event);
        let written = self.operations.save(id).and_then(|()| self.write_audit(entry));
        if let Err(problem) = written {
            self.alert(&problem);
            let what =
                format!("{}/{} is halted, but that is not written down: {}", self.account, self.variety, problem.what);
            return Err(Problem { what, ..problem }.into());
        }
        self.operations.view(id).map(views::value).ok_or_else(views::lost)
    }

    pub(super) fn cancel(&mut self, name: &str, actor: &Actor) -> Result<serde_json::Value, Failure> {
        let id = self.operations.number(name).ok_or_else(|| views::unknown_operation(name))?;
        let kind = self.operations.kind(id);
        let request = Request { kind, actor: actor.clone(), plan_hash: None, lineup: None };
        if let Err(refusal) = self.apply(&Event::Cancel { id }) {
            let failure = self.failure_of(refusal);
            return Err(self.refused(&request, failure));
        }
        let entry = AuditEntry { action: "operation.cancel".to_owned(), ..self.entry(actor, kind, Outcome::Done) };
        self.write_audit(AuditEntry { operation: name.to_owned(), ..entry })?;
        self.operations.view(id).map(views::value).ok_or_else(views::lost)
    }
}

impl From<OrderPolicy> for Orders {
    fn from(policy: OrderPolicy) -> Self {
        match policy {
            OrderPolicy::Keep => Self::Keep,
            OrderPolicy::Cancel => Self::Cancel,
            OrderPolicy::Flatten => Self::Flatten,
        }
    }
}
