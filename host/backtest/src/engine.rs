//! The event loop: rows in, decisions out, orders through the simulated exchange, one account a fill model.
//!
//! A strategy runs ahead until it acts, and the exchange must not know of an action before its row. So while orders
//! work, the exchange first matches ahead to the next row with news; the strategy then runs up to that row; if it acts
//! earlier, the exchange is put back and matched again up to the action. Both sides are deterministic, so the outcome
//! is that of row by row, whatever the blocks.

mod ahead;
mod live;
mod pass;
mod roll;
mod timeline;

pub use pass::{Seat, run_day, run_day_cut};
pub use timeline::Timeline;

use crate::account::{Fill, Ledger, exchange_offset, exchange_side, exchange_tif, wire_reason, wire_side};
use crate::latency::LatencySpec;
use crate::record::{EquityPoint, FillRecord, MARKOUT_ROWS, OrderEnd, OrderRecord, Record, TakerBooks};
use crate::spec::{BeyondBookName, FillModelName, MarkName, RollSpec, RunSpec, TakerBookName};
use crate::{BacktestError, record::DayRecord};
use ahead::{AHEAD, Ahead, Answering, Looked, Told};
use ghtrader_core::{Column, ContractSpec, SessionWindow, TickView, TradingDay};
use ghtrader_exchange::{BeyondBook, MatchConfig, MatchEvent, Matching, NewOrder, PreparedDay, TakerBook};
use ghtrader_kernels::wire::{Action, Boundary, Event, Offset, RejectReason, Side};
use ghtrader_plugin::AccountView;
use ghtrader_runtime::{DayColumns, Desk, DeskLimits, ExchangeNews, Intent, OrderIntent, PositionView, StrategyRunner};
use ghtrader_stats::Rng;
use std::ops::Range;
use timeline::{Marks, STRETCH_ROWS, Times};

/// One trading day as every strategy and fill model sees it; prepared once, shared read-only.
pub struct Day<'a> {
    /// The day.
    pub trading_day: TradingDay,
    /// Name of the contract.
    pub contract: &'a str,
    /// Price tick and multiplier.
    pub instrument: &'a ContractSpec,
    /// The continuous rows of `main_l5`.
    pub view: TickView<'a>,
    /// Features and scores of the same rows.
    pub columns: &'a DayColumns,
    /// Windows of continuous trading.
    pub windows: &'a [SessionWindow],
    /// The same rows as the exchange reads them.
    pub prepared: &'a PreparedDay,
    /// Rows before this one are replayed without orders.
    pub tradable_from: usize,
    /// Continuous rows of the contract before, where this day follows a roll.
    pub old_contract: Option<OldContract<'a>>,
    /// What follows from the rows alone, worked out when it is first needed.
    pub timeline: &'a Timeline,
}

/// The contract that was main until the day before.
pub struct OldContract<'a> {
    /// Its rows of this day, of which those of continuous trading count; none if there is no recording.
    pub view: Option<TickView<'a>>,
    /// Price tick and multiplier.
    pub instrument: &'a ContractSpec,
    /// Its last traded price of the day before, CNY.
    pub last_price_cny: f64,
}

/// What all days of a run have in common.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// The fill model and its parameters.
    pub matching: MatchConfig,
    /// Delays.
    pub latency: LatencySpec,
    /// Limits on orders.
    pub limits: DeskLimits,
    /// What happens at a change of contract.
    pub roll: RollSpec,
    /// How an open position is valued.
    pub mark: MarkName,
    /// Rows a block.
    pub block_rows: usize,
    /// Seed of drawn delays.
    pub seed: u64,
}

impl EngineSettings {
    /// The settings of a specification for one of its fill models.
    pub fn of(spec: &RunSpec, model: FillModelName, block_rows: usize) -> Self {
        Self {
            matching: MatchConfig {
                model: model.model(),
                central_power: spec.fills.central_power,
                taker_book: match spec.fills.taker_book {
                    TakerBookName::K => TakerBook::K,
                    TakerBookName::KPlus1 => TakerBook::KPlusOne,
                    TakerBookName::Both => TakerBook::Both,
                },
                beyond_book: match spec.fills.beyond_book {
                    BeyondBookName::Reject => BeyondBook::Reject,
                    BeyondBookName::Penalty => BeyondBook::Penalty { ticks: spec.fills.beyond_book_penalty_ticks },
                },
            },
            latency: spec.latency.clone(),
            limits: DeskLimits {
                max_abs_position_lots: spec.risk.max_abs_position,
                max_order_lots: spec.risk.max_order_lots,
            },
            roll: spec.roll.clone(),
            mark: spec.account.mark,
            block_rows,
            seed: spec.seed,
        }
    }
}

