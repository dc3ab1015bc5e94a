//! One day, row by row.

use super::{Armed, Incoming, Shadow, Worker};
use crate::compare::{Comparison, Side};
use crate::mail::{Report, Waste};
use crate::seat::{Fault, Mind, Seated, Tally};
use crate::source::SourceDay;
use crate::warm::{NumberedDay, Warmed, border_of};
use ghtrader_backtest::{Day, DayRun, Engine};
use ghtrader_core::{BorderKind, Problem, TickView, day_borders};
use ghtrader_kernels::wire::Boundary;
use ghtrader_runtime::PositionView;
use ghtrader_runtime::lifecycle::At;
use std::sync::Arc;

/// The accounts' books of the present day, and the swap that waits in it.
pub(super) struct Runs<'a> {
    day: &'a Day<'a>,
    /// Number of the day, in the service's count.
    number: usize,
    /// The next row is the first of a session.
    pub(super) opens: bool,
    pub(super) active: DayRun<'a>,
    pub(super) standby: Option<DayRun<'a>>,
    pub(super) shadow: Option<DayRun<'a>>,
    pub(super) armed: Option<Armed<'a>>,
}

impl Runs<'_> {
    pub(super) fn contract(&self) -> &str {
        self.day.contract
    }

    pub(super) fn ts_ns(&self, row: usize) -> i64 {
        self.day.view.ts_ns.get(row).copied().unwrap_or_default()
    }
}

impl Worker {
    /// Plays a day.
    ///
    /// # Errors
    /// What the account cannot go on from: a position over a roll that cannot be carried, a contract without fees.
    pub(super) fn play(&mut self, number: usize, source: &Arc<SourceDay>) -> Result<(), Problem> {
        self.remember(number, source);
        let day = source.as_day();
        let view = source.view();
        let rows = view.rows();
        if rows == 0 {
            return Ok(());
        }
        if self.contracts.last().is_none_or(|last| last != day.contract) {
            self.contracts.push(day.contract.to_owned());
        }
        let mut runs = self.open(&day, number)?;
        runs.armed = self.carried.take().map(Armed::for_another_day);
        self.tell_day(number, source);
        let borders = day_borders(view.ts_ns, source.windows());
        let mut next = 0;
        self.copy_if_due(&mut runs);
        for row in 0..rows {
            self.wait(&mut runs, &view, row);
            if self.post.has_mail() {
                self.read_commands(&mut runs, row);
            }
            if self.stopping {
                return Ok(());
            }
            if runs.armed.as_ref().is_some_and(|a| a.copy.is_some()) {
                let opens = borders.get(next).is_some_and(|b| b.row == row && b.kind == BorderKind::Session);
                self.swap(&mut runs, view.ts_ns[row], row, opens);
            }
            let mut session = false;
            while let Some(border) = borders.get(next).filter(|b| b.row <= row) {
                next += 1;
                session |= border.kind == BorderKind::Session;
                self.boundary(border_of(border.kind).0);
            }
            if session && let Some(shadow) = &mut self.shadow {
                shadow.comparison.sessions += 1;
            }
            self.tick(&mut runs, &view, row);
            source.play_to(row + 1);
            self.close_position(&mut runs, row);
            self.seat_incoming(&mut runs, row + 1);
            runs.opens = borders.get(next).is_some_and(|b| b.row == row + 1 && b.kind == BorderKind::Session);
            self.copy_if_due(&mut runs);
            self.tell_orders();
            self.show(&runs, row);
        }
        self.close(runs, rows - 1);
        Ok(())
    }

    fn open<'a>(&mut self, day: &'a Day<'a>, number: usize) -> Result<Runs<'a>, Problem> {
        // A lineup that starts with the service has seen nothing; every later one comes warm.
        let warmup_rows = self.active.mind.lineup.as_ref().map_or(0, ghtrader_runtime::Lineup::warmup_rows);
        let active = self.active.engine.open_day(day, warmup_rows)?;
        let beside = |seated: &mut Seated| seated.engine.open_day(day, 0);
        let standby = self.standby.as_mut().map(beside).transpose()?;
        let shadow = self.shadow.as_mut().map(|s| beside(&mut s.seated)).transpose()?;
        Ok(Runs { day, number, opens: true, active, standby, shadow, armed: None })
    }

    fn close(&mut self, mut runs: Runs<'_>, last: usize) {
        self.active.engine.close_day(&mut runs.active);
        if let (Some(standby), Some(run)) = (&mut self.standby, &mut runs.standby) {
            standby.engine.close_day(run);
        }
        if let (Some(shadow), Some(run)) = (&mut self.shadow, &mut runs.shadow) {
            shadow.seated.engine.close_day(run);
            shadow.comparison.sessions += 1;
        }
        self.tell_orders();
        let snapshot = self.snapshot(&runs, last);
        self.post.tell(Report::Snapshot(Box::new(snapshot)));
        // What has ended is in the journal; a session may last for months.
        self.active.engine.forget_ended();
        let beside = self.standby.as_mut().into_iter().chain(self.shadow.as_mut().map(|s| &mut s.seated));
        beside.for_each(|seated| seated.engine.forget_ended());
        self.carried = runs.armed.map(Armed::for_another_day);
    }

