//! The same account asked row by row, as a live lineup needs it: taken over, copied, emptied.

use super::{DayRun, Engine};
use crate::BacktestError;
use crate::record::Record;
use ghtrader_exchange::Matching;
use ghtrader_kernels::wire::{Action, Event};
use ghtrader_runtime::{Desk, Intent, PositionView};

impl Engine {
    /// Takes what happened up to `row`, which the strategy sees next, into account and [`Self::events`].
    ///
    /// Rows come in order, each once, each followed by [`Self::decided`].
    pub fn arrive(&mut self, run: &mut DayRun<'_>, row: usize) {
        if row > 0 && !self.record.bust && !self.matching.is_idle() {
            self.matching.advance(run.day.prepared, row, row + 1, &mut self.news);
            self.take_news(run, row);
        }
        self.host_events(run, row);
    }

    /// What the strategy is told before it sees the row that has arrived.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Carries out what the strategy decided on `row`.
    ///
    /// # Errors
    /// The strategy broke the contract; what came before that action has been carried out.
    pub fn decided(&mut self, run: &mut DayRun<'_>, row: usize, actions: &[Action]) -> Result<(), BacktestError> {
        self.events.clear();
        self.mark(run, row + 1);
        if self.record.bust {
            return Ok(());
        }
        actions.iter().try_for_each(|action| self.act(run, row, action))
    }

    /// Hands the account to another instance, whose orders count under `generation`.
    ///
    /// Orders under way stay the host's: their news is booked and told to nobody. `told` comes before the new instance's
    /// first row, with what the host still has to say about the market; at `wakes_ns` it wants to be woken.
    pub fn take_over(&mut self, generation: u64, told: &[Event], wakes_ns: &[i64]) {
        self.desk.take_over(generation);
        self.wakes_ns = wakes_ns.to_vec();
        self.events.retain(is_of_the_market);
        self.events.extend(told.iter().filter(|event| !is_of_the_market(event)));
    }

    /// A copy of this account at this row, for a lineup that runs beside: what it does happens to the copy alone.
    ///
    /// Without `orders`, nothing works in the copy and its instance comes as if by [`Self::take_over`].
    pub fn fork(&self, orders: bool) -> Self {
        let first = if orders { self.desk.first_working() } else { None }.unwrap_or(self.desk.next_id());
        let before = first.saturating_sub(1);
        let kept = before.saturating_sub(self.record.orders_before) as usize;
        let record = Record {
            orders: self.record.orders.get(kept..).unwrap_or_default().to_vec(),
            orders_before: before,
            ..Record::default()
        };
        let mut copy = Self {
            settings: self.settings.clone(),
            matching: self.matching.clone(),
            checkpoint: Matching::new(self.settings.matching),
            ledger: self.ledger.clone(),
            desk: self.desk.clone(),
            record,
            rng: self.rng.clone(),
            sent: self.sent,
            contract: self.contract.clone(),
            events: self.events.clone(),
            news: Vec::new(),
            intents: Vec::new(),
            actions: Vec::new(),
            wakes_ns: self.wakes_ns.clone(),
            warmup_rows: self.warmup_rows,
            last_mark_cny: self.last_mark_cny,
            peak_cny: self.peak_cny,
            day_equity_cny: self.day_equity_cny,
            next_point_ns: self.next_point_ns,
            answering: self.answering,
            ahead: self.ahead,
        };
        if !orders {
            copy.matching = Matching::new(copy.settings.matching);
            for id in copy.desk.clear() {
                copy.ledger.order_ended(id);
            }
            copy.take_over(copy.desk.generation(), &[], &[]);
        }
        copy
    }

    /// The day of a copy made at a row of it.
    pub fn fork_day<'a>(&self, run: &DayRun<'a>) -> DayRun<'a> {
        let from = run.unmarked.saturating_sub(1);
        let exposed_from = run.exposed_from.map(|_| from);
        DayRun { fills_before: self.record.fills.len(), counted_from: from, exposed_from, ..run.clone() }
    }

    /// What an instance takes along when it leaves this account: news it has not heard, the end of every order that
    /// works, and the times at which it wants to be woken.
    pub fn handover(&self) -> (Vec<Event>, Vec<i64>) {
        let unheard = self.events.iter().filter(|e| !is_of_the_market(e) && !matches!(e, Event::Woke { .. })).copied();
        let ended = self.desk.own_working();
        let ended = ended.map(|(client_id, remaining_lots)| Event::Cancelled { client_id, remaining_lots });
        (unheard.chain(ended).collect(), self.wakes_ns.clone())
    }

    /// Forgets the orders, fills and points of days that are over, but for what still works.
    pub fn forget_ended(&mut self) {
        let before = self.desk.first_working().unwrap_or(self.desk.next_id()).saturating_sub(1);
        let ended = before.saturating_sub(self.record.orders_before) as usize;
        self.record.orders.drain(..ended.min(self.record.orders.len()));
        self.record.orders_before = before;
        self.record.fills_before += self.record.fills.len();
        self.record.fills.clear();
        self.record.taker_books.clear();
        self.record.equity.clear();
        self.record.messages_ts_ns.clear();
        self.record.days.clear();
    }

    /// Sends a cancel for every working order, whoever asked for it.
    pub fn cancel_all(&mut self, run: &DayRun<'_>, row: usize) {
        let ids: Vec<u64> = self.desk.working_ids().collect();
        for id in ids {
            self.carry_out(run, row, Intent::Cancel { id });
        }
    }

    /// Cancels every working order and sends what closes the position, as orders of the host's own.
    ///
    /// # Errors
    /// None of the strategy's; see [`Self::decided`].
    pub fn flatten(&mut self, run: &DayRun<'_>, row: usize) -> Result<(), BacktestError> {
        self.cancel_all(run, row);
        let before = self.record.orders.len();
        let done = self.act(run, row, &Action::Target { contract: self.desk.contract(), lots: 0 });
        self.record.orders.iter_mut().skip(before).for_each(|order| order.generation = 0);
        done
    }

    /// Fills of the account so far, those that were forgotten among them.
    pub fn fills(&self) -> usize {
        self.record.fills_before + self.record.fills.len()
    }

    /// What the account has recorded so far.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Lots of the current contract.
    pub fn lots(&self) -> PositionView {
        self.position()
    }

    /// Orders that may still fill.
    pub fn working_orders(&self) -> usize {
        self.desk.working_orders()
    }

    /// Net position if all that works fills, lots: where the strategy wants to be.
    pub fn wanted_lots(&self) -> i64 {
        self.position().net_lots() + self.desk.working_lots()
    }

    /// Equity at the mark of a row, CNY.
    pub fn equity_cny(&self, run: &DayRun<'_>, row: usize) -> f64 {
        if row < run.marks.cny.len() { self.ledger.equity_cny(run.mark_cny(row)) } else { self.day_equity_cny }
    }

    /// The order desk.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }
}

/// An event that the host tells whoever sits there, and not of an order or a wish of one instance.
fn is_of_the_market(event: &Event) -> bool {
    matches!(event, Event::Boundary(_) | Event::Gap | Event::ContractChanged { .. })
}
