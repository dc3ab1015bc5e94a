//! The packed words of the contract: what strategies ask for and what they are told, four words each.
//!
//! The layout is written down in `wit/v0.1.0/plugin.wit` at `strategy.run`; this module is its only implementation.

/// Words of one action or one event.
pub const WORDS: usize = 4;

const PLACE: u64 = 1;
const CANCEL: u64 = 2;
const TARGET: u64 = 3;
const WAKE_AT: u64 = 4;

const ACCEPTED: u64 = 1;
const FILLED: u64 = 2;
const CANCELLED: u64 = 3;
const REJECTED: u64 = 4;
const CONTRACT_CHANGED: u64 = 5;
const WOKE: u64 = 6;
const GAP: u64 = 7;
const BOUNDARY: u64 = 8;

/// Direction of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Side {
    /// Raises the position.
    Buy = 0,
    /// Lowers the position.
    Sell = 1,
}

impl Side {
    /// The other side.
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }

    /// +1 for a buy, −1 for a sell.
    pub const fn sign(self) -> i64 {
        match self {
            Self::Buy => 1,
            Self::Sell => -1,
        }
    }

    const fn from_bits(bits: u64) -> Option<Self> {
        match bits {
            0 => Some(Self::Buy),
            1 => Some(Self::Sell),
            _ => None,
        }
    }
}

/// Whether an order opens or closes, as Chinese exchanges ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Offset {
    /// The host closes what there is, then opens.
    #[default]
    Auto = 0,
    /// Opens.
    Open = 1,
    /// Closes, on SHFE and INE the position of earlier days.
    Close = 2,
    /// Closes what was opened on this trading day.
    CloseToday = 3,
}

impl Offset {
    const fn from_bits(bits: u64) -> Option<Self> {
        match bits {
            0 => Some(Self::Auto),
            1 => Some(Self::Open),
            2 => Some(Self::Close),
            3 => Some(Self::CloseToday),
            _ => None,
        }
    }
}

/// How long an order stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Tif {
    /// Until the close of the trading day.
    #[default]
    Day = 0,
    /// What does not fill at once is cancelled.
    Immediate = 1,
    /// Fills whole at once or not at all.
    FillOrKill = 2,
}

impl Tif {
    const fn from_bits(bits: u64) -> Option<Self> {
        match bits {
            0 => Some(Self::Day),
            1 => Some(Self::Immediate),
            2 => Some(Self::FillOrKill),
            _ => None,
        }
    }
}

/// Why an order was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RejectReason {
    /// A post-only order that would have taken.
    PostOnlyWouldCross = 1,
    /// It would have met an own order.
    SelfTrade = 2,
    /// Not enough money to open.
    InsufficientMargin = 3,
    /// A closing order without that much position.
    NothingToClose = 4,
    /// A taker larger than the displayed book, where the run rejects those.
    BeyondBook = 5,
    /// A price off the tick grid.
    OffGrid = 6,
    /// A contract that is no longer traded.
    StaleContract = 7,
    /// A limit of the risk rules.
    RiskLimit = 8,
    /// Outside continuous trading.
    MarketClosed = 9,
    /// Words that are no action, or an order of 0 lots.
    Malformed = 10,
    /// Any reason that this version does not know.
    Other = 255,
}

impl RejectReason {
    /// All reasons in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::PostOnlyWouldCross,
        Self::SelfTrade,
        Self::InsufficientMargin,
        Self::NothingToClose,
        Self::BeyondBook,
        Self::OffGrid,
        Self::StaleContract,
        Self::RiskLimit,
        Self::MarketClosed,
        Self::Malformed,
        Self::Other,
    ];

    /// Name in reports and logs, such as `post_only_would_cross`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PostOnlyWouldCross => "post_only_would_cross",
            Self::SelfTrade => "self_trade",
            Self::InsufficientMargin => "insufficient_margin",
            Self::NothingToClose => "nothing_to_close",
            Self::BeyondBook => "beyond_book",
            Self::OffGrid => "off_grid",
            Self::StaleContract => "stale_contract",
            Self::RiskLimit => "risk_limit",
            Self::MarketClosed => "market_closed",
            Self::Malformed => "malformed",
            Self::Other => "other",
        }
    }

    fn from_bits(bits: u64) -> Self {
        Self::ALL.into_iter().find(|reason| *reason as u64 == bits).unwrap_or(Self::Other)
    }
}

