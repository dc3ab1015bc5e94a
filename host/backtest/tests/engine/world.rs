//! Small markets and strategies for the tests of the event loop.

use ghtrader_backtest::{
    BacktestError, Day, Delay, Engine, EngineSettings, FillModelName, Ledger, OldContract, ReadyDay, Seat, run_day,
};
use ghtrader_backtest::{PluginSpec, Record, RunSpec};
use ghtrader_core::{Column, ContractSpec, NS_PER_S, Phase, SessionWindow, TickTable, TradingDay};
use ghtrader_exchange::{PrepareSpec, PreparedDay};
use ghtrader_kernels::wire::{Action, Event, Offset, Order, Side, Tif, entries};
use ghtrader_plugin::{AccountView, PluginFault, Step, StrategyDescription, StrategyInstance};
use ghtrader_runtime::{DayColumns, StrategyRunner};
use ghtrader_stats::Rng;

pub(crate) const TICK: f64 = 10.0;
pub(crate) const LOT: f64 = 5.0;
pub(crate) const MODELS: [FillModelName; 5] = [
    FillModelName::Pessimistic,
    FillModelName::Central,
    FillModelName::Optimistic,
    FillModelName::CrossOnly,
    FillModelName::Touch,
];

pub(crate) fn instrument() -> ContractSpec {
    ContractSpec { multiplier: LOT, price_tick: TICK, price_tick_text: "10".to_owned() }
}

/// A book around the best quotes: five levels a tick apart, `size` lots each.
#[derive(Clone, Copy)]
pub(crate) struct Book {
    pub(crate) bid: f64,
    pub(crate) ask: f64,
    pub(crate) size: f64,
}

impl Book {
    pub(crate) fn at(bid: f64) -> Self {
        Self { bid, ask: bid + TICK, size: 5.0 }
    }
}

/// Rows written one by one; volume and amount are cumulative.
#[derive(Default, Clone)]
pub(crate) struct Tape {
    pub(crate) table: TickTable,
    volume: f64,
    amount: f64,
}

impl Tape {
    /// A row at a time; `sold` lots hit the bid of the row before and `bought` lots its ask.
    pub(crate) fn row(&mut self, ts_ns: i64, book: Book, sold: f64, bought: f64) -> &mut Self {
        let before = self.table.rows().checked_sub(1);
        let best = |column: Column, now: f64| before.map_or(now, |r| self.table.floats[column.index() - 1][r]);
        let (bid, ask) = (best(Column::bid_price(0), book.bid), best(Column::ask_price(0), book.ask));
        self.volume += sold + bought;
        self.amount += (sold * bid + bought * ask) * LOT;
        let last = if bought > 0.0 { ask } else { bid };
        let mut values = [f64::NAN; 27];
        let mut set = |column: Column, value: f64| values[column.index() - 1] = value;
        set(Column::LastPrice, last);
        set(Column::Volume, self.volume);
        set(Column::Amount, self.amount);
        for level in 0..5 {
            set(Column::bid_price(level), book.bid - level as f64 * TICK);
            set(Column::ask_price(level), book.ask + level as f64 * TICK);
            set(Column::bid_volume(level), book.size);
            set(Column::ask_volume(level), book.size);
        }
        self.table.ts_ns.push(ts_ns);
        self.table.seq.push(before.map_or(0, |r| r as u32 + 1));
        self.table.phase.push(Phase::Continuous as u8);
        self.table.floats.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
        self
    }
}

/// What is left of the contract before on the first day of the next one.
pub(crate) struct Old {
    pub(crate) table: Option<TickTable>,
    pub(crate) last_price_cny: f64,
}

pub(crate) struct OneDay {
    pub(crate) trading_day: TradingDay,
    pub(crate) contract: &'static str,
    pub(crate) table: TickTable,
    pub(crate) columns: DayColumns,
    pub(crate) windows: Vec<SessionWindow>,
    pub(crate) tradable_from: usize,
    pub(crate) old: Option<Old>,
}