const NS_PER_US: i64 = 1_000;
const NS_PER_MINUTE: i64 = 60_000_000_000;

/// One account under one fill model: the exchange, the ledger and the order desk, and what they have recorded.
///
/// A strategy is run over whole days by [`run_day`], in blocks; a live one is asked row by row between
/// [`Self::arrive`] and [`Self::decided`]. Both give the same orders and fills.
#[derive(Clone)]
pub struct Engine {
    settings: EngineSettings,
    matching: Matching,
    checkpoint: Matching,
    ledger: Ledger,
    desk: Desk,
    record: Record,
    rng: Rng,
    sent: Sent,
    contract: Option<String>,
    events: Vec<Event>,
    news: Vec<MatchEvent>,
    intents: Vec<Intent>,
    actions: Vec<Action>,
    wakes_ns: Vec<i64>,
    /// Rows that the strategy has still to see before it may act; none before its first day.
    warmup_rows: Option<usize>,
    /// Mark of the current contract when its last day ended; NaN before its first.
    last_mark_cny: f64,
    peak_cny: f64,
    day_equity_cny: f64,
    next_point_ns: i64,
    ahead: Ahead,
    answering: Answering,
}

/// Messages sent so far, for delays that are walked in their order.
#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    orders: usize,
    cancels: usize,
}

/// What changes from row to row while a day is run.
#[derive(Clone)]
pub struct DayRun<'a> {
    day: &'a Day<'a>,
    marks: &'a Marks,
    /// Mark of the rows before the day's first price: the last one of the day before, if that is known.
    mark_before_cny: f64,
    times: &'a Times,
    /// First of the day's borders that has not been told.
    next_border: usize,
    /// Rows before this one send nothing.
    tradable_from: usize,
    /// Middle of the best quotes, row by row, CNY; NaN with a side empty.
    mids_cny: &'a [f64],
    /// First row whose equity has not been looked at.
    unmarked: usize,
    /// The row from which session time counts, and the one since which there is a position.
    counted_from: usize,
    exposed_from: Option<usize>,
    fills_before: usize,
    fees_before_cny: f64,
}

impl DayRun<'_> {
    /// Value of a unit of position at a row, CNY.
    fn mark_cny(&self, row: usize) -> f64 {
        let known = row >= self.marks.first || self.mark_before_cny.is_nan();
        if known { self.marks.cny[row] } else { self.mark_before_cny }
    }
}

impl Engine {
    /// An engine before its first day.
    pub fn new(settings: EngineSettings, ledger: Ledger) -> Self {
        let matching = Matching::new(settings.matching);
        let initial_cny = ledger.initial_cny();
        Self {
            checkpoint: matching.clone(),
            matching,
            ledger,
            desk: Desk::new(settings.limits, f64::NAN),
            record: Record::default(),
            rng: Rng::new(settings.seed),
            sent: Sent::default(),
            contract: None,
            events: Vec::new(),
            news: Vec::new(),
            intents: Vec::new(),
            actions: Vec::new(),
            wakes_ns: Vec::new(),
            warmup_rows: None,
            last_mark_cny: f64::NAN,
            peak_cny: initial_cny,
            day_equity_cny: initial_cny,
            next_point_ns: i64::MIN,
            ahead: AHEAD,
            answering: Answering::default(),
            settings,
        }
    }

