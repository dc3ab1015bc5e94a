//! The ledger of one account: lots first in, first out, daily settlement, fees, margin.

mod booking;
mod orders;
mod sides;

pub use booking::{AccountState, Booking, ClosedLot, EquityLine, Leg, Trade};
pub use orders::{CloseCheck, Hold, Refusal, close_check};
pub use sides::SideState;

use crate::config::named;
use crate::margin::lots_margin_cny;
use crate::{ExchangeError, FeeRates, MarginPosition, Offset, Side, fee_cny, margin_cny};
use ghtrader_core::{ContractId, Exchange};
use std::collections::VecDeque;

/// Which lots `auto` closes first where today's and earlier ones differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloseFirst {
    /// Those of today.
    Today,
    /// The older ones.
    Yesterday,
    /// Those whose closing fee is lower; today's when equal.
    Cheapest,
}
named!(CloseFirst, "account.close_first", Today => "today", Yesterday => "yesterday", Cheapest => "cheapest");

/// The rules of an account.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AccountConfig {
    /// Money at the start.
    pub initial_cny: f64,
    /// Margin on the larger side of a product only.
    pub large_side: bool,
    /// Order of closing.
    pub close_first: CloseFirst,
    /// Factor on exchange fees, at least 1.
    pub broker_markup: f64,
    /// Share added to the exchange's margin rates.
    pub broker_add: f64,
}

impl AccountConfig {
    /// The defaults of a run specification with that much money.
    pub const fn new(initial_cny: f64) -> Self {
        Self { initial_cny, large_side: true, close_first: CloseFirst::Today, broker_markup: 1.0, broker_add: 0.0 }
    }
}

/// The terms of a contract on a trading day.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// The contract.
    pub contract: ContractId,
    /// Quoted units a lot.
    pub multiplier: f64,
    /// Exchange fees.
    pub fees: FeeRates,
    /// Exchange margin rates of long and short lots.
    pub margin_rates: (f64, f64),
}

impl Terms {
    /// Today's and earlier lots are closed by offsets of their own.
    fn separate_today(&self) -> bool {
        matches!(self.contract.variety().exchange(), Exchange::Shfe | Exchange::Ine)
    }

    fn margin_rate(&self, side: Side) -> f64 {
        if side == Side::Buy { self.margin_rates.0 } else { self.margin_rates.1 }
    }
}

/// Lots opened together, or what is left of them.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Lot {
    lots: u32,
    open_cny: f64,
    /// Profit is counted from here: the open price, after a settlement that price.
    reference_cny: f64,
    open_ns: i64,
    open_fee_cny_per_lot: f64,
}

/// One side of a contract's position.
#[derive(Debug, Clone, Default)]
struct Holding {
    history: VecDeque<Lot>,
    today: VecDeque<Lot>,
    frozen_history: u32,
    frozen_today: u32,
    sums: Sums,
}

/// What is asked of all lots of a side at every order, and changes only with a fill, a settlement or new terms.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    history_lots: u32,
    today_lots: u32,
    /// Quoted units, negative for a short side.
    units: f64,
    /// Σ units × reference price.
    cost_cny: f64,
    /// Before the larger side of a product is taken.
    margin_cny: f64,
}

impl Holding {
    #[inline]
    fn lots(&self) -> impl Iterator<Item = &Lot> {
        self.history.iter().chain(&self.today)
    }

    #[inline]
    fn sum_up(&mut self, units_per_lot: f64, margin_rate: f64) {
        let mut sums = Sums::default();
        for (queue, lots) in [(&self.history, &mut sums.history_lots), (&self.today, &mut sums.today_lots)] {
            for lot in queue {
                *lots += lot.lots;
                let units = units_per_lot * f64::from(lot.lots);
                sums.units += units;
                sums.cost_cny += units * lot.reference_cny;
                sums.margin_cny += lots_margin_cny(units_per_lot.abs(), margin_rate, lot.lots, lot.reference_cny);
            }
        }
        self.sums = sums;
    }
}