/// Start of day `n`, ns; its two windows are [0 s, 100 s) and [200 s, 300 s) behind it.
pub(crate) fn start_ns(n: i32) -> i64 {
    i64::from(20_300 + n) * 86_400 * NS_PER_S
}

pub(crate) fn windows(n: i32) -> Vec<SessionWindow> {
    [0, 200]
        .map(|s| SessionWindow {
            start_ns: start_ns(n) + s * NS_PER_S,
            end_ns: start_ns(n) + (s + 100) * NS_PER_S,
            night: false,
        })
        .to_vec()
}

impl OneDay {
    pub(crate) fn new(n: i32, contract: &'static str, table: TickTable) -> Self {
        let (trading_day, windows) = (TradingDay::from_days(20_300 + n), windows(n));
        Self { trading_day, contract, table, columns: DayColumns::default(), windows, tradable_from: 0, old: None }
    }

    pub(crate) fn prepared(&self) -> PreparedDay {
        let spec = PrepareSpec {
            price_tick: TICK,
            multiplier: LOT,
            double_sided: false,
            windows: self.windows.iter().map(|w| (w.start_ns, w.end_ns)).collect(),
            auction_starts_ns: Vec::new(),
        };
        PreparedDay::prepare(&self.table.view(), &spec).expect("rows on the grid")
    }
}

/// A day of random books with gaps, both windows and their closing snapshots.
pub(crate) fn random_table(n: i32, seed: u64) -> TickTable {
    let mut rng = Rng::new(seed.wrapping_mul(1_000_003).wrapping_add(n as u64));
    let mut draw = |below: usize| rng.below(below);
    let mut tape = Tape::default();
    let mut bid = 70_000.0;
    for window in windows(n) {
        let mut ts_ns = window.start_ns;
        while ts_ns < window.end_ns {
            bid += [0.0, 0.0, 0.0, TICK, -TICK, 0.0, 2.0 * TICK, -2.0 * TICK][draw(8)];
            let ask = bid + if draw(6) == 0 { 2.0 * TICK } else { TICK };
            let size = 1.0 + draw(6) as f64;
            let (sold, bought) = (draw(4) as f64 * draw(3) as f64, draw(4) as f64 * draw(3) as f64);
            tape.row(ts_ns, Book { bid, ask, size }, sold, bought);
            ts_ns += if draw(60) == 0 { 7 * NS_PER_S } else { NS_PER_S / 2 };
        }
        tape.row(window.end_ns, Book::at(bid), 0.0, 0.0);
    }
    tape.table
}

/// Three days of one contract.
pub(crate) fn plain_world(seed: u64) -> Vec<OneDay> {
    (0..3).map(|n| OneDay::new(n, "SHFE.cu2509", random_table(n, seed))).collect()
}

/// Four days; the contract changes with and without a recording of the old one.
pub(crate) fn rolling_world(seed: u64) -> Vec<OneDay> {
    let mut days: Vec<OneDay> = ["SHFE.cu2509", "SHFE.cu2510", "SHFE.cu2510", "SHFE.cu2511"]
        .into_iter()
        .zip(0..)
        .map(|(contract, n)| OneDay::new(n, contract, random_table(n, seed)))
        .collect();
    days[1].old = Some(Old { table: Some(random_table(1, seed + 1)), last_price_cny: 70_000.0 });
    days[3].old = Some(Old { table: None, last_price_cny: 70_000.0 });
    days
}

/// A run without latency on ample money.
pub(crate) fn spec() -> RunSpec {
    let strategy = PluginSpec { plugin: "native".to_owned(), params: Default::default() };
    let mut spec = RunSpec::of_strategy("test", "cu", strategy);
    spec.latency.feed_us = 0;
    spec.latency.order = Delay::Constant { us: 0 };
    spec.latency.cancel = Delay::Constant { us: 0 };
    spec.account.initial_cny = 1e8;
    spec
}

