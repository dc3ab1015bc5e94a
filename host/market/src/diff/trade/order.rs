//! Orders: as they are wanted, and as the server tells them.

use super::account::SideLots;
use ghtrader_core::{ContractId, Exchange};
use serde::{Deserialize, Serialize};

/// Longest id of an order, bytes.
pub(super) const LONGEST_ID: usize = 64;

/// The id of an order of ours. Only a journal makes one, when it writes the order down, and never the same one twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderId(String);

impl OrderId {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    /// The number of an id that begins like this.
    pub(super) fn number(text: &str, prefix: &str) -> Option<u64> {
        text.strip_prefix(prefix)?.parse().ok()
    }

    /// The id as the server knows it: letters, digits, `_` and `-`, at most 64.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for OrderId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for OrderId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Which way an order goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the protocol's words")]
pub enum Direction {
    Buy,
    Sell,
}

impl Direction {
    /// The protocol's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Buy => "BUY",
            Self::Sell => "SELL",
        }
    }
}

/// What an order does to the position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Offset {
    /// Opens.
    Open,
    /// Closes lots of days before; anywhere but on SHFE and INE today's too.
    Close,
    /// Closes today's lots.
    CloseToday,
}

impl Offset {
    /// The protocol's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Close => "CLOSE",
            Self::CloseToday => "CLOSETODAY",
        }
    }
}

/// How long an order lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// To the end of the trading day.
    Day,
    /// What does not fill at once is cancelled.
    Immediate,
    /// All of it fills at once, or nothing.
    FillOrKill,
}

impl Life {
    /// The protocol's words for time and volume.
    pub(super) const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Day => ("GFD", "ANY"),
            Self::Immediate => ("IOC", "ANY"),
            Self::FillOrKill => ("IOC", "ALL"),
        }
    }
}

/// An order as it is wanted: a limit order that has no id yet. It is used up by being sent, and cannot be copied: the
/// same order is never at hand twice.
///
/// ```compile_fail
/// use ghtrader_market::diff::trade::NewOrder;
/// fn twice(order: NewOrder) -> (NewOrder, NewOrder) {
///     (order.clone(), order)
/// }
/// ```
#[derive(Debug, PartialEq)]
pub struct NewOrder {
    pub(super) contract: ContractId,
    pub(super) direction: Direction,
    pub(super) offset: Offset,
    pub(super) lots: u32,
    pub(super) limit_price: f64,
    pub(super) life: Life,
}

impl NewOrder {
    /// A limit order for the day; `limit_price` in CNY per quoted unit.
    ///
    /// # Errors
    /// `NoLots`, `BadPrice`.
    pub fn limit(
        contract: ContractId,
        direction: Direction,
        offset: Offset,
        lots: u32,
        limit_price: f64,
    ) -> Result<Self, OrderRefusal> {
        if lots == 0 {
            return Err(OrderRefusal::NoLots);
        }
        if !limit_price.is_finite() {
            return Err(OrderRefusal::BadPrice(limit_price));
        }
        Ok(Self { contract, direction, offset, lots, limit_price, life: Life::Day })
    }

    /// The same with another life.
    #[must_use]
    pub fn living(self, life: Life) -> Self {
        Self { life, ..self }
    }

    /// The orders that close `lots` of a side at a price: on SHFE and INE lots of days before and today's apart, the older
    /// first.
    ///
    /// # Errors
    /// `NothingToClose` with the lots that are free, `BadPrice`.
    pub fn closing(
        contract: &ContractId,
        side: Direction,
        held: SideLots,
        lots: u32,
        limit_price: f64,
    ) -> Result<Vec<Self>, OrderRefusal> {
        let against = if side == Direction::Buy { Direction::Sell } else { Direction::Buy };
        let legs = close_legs(contract.variety().exchange(), held, i64::from(lots))
            .map_err(|free| OrderRefusal::NothingToClose { lots: i64::from(lots), free })?;
        let order = |(offset, lots): (Offset, i64)| {
            Self::limit(contract.clone(), against, offset, u32::try_from(lots).unwrap_or(u32::MAX), limit_price)
        };
        legs.into_iter().map(order).collect()
    }

