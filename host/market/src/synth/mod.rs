//! A synthetic market: several delivery months with rolls, sessions, auctions, gaps, five-level books, and a planted
//! signal of known strength.
//!
//! The mid price is a walk of one tick in a fixed share of rows. Sizes at each price live by random additions and
//! cancellations as in queue-reactive models (Huang, Lehalle, Rosenbaum, "Simulating and analyzing order book data: the
//! queue-reactive model", 2015), with cause and effect turned round: there a queue that runs out moves the price, so the
//! queue predicts it; here a move of the price empties the queue, so the book of a market without a signal tells nothing
//! about the future, and a resting order still fills just when the price goes against it.
//!
//! The signal is a hidden level that tilts the direction of moves and, with equal strength in every market, the sizes
//! added to both sides of the book. What the best predictor can make of it is computed exactly, see [`SignalBound`].
//!
//! All draws are integer arithmetic on streams named by seed, contract and day: same specification, same bytes on every
//! machine, days in any order, and more days never change earlier ones.

mod bound;
mod csv;
mod path;
mod plan;
mod rng;
mod rows;

pub use bound::SignalBound;
pub use csv::write_tqsdk_csv;

use ghtrader_core::{
    Calendar, CalendarError, ContractId, ErrorClass, Problem, SpecError, TickTable, TradingDay, Variety,
};
use path::MovePath;
use plan::DayPlan;
use serde::Serialize;

/// First trading day unless another is given: 2025-07-01.
pub const DEFAULT_FIRST_DAY: TradingDay = TradingDay::from_days(20_270);
/// Rows a day of the main contract unless another number is given.
pub const DEFAULT_ROWS_PER_DAY: u32 = 40_000;
/// Horizons of the printed bounds, those of the direction labels.
pub const BOUND_HORIZONS_ROWS: [u32; 3] = [10, 50, 200];

/// Volume and open interest are counted once from here on.
const EARLIEST_DAY: TradingDay = TradingDay::from_days(18_262);
const MOST_DAYS: u32 = 2_000;
const ROWS_BOUNDS: (u32, u32) = (1_000, 66_000);

/// What a synthetic market is made from; equal specifications give equal bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct SynthSpec {
    /// `SHFE.cu`, `SHFE.au` or `SHFE.ag`.
    pub variety: Variety,
    /// A trading day from 2020-01-01 on.
    pub first_day: TradingDay,
    /// Number of trading days, 1 to 2,000.
    pub days: u32,
    /// Any number; another one is another market.
    pub seed: u64,
    /// Strength of the planted signal, 0 (none) to 1: at the highest hidden level a move is UP with probability
    /// (1 + signal)/2.
    pub signal: f64,
    /// Continuous rows a day to aim at in the main contract, 1,000 to 66,000; other months have fewer.
    pub rows_per_day: u32,
}

impl SynthSpec {
    /// A market from [`DEFAULT_FIRST_DAY`] on with [`DEFAULT_ROWS_PER_DAY`].
    pub fn new(variety: Variety, days: u32, seed: u64, signal: f64) -> Self {
        Self { variety, first_day: DEFAULT_FIRST_DAY, days, seed, signal, rows_per_day: DEFAULT_ROWS_PER_DAY }
    }
}

/// A specification that makes no market.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SynthError {
    /// Not one of the varieties that there is a profile for.
    #[error("there is no synthetic market for {variety}")]
    Variety {
        /// The variety asked for.
        variety: Variety,
    },
    /// A number outside its bounds.
    #[error("{name} is {value}, allowed is {bound}")]
    OutOfBounds {
        /// The field's name.
        name: &'static str,
        /// The value as given.
        value: String,
        /// The bound.
        bound: String,
    },
    /// The first day is none on which the exchange trades.
    #[error("{day} is no trading day")]
    NotATradingDay {
        /// The day as given.
        day: TradingDay,
    },
    /// The calendar does not reach that far.
    #[error(transparent)]
    Calendar(#[from] CalendarError),
    /// The contract table does not know the product.
    #[error(transparent)]
    Contract(#[from] SpecError),
}

impl From<SynthError> for Problem {
    fn from(e: SynthError) -> Self {
        let what = e.to_string();
        match e {
            SynthError::Variety { .. } => Self::new("bad_symbol", ErrorClass::User, what, "choose cu, au or ag"),
            SynthError::OutOfBounds { bound, .. } => {
                Self::new("out_of_bounds", ErrorClass::User, what, format!("give a value of {bound}"))
            }
            SynthError::NotATradingDay { .. } => {
                Self::new("not_a_trading_day", ErrorClass::User, what, "start on a day on which the exchange is open")
            }
            SynthError::Calendar(e) => e.into(),
            SynthError::Contract(e) => e.into(),
        }
    }
}

/// The rows of one contract on one trading day.
#[derive(Debug, Clone, PartialEq)]
pub struct SynthDay {
    /// The contract.
    pub contract: ContractId,
    /// The trading day.
    pub trading_day: TradingDay,
    /// All rows in order of time, with sequence and phase: the reset row before the opening, auctions, sessions.
    pub ticks: TickTable,
}

/// A change of the main contract as planned, which the schedule by open interest finds again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedRoll {
    /// The first trading day of the new contract.
    pub trading_day: TradingDay,
    /// The contract left.
    pub from: ContractId,
    /// The contract entered.
    pub to: ContractId,
}