/// What a row shows to a strategy.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) ts_ns: i64,
    pub(crate) bid: f64,
    pub(crate) ask: f64,
}

/// A strategy by two functions.
pub(crate) trait Mind: Send {
    fn hear(&mut self, _event: Event) {}
    fn decide(&mut self, seen: Seen, account: &AccountView, out: &mut Vec<Action>);
    fn warmup_rows(&self) -> u32 {
        0
    }
}

impl<F: FnMut(Seen, &AccountView, &mut Vec<Action>) + Send> Mind for F {
    fn decide(&mut self, seen: Seen, account: &AccountView, out: &mut Vec<Action>) {
        self(seen, account, out);
    }
}

pub(crate) struct Native {
    pub(crate) description: StrategyDescription,
    rows: Vec<u64>,
    mind: Box<dyn Mind>,
}

impl Native {
    pub(crate) fn new(mind: impl Mind + 'static) -> Self {
        let inputs = ["datetime", "bid_price1", "ask_price1"].map(str::to_owned).to_vec();
        let description = StrategyDescription { inputs, warmup_rows: mind.warmup_rows() };
        Self { description, rows: Vec::new(), mind: Box::new(mind) }
    }
}

impl StrategyInstance for Native {
    fn description(&self) -> &StrategyDescription {
        &self.description
    }

    fn run(&mut self, step: &Step<'_>, actions: &mut Vec<u64>) -> Result<u32, PluginFault> {
        if let Some(rows) = step.rows {
            self.rows = rows.to_vec();
        }
        entries(step.events).iter().filter_map(Event::decode).for_each(|e| self.mind.hear(e));
        for row in step.start..step.until {
            let words = &self.rows[row as usize * 3..][..3];
            let seen =
                Seen { ts_ns: words[0].cast_signed(), bid: f64::from_bits(words[1]), ask: f64::from_bits(words[2]) };
            let mut out = Vec::new();
            self.mind.decide(seen, step.account, &mut out);
            if !out.is_empty() {
                actions.extend(out.iter().flat_map(Action::encode));
                return Ok(row);
            }
        }
        Ok(step.until)
    }
}

/// Runs an instance over all days under one fill model; blocks of no row stand for the live way, row by row.
pub(crate) fn run_instance(
    days: &[OneDay],
    spec: &RunSpec,
    model: FillModelName,
    block_rows: usize,
    instance: impl StrategyInstance + 'static,
) -> Result<Record, BacktestError> {
    let runner = StrategyRunner::new(Box::new(instance), &[])?;
    let ledger = Ledger::new(spec, &"SHFE.cu".parse().expect("a variety")).expect("a ledger");
    let engine = Engine::new(EngineSettings::of(spec, model, block_rows), ledger);
    let mut seats = [Seat { engine, runner }];
    let instrument = instrument();
    for day in days {
        let ready = ReadyDay::new(day.prepared());
        let run = Day {
            trading_day: day.trading_day,
            contract: day.contract,
            instrument: &instrument,
            view: day.table.view(),
            columns: &day.columns,
            windows: &day.windows,
            prepared: &ready.exchange,
            tradable_from: day.tradable_from,
            old_contract: day.old.as_ref().map(|old| OldContract {
                view: old.table.as_ref().map(TickTable::view),
                instrument: &instrument,
                last_price_cny: old.last_price_cny,
            }),
            timeline: &ready.timeline,
        };
        if block_rows > 0 {
            run_day(&run, &mut seats).map_err(|(_, fault)| fault)?;
        } else {
            let [Seat { engine, runner }] = &mut seats;
            run_live(engine, &run, runner)?;
        }
    }
    let [Seat { engine, .. }] = seats;
    Ok(engine.finish())
}