    fn tell_day(&mut self, number: usize, source: &SourceDay) {
        if number == 0 || source.rolls() {
            self.boundary(Boundary::Roll);
        }
        self.boundary(Boundary::TradingDay);
    }

    /// Tells the features of every seat a border.
    fn boundary(&mut self, kind: Boundary) {
        if let Some(lineup) = &mut self.active.mind.lineup
            && let Err(error) = lineup.boundary(kind)
        {
            self.active_failed(error.into());
        }
        if let Some(standby) = &mut self.standby
            && let Some(lineup) = &mut standby.mind.lineup
            && let Err(error) = lineup.boundary(kind)
        {
            self.standby_failed(error.into());
        }
        if let Some(shadow) = &mut self.shadow
            && let Some(lineup) = &mut shadow.seated.mind.lineup
            && let Err(error) = lineup.boundary(kind)
        {
            self.shadow_failed(error.into());
        }
    }

    /// One tick: the active lineup answers, then those beside it.
    fn tick(&mut self, runs: &mut Runs<'_>, view: &TickView<'_>, row: usize) {
        self.seq += 1;
        let seq = self.seq;
        let answered = self.active.answer(&mut runs.active, view, row, &mut self.active_actions);
        self.post.signal.handled(seq);
        let is_deciding = self.active.mind.lineup.is_some();
        match answered.err().or_else(|| if is_deciding { bust(&self.active) } else { None }) {
            Some(fault) => self.active_failed(fault),
            None => self.watch_errors(),
        }
        if let Some(proof) = &mut self.proof
            && proof.tick(&self.active)
        {
            let channels = proof.channels(&self.active, view.ts_ns[row]);
            self.proof = None;
            self.post.tell(Report::Proved(channels));
        }
        if let (Some(standby), Some(run)) = (&mut self.standby, &mut runs.standby) {
            let failed = standby.answer(run, view, row, &mut self.other_actions).err();
            if let Some(fault) = failed.or_else(|| bust(standby)) {
                self.standby_failed(fault);
            } else {
                // Told again and again: it is not heeded while an operation wants the standby.
                let warm_ticks = seq.saturating_sub(self.standby_since);
                let limit = self.rules.standby_ticks;
                if warm_ticks >= limit && warm_ticks.is_multiple_of(limit.clamp(1, 1_000)) {
                    self.post.tell(Report::StandbyExpired);
                }
            }
        }
        if let (Some(shadow), Some(run)) = (&mut self.shadow, &mut runs.shadow) {
            let failed = shadow.seated.answer(run, view, row, &mut self.other_actions).err();
            if let Some(fault) = failed.or_else(|| bust(&shadow.seated)) {
                self.shadow_failed(fault);
            } else if let (Some(active), Some(beside)) = (&self.active.mind.lineup, &shadow.seated.mind.lineup) {
                let active = Side {
                    outputs: active.outputs(),
                    actions: &self.active_actions,
                    wanted_lots: self.active.engine.wanted_lots(),
                };
                let beside = Side {
                    outputs: beside.outputs(),
                    actions: &self.other_actions,
                    wanted_lots: shadow.seated.engine.wanted_lots(),
                };
                shadow.comparison.tick(seq, &active, &beside);
            }
        }
    }

    fn watch_errors(&mut self) {
        let limit = self.rules.max_consecutive_errors;
        let degraded = self.active.mind.tally.errors_in_row > limit;
        if degraded != self.degraded {
            self.degraded = degraded;
            self.post.tell(Report::Degraded(degraded));
        }
    }

    fn active_failed(&mut self, fault: Fault) {
        self.proof = None;
        self.active.mind.tally.faults += 1;
        let token = self.active.mind.token;
        if let Some(lineup) = self.active.mind.lineup.take() {
            self.post.tell(Report::Waste(Waste::Lineup(Box::new(lineup))));
        }
        self.post.tell(Report::Faulted { token, seq: self.seq, fault });
    }

    fn standby_failed(&mut self, fault: Fault) {
        if let Some(standby) = self.standby.take() {
            let token = standby.mind.token;
            self.waste(standby);
            self.post.tell(Report::Faulted { token, seq: self.seq, fault });
        }
    }

    fn shadow_failed(&mut self, fault: Fault) {
        if let Some(shadow) = self.shadow.take() {
            let token = shadow.seated.mind.token;
            self.waste(shadow.seated);
            self.post.tell(Report::Faulted { token, seq: self.seq, fault });
        }
    }