/// What a market holds, known before its rows are made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SynthReport {
    /// The variety.
    pub variety: Variety,
    /// First trading day.
    pub first_day: TradingDay,
    /// Last trading day.
    pub last_day: TradingDay,
    /// Trading days.
    pub days: u32,
    /// The seed.
    pub seed: u64,
    /// Strength of the planted signal, 0 to 1.
    pub signal: f64,
    /// Contracts that trade on at least one of the days, nearest delivery first.
    pub contracts: Vec<ContractId>,
    /// Number of symbol-days.
    pub symbol_days: usize,
    /// Rows of all symbol-days together.
    pub rows: u64,
    /// Changes of the main contract.
    pub rolls: Vec<PlannedRoll>,
    /// The best reachable AUC by horizon.
    pub bounds: Vec<SignalBound>,
}

/// A planned market; rows are made on demand, one symbol-day at a time and in any order.
#[derive(Debug)]
pub struct SynthMarket {
    spec: SynthSpec,
    law: MovePath,
    plans: Vec<DayPlan>,
}

impl SynthMarket {
    /// Plans contracts, rolls, open interest and opening prices.
    ///
    /// # Errors
    /// `Variety`, `OutOfBounds`, `NotATradingDay` for a bad specification; `Calendar` if the days run over its end.
    pub fn new(spec: SynthSpec, calendar: &Calendar) -> Result<Self, SynthError> {
        check(&spec, calendar)?;
        let law = plan::law(&spec)?;
        let plans = plan::plan(&spec, calendar, &law)?;
        Ok(Self { spec, law, plans })
    }

    /// The specification.
    pub fn spec(&self) -> &SynthSpec {
        &self.spec
    }

    /// Number of symbol-days, ordered by day, then by delivery month.
    pub fn symbol_days(&self) -> usize {
        self.plans.len()
    }

    /// Contract, trading day and number of rows of a symbol-day.
    ///
    /// # Panics
    /// From [`SynthMarket::symbol_days`] on.
    pub fn key(&self, index: usize) -> (&ContractId, TradingDay, usize) {
        let plan = &self.plans[index];
        (&plan.contract, plan.day, plan.rows())
    }

    /// Makes the rows of a symbol-day. The result depends on nothing but the specification and `index`.
    ///
    /// # Panics
    /// From [`SynthMarket::symbol_days`] on.
    pub fn generate(&self, index: usize) -> SynthDay {
        let plan = &self.plans[index];
        let ticks = rows::make_rows(&self.spec, plan, &self.law);
        SynthDay { contract: plan.contract.clone(), trading_day: plan.day, ticks }
    }

    /// All symbol-days in order.
    pub fn iter(&self) -> impl Iterator<Item = SynthDay> + '_ {
        (0..self.plans.len()).map(|i| self.generate(i))
    }

    /// The main contract of each day by plan.
    pub fn main_contracts(&self) -> impl Iterator<Item = (TradingDay, &ContractId)> {
        self.plans.iter().filter(|p| p.main).map(|p| (p.day, &p.contract))
    }

    /// Days, contracts, rolls, rows, and the best that can be predicted.
    pub fn report(&self) -> SynthReport {
        let mains: Vec<_> = self.main_contracts().collect();
        let rolls = mains.windows(2).filter(|w| w[0].1 != w[1].1);
        let rolls = rolls.map(|w| PlannedRoll { trading_day: w[1].0, from: w[0].1.clone(), to: w[1].1.clone() });
        let mut contracts: Vec<ContractId> = self.plans.iter().map(|p| p.contract.clone()).collect();
        contracts.sort();
        contracts.dedup();
        SynthReport {
            variety: self.spec.variety.clone(),
            first_day: self.spec.first_day,
            last_day: self.plans.last().map_or(self.spec.first_day, |p| p.day),
            days: self.spec.days,
            seed: self.spec.seed,
            signal: self.spec.signal,
            contracts,
            symbol_days: self.plans.len(),
            rows: self.plans.iter().map(|p| p.rows() as u64).sum(),
            rolls: rolls.collect(),
            bounds: BOUND_HORIZONS_ROWS.map(|h| SignalBound::compute(&self.law, h)).to_vec(),
        }
    }
}

fn check(spec: &SynthSpec, calendar: &Calendar) -> Result<(), SynthError> {
    let bounds = |name, value: String, inside: bool, bound: String| {
        if inside { Ok(()) } else { Err(SynthError::OutOfBounds { name, value, bound }) }
    };
    let (least, most) = ROWS_BOUNDS;
    bounds("days", spec.days.to_string(), (1..=MOST_DAYS).contains(&spec.days), format!("1 to {MOST_DAYS}"))?;
    bounds("signal", spec.signal.to_string(), (0.0..=1.0).contains(&spec.signal), "0 to 1".to_owned())?;
    let rows_fit = (least..=most).contains(&spec.rows_per_day);
    bounds("rows_per_day", spec.rows_per_day.to_string(), rows_fit, format!("{least} to {most}"))?;
    let since = format!("{EARLIEST_DAY} and later");
    bounds("first_day", spec.first_day.to_string(), spec.first_day >= EARLIEST_DAY, since)?;
    if calendar.is_trading_day(spec.first_day) {
        Ok(())
    } else {
        Err(SynthError::NotATradingDay { day: spec.first_day })
    }
}