    /// Begins a day that has rows: its contract, what is held over a roll, its borders.
    ///
    /// `warmup_rows` are those that a strategy has to see before it may act; they count from the engine's first day.
    ///
    /// # Errors
    /// A position over a roll under the policy `ignore`; a contract without fees.
    pub fn open_day<'a>(&mut self, day: &'a Day<'a>, warmup_rows: usize) -> Result<DayRun<'a>, BacktestError> {
        let rows = day.view.rows();
        self.begin_contract(day)?;
        self.matching.start_day();
        let due = self.warmup_rows.unwrap_or(warmup_rows);
        let warmup_rows = due.min(rows);
        self.warmup_rows = Some(due - warmup_rows);
        if warmup_rows > day.tradable_from {
            *self.record.warnings.entry("warmup_short").or_default() += (warmup_rows - day.tradable_from) as u64;
        }
        let mut run = DayRun {
            day,
            marks: day.timeline.marks(day, self.settings.mark),
            mark_before_cny: self.last_mark_cny,
            times: day.timeline.times(day),
            mids_cny: day.timeline.mids_cny(day),
            next_border: 0,
            tradable_from: day.tradable_from.max(warmup_rows),
            unmarked: 0,
            counted_from: 0,
            exposed_from: None,
            fills_before: self.record.fills.len(),
            fees_before_cny: self.ledger.fees_cny(),
        };
        self.roll_position(&mut run)?;
        Ok(run)
    }

    /// Ends a day whose every row was handled: what was sent on the last row still meets its book, day orders expire,
    /// the account is settled.
    pub fn close_day(&mut self, run: &mut DayRun<'_>) {
        if !self.record.bust {
            let rows = run.day.view.rows();
            self.matching.advance(run.day.prepared, rows, rows, &mut self.news);
            self.take_news(run, rows);
        }
        self.end_day(run);
    }

    /// The record after the last day.
    pub fn finish(mut self) -> Record {
        let met = self.matching.warnings();
        for (name, count) in [("unseen", met.unseen), ("beyond_book", met.beyond_book)] {
            if count > 0 {
                *self.record.warnings.entry(name).or_default() += count;
            }
        }
        if self.desk.rejected_by_risk() > 0 {
            self.record.warnings.insert("risk_rejects", self.desk.rejected_by_risk());
        }
        // Delays differ: a later message may arrive first.
        self.record.messages_ts_ns.sort_unstable();
        self.record
    }

    /// Runs a block from `row` on; every row up to it has been matched.
    ///
    /// Ends at the row at which nothing is left of the account.
    fn run_block(
        &mut self,
        run: &mut DayRun<'_>,
        runner: &mut StrategyRunner,
        words: &[u64],
        block: Range<usize>,
        mut row: usize,
    ) -> Result<usize, BacktestError> {
        let Range { start, end } = block;
        let mut next = Some(words);
        let day = run.day;
        let rows = day.view.rows();
        while row < end {
            self.host_events(run, row);
            let limit = self.next_host_row(run, row).min(end);
            let Looked { matched, until } = self.look_ahead(day, row, limit);
            let view = self.account_view();
            let (block_row, block_until) = ((row - start) as u32, (until - start) as u32);
            let at = runner
                .run(next.take(), block_row..block_until, &view, &self.events, &mut self.actions)
                .map_err(|e| BacktestError::at(e, day.view.ts_ns[row], row))?;
            let at = start + at as usize;
            let acted = at < until;
            self.events.clear();
            self.answering.learn(acted && at == row);
            self.mark(run, if acted { at + 1 } else { until });
            let undo = acted && at < matched || self.record.bust;
            if undo && matched > row {
                // What was matched behind that row has not happened.
                self.news.clear();
                std::mem::swap(&mut self.matching, &mut self.checkpoint);
            }
            if self.record.bust {
                return Ok(run.unmarked);
            }
            if acted {
                if undo && at > row {
                    self.matching.advance(day.prepared, row + 1, at + 1, &mut self.news);
                }
                let actions = std::mem::take(&mut self.actions);
                for action in &actions {
                    self.act(run, at, action)?;
                }
                self.actions = actions;
                // As far as it took this time: further would mostly be matched for nothing, shorter asked for nothing.
                self.ahead = Ahead { rows: (at + 1 - row).max(AHEAD.rows), ..AHEAD };
                row = at + 1;
            } else {
                let Ahead { rows, moves } = self.ahead;
                self.ahead = Ahead { rows: (rows * 2).min(self.settings.block_rows), moves: (moves * 2).min(rows * 2) };
                row = until;
            }
            if row < rows && (acted || row > matched) {
                self.matching.advance(day.prepared, row, row + 1, &mut self.news);
            }
            self.answering.next = Told::of(acted, &self.news);
            self.take_news(run, row);
        }
        Ok(row)
    }

