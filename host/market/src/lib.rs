//! Reading the outside world: TqSdk CSV, CTP CSV, the DIFF line, and the synthetic market.

pub mod bench_stream;
pub mod diff;

mod day;
mod error;
mod field;
mod file;
mod layout;
mod number;
mod plain;
mod rows;
mod stamp;
mod write;

pub use day::{DayFindings, LineRun, SymbolDay, VolumeFall, assign_sequence, cumulative_delta};
pub use error::MarketError;
pub use file::{DayPart, FileRows, ReadOptions, TickFile, read_line};
pub use layout::Dialect;
pub use number::{
    Decimal, Grid, Number, NumberError, average_price, parse_count, parse_lots, parse_number, parse_price,
    price_to_ticks,
};
pub use plain::{PlainTicks, read_plain};
pub use rows::{Reject, Row, parse_row};
pub use stamp::{StampError, ctp_time, datetime_text};
pub use write::{push_digits, push_float, push_whole};
pub mod synth;
