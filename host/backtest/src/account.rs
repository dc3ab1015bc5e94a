//! The account of one fill model: the exchange's ledger, with the tables and holds of a run.

use crate::run::close_first;
use crate::spec::RunSpec;
use ghtrader_core::{ContractId, ContractSpec, Digest, DigestBuilder, TradingDay, Variety};
use ghtrader_exchange::{
    Account, AccountConfig, ClosedLot, ExchangeError, FeeRate, FeeRates, FeeTable, Hold, MarginTable, Refusal, Terms,
    Trade,
};
use ghtrader_kernels::wire::{RejectReason, Side};
use ghtrader_runtime::{OrderIntent, PositionView};
use std::sync::Arc;

/// Money, lots, fees and margin of one fill model.
#[derive(Debug, Clone)]
pub struct Ledger {
    account: Account,
    initial_cny: f64,
    /// Shared by all copies of an account: a copy is made between two ticks.
    fees: Arc<FeeTable>,
    margins: Arc<MarginTable>,
    free: bool,
    confirmed: bool,
    /// Names of the contracts by their number in the account.
    contracts: Vec<String>,
    current: usize,
    holds: Vec<(u64, Hold, u32)>,
    settled_fees_cny: f64,
    facts: Facts,
    /// What the last fill closed; nobody reads it, and it is not made anew for each.
    closed: Vec<ClosedLot>,
}

/// What is asked at every call of a strategy and changes only with a fill, a settlement or a new day.
#[derive(Debug, Clone, Copy)]
struct Facts {
    position: PositionView,
    balance_cny: f64,
    available_cny: f64,
    base_cny: f64,
    units: f64,
}

impl Ledger {
    /// An account with the money and tables of a specification.
    ///
    /// # Errors
    /// A value out of bounds, or a table without a row for the product.
    pub fn new(spec: &RunSpec, variety: &Variety) -> Result<Self, ExchangeError> {
        let (fees, margins) = (FeeTable::builtin(), MarginTable::builtin());
        let confirmed_fees = fees.rows().iter().filter(|r| r.key.product == *variety).all(|r| r.key.confirmed);
        let confirmed_margins = margins.rows().iter().filter(|r| r.key.product == *variety).all(|r| r.key.confirmed);
        Ok(Self {
            account: Account::new(AccountConfig {
                initial_cny: spec.account.initial_cny,
                large_side: spec.margin.large_side,
                close_first: close_first(spec.account.close_first),
                broker_markup: spec.fees.broker_markup,
                broker_add: spec.margin.broker_add,
            })?,
            initial_cny: spec.account.initial_cny,
            confirmed: confirmed_fees && confirmed_margins && !spec.fees.free,
            fees: Arc::new(fees),
            margins: Arc::new(margins),
            free: spec.fees.free,
            contracts: Vec::new(),
            current: 0,
            holds: Vec::new(),
            settled_fees_cny: 0.0,
            closed: Vec::new(),
            facts: Facts {
                position: PositionView::default(),
                balance_cny: spec.account.initial_cny,
                available_cny: spec.account.initial_cny,
                base_cny: spec.account.initial_cny,
                units: 0.0,
            },
        })
    }

    /// Digest of the fee and margin tables.
    pub fn digest(&self) -> Digest {
        let mut b = DigestBuilder::new("ghtrader tables 1");
        b.text(&self.fees.to_text()).text(&self.margins.to_text()).finish()
    }

    /// Every row that can be used was checked against its source.
    pub fn confirmed(&self) -> bool {
        self.confirmed
    }

    /// Money at the start, CNY.
    pub fn initial_cny(&self) -> f64 {
        self.initial_cny
    }

    /// Starts a trading day of a contract, which becomes the current one.
    ///
    /// # Errors
    /// A contract without a fee or margin row on that day, or a name that is no contract.
    pub fn begin_day(&mut self, contract: &str, spec: &ContractSpec, day: TradingDay) -> Result<(), ExchangeError> {
        let id: ContractId = contract.parse().map_err(|_| ExchangeError::BadValue {
            key: "contract".to_owned(),
            value: contract.to_owned(),
            bound: "a contract such as SHFE.cu2602".to_owned(),
        })?;
        let fees = if self.free {
            let nothing = FeeRate { rate: 0.0, per_lot_cny: 0.0 };
            FeeRates { open: nothing, close: nothing, close_today: nothing }
        } else {
            self.fees.lookup(&id, day)?.rates
        };
        let margin = self.margins.lookup(&id, day)?;
        let margin_rates = (margin.long_rate, margin.short_rate);
        let terms = Terms { contract: id, multiplier: spec.multiplier, fees, margin_rates };
        match self.contracts.iter().position(|c| c == contract) {
            Some(number) => {
                self.account.set_terms(number, terms);
                self.current = number;
            }
            None => {
                self.current = self.account.add_contract(terms);
                self.contracts.push(contract.to_owned());
            }
        }
        self.look();
        Ok(())
    }

    fn look(&mut self) {
        let lots = |side| {
            let (today, history) = self.account.lots(self.current, side);
            today + history
        };
        let balance_cny = self.account.settled_balance_cny();
        let line = self.account.equity_line(self.current);
        self.facts = Facts {
            position: PositionView {
                long_lots: lots(ghtrader_exchange::Side::Buy),
                short_lots: lots(ghtrader_exchange::Side::Sell),
            },
            balance_cny,
            available_cny: balance_cny - self.account.margin_cny(),
            base_cny: line.base_cny,
            units: line.units,
        };
    }