    /// Adds what the host tells the strategy before it sees `row`.
    fn host_events(&mut self, run: &mut DayRun<'_>, row: usize) {
        while let Some((_, event)) = run.times.borders.get(run.next_border).filter(|(at, _)| *at <= row) {
            self.events.push(*event);
            run.next_border += 1;
        }
        if self.wakes_ns.is_empty() {
            return;
        }
        let ts_ns = run.day.view.ts_ns[row];
        let events = &mut self.events;
        self.wakes_ns.retain(|wake| {
            if *wake <= ts_ns {
                events.push(Event::Woke { ts_ns: *wake });
            }
            *wake > ts_ns
        });
    }

    /// The first row behind `row`, whose events are told, before which the host has something to say; the number of rows
    /// if there is none.
    fn next_host_row(&self, run: &DayRun<'_>, row: usize) -> usize {
        let ts = run.day.view.ts_ns;
        let border = run.times.borders.get(run.next_border).map_or(ts.len(), |(at, _)| *at);
        let wake = self.wakes_ns.iter().min().map_or(ts.len(), |wake| ts.partition_point(|t| t < wake).max(row + 1));
        border.min(wake)
    }

    fn position(&self) -> PositionView {
        self.ledger.position()
    }

    /// The account as the strategy sees it.
    pub fn account_view(&self) -> AccountView {
        let position = self.position();
        AccountView {
            contract: self.desk.contract(),
            long_lots: position.long_lots,
            short_lots: position.short_lots,
            balance_cny: self.ledger.balance_cny(),
            available_cny: self.ledger.available_cny(),
            working_orders: self.desk.working_orders() as u32,
        }
    }

    /// Carries out one action decided on row `at`.
    fn act(&mut self, run: &DayRun<'_>, at: usize, action: &Action) -> Result<(), BacktestError> {
        let day = run.day;
        if at < run.tradable_from {
            match action {
                Action::Place(order) => self.refuse(order.client_id, RejectReason::MarketClosed),
                Action::WakeAt { ts_ns } => self.wakes_ns.push(*ts_ns),
                Action::Cancel { .. } | Action::Target { .. } => {}
            }
            return Ok(());
        }
        let position = self.position();
        let mut intents = std::mem::take(&mut self.intents);
        let heard = self.events.len();
        let acted = self.desk.act(action, position, &mut intents, &mut self.events);
        for event in &self.events[heard..] {
            if let Event::Rejected { reason, .. } = event {
                *self.record.refused.entry(reason.name()).or_default() += 1;
            }
        }
        for intent in intents.drain(..) {
            self.carry_out(run, at, intent);
        }
        self.intents = intents;
        acted.map_err(|e| BacktestError::at(e, day.view.ts_ns[at], at))
    }

    fn carry_out(&mut self, run: &DayRun<'_>, at: usize, intent: Intent) {
        match intent {
            Intent::Submit(order) => self.submit(run, at, &order),
            Intent::Cancel { id } => {
                let us = self.settings.latency.cancel.draw_us(&mut self.rng, &mut self.sent.cancels);
                let arrival_ns = self.arrival_ns(run.day.prepared.ts_ns(at), us);
                self.record.messages_ts_ns.push(arrival_ns);
                self.matching.cancel(id, arrival_ns);
            }
            Intent::WakeAt { ts_ns } => self.wakes_ns.push(ts_ns),
        }
    }

    /// Tells the strategy that an order never left.
    fn refuse(&mut self, client_id: u64, reason: RejectReason) {
        *self.record.refused.entry(reason.name()).or_default() += 1;
        self.events.push(Event::Rejected { client_id, reason });
    }