/// A border in the stream of rows, told before the first row behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Boundary {
    /// A new window of the same trading day.
    Session = 0,
    /// A new trading day; the cumulative volume restarts.
    TradingDay = 1,
    /// Another contract: nothing from before may be used.
    Roll = 2,
    /// More than 5 s without a row inside a session.
    Gap = 3,
    /// Any border that this version does not know.
    Other = 4,
}

impl Boundary {
    /// All borders in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Session, Self::TradingDay, Self::Roll, Self::Gap, Self::Other];

    fn from_bits(bits: u64) -> Self {
        Self::ALL.into_iter().find(|kind| *kind as u64 == bits).unwrap_or(Self::Other)
    }
}

/// An order as a strategy sends it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Order {
    /// Chosen by the strategy, unique within its life.
    pub client_id: u64,
    /// Number of the contract that is meant, from the account.
    pub contract: u32,
    /// Buy or sell.
    pub side: Side,
    /// Opens or closes.
    pub offset: Offset,
    /// Lots, at least 1.
    pub lots: u32,
    /// CNY per quoted unit; `None` = market. A NaN counts as `None`.
    pub limit_cny: Option<f64>,
    /// How long it stays.
    pub tif: Tif,
    /// Refused rather than taking.
    pub post_only: bool,
}

/// What a strategy asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    /// Send an order.
    Place(Order),
    /// Cancel an order.
    Cancel {
        /// The order's id.
        client_id: u64,
    },
    /// Have the host send what is missing to a position.
    Target {
        /// Number of the contract that is meant.
        contract: u32,
        /// Position wanted: long above 0, short below.
        lots: i64,
    },
    /// Ask for a [`Event::Woke`].
    WakeAt {
        /// Exchange time, ns since the epoch (UTC).
        ts_ns: i64,
    },
}

impl Action {
    /// Packs the action; a market order's limit becomes the canonical NaN.
    #[inline]
    pub fn encode(&self) -> [u64; WORDS] {
        match *self {
            Self::Place(order) => [
                PLACE
                    | (order.side as u64) << 8
                    | (order.offset as u64) << 16
                    | (order.tif as u64) << 24
                    | u64::from(order.post_only) << 32,
                order.client_id,
                u64::from(order.contract) | u64::from(order.lots) << 32,
                order.limit_cny.filter(|limit| !limit.is_nan()).unwrap_or(f64::NAN).to_bits(),
            ],
            Self::Cancel { client_id } => [CANCEL, client_id, 0, 0],
            Self::Target { contract, lots } => [TARGET, u64::from(contract), lots.cast_unsigned(), 0],
            Self::WakeAt { ts_ns } => [WAKE_AT, ts_ns.cast_unsigned(), 0, 0],
        }
    }

    /// Unpacks an action; `None` for words that no action has, unused bits included.
    #[inline]
    pub fn decode(words: &[u64; WORDS]) -> Option<Self> {
        let [head, second, third, fourth] = *words;
        match head & 0xff {
            PLACE => {
                if head >> 33 != 0 {
                    return None;
                }
                let limit = f64::from_bits(fourth);
                Some(Self::Place(Order {
                    client_id: second,
                    contract: low(third),
                    side: Side::from_bits(head >> 8 & 0xff)?,
                    offset: Offset::from_bits(head >> 16 & 0xff)?,
                    lots: high(third),
                    limit_cny: (!limit.is_nan()).then_some(limit),
                    tif: Tif::from_bits(head >> 24 & 0xff)?,
                    post_only: head >> 32 == 1,
                }))
            }
            _ if fourth != 0 => None,
            _ => match head {
                CANCEL if third == 0 => Some(Self::Cancel { client_id: second }),
                TARGET if second >> 32 == 0 => Some(Self::Target { contract: low(second), lots: third.cast_signed() }),
                WAKE_AT if third == 0 => Some(Self::WakeAt { ts_ns: second.cast_signed() }),
                _ => None,
            },
        }
    }
}