#[derive(Debug, Clone)]
struct Position {
    terms: Terms,
    /// By the side that opened them: buys are long.
    holdings: [Holding; 2],
    mark_cny: f64,
}

impl Position {
    /// Profit of what is held, against the reference prices, at the mark; 0 without lots, whatever the mark.
    fn profit_cny(&self) -> f64 {
        let held = self.holdings.iter().map(|holding| &holding.sums).filter(|sums| sums.units != 0.0);
        held.map(|sums| sums.units * self.mark_cny - sums.cost_cny).sum()
    }

    /// The same against the open prices.
    fn float_profit_cny(&self) -> f64 {
        let mut profit_cny = 0.0;
        for side in [Side::Buy, Side::Sell] {
            let units = self.terms.multiplier * f64::from(side.sign());
            for lot in self.holdings[side as usize].lots() {
                profit_cny += units * f64::from(lot.lots) * (self.mark_cny - lot.open_cny);
            }
        }
        profit_cny
    }

    fn margin(&self) -> MarginPosition<'_> {
        let [long_cny, short_cny] = [&self.holdings[0], &self.holdings[1]].map(|holding| holding.sums.margin_cny);
        MarginPosition { product: self.terms.contract.variety().product(), long_cny, short_cny }
    }

    /// Looks at the lots again, after they or the terms have changed.
    fn sum_up(&mut self, broker_add: f64) {
        for side in [Side::Buy, Side::Sell] {
            let units_per_lot = self.terms.multiplier * f64::from(side.sign());
            let margin_rate = self.terms.margin_rate(side) + broker_add;
            self.holdings[side as usize].sum_up(units_per_lot, margin_rate);
        }
    }
}

/// Lots, money and margin of one account over trading days.
#[derive(Debug, Clone)]
pub struct Account {
    config: AccountConfig,
    positions: Vec<Position>,
    /// Balance of the last settlement, deposits and withdrawals since.
    static_cny: f64,
    close_profit_cny: f64,
    commission_cny: f64,
    held_margin_cny: f64,
    /// Margin of what is held: changes with fills, terms and settlements only, and is asked at every order.
    margin_cny: f64,
}

impl Account {
    /// An account without positions.
    ///
    /// # Errors
    /// `BadValue` for money that is not above 0, a markup below 1 or a negative added rate.
    pub fn new(config: AccountConfig) -> Result<Self, ExchangeError> {
        for (key, value, least, bound) in [
            ("account.initial_cny", config.initial_cny, f64::MIN_POSITIVE, "above 0"),
            ("fees.broker_markup", config.broker_markup, 1.0, "1 or more"),
            ("margin.broker_add", config.broker_add, 0.0, "0 or more"),
        ] {
            if !(value.is_finite() && value >= least) {
                return Err(ExchangeError::BadValue {
                    key: key.to_owned(),
                    value: value.to_string(),
                    bound: bound.to_owned(),
                });
            }
        }
        Ok(Self {
            config,
            positions: Vec::new(),
            static_cny: config.initial_cny,
            close_profit_cny: 0.0,
            commission_cny: 0.0,
            held_margin_cny: 0.0,
            margin_cny: 0.0,
        })
    }

    /// Adds a contract; the result is its number, from 0.
    pub fn add_contract(&mut self, terms: Terms) -> usize {
        self.positions.push(Position { terms, holdings: Default::default(), mark_cny: f64::NAN });
        self.positions.len() - 1
    }

    /// Changes a contract's terms, at the start of a trading day.
    pub fn set_terms(&mut self, contract: usize, terms: Terms) {
        self.positions[contract].terms = terms;
        self.positions[contract].sum_up(self.config.broker_add);
        self.margin_cny = self.margin_of_lots();
    }

    /// Number of contracts.
    pub fn contracts(&self) -> usize {
        self.positions.len()
    }

    /// Lots that orders of a side have opened and that are still held: today's and older ones.
    pub fn lots(&self, contract: usize, opened: Side) -> (u32, u32) {
        let sums = &self.positions[contract].holdings[opened as usize].sums;
        (sums.today_lots, sums.history_lots)
    }