    /// Lots of the current contract.
    pub fn position(&self) -> PositionView {
        self.facts.position
    }

    /// Settled balance, plus profit closed and fees paid since, CNY; no mark enters.
    pub fn balance_cny(&self) -> f64 {
        self.facts.balance_cny
    }

    /// Balance less margin at opening (older lots: settlement) prices, CNY; no mark enters.
    pub fn available_cny(&self) -> f64 {
        self.facts.available_cny
    }

    /// All fees so far, CNY.
    pub fn fees_cny(&self) -> f64 {
        self.settled_fees_cny + self.account.commission_cny()
    }

    /// Equity at a mark of the current contract, CNY.
    pub fn equity_cny(&self, mark_cny: f64) -> f64 {
        let (base_cny, units) = self.equity_line();
        base_cny + units * mark_cny
    }

    /// Equity as `base + units × mark` of the current contract; the second is 0 without a position.
    pub fn equity_line(&self) -> (f64, f64) {
        (self.facts.base_cny, self.facts.units)
    }

    /// Whether the account lets an order go, at a price for what it opens; keeps lots and margin for it.
    ///
    /// # Errors
    /// The reason of the refusal.
    pub fn check(&mut self, order: &OrderIntent, price_cny: f64, mark_cny: f64) -> Result<(), RejectReason> {
        self.account.mark(self.current, mark_cny);
        let side = exchange_side(order.side);
        let offset = exchange_offset(order.offset);
        match self.account.check(self.current, side, offset, order.lots, price_cny) {
            Ok(hold) => {
                self.account.hold(&hold, order.lots);
                self.holds.push((order.id, hold, order.lots));
                Ok(())
            }
            Err(Refusal::InsufficientMargin { .. }) => Err(RejectReason::InsufficientMargin),
            Err(Refusal::NothingToClose { .. }) => Err(RejectReason::NothingToClose),
        }
    }

    /// Books a fill of the current contract and gives its fees, CNY.
    pub fn fill(&mut self, id: u64, trade: &Fill) -> f64 {
        if let Some((_, hold, left)) = self.holds.iter_mut().find(|(of, ..)| *of == id) {
            self.account.release(hold, trade.lots);
            *left = left.saturating_sub(trade.lots);
        }
        let trade = Trade {
            contract: self.current,
            side: exchange_side(trade.side),
            offset: exchange_offset(trade.offset),
            lots: trade.lots,
            price_cny: trade.price_cny,
            ts_ns: trade.ts_ns,
        };
        self.closed.clear();
        let booking = self.account.fill(&trade, &mut self.closed);
        self.look();
        booking.fee_cny
    }

    /// Gives back what was kept for the rest of an order.
    pub fn order_ended(&mut self, id: u64) {
        if let Some(at) = self.holds.iter().position(|(of, ..)| *of == id) {
            let (_, hold, left) = self.holds.swap_remove(at);
            self.account.release(&hold, left);
        }
    }

    /// Settles the day: lots become older ones with the settlement price of the current contract as reference.
    pub fn settle(&mut self, settlement_cny: f64) {
        self.settled_fees_cny += self.account.commission_cny();
        self.account.mark(self.current, settlement_cny);
        self.account.settle();
        self.holds.clear();
        self.look();
    }
}

/// A fill as the account books it.
#[derive(Debug, Clone, Copy)]
pub struct Fill {
    /// Direction.
    pub side: Side,
    /// As ordered.
    pub offset: ghtrader_kernels::wire::Offset,
    /// Size.
    pub lots: u32,
    /// CNY per quoted unit.
    pub price_cny: f64,
    /// Exchange time, ns.
    pub ts_ns: i64,
}

pub(crate) fn exchange_side(side: Side) -> ghtrader_exchange::Side {
    match side {
        Side::Buy => ghtrader_exchange::Side::Buy,
        Side::Sell => ghtrader_exchange::Side::Sell,
    }
}

pub(crate) fn wire_side(side: ghtrader_exchange::Side) -> Side {
    match side {
        ghtrader_exchange::Side::Buy => Side::Buy,
        ghtrader_exchange::Side::Sell => Side::Sell,
    }
}

pub(crate) fn exchange_offset(offset: ghtrader_kernels::wire::Offset) -> ghtrader_exchange::Offset {
    use ghtrader_kernels::wire::Offset;
    match offset {
        Offset::Auto => ghtrader_exchange::Offset::Auto,
        Offset::Open => ghtrader_exchange::Offset::Open,
        Offset::Close => ghtrader_exchange::Offset::Close,
        Offset::CloseToday => ghtrader_exchange::Offset::CloseToday,
    }
}

pub(crate) fn exchange_tif(tif: ghtrader_kernels::wire::Tif) -> ghtrader_exchange::Tif {
    use ghtrader_kernels::wire::Tif;
    match tif {
        Tif::Day => ghtrader_exchange::Tif::Day,
        Tif::Immediate => ghtrader_exchange::Tif::Immediate,
        Tif::FillOrKill => ghtrader_exchange::Tif::FillOrKill,
    }
}

pub(crate) fn wire_reason(reason: ghtrader_exchange::RejectReason) -> RejectReason {
    match reason {
        ghtrader_exchange::RejectReason::PostOnlyWouldCross => RejectReason::PostOnlyWouldCross,
        ghtrader_exchange::RejectReason::SelfTrade => RejectReason::SelfTrade,
        ghtrader_exchange::RejectReason::BeyondBook => RejectReason::BeyondBook,
        ghtrader_exchange::RejectReason::MarketClosed => RejectReason::MarketClosed,
    }
}