    fn submit(&mut self, run: &DayRun<'_>, at: usize, order: &OrderIntent) {
        let day = run.day;
        let decided_ts_ns = day.prepared.ts_ns(at);
        let us = self.settings.latency.order.draw_us(&mut self.rng, &mut self.sent.orders);
        let arrival_ns = self.arrival_ns(decided_ts_ns, us);
        let limit_cny = order.limit_ticks.map_or(f64::NAN, |t| day.instrument.ticks_to_price(i64::from(t)));
        self.record.messages_ts_ns.push(arrival_ns);
        self.record.orders.push(OrderRecord {
            id: order.id,
            contract: self.desk.contract(),
            generation: self.desk.generation(),
            decided_row: at as u32,
            trading_day: day.trading_day,
            decided_ts_ns,
            arrival_ts_ns: arrival_ns,
            side: order.side,
            offset: order.offset,
            tif: order.tif,
            post_only: order.post_only,
            lots: order.lots,
            limit_cny,
            decided_mid_cny: run.mids_cny[at],
            accepted: false,
            filled_lots: 0,
            end: OrderEnd::Open,
            reason: None,
        });
        let mark_cny = run.mark_cny(at);
        let reference_cny = if limit_cny.is_nan() { mark_cny } else { limit_cny };
        if let Err(reason) = self.ledger.check(order, reference_cny, mark_cny) {
            self.hear(&ExchangeNews::Rejected { id: order.id, reason });
            return;
        }
        self.matching.submit(
            NewOrder {
                id: order.id,
                side: exchange_side(order.side),
                lots: order.lots,
                limit_ticks: order.limit_ticks,
                tif: exchange_tif(order.tif),
                post_only: order.post_only,
                offset: exchange_offset(order.offset),
            },
            at,
            arrival_ns,
        );
    }

    fn arrival_ns(&self, decided_ts_ns: i64, delay_us: i64) -> i64 {
        decided_ts_ns + (self.settings.latency.feed_us as i64 + delay_us) * NS_PER_US
    }

    /// Takes what happened up to row `row`, which the strategy sees next, into account, record and events.
    fn take_news(&mut self, run: &mut DayRun<'_>, row: usize) {
        self.mark(run, row);
        let news = std::mem::take(&mut self.news);
        for event in &news {
            match *event {
                MatchEvent::Accepted { id, .. } => self.hear(&ExchangeNews::Accepted { id }),
                MatchEvent::TakerBooks { id, before, after, .. } => {
                    let tick = run.day.instrument.price_tick;
                    self.record.taker_books.push(TakerBooks::of(id, before, after, tick));
                }
                MatchEvent::Filled { id, side, price_ticks, lots, remaining, maker, row, ts_ns, .. } => {
                    let price_cny = run.day.instrument.ticks_to_price(i64::from(price_ticks));
                    self.fill(run, id, wire_side(side), lots, price_cny, maker, Some(row), ts_ns);
                    self.hear(&ExchangeNews::Filled { id, lots, remaining, price_cny });
                }
                MatchEvent::Cancelled { id, remaining, .. } => {
                    self.record.cancels += 1;
                    self.hear(&ExchangeNews::Cancelled { id, remaining });
                }
                MatchEvent::Rejected { id, reason, .. } => {
                    self.hear(&ExchangeNews::Rejected { id, reason: wire_reason(reason) });
                }
            }
        }
        self.news = news;
        self.news.clear();
    }

    /// Tells record, ledger, desk and strategy about an order.
    fn hear(&mut self, news: &ExchangeNews) {
        let (ExchangeNews::Accepted { id }
        | ExchangeNews::Filled { id, .. }
        | ExchangeNews::Cancelled { id, .. }
        | ExchangeNews::Rejected { id, .. }) = *news;
        if let Some(order) = self.record.order_mut(id) {
            match *news {
                ExchangeNews::Accepted { .. } => order.accepted = true,
                ExchangeNews::Filled { lots, remaining, .. } => {
                    order.accepted = true;
                    order.filled_lots += lots;
                    if remaining == 0 {
                        order.end = OrderEnd::Filled;
                    }
                }
                ExchangeNews::Cancelled { .. } => order.end = OrderEnd::Cancelled,
                ExchangeNews::Rejected { reason, .. } => {
                    order.end = OrderEnd::Rejected;
                    order.reason = Some(reason);
                }
            }
            if order.end != OrderEnd::Open {
                self.ledger.order_ended(id);
            }
        }
        if let Some(event) = self.desk.hear(news) {
            self.events.push(event);
        }
    }