    /// Whether the position has what the order closes.
    pub(super) fn check_close(&self, held: SideLots) -> Result<(), OrderRefusal> {
        let apart = keeps_apart(self.contract.variety().exchange());
        let free = match self.offset {
            Offset::Open => return Ok(()),
            Offset::CloseToday => held.today - held.frozen_today,
            Offset::Close if apart => held.his - held.frozen_his,
            Offset::Close => held.free(),
        };
        let (lots, free) = (i64::from(self.lots), free.max(0));
        if lots > free { Err(OrderRefusal::NothingToClose { lots, free }) } else { Ok(()) }
    }
}

/// SHFE and INE keep today's lots and those of days before apart.
const fn keeps_apart(exchange: Exchange) -> bool {
    matches!(exchange, Exchange::Shfe | Exchange::Ine)
}

/// How `lots` of a side are closed: offsets and lots, the older lots first.
///
/// # Errors
/// The lots that may be closed, if they are fewer.
pub fn close_legs(exchange: Exchange, held: SideLots, lots: i64) -> Result<Vec<(Offset, i64)>, i64> {
    let free = held.free();
    if lots > free || lots < 0 {
        return Err(free);
    }
    let legs = if keeps_apart(exchange) {
        let his = lots.min((held.his - held.frozen_his).max(0));
        vec![(Offset::Close, his), (Offset::CloseToday, lots - his)]
    } else {
        vec![(Offset::Close, lots)]
    };
    Ok(legs.into_iter().filter(|(_, lots)| *lots > 0).collect())
}

/// Why an order is not sent. Nothing has been written down then.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OrderRefusal {
    /// Of nothing.
    #[error("an order of 0 lots")]
    NoLots,
    /// No price.
    #[error("{0} is no limit price")]
    BadPrice(f64),
    /// More than the position has.
    #[error("{lots} lots to close, of which {free} are free")]
    NothingToClose {
        /// Lots of the order.
        lots: i64,
        /// Lots that may be closed by its offset.
        free: i64,
    },
}

/// How far an order of ours is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// Written down; on its way, or never sent. Nothing has been heard of it.
    Journaled,
    /// At the exchange.
    Acknowledged,
    /// At the exchange, some lots filled.
    PartlyFilled,
    /// All lots filled.
    Filled,
    /// Ended with lots left.
    Cancelled,
    /// Never at the exchange.
    Rejected,
    /// Nobody here knows what became of it: no answer in time, a line that was cut, or a picture without it.
    Unknown,
    /// Two complete pictures of the account, from two logins, are without it. A person has to say that it is settled.
    Lost,
    /// A person has looked into it and taken the broker's side.
    Settled,
}

impl OrderState {
    /// The exchange or a person has ended it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Filled | Self::Cancelled | Self::Rejected | Self::Settled)
    }

    /// Nothing new is sent before it is resolved.
    pub const fn is_ambiguous(self) -> bool {
        matches!(self, Self::Unknown | Self::Lost)
    }

    /// The word of reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Journaled => "journaled",
            Self::Acknowledged => "acknowledged",
            Self::PartlyFilled => "partly_filled",
            Self::Filled => "filled",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
            Self::Lost => "lost",
            Self::Settled => "settled",
        }
    }
}

/// An order as the server tells it, ours or another's: it only ever gets nearer to its end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Order {
    /// The sender's id.
    pub order_id: String,
    /// The exchange's; empty for an order that never got there.
    pub exchange_order_id: String,
    /// Such as `SHFE.cu2509`.
    pub symbol: String,
    /// `BUY` or `SELL`.
    pub direction: String,
    /// `OPEN`, `CLOSE` or `CLOSETODAY`.
    pub offset: String,
    /// CNY per quoted unit; none for an order without a limit.
    pub limit_price: Option<f64>,
    /// It has ended.
    pub finished: bool,
    /// Lots asked for.
    pub volume: i64,
    /// Lots that are not filled.
    pub volume_left: i64,
    /// The server's last word.
    pub last_msg: String,
}

/// One fill.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fill {
    /// Unique in the account.
    pub trade_id: String,
    /// The order's id.
    pub order_id: String,
    /// Such as `SHFE.cu2509`.
    pub symbol: String,
    /// `BUY` or `SELL`.
    pub direction: String,
    /// `OPEN`, `CLOSE` or `CLOSETODAY`.
    pub offset: String,
    /// CNY per quoted unit.
    pub price: f64,
    /// Lots.
    pub volume: i64,
    /// CNY.
    pub commission: f64,
    /// The server's market clock, ns since the epoch; 0 where it does not tell.
    pub time_ns: i64,
}