    /// Long − short lots of a contract.
    pub fn net_lots(&self, contract: usize) -> i32 {
        let total = |side| {
            let (today, history) = self.lots(contract, side);
            (today + history) as i32
        };
        total(Side::Buy) - total(Side::Sell)
    }

    /// Sets the price that a contract's lots are valued at; NaN is ignored.
    #[inline]
    pub fn mark(&mut self, contract: usize, price_cny: f64) {
        if !price_cny.is_nan() {
            self.positions[contract].mark_cny = price_cny;
        }
    }

    /// Adds money, or takes it out when negative.
    pub fn deposit(&mut self, cny: f64) {
        self.static_cny += cny;
    }

    /// Whether an order may be sent: enough lots to close, enough money to open.
    ///
    /// `price_cny` values the lots that open: the limit, or the last price of a market order. `Auto` opens what it cannot
    /// close.
    ///
    /// # Errors
    /// `Refusal` with what is wanted and what is there.
    #[inline]
    pub fn check(
        &self,
        contract: usize,
        side: Side,
        offset: Offset,
        lots: u32,
        price_cny: f64,
    ) -> Result<Hold, Refusal> {
        let position = &self.positions[contract];
        let against = &position.holdings[side.opposite() as usize];
        let held = CloseCheck {
            today_lots: against.sums.today_lots,
            history_lots: against.sums.history_lots,
            frozen_today_lots: against.frozen_today,
            frozen_history_lots: against.frozen_history,
            separate_today: position.terms.separate_today(),
        };
        let free_today = held.today_lots.saturating_sub(held.frozen_today_lots);
        let free_history = held.history_lots.saturating_sub(held.frozen_history_lots);
        if !close_check(offset, lots, held) {
            let free_lots = match offset {
                Offset::CloseToday => free_today,
                _ if held.separate_today => free_history,
                _ => free_today + free_history,
            };
            return Err(Refusal::NothingToClose { lots, free_lots });
        }
        let opens = match offset {
            Offset::Open => lots,
            Offset::Auto => lots.saturating_sub(free_today + free_history),
            Offset::Close | Offset::CloseToday => 0,
        };
        let mut margin_cny_per_lot = 0.0;
        if opens > 0 {
            let margin_rate = position.terms.margin_rate(side) + self.config.broker_add;
            let per_lot = margin_rate * position.terms.multiplier * price_cny;
            let rate = position.terms.fees.open;
            let fee = fee_cny(rate, price_cny, position.terms.multiplier, opens) * self.config.broker_markup;
            let needed_cny = per_lot * f64::from(opens) + fee;
            let available_cny = self.available_cny();
            if needed_cny > available_cny {
                return Err(Refusal::InsufficientMargin { needed_cny, available_cny });
            }
            margin_cny_per_lot = per_lot * f64::from(opens) / f64::from(lots);
        }
        Ok(Hold { contract, side, offset, margin_cny_per_lot })
    }

    /// Keeps lots and margin for a working order of `lots`.
    #[inline]
    pub fn hold(&mut self, hold: &Hold, lots: u32) {
        self.held_margin_cny += hold.margin_cny_per_lot * f64::from(lots);
        if let Some(frozen) = self.frozen(hold) {
            *frozen += lots;
        }
    }

    /// Gives back what was kept for `lots` of it: filled, cancelled or rejected.
    #[inline]
    pub fn release(&mut self, hold: &Hold, lots: u32) {
        self.held_margin_cny = (self.held_margin_cny - hold.margin_cny_per_lot * f64::from(lots)).max(0.0);
        if let Some(frozen) = self.frozen(hold) {
            *frozen = frozen.saturating_sub(lots);
        }
    }

    #[inline]
    fn frozen(&mut self, hold: &Hold) -> Option<&mut u32> {
        let position = &mut self.positions[hold.contract];
        let against = &mut position.holdings[hold.side.opposite() as usize];
        match hold.offset {
            Offset::Auto | Offset::Open => None,
            Offset::Close => Some(&mut against.frozen_history),
            Offset::CloseToday => Some(&mut against.frozen_today),
        }
    }

