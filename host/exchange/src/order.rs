//! Orders and what the exchange says about them.

use crate::config::named;
use ghtrader_core::{Calendar, CalendarError, ExchangeTimeNs, Variety};

/// Side of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Side {
    /// Buy.
    Buy = 0,
    /// Sell.
    Sell = 1,
}
named!(Side, "side", Buy => "buy", Sell => "sell");

impl Side {
    /// The other side.
    #[inline]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }

    /// +1 for a buy, −1 for a sell.
    #[inline]
    pub const fn sign(self) -> i32 {
        match self {
            Self::Buy => 1,
            Self::Sell => -1,
        }
    }
}

/// Whether an order opens or closes a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Offset {
    /// Closes what there is on the other side, then opens.
    Auto,
    /// Opens.
    Open,
    /// Closes; on SHFE and INE lots of earlier days only.
    Close,
    /// Closes lots opened on this trading day.
    CloseToday,
}
named!(Offset, "offset", Auto => "auto", Open => "open", Close => "close", CloseToday => "close_today");

/// How long an order lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tif {
    /// Until the day's close.
    Day,
    /// What cannot be filled at once is cancelled.
    Immediate,
    /// All at once or nothing.
    FillOrKill,
}
named!(Tif, "tif", Day => "day", Immediate => "immediate", FillOrKill => "fill_or_kill");

/// An order on its way to the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewOrder {
    /// Name of the order, unique while it lives.
    pub id: u64,
    /// Side.
    pub side: Side,
    /// Size, at least 1.
    pub lots: u32,
    /// Limit price; `None` = market order.
    pub limit_ticks: Option<i32>,
    /// Life.
    pub tif: Tif,
    /// Rejected instead of taking.
    pub post_only: bool,
    /// Carried through to the fills; the ledger gives it meaning.
    pub offset: Offset,
}

/// Why the exchange refuses an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectReason {
    /// A post-only order that would take.
    PostOnlyWouldCross,
    /// It would meet an own resting order.
    SelfTrade,
    /// A market order finds no displayed lot.
    BeyondBook,
    /// It arrives outside continuous trading.
    MarketClosed,
}
named!(RejectReason, "reason", PostOnlyWouldCross => "post_only_would_cross", SelfTrade => "self_trade",
    BeyondBook => "beyond_book", MarketClosed => "market_closed");

/// What an order gets of one book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BookFill {
    /// Lots.
    pub lots: u32,
    /// Σ price in ticks × lots.
    pub lot_ticks: i64,
}

/// What happened to an order. Rows are those of the day whose book or interval decided it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MatchEvent {
    /// The exchange took the order.
    Accepted {
        /// The order.
        id: u64,
        /// Row of the book that it met.
        row: usize,
        /// Time of its arrival.
        ts_ns: i64,
    },
    /// Taker book `both`, behind `Accepted`: what a taker that arrived between two snapshots gets of either.
    TakerBooks {
        /// The order.
        id: u64,
        /// Of the snapshot before its arrival.
        before: BookFill,
        /// Of the snapshot after it; its fills are these.
        after: BookFill,
        /// Time of its arrival.
        ts_ns: i64,
    },
    /// Lots of it traded at one price.
    Filled {
        /// The order.
        id: u64,
        /// Its side.
        side: Side,
        /// Price of the fill.
        price_ticks: i32,
        /// Lots of this fill.
        lots: u32,
        /// Lots still open.
        remaining: u32,
        /// It was resting.
        maker: bool,
        /// Row of the book met, or at the end of the interval.
        row: usize,
        /// Arrival of a taker, else the time of the row.
        ts_ns: i64,
        /// As ordered.
        offset: Offset,
    },
    /// The rest is gone: asked for, expired, or of an order that does not rest.
    Cancelled {
        /// The order.
        id: u64,
        /// Lots that were still open.
        remaining: u32,
        /// Row at which it was known.
        row: usize,
        /// When.
        ts_ns: i64,
    },
    /// The exchange refused the order.
    Rejected {
        /// The order.
        id: u64,
        /// Why.
        reason: RejectReason,
        /// Row at which it was known.
        row: usize,
        /// When.
        ts_ns: i64,
    },
}

impl MatchEvent {
    /// The order that it is about.
    pub const fn id(&self) -> u64 {
        match self {
            Self::Accepted { id, .. }
            | Self::Filled { id, .. }
            | Self::Cancelled { id, .. }
            | Self::Rejected { id, .. }
            | Self::TakerBooks { id, .. } => *id,
        }
    }

    /// When it happened, ns since the epoch.
    pub const fn ts_ns(&self) -> i64 {
        match self {
            Self::Accepted { ts_ns, .. }
            | Self::Filled { ts_ns, .. }
            | Self::Cancelled { ts_ns, .. }
            | Self::Rejected { ts_ns, .. }
            | Self::TakerBooks { ts_ns, .. } => *ts_ns,
        }
    }
}

/// When a day order that is sent at `send_ns` expires: the last close of its trading day, breaks and the night survived.
///
/// At that instant it is gone. A day without a session expires at once.
///
/// # Errors
/// `CalendarError` when no trading day holds the time.
pub fn day_order_expiry_ns(calendar: &Calendar, variety: &Variety, send_ns: i64) -> Result<i64, CalendarError> {
    let day = calendar.trading_day_of(ExchangeTimeNs(send_ns))?;
    Ok(calendar.session_windows(variety, day).last().map_or(send_ns, |w| w.end_ns))
}
