//! Where ticks come from: days of rows, handed out one after the other.

use ghtrader_backtest::{Day, DayData, OldContract, ReadyDay};
use ghtrader_core::{
    Calendar, Column, ContractSpec, ContractTable, NS_PER_S, Phase, Problem, SessionWindow, TickTable, TickView,
    TradingDay, is_double_sided,
};
use ghtrader_exchange::{PrepareSpec, PreparedDay};
use ghtrader_market::synth::{SynthMarket, SynthSpec};
use ghtrader_runtime::DayColumns;
use ghtrader_store::TickDay;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Days of one variety, in order; the thread of the source asks for them ahead of the market.
pub type Source = Box<dyn Iterator<Item = Result<SourceDay, Problem>> + Send>;

/// Rows of a day, however they are kept.
#[derive(Debug)]
enum Rows {
    Stored(TickDay),
    Made(Box<TickTable>),
}

impl Rows {
    fn view(&self) -> TickView<'_> {
        match self {
            Self::Stored(day) => day.view(),
            Self::Made(table) => table.view(),
        }
    }
}

/// One trading day of one variety, with how much of it has been played.
#[derive(Debug)]
pub struct SourceDay {
    trading_day: TradingDay,
    contract: String,
    instrument: ContractSpec,
    rows: Rows,
    windows: Vec<SessionWindow>,
    ready: ReadyDay,
    columns: DayColumns,
    old: Option<Old>,
    played: AtomicUsize,
}

/// The contract that was main until the day before.
#[derive(Debug)]
struct Old {
    rows: Option<Rows>,
    instrument: ContractSpec,
    last_price_cny: f64,
}

impl SourceDay {
    /// A recorded day, as a backtest replays it.
    ///
    /// # Errors
    /// Rows that the exchange cannot work with.
    pub fn recorded(data: DayData) -> Result<Self, Problem> {
        let ready = data.prepare()?;
        let old = data.old.map(|old| Old {
            rows: old.ticks.map(Rows::Stored),
            instrument: old.instrument,
            last_price_cny: old.last_price_cny,
        });
        Ok(Self {
            trading_day: data.trading_day,
            contract: data.contract,
            instrument: data.instrument,
            rows: Rows::Stored(data.ticks),
            windows: data.windows,
            ready,
            columns: DayColumns::default(),
            old,
            played: AtomicUsize::new(0),
        })
    }

    /// The day as the account's engine reads it.
    pub fn as_day(&self) -> Day<'_> {
        Day {
            trading_day: self.trading_day,
            contract: &self.contract,
            instrument: &self.instrument,
            view: self.rows.view(),
            columns: &self.columns,
            windows: &self.windows,
            prepared: &self.ready.exchange,
            tradable_from: 0,
            old_contract: self.old.as_ref().map(|old| OldContract {
                view: old.rows.as_ref().map(Rows::view),
                instrument: &old.instrument,
                last_price_cny: old.last_price_cny,
            }),
            timeline: &self.ready.timeline,
        }
    }

    /// The contract.
    pub fn contract(&self) -> &str {
        &self.contract
    }

    /// Price tick and multiplier.
    pub fn instrument(&self) -> &ContractSpec {
        &self.instrument
    }

    /// Windows of continuous trading.
    pub(crate) fn windows(&self) -> &[SessionWindow] {
        &self.windows
    }

    /// The rows.
    pub(crate) fn view(&self) -> TickView<'_> {
        self.rows.view()
    }

    /// The main contract has changed since the day before.
    pub(crate) fn rolls(&self) -> bool {
        self.old.is_some()
    }

    /// Rows that have been handled.
    pub(crate) fn played(&self) -> usize {
        self.played.load(Ordering::Acquire)
    }

    pub(crate) fn play_to(&self, rows: usize) {
        self.played.store(rows, Ordering::Release);
    }
}

/// The main contract of a synthetic market, day by day.
///
/// # Errors
/// A specification that makes no market.
pub fn synthetic(spec: SynthSpec, calendar: &Calendar) -> Result<Source, Problem> {
    let market = SynthMarket::new(spec, calendar)?;
    let mains: Vec<(TradingDay, String)> = market.main_contracts().map(|(day, c)| (day, c.to_string())).collect();
    let calendar = calendar.clone();
    let mut before: Option<(String, ContractSpec, f64)> = None;
    Ok(Box::new(mains.into_iter().map(move |(day, contract)| {
        let made = synthetic_day(&market, &calendar, day, &contract, before.as_ref())?;
        let last = last_price_cny(&made.view());
        before = Some((contract, made.instrument.clone(), last));
        Ok(made)
    })))
}

fn synthetic_day(
    market: &SynthMarket,
    calendar: &Calendar,
    day: TradingDay,
    contract: &str,
    before: Option<&(String, ContractSpec, f64)>,
) -> Result<SourceDay, Problem> {
    let variety = &market.spec().variety;
    let generate = |contract: &str| {
        let index = (0..market.symbol_days()).find(|i| {
            let (id, on, _) = market.key(*i);
            on == day && id.to_string() == contract
        });
        index.map(|i| continuous(&market.generate(i).ticks.view()))
    };
    let rows = generate(contract).unwrap_or_default();
    let instrument = ContractTable::builtin().spec(variety, day)?.clone();
    let windows = calendar.session_windows(variety, day);
    let phases = calendar.day_phases(variety, day);
    let opens_by_auction = |w: &&SessionWindow| phases.phase(w.start_ns - 30 * NS_PER_S) == Phase::Auction;
    let spec = PrepareSpec {
        price_tick: instrument.price_tick,
        multiplier: instrument.multiplier,
        double_sided: is_double_sided(variety.exchange(), day),
        windows: windows.iter().map(|w| (w.start_ns, w.end_ns)).collect(),
        auction_starts_ns: windows.iter().filter(opens_by_auction).map(|w| w.start_ns).collect(),
    };
    let ready = ReadyDay::new(PreparedDay::prepare(&rows.view(), &spec)?);
    let old = before.filter(|(old, ..)| old != contract).map(|(old, instrument, last_price_cny)| Old {
        rows: generate(old).map(|rows| Rows::Made(Box::new(rows))),
        instrument: instrument.clone(),
        last_price_cny: *last_price_cny,
    });
    Ok(SourceDay {
        trading_day: day,
        contract: contract.to_owned(),
        instrument,
        rows: Rows::Made(Box::new(rows)),
        windows,
        ready,
        columns: DayColumns::default(),
        old,
        played: AtomicUsize::new(0),
    })
}

/// Rows of continuous trading with depth, as `main_l5` keeps them.
fn continuous(all: &TickView<'_>) -> TickTable {
    let mut rows = TickTable::with_capacity(all.rows());
    for row in (0..all.rows()).filter(|row| all.phase[*row] == Phase::Continuous as u8 && all.has_l5(*row)) {
        rows.extend_from(all, row..row + 1);
    }
    rows
}

fn last_price_cny(view: &TickView<'_>) -> f64 {
    view.float(Column::LastPrice).iter().rev().copied().find(|p| !p.is_nan()).unwrap_or(f64::NAN)
}
