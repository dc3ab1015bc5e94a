//! The operations of a variety: each a file that says how far it got.

use super::requests::Request;
use crate::protocol::{Failure, OperationView, Stage};
use crate::records::Records;
use ghtrader_core::Problem;
use ghtrader_runtime::lifecycle::{End, Kind, LineupId, Reason};
use serde_json::Value;
use std::collections::BTreeMap;

pub(crate) struct Operations {
    account: String,
    variety: String,
    records: Records,
    last: u64,
    all: BTreeMap<u64, OperationView>,
    /// Why an operation is about to fail, where more is known than its reason.
    causes: BTreeMap<u64, Failure>,
    faults: BTreeMap<String, u64>,
    last_halt: Option<u64>,
}

impl Operations {
    pub(super) fn open(account: &str, variety: &str, records: &Records) -> Result<Self, Problem> {
        let all = records.operations()?;
        let last = all.keys().next_back().copied().unwrap_or(0);
        Ok(Self {
            account: account.to_owned(),
            variety: variety.to_owned(),
            records: records.clone(),
            last,
            all,
            causes: BTreeMap::new(),
            faults: BTreeMap::new(),
            last_halt: None,
        })
    }

    /// A number that no operation has had.
    pub(super) fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// `op-cu-12`.
    pub(super) fn name(&self, id: u64) -> String {
        format!("op-{}-{id}", self.variety)
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        let number = name.strip_prefix("op-")?.strip_prefix(&self.variety)?.strip_prefix('-')?.parse().ok()?;
        self.all.contains_key(&number).then_some(number)
    }

    pub(super) fn begin(
        &mut self,
        id: u64,
        request: &Request,
        lineup_id: Option<LineupId>,
        generation: u64,
        now_ns: i64,
    ) -> Result<(), Problem> {
        self.remember(id, request, lineup_id, generation, now_ns);
        let saved = self.save(id);
        if saved.is_err() {
            self.all.remove(&id);
        }
        saved
    }

    /// Takes an operation on without writing it down.
    pub(super) fn remember(
        &mut self,
        id: u64,
        request: &Request,
        lineup_id: Option<LineupId>,
        generation: u64,
        now_ns: i64,
    ) {
        let view = OperationView {
            id: self.name(id),
            kind: kind_name(request.kind).to_owned(),
            account: self.account.clone(),
            variety: self.variety.clone(),
            state: "accepted".to_owned(),
            ended: false,
            actor: request.actor.name.clone(),
            plan_hash: request.plan_hash,
            lineup_id,
            from_generation: generation,
            generation: None,
            trace: vec![Stage { state: "accepted".to_owned(), at_ns: now_ns }],
            error: None,
            evidence: BTreeMap::new(),
        };
        if request.kind == Kind::Halt {
            self.last_halt = Some(id);
        }
        self.all.insert(id, view);
    }

    /// Writes an operation down as it stands.
    pub(super) fn save(&self, id: u64) -> Result<(), Problem> {
        self.all.get(&id).map_or(Ok(()), |view| self.records.save_operation(id, view))
    }

    /// Takes back one that was never acknowledged.
    pub(super) fn withdraw(&mut self, id: u64) {
        if let Some(mut view) = self.all.remove(&id) {
            view.state = "failed".to_owned();
            view.ended = true;
            // The next start finds it accepted and fails it, if this does not work.
            let _ = self.records.save_operation(id, &view);
        }
    }

    pub(super) fn stage(&mut self, id: u64, state: &str, now_ns: i64) -> Result<(), Problem> {
        let Some(view) = self.all.get_mut(&id) else { return Ok(()) };
        view.state = state.to_owned();
        view.trace.push(Stage { state: state.to_owned(), at_ns: now_ns });
        self.records.save_operation(id, view)
    }

    pub(super) fn swapped(&mut self, id: u64, generation: u64) {
        if let Some(view) = self.all.get_mut(&id) {
            view.generation = Some(generation);
        }
    }

    pub(super) fn evidence(&mut self, id: u64, name: &str, value: Value) {
        if let Some(view) = self.all.get_mut(&id) {
            view.evidence.insert(name.to_owned(), value);
        }
    }

    /// What is known of the failure that comes.
    pub(super) fn cause(&mut self, id: u64, failure: Failure) {
        self.causes.insert(id, failure);
    }