/// What a strategy is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event {
    /// The exchange took the order.
    Accepted {
        /// The order's id.
        client_id: u64,
    },
    /// A fill, whole or in part.
    Filled {
        /// The order's id.
        client_id: u64,
        /// Lots of this fill.
        lots: u32,
        /// Lots still open.
        remaining_lots: u32,
        /// CNY per quoted unit.
        price_cny: f64,
    },
    /// The order is gone: asked for, expired, or the rest of an immediate order.
    Cancelled {
        /// The order's id.
        client_id: u64,
        /// Lots that did not fill.
        remaining_lots: u32,
    },
    /// The order, or the cancel of it, was refused.
    Rejected {
        /// The order's id; 0 where the words were no action.
        client_id: u64,
        /// Why.
        reason: RejectReason,
    },
    /// The main contract rolled.
    ContractChanged {
        /// Number of the new contract.
        contract: u32,
    },
    /// An [`Action::WakeAt`] came due.
    Woke {
        /// Exchange time asked for, ns since the epoch (UTC).
        ts_ns: i64,
    },
    /// More than 5 s without a row inside a session.
    Gap,
    /// A border lies before the next row.
    Boundary(Boundary),
}

impl Event {
    /// Packs the event.
    #[inline]
    pub fn encode(&self) -> [u64; WORDS] {
        match *self {
            Self::Accepted { client_id } => [ACCEPTED, client_id, 0, 0],
            Self::Filled { client_id, lots, remaining_lots, price_cny } => {
                [FILLED, client_id, u64::from(lots) | u64::from(remaining_lots) << 32, price_cny.to_bits()]
            }
            Self::Cancelled { client_id, remaining_lots } => [CANCELLED, client_id, u64::from(remaining_lots), 0],
            Self::Rejected { client_id, reason } => [REJECTED | (reason as u64) << 8, client_id, 0, 0],
            Self::ContractChanged { contract } => [CONTRACT_CHANGED, u64::from(contract), 0, 0],
            Self::Woke { ts_ns } => [WOKE, ts_ns.cast_unsigned(), 0, 0],
            Self::Gap => [GAP, 0, 0, 0],
            Self::Boundary(kind) => [BOUNDARY | (kind as u64) << 8, 0, 0, 0],
        }
    }

    /// Unpacks an event; `None` for a kind that this version does not know: skip it.
    ///
    /// A reason or border that this version does not know is `Other`.
    #[inline]
    pub fn decode(words: &[u64; WORDS]) -> Option<Self> {
        let [head, second, third, fourth] = *words;
        Some(match head & 0xff {
            ACCEPTED => Self::Accepted { client_id: second },
            FILLED => Self::Filled {
                client_id: second,
                lots: low(third),
                remaining_lots: high(third),
                price_cny: f64::from_bits(fourth),
            },
            CANCELLED => Self::Cancelled { client_id: second, remaining_lots: low(third) },
            REJECTED => Self::Rejected { client_id: second, reason: RejectReason::from_bits(head >> 8 & 0xff) },
            CONTRACT_CHANGED => Self::ContractChanged { contract: low(second) },
            WOKE => Self::Woke { ts_ns: second.cast_signed() },
            GAP => Self::Gap,
            BOUNDARY => Self::Boundary(Boundary::from_bits(head >> 8 & 0xff)),
            _ => return None,
        })
    }
}

/// Cuts a flat list into its packed entries; words behind the last whole entry are left out.
pub fn entries(words: &[u64]) -> &[[u64; WORDS]] {
    words.as_chunks::<WORDS>().0
}

const fn low(word: u64) -> u32 {
    word as u32
}

const fn high(word: u64) -> u32 {
    (word >> 32) as u32
}