    /// Books a fill: closes as its offset says, opens the rest.
    ///
    /// Release the order's hold on these lots first. The closed lots are added to `closed`, first in first.
    pub fn fill(&mut self, trade: &Trade, closed: &mut Vec<ClosedLot>) -> Booking {
        let Trade { contract, side, offset, lots, price_cny, ts_ns } = *trade;
        let markup = self.config.broker_markup;
        let close_first = self.config.close_first;
        let position = &mut self.positions[contract];
        let terms = &position.terms;
        let fee = |offset, lots| fee_cny(terms.fees.of(offset), price_cny, terms.multiplier, lots) * markup;
        let order: &[Offset] = match offset {
            Offset::Open => &[],
            Offset::CloseToday => &[Offset::CloseToday],
            Offset::Close if terms.separate_today() => &[Offset::Close],
            Offset::Auto if terms.separate_today() => {
                let today = match close_first {
                    CloseFirst::Today => true,
                    CloseFirst::Yesterday => false,
                    CloseFirst::Cheapest => fee(Offset::CloseToday, 1) <= fee(Offset::Close, 1),
                };
                if today { &[Offset::CloseToday, Offset::Close] } else { &[Offset::Close, Offset::CloseToday] }
            }
            Offset::Close | Offset::Auto => &[Offset::Close, Offset::CloseToday],
        };
        let mut booking = Booking::default();
        let mut left = lots;
        let against = &mut position.holdings[side.opposite() as usize];
        for &leg in order {
            let (held, there, frozen) = match leg {
                Offset::Close => (&mut against.history, against.sums.history_lots, against.frozen_history),
                _ => (&mut against.today, against.sums.today_lots, against.frozen_today),
            };
            let frozen = if offset == Offset::Auto { frozen } else { 0 };
            let lots = left.min(there.saturating_sub(frozen));
            if lots == 0 {
                continue;
            }
            left -= lots;
            let leg_fee = fee(leg, lots);
            let units = |lots: u32| f64::from(lots) * terms.multiplier * f64::from(-side.sign());
            let mut open = lots;
            while open > 0 {
                let Some(first) = held.front_mut() else { break };
                let taken = open.min(first.lots);
                booking.close_profit_cny += units(taken) * (price_cny - first.reference_cny);
                closed.push(ClosedLot {
                    contract,
                    opened: side.opposite(),
                    lots: taken,
                    open_cny: first.open_cny,
                    close_cny: price_cny,
                    open_ns: first.open_ns,
                    close_ns: ts_ns,
                    profit_cny: units(taken) * (price_cny - first.open_cny),
                    fees_cny: f64::from(taken) * (first.open_fee_cny_per_lot + leg_fee / f64::from(lots)),
                });
                first.lots -= taken;
                open -= taken;
                if first.lots == 0 {
                    held.pop_front();
                }
            }
            booking.push(Leg { offset: leg, lots, fee_cny: leg_fee });
        }
        if left > 0 {
            let leg_fee = fee(Offset::Open, left);
            position.holdings[side as usize].today.push_back(Lot {
                lots: left,
                open_cny: price_cny,
                reference_cny: price_cny,
                open_ns: ts_ns,
                open_fee_cny_per_lot: leg_fee / f64::from(left),
            });
            booking.push(Leg { offset: Offset::Open, lots: left, fee_cny: leg_fee });
        }
        if position.mark_cny.is_nan() {
            position.mark_cny = price_cny;
        }
        self.close_profit_cny += booking.close_profit_cny;
        self.commission_cny += booking.fee_cny;
        position.sum_up(self.config.broker_add);
        self.margin_cny = self.margin_of_lots();
        booking
    }

    /// Profit of what is held, against the reference prices, at the marks.
    fn profit_cny(&self) -> f64 {
        self.positions.iter().map(Position::profit_cny).sum()
    }