    pub(super) fn fail(&mut self, id: u64, failure: Failure, now_ns: i64) -> Result<(), Problem> {
        let Some(view) = self.all.get_mut(&id) else { return Ok(()) };
        view.error = Some(failure);
        view.ended = true;
        self.stage(id, "failed", now_ns)
    }

    pub(super) fn end(&mut self, id: u64, end: End, now_ns: i64) -> Result<(), Problem> {
        let cause = self.causes.remove(&id);
        let Some(view) = self.all.get_mut(&id) else { return Ok(()) };
        view.ended = true;
        let (state, reason) = match end {
            End::Succeeded => ("succeeded", None),
            End::Cancelled => ("cancelled", None),
            End::Failed(reason) => ("failed", Some(reason)),
            End::RolledBack(reason) => ("rolled_back", Some(reason)),
        };
        view.error = reason.map(|reason| cause.unwrap_or_else(|| why(reason)));
        self.stage(id, state, now_ns)
    }

    /// Operations that were under way when the host ended.
    pub(super) fn unfinished(&self) -> Vec<u64> {
        self.all.iter().filter(|(_, o)| !o.ended).map(|(id, _)| *id).collect()
    }

    pub(super) fn view(&self, id: u64) -> Option<&OperationView> {
        self.all.get(&id)
    }

    pub(super) fn kind(&self, id: u64) -> Kind {
        match self.all.get(&id).map(|o| o.kind.as_str()) {
            Some("shadow") => Kind::Shadow,
            Some("promote") => Kind::Promote,
            Some("rollback") => Kind::Rollback,
            Some("halt") => Kind::Halt,
            Some("resume") => Kind::Resume,
            _ => Kind::Swap,
        }
    }

    /// Newest first.
    pub(super) fn newest(&self) -> impl Iterator<Item = &OperationView> {
        self.all.values().rev()
    }

    pub(super) fn count_fault(&mut self, code: &str) {
        *self.faults.entry(code.to_owned()).or_default() += 1;
    }

    pub(super) fn faults(&self) -> &BTreeMap<String, u64> {
        &self.faults
    }

    /// The thread has stopped deciding: what the latest halt did.
    pub(super) fn last_halt(&mut self, seq: u64, cancelled: usize) {
        let Some(id) = self.last_halt else { return };
        self.evidence(id, "halted_at_seq", seq.into());
        self.evidence(id, "cancelled_orders", cancelled.into());
        if let Some(view) = self.all.get(&id) {
            // The halt itself stands; this is what it found.
            let _ = self.records.save_operation(id, view);
        }
    }
}

/// The name of a kind in operations, audit and API.
pub(super) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Shadow => "shadow",
        Kind::Swap => "swap",
        Kind::Promote => "promote",
        Kind::Rollback => "rollback",
        Kind::Halt => "halt",
        Kind::Resume => "resume",
    }
}

fn why(reason: Reason) -> Failure {
    let (code, class, what, remedy) = match reason {
        Reason::PrepareFailed => {
            ("prepare_failed", "plugin", "the lineup could not be made or warmed up", "see the log")
        }
        Reason::Faulted => {
            ("lineup_faulted", "plugin", "a plugin of the lineup failed", "mend it and push a new version")
        }
        Reason::NotProved => {
            ("not_proved", "plugin", "a channel showed no life in the prove phase", "see `channels` of the evidence")
        }
        Reason::Halted => ("halted", "conflict", "a halt came first", "resume, plan again, apply again"),
        Reason::Replaced => ("replaced", "conflict", "another lineup took the shadow's seat", "apply the plan again"),
        Reason::RolledBack => ("rolled_back", "conflict", "somebody rolled back in the prove phase", "see the audit"),
        Reason::ActiveFaulted => {
            ("active_faulted", "plugin", "the active lineup failed too often and the host acted first", "see the audit")
        }
        Reason::SourceEnded => ("source_ended", "conflict", "no more ticks come", "start the account's service again"),
        Reason::Missed => ("seq_passed", "conflict", "the tick it waited for had gone by", "name a later one"),
    };
    let [code, class, what, remedy] = [code, class, what, remedy].map(str::to_owned);
    Failure { code, class, what, remedy, generation: None }
}