    /// Sends what closes a halted account's position, once nothing works any more; again if the market refused it.
    fn close_position(&mut self, runs: &mut Runs<'_>, row: usize) {
        if !self.flattening || self.active.engine.working_orders() > 0 {
            return;
        }
        if self.active.engine.lots() == PositionView::default() {
            self.flattening = false;
        } else if self.active.engine.flatten(&runs.active, row).is_err() {
            // A target of the host's own breaks no contract.
            self.flattening = false;
        }
    }

    /// Fills seats between two ticks: feeds what was missed before row `next`, copies the account.
    pub(super) fn seat_incoming(&mut self, runs: &mut Runs<'_>, next: usize) {
        for incoming in std::mem::take(&mut self.incoming) {
            let (prepared, as_shadow) = match incoming {
                Incoming::Shadow(prepared) => (prepared, true),
                Incoming::Active(prepared) => (prepared, false),
            };
            let mut prepared = prepared;
            let token = prepared.token;
            let days: &[NumberedDay] = self.history.make_contiguous();
            if let Err(error) = prepared.warm.feed(days, (runs.number, next), self.rules.ring_rows) {
                if as_shadow {
                    // Whoever sat there has been given up for this one.
                    runs.shadow = None;
                    if let Some(former) = self.shadow.take() {
                        self.waste(former.seated);
                    }
                }
                self.post.tell(Report::Waste(Waste::Prepared(prepared)));
                self.post.tell(Report::InstallFailed { token, fault: error.into() });
                continue;
            }
            let warmed = prepared.warm.finish();
            if as_shadow {
                self.seat_shadow(runs, token, warmed, next.saturating_sub(1));
            } else {
                let rows = warmed.rows;
                let generation = self.active.engine.desk().generation();
                self.active.engine.take_over(generation, &warmed.told, &warmed.wakes_ns);
                self.flattening = false;
                if let Some(shadow) = &mut self.shadow {
                    let names = shadow.seated.mind.lineup.as_ref().map(|l| l.names().to_vec()).unwrap_or_default();
                    shadow.comparison = Comparison::new(warmed.lineup.names(), &names);
                }
                self.active.mind.token = token;
                self.active.mind.lineup = Some(warmed.lineup);
                self.active.mind.tally.errors_in_row = 0;
                self.post.tell(Report::Reseated { seq: self.seq, warmed_rows: rows });
            }
        }
    }

    fn seat_shadow(&mut self, runs: &mut Runs<'_>, token: u64, warmed: Warmed, row: usize) {
        let (mut engine, run) = copy(&self.active.engine, &runs.active, false);
        engine.take_over(0, &warmed.told, &warmed.wakes_ns);
        let active_from_cny = self.active.engine.equity_cny(&runs.active, row);
        let active_names = self.active.mind.lineup.as_ref().map(|l| l.names().to_vec()).unwrap_or_default();
        let comparison = Comparison::new(&active_names, warmed.lineup.names());
        let tally = Tally::new(engine.equity_cny(&run, row), engine.fills());
        let mind = Mind { token, lineup: Some(warmed.lineup), tally };
        let shadow = Shadow { seated: Seated { mind, engine }, comparison, active_from_cny };
        if let Some(former) = self.shadow.replace(shadow) {
            self.waste(former.seated);
        }
        runs.shadow = Some(run);
        self.post.tell(Report::Installed { token, seq: self.seq, warmed_rows: warmed.rows });
    }

    /// Copies the account for the outgoing lineup where the next tick is the one that the armed swap waits for.
    pub(super) fn copy_if_due<'a>(&self, runs: &mut Runs<'a>) {
        let session_opens = runs.opens;
        let Some(armed) = &mut runs.armed else { return };
        let due = match armed.swap.at {
            At::NextTick => true,
            At::Seq(seq) => self.seq + 1 >= seq,
            At::SessionOpen => session_opens,
        };
        if due && armed.copy.is_none() {
            armed.copy = Some(copy(&self.active.engine, &runs.active, true));
        } else if !due {
            armed.copy = None;
        }
    }
}

fn copy<'a>(engine: &Engine, run: &DayRun<'a>, orders: bool) -> (Engine, DayRun<'a>) {
    let copy = engine.fork(orders);
    let run = copy.fork_day(run);
    (copy, run)
}

/// An account without money answers no more.
fn bust(seated: &Seated) -> Option<Fault> {
    seated.engine.record().bust.then(|| Fault {
        problem: Problem::new(
            "account_bust",
            ghtrader_core::ErrorClass::Plugin,
            "the lineup's own simulated account has nothing left",
            "look at its fills; this lineup loses everything",
        ),
    })
}