    /// Books a fill at a row of the day; `None` = of another contract, whose later prices are not at hand.
    #[expect(clippy::too_many_arguments, reason = "one fill is these eight facts")]
    fn fill(
        &mut self,
        run: &DayRun<'_>,
        id: u64,
        side: Side,
        lots: u32,
        price_cny: f64,
        maker: bool,
        row: Option<usize>,
        ts_ns: i64,
    ) {
        let order = self.record.order(id);
        let offset = order.map_or(Offset::Auto, |o| o.offset);
        let fee_cny = self.ledger.fill(id, &Fill { side, offset, lots, price_cny, ts_ns });
        let position_lots = self.ledger.position().net_lots();
        let sign = side.sign() as f64;
        let tick = run.day.instrument.price_tick;
        self.record.fills.push(FillRecord {
            order_id: id,
            contract: order.map_or(0, |o| o.contract),
            trading_day: run.day.trading_day,
            ts_ns,
            side,
            lots,
            price_cny,
            fee_cny,
            maker,
            position_lots,
            row: row.map(|row| row as u32),
            markout_ticks: [f64::NAN; MARKOUT_ROWS.len()],
            slippage_ticks: order.map_or(f64::NAN, |o| sign * (price_cny - o.decided_mid_cny) / tick),
        });
        self.record.max_abs_position_lots = self.record.max_abs_position_lots.max(position_lots.unsigned_abs());
        let mark = row.map_or(price_cny, |row| run.mark_cny(row));
        self.point(ts_ns, self.ledger.equity_cny(mark));
    }

    /// Adds a point to the curve; an order that waited for a book fills at its arrival, which may lie before the last point.
    fn point(&mut self, ts_ns: i64, equity_cny: f64) {
        let ts_ns = self.record.equity.last().map_or(ts_ns, |last| ts_ns.max(last.ts_ns));
        self.record.equity.push(EquityPoint { ts_ns, equity_cny });
    }

