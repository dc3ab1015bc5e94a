//! A fresh lineup that is fed with rows it has missed; nothing it asks for is sent.

use crate::source::SourceDay;
use ghtrader_core::{BorderKind, day_borders};
use ghtrader_kernels::wire::{Action, Boundary, Event, RejectReason};
use ghtrader_plugin::AccountView;
use ghtrader_runtime::{Lineup, RuntimeError};
use std::sync::Arc;

/// A lineup on its way to the present.
pub(crate) struct Warm {
    lineup: Lineup,
    /// Number of the day, in the service's count, and rows of it that were handled.
    place: Option<(usize, usize)>,
    /// The day whose beginning it was told last.
    begun: Option<usize>,
    events: Vec<Event>,
    wakes_ns: Vec<i64>,
    actions: Vec<Action>,
    account: AccountView,
    rows: u64,
}

/// A lineup that has seen every row up to a place.
pub(crate) struct Warmed {
    pub(crate) lineup: Lineup,
    /// What it has still to be told.
    pub(crate) told: Vec<Event>,
    /// When it wants to be woken.
    pub(crate) wakes_ns: Vec<i64>,
    /// Rows that it has seen.
    pub(crate) rows: u64,
}

/// A day of the service with its number.
pub(crate) type NumberedDay = (usize, Arc<SourceDay>);

impl Warm {
    /// A lineup that has seen nothing; `balance_cny` is what its account shows in the warm-up.
    pub(crate) fn new(lineup: Lineup, balance_cny: f64) -> Self {
        let account = AccountView { balance_cny, available_cny: balance_cny, ..AccountView::default() };
        let (events, wakes_ns, actions) = (Vec::new(), Vec::new(), Vec::new());
        Self { lineup, place: None, begun: None, events, wakes_ns, actions, account, rows: 0 }
    }

    /// Rows that it has seen.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Feeds it up to a day and a row of it, from where it is, or from `back` rows before there if it has seen none. Up to a
    /// day's row 0 it is told that the day begins.
    ///
    /// Rows of an earlier contract are left out: a roll makes every plugin forget.
    ///
    /// # Errors
    /// The fault of a plugin; the lineup is of no more use.
    pub(crate) fn feed(&mut self, days: &[NumberedDay], to: (usize, usize), back: usize) -> Result<(), RuntimeError> {
        let (first, mut row) = self.place.unwrap_or_else(|| start(days, to, back));
        for (number, day) in days.iter().filter(|(n, _)| (first..=to.0).contains(n)) {
            let end = if *number == to.0 { to.1 } else { day.view().rows() };
            self.feed_day(*number, day, row, end)?;
            self.place = Some((*number, end));
            row = 0;
        }
        Ok(())
    }

    fn feed_day(&mut self, number: usize, day: &SourceDay, from: usize, to: usize) -> Result<(), RuntimeError> {
        let view = day.view();
        let fresh = self.place.is_none();
        let begins = from == 0 && self.begun != Some(number);
        if fresh || (begins && day.rolls()) {
            self.lineup.boundary(Boundary::Roll)?;
        }
        if begins {
            self.begun = Some(number);
            self.lineup.boundary(Boundary::TradingDay)?;
            if !fresh {
                let kind = if day.rolls() { Boundary::Roll } else { Boundary::TradingDay };
                self.events.push(Event::Boundary(kind));
                if day.rolls() {
                    self.account.contract += 1;
                    self.events.push(Event::ContractChanged { contract: self.account.contract });
                }
            }
        }
        let borders = day_borders(view.ts_ns, day.windows());
        let mut next = borders.partition_point(|b| b.row < from);
        for row in from..to {
            while let Some(border) = borders.get(next).filter(|b| b.row <= row) {
                next += 1;
                let (kind, event) = border_of(border.kind);
                if border.row == row {
                    self.lineup.boundary(kind)?;
                    self.events.push(event);
                }
            }
            let (ts_ns, events) = (view.ts_ns[row], &mut self.events);
            self.wakes_ns.retain(|wake| {
                if *wake <= ts_ns {
                    events.push(Event::Woke { ts_ns: *wake });
                }
                *wake > ts_ns
            });
            self.lineup.tick(&view, row, &self.account, &self.events, &mut self.actions)?;
            self.events.clear();
            for action in &self.actions {
                match action {
                    Action::Place(order) => {
                        let (client_id, reason) = (order.client_id, RejectReason::MarketClosed);
                        self.events.push(Event::Rejected { client_id, reason });
                    }
                    Action::WakeAt { ts_ns } => self.wakes_ns.push(*ts_ns),
                    Action::Cancel { .. } | Action::Target { .. } => {}
                }
            }
        }
        self.rows += to.saturating_sub(from) as u64;
        Ok(())
    }

    /// It has seen as many rows as it needs to mean anything.
    pub(crate) fn is_warm(&self) -> bool {
        self.rows >= self.lineup.warmup_rows() as u64
    }

    /// Ends the warm-up.
    pub(crate) fn finish(self) -> Warmed {
        Warmed { lineup: self.lineup, told: self.events, wakes_ns: self.wakes_ns, rows: self.rows }
    }
}

/// What a border is to features, and what it is to strategies.
pub(crate) fn border_of(kind: BorderKind) -> (Boundary, Event) {
    match kind {
        BorderKind::Session => (Boundary::Session, Event::Boundary(Boundary::Session)),
        BorderKind::Gap => (Boundary::Gap, Event::Gap),
    }
}

/// Day and row `back` rows before a place, of the same contract, as far as there are days.
fn start(days: &[NumberedDay], to: (usize, usize), back: usize) -> (usize, usize) {
    let mut missing = back;
    let mut place = to;
    for (number, day) in days.iter().rev().filter(|(n, _)| *n <= to.0) {
        let rows = if *number == to.0 { to.1 } else { day.view().rows() };
        place = (*number, rows.saturating_sub(missing));
        missing = missing.saturating_sub(rows);
        if missing == 0 || day.rolls() {
            break;
        }
    }
    place
}
