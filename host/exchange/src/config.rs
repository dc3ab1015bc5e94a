//! How orders fill: the named models and their parameters.

/// Turns a fieldless enum into its `snake_case` name and back.
macro_rules! named {
    ($name:ident, $key:literal, $($variant:ident => $text:literal),+ $(,)?) => {
        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in specifications and reports.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl std::str::FromStr for $name {
            type Err = $crate::ExchangeError;

            fn from_str(text: &str) -> Result<Self, $crate::ExchangeError> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::ExchangeError::BadValue {
                        key: $key.to_owned(),
                        value: text.to_owned(),
                        bound: [$($text),+].join(" | "),
                    }),
                }
            }
        }
    };
}
pub(crate) use named;

/// Which fills the recorded book is taken to allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FillModel {
    /// Only what certainly traded; every cancel stood behind us.
    Pessimistic,
    /// The expected share of the cancels stood ahead of us.
    Central,
    /// All that may have traded; every cancel stood ahead of us.
    Optimistic,
    /// No queue: filled whole when the opposite best reaches the price.
    CrossOnly,
    /// As `CrossOnly`, or on any opposite volume at the price.
    Touch,
}
named!(FillModel, "fills.models", Pessimistic => "pessimistic", Central => "central", Optimistic => "optimistic",
    CrossOnly => "cross_only", Touch => "touch");

/// The book that a taker meets when it arrives between two snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TakerBook {
    /// The snapshot before its arrival.
    K,
    /// The snapshot after its arrival.
    KPlusOne,
    /// Fills as `KPlusOne`; what the snapshot before would have given is told beside.
    Both,
}
named!(TakerBook, "fills.taker_book", K => "k", KPlusOne => "k_plus_1", Both => "both");

/// What a market order gets once the five displayed levels are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeyondBook {
    /// Nothing.
    Reject,
    /// The last displayed price, worsened.
    Penalty {
        /// By so many price ticks.
        ticks: u32,
    },
}

/// The parameters of one simulated exchange.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MatchConfig {
    /// The fill model.
    pub model: FillModel,
    /// n of the probability (Q/(Q + back))ⁿ that a cancelled lot stood ahead of us; a guess until fitted on own live fills.
    pub central_power: f64,
    /// The book of takers that arrive between two snapshots.
    pub taker_book: TakerBook,
    /// Market orders larger than the displayed book.
    pub beyond_book: BeyondBook,
}

impl MatchConfig {
    /// The defaults of a run specification with that model.
    pub const fn new(model: FillModel) -> Self {
        Self { model, central_power: 3.0, taker_book: TakerBook::KPlusOne, beyond_book: BeyondBook::Reject }
    }
}