    /// Looks at the equity of the rows before `to` under the position held.
    fn mark(&mut self, run: &mut DayRun<'_>, to: usize) {
        let rows = run.unmarked..to.min(run.day.view.rows());
        if rows.is_empty() || self.record.bust {
            return;
        }
        let times = run.day.prepared;
        let Range { start: first, end } = rows;
        let line = self.ledger.equity_line();
        let (base_cny, units) = line;
        let mut row = first;
        'stretches: while row < end {
            let stretch = row..end.min((row / STRETCH_ROWS + 1) * STRETCH_ROWS);
            let behind = stretch.end;
            if self.nothing_new(run, stretch.clone(), line) {
                row = behind;
                continue;
            }
            for at in stretch {
                let equity_cny = base_cny + units * run.mark_cny(at);
                if equity_cny > self.peak_cny {
                    self.peak_cny = equity_cny;
                }
                let fall = self.peak_cny - equity_cny;
                if fall > self.record.max_drawdown_cny {
                    self.record.max_drawdown_cny = fall;
                }
                if fall > self.record.max_drawdown_pct * self.peak_cny {
                    self.record.max_drawdown_pct = fall / self.peak_cny;
                }
                let ts_ns = times.ts_ns(at);
                if ts_ns >= self.next_point_ns {
                    self.point(ts_ns, equity_cny);
                    self.next_point_ns = (ts_ns.div_euclid(NS_PER_MINUTE) + 1) * NS_PER_MINUTE;
                }
                row = at + 1;
                if equity_cny <= 0.0 {
                    self.record.bust = true;
                    break 'stretches;
                }
            }
        }
        run.unmarked = row;
        let before = first.saturating_sub(1);
        let exposed = self.position() != PositionView::default();
        match run.exposed_from {
            None if exposed => run.exposed_from = Some(before),
            Some(from) if !exposed => {
                self.record.exposed_ns += run.times.passed_ns(from, before);
                run.exposed_from = None;
            }
            _ => {}
        }
    }

    /// No row of a stretch, or of a part of one, changes a peak, a fall or the account's end, or is due on the curve.
    ///
    /// Equity is a line over the mark, and rounding keeps order: its extremes are those of the marks.
    fn nothing_new(&self, run: &DayRun<'_>, rows: Range<usize>, line: (f64, f64)) -> bool {
        let Range { start, end } = rows;
        if start < run.marks.first || run.day.prepared.ts_ns(end - 1) >= self.next_point_ns {
            return false;
        }
        // What the whole stretch does not change, no part of it does.
        let whole = run.marks.stretch(start).is_some_and(|marks| self.changes_nothing(marks, line));
        whole || self.changes_nothing(run.marks.extremes(rows), line)
    }

    fn changes_nothing(&self, (low, high): (f64, f64), (base_cny, units): (f64, f64)) -> bool {
        let ends = (base_cny + units * low, base_cny + units * high);
        let (least_cny, most_cny) = if ends.0 <= ends.1 { ends } else { (ends.1, ends.0) };
        let fall = self.peak_cny - least_cny;
        most_cny <= self.peak_cny
            && fall <= self.record.max_drawdown_cny
            && fall <= self.record.max_drawdown_pct * self.peak_cny
            && least_cny > 0.0
    }

    /// Makes the day's contract the current one.
    fn begin_contract(&mut self, day: &Day<'_>) -> Result<(), BacktestError> {
        let tick = day.instrument.price_tick;
        match &self.contract {
            None => {
                self.desk.first_contract(tick);
                self.ledger.begin_day(day.contract, day.instrument, day.trading_day)?;
            }
            Some(contract) if contract == day.contract => {
                self.events.push(Event::Boundary(Boundary::TradingDay));
                self.ledger.begin_day(day.contract, day.instrument, day.trading_day)?;
            }
            Some(_) => {
                let contract = self.desk.next_contract(tick);
                self.last_mark_cny = f64::NAN;
                self.events.push(Event::Boundary(Boundary::Roll));
                self.events.push(Event::ContractChanged { contract });
            }
        }
        Ok(())
    }

    /// Looks at the mid price behind each fill of the day. Together they are many looks at once; one by one each would wait
    /// for its memory.
    fn mark_out(&mut self, run: &DayRun<'_>) {
        let mids_cny = run.mids_cny;
        let tick = run.day.instrument.price_tick;
        for fill in &mut self.record.fills[run.fills_before..] {
            let Some(row) = fill.row.map(|row| row as usize) else { continue };
            let sign = fill.side.sign() as f64;
            let from_cny = mids_cny[row];
            fill.markout_ticks = MARKOUT_ROWS.map(|rows| {
                mids_cny.get(row + rows).map_or(f64::NAN, |later_cny| sign * (later_cny - from_cny) / tick)
            });
        }
    }

    /// Ends day orders, settles, and closes the day's books.
    fn end_day(&mut self, run: &mut DayRun<'_>) {
        let day = run.day;
        let rows = day.view.rows();
        let last_ts_ns = day.view.ts_ns[rows - 1];
        let close_ns = day.windows.last().map_or(last_ts_ns, |w| w.end_ns).max(last_ts_ns);
        self.matching.expire(rows - 1, close_ns, &mut self.news);
        // An order that expires was not cancelled.
        let cancels = self.record.cancels;
        self.take_news(run, rows);
        self.record.cancels = cancels;
        self.mark_out(run);
        let last_row = run.unmarked.saturating_sub(1);
        self.record.session_ns += run.times.passed_ns(run.counted_from, last_row);
        self.record.exposed_ns += run.exposed_from.map_or(0, |from| run.times.passed_ns(from, last_row));
        let mark_cny = run.mark_cny(last_row);
        let equity_cny = self.ledger.equity_cny(mark_cny);
        let fills = &self.record.fills[run.fills_before..];
        self.record.days.push(DayRecord {
            trading_day: day.trading_day,
            equity_cny,
            pnl_cny: equity_cny - self.day_equity_cny,
            fees_cny: self.ledger.fees_cny() - run.fees_before_cny,
            fills: fills.len() as u64,
            lots: fills.iter().map(|f| u64::from(f.lots)).sum(),
            position_lots: self.ledger.position().net_lots(),
        });
        self.point(day.view.ts_ns[last_row], equity_cny);
        self.last_mark_cny = mark_cny;
        self.day_equity_cny = equity_cny;
        let average = day.view.float(Column::Average)[last_row];
        // SHFE settles at the volume-weighted average price of the day, on the price grid.
        let on_grid = day.instrument.ticks_to_price((average / day.instrument.price_tick).round() as i64);
        let settlement_cny = if average.is_nan() { mark_cny } else { on_grid };
        self.ledger.settle(settlement_cny);
    }
}