    /// Balance of the last settlement with deposits, plus profit closed and less fees since; no mark enters.
    #[inline]
    pub fn settled_balance_cny(&self) -> f64 {
        self.static_cny + self.close_profit_cny - self.commission_cny
    }

    /// Equity at the marks.
    #[inline]
    pub fn equity_cny(&self) -> f64 {
        self.settled_balance_cny() + self.profit_cny()
    }

    /// Equity as a function of one contract's mark price.
    #[inline]
    pub fn equity_line(&self, contract: usize) -> EquityLine {
        let position = &self.positions[contract];
        let [long, short] = &position.holdings;
        let others = self.positions.iter().enumerate().filter(|(other, _)| *other != contract);
        let others_cny: f64 = others.map(|(_, p)| p.profit_cny()).sum();
        let cost_cny = long.sums.cost_cny + short.sums.cost_cny;
        let base_cny = self.settled_balance_cny() + others_cny - cost_cny;
        EquityLine { base_cny, units: long.sums.units + short.sums.units }
    }

    /// Margin of what is held: today's lots at their open price, older ones at the last settlement.
    #[inline]
    pub fn margin_cny(&self) -> f64 {
        self.margin_cny
    }

    fn margin_of_lots(&self) -> f64 {
        match self.positions.as_slice() {
            // The usual account, without a list to make.
            [only] => margin_cny(&[only.margin()], self.config.large_side),
            all => {
                let all: Vec<MarginPosition<'_>> = all.iter().map(Position::margin).collect();
                margin_cny(&all, self.config.large_side)
            }
        }
    }

    /// Money for opening: equity less margin and what working orders keep.
    #[inline]
    pub fn available_cny(&self) -> f64 {
        self.equity_cny() - self.margin_cny() - self.held_margin_cny
    }

    /// Fees since the last settlement.
    #[inline]
    pub fn commission_cny(&self) -> f64 {
        self.commission_cny
    }

    /// Nothing is left: no order is taken any more.
    pub fn is_bust(&self) -> bool {
        self.equity_cny() <= 0.0
    }

    /// The account at the present marks.
    pub fn state(&self) -> AccountState {
        let position_profit_cny = self.profit_cny();
        let balance_cny = self.settled_balance_cny() + position_profit_cny;
        let margin_cny = self.margin_cny();
        AccountState {
            close_profit_cny: self.close_profit_cny,
            position_profit_cny,
            float_profit_cny: self.positions.iter().map(Position::float_profit_cny).sum(),
            commission_cny: self.commission_cny,
            balance_cny,
            margin_cny,
            available_cny: balance_cny - margin_cny,
            risk_ratio: if margin_cny == 0.0 { 0.0 } else { margin_cny / balance_cny },
        }
    }

    /// Settles the trading day at the present marks: set the settlement prices with [`Self::mark`] first.
    ///
    /// All lots become older ones with the settlement price as reference, the balance carries over, and the day's profit
    /// and fees start at 0. The result shows the day's profit and fees with the margin after settlement.
    pub fn settle(&mut self) -> AccountState {
        let mut state = self.state();
        for position in &mut self.positions {
            let mark_cny = position.mark_cny;
            for holding in &mut position.holdings {
                let today = std::mem::take(&mut holding.today);
                holding.history.extend(today);
                holding.history.iter_mut().for_each(|lot| lot.reference_cny = mark_cny);
                (holding.frozen_history, holding.frozen_today) = (0, 0);
            }
            position.sum_up(self.config.broker_add);
        }
        self.held_margin_cny = 0.0;
        self.margin_cny = self.margin_of_lots();
        state.margin_cny = self.margin_cny;
        state.available_cny = state.balance_cny - state.margin_cny;
        state.risk_ratio = if state.margin_cny == 0.0 { 0.0 } else { state.margin_cny / state.balance_cny };
        self.static_cny = state.balance_cny;
        self.close_profit_cny = 0.0;
        self.commission_cny = 0.0;
        state
    }
}