/// A day as a live lineup has it: a row arrives, is answered, and nothing of the next one is known.
fn run_live(engine: &mut Engine, day: &Day<'_>, runner: &mut StrategyRunner) -> Result<(), BacktestError> {
    if engine.record().bust {
        return Ok(());
    }
    let mut run = engine.open_day(day, runner.warmup_rows() as usize)?;
    let (mut words, mut actions) = (Vec::new(), Vec::new());
    for row in 0..day.view.rows() {
        engine.arrive(&mut run, row);
        runner.layout().pack(&day.view, day.columns, row..row + 1, &mut words);
        let view = engine.account_view();
        runner.run(Some(&words), 0..1, &view, engine.events(), &mut actions).map_err(BacktestError::Lineup)?;
        engine.decided(&mut run, row, &actions)?;
        if engine.record().bust {
            break;
        }
    }
    engine.close_day(&mut run);
    Ok(())
}

pub(crate) fn run(days: &[OneDay], spec: &RunSpec, model: FillModelName, mind: impl Mind + 'static) -> Record {
    run_instance(days, spec, model, 4_096, Native::new(mind)).expect("a run without a fault")
}

pub(crate) fn order(client_id: u64, contract: u32, side: Side, lots: u32, limit_cny: Option<f64>) -> Order {
    Order { client_id, contract, side, offset: Offset::Auto, lots, limit_cny, tif: Tif::Day, post_only: false }
}

/// Places, cancels, aims and asks to be woken at random; what it does next hangs on all that it was told.
pub(crate) struct Dice {
    pub(crate) state: u64,
    pub(crate) next_id: u64,
    /// The account's money decides too.
    pub(crate) money: bool,
}

impl Dice {
    pub(crate) fn new(seed: u64, money: bool) -> Self {
        Self { state: seed, next_id: 1, money }
    }
}

fn mix(state: u64, word: u64) -> u64 {
    let x = (state ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (x ^ x >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ x >> 32
}

impl Mind for Dice {
    fn hear(&mut self, event: Event) {
        self.state = event.encode().iter().fold(self.state, |state, word| mix(state, *word));
    }

    fn decide(&mut self, seen: Seen, account: &AccountView, out: &mut Vec<Action>) {
        let lots = u64::from(account.long_lots) << 32 | u64::from(account.short_lots);
        let mut x = mix(mix(self.state, seen.ts_ns.cast_unsigned()), lots ^ u64::from(account.working_orders) << 20);
        if self.money {
            x = mix(mix(x, account.balance_cny.to_bits()), account.available_cny.to_bits());
        }
        if !x.is_multiple_of(5) {
            return;
        }
        for _ in 0..=x / 5 % 3 {
            x = mix(x, 77);
            let side = if x >> 8 & 1 == 0 { Side::Buy } else { Side::Sell };
            let away = (x >> 10 & 7) as f64 * TICK - 2.0 * TICK;
            let price = if side == Side::Buy { seen.bid - away } else { seen.ask + away };
            out.push(match x % 10 {
                0..=5 => {
                    let lots = 1 + (x >> 14 & 3) as u32;
                    let limit = (x >> 20 & 7 != 0).then_some(price);
                    let mut order = order(self.next_id, account.contract, side, lots, limit);
                    order.tif = [Tif::Day, Tif::Day, Tif::Immediate, Tif::FillOrKill][(x >> 24 & 3) as usize];
                    order.post_only = limit.is_some() && order.tif == Tif::Day && x >> 28 & 3 == 0;
                    self.next_id += 1;
                    Action::Place(order)
                }
                6 | 7 => Action::Cancel { client_id: self.next_id.saturating_sub(1 + (x >> 16 & 3)) },
                8 => Action::Target { contract: account.contract, lots: (x >> 16 & 7) as i64 - 3 },
                _ => Action::WakeAt { ts_ns: seen.ts_ns + (x >> 16 & 0xff) as i64 * NS_PER_S / 2 },
            });
        }
        self.state = mix(self.state, x);
    }
}
