//! What the columns of a file are: dialects, headers, and the plan by which a row is read.

use crate::MarketError;
use ghtrader_core::{Column, L5_LEVELS, TICK_COLUMNS};
use std::path::Path;

/// A form of tick file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// TqSdk CSV: `datetime,datetime_nano,<SYMBOL>.<column>…`; also tick columns without the prefix.
    Tqsdk,
    /// CTP depth market data: 44 named fields.
    Ctp,
    /// CTP without header: time, bid, size, ask, size, last, volume, open interest.
    CtpCompact,
}

impl Dialect {
    /// Name in manifests and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tqsdk => "tqsdk",
            Self::Ctp => "ctp",
            Self::CtpCompact => "ctp-compact",
        }
    }
}

impl std::str::FromStr for Dialect {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Tqsdk, Self::Ctp, Self::CtpCompact].into_iter().find(|d| d.as_str() == text).ok_or(())
    }
}

/// Number of f64 cells that a row is read into: the tick columns, then CTP's daily limits.
pub(crate) const CELLS: usize = TICK_COLUMNS - 1 + 2;
/// Cell of the upper, then the lower limit price.
pub(crate) const UPPER_LIMIT: usize = TICK_COLUMNS - 1;
pub(crate) const LOWER_LIMIT: usize = TICK_COLUMNS;

/// The cell of a tick column.
pub(crate) const fn cell(column: Column) -> usize {
    column.index() - 1
}

/// What a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A price on the tick grid; NaN for null and 0.
    GridPrice,
    /// A price between ticks (average) or of the day; NaN for null and 0.
    Price,
    /// Lots of a book level; 0 for null.
    Lots,
    /// Whole lots, cumulative or level; NaN for null.
    Count,
    /// Any number; NaN for null.
    Number,
}

/// What one field of a row holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// Not needed.
    Skip,
    /// A number that goes into a cell.
    Cell(Kind, usize),
    /// `YYYY-MM-DD HH:MM:SS.f` on a Shanghai wall clock, or whole nanoseconds since the epoch.
    DateTime,
    /// Whole nanoseconds since the epoch.
    Nano,
    /// `YYYYMMDD`.
    TradingDay,
    /// The contract's name.
    Instrument,
    /// `HH:MM:SS[.f]`.
    TimeOfDay,
    /// 0..999.
    Millisec,
}

/// How the rows of one file are read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Layout {
    pub(crate) dialect: Dialect,
    /// One entry a field, in the order of the file.
    pub(crate) fields: Vec<Field>,
    /// Names of the fields, for messages.
    pub(crate) names: Vec<String>,
    /// `AveragePrice` is price times multiplier.
    pub(crate) average_times_multiplier: bool,
    /// The symbol in the header's prefixes, as written.
    pub(crate) symbol: Option<String>,
}

impl Layout {
    /// Reads the first line of a file. A compact file has no header: its first line is a row.
    ///
    /// # Errors
    /// `Header` if the line is no header or row of the dialect (of any dialect if `None`), `MixedSymbols` if prefixes differ.
    pub(crate) fn of_first_line(path: &Path, line: &str, dialect: Option<Dialect>) -> Result<Self, MarketError> {
        let names: Vec<&str> = line.trim_end().split(',').map(|f| f.trim().trim_matches('"').trim()).collect();
        let has = |name: &str| names.contains(&name);
        let found = if has("TradingDay") && has("UpdateTime") {
            Some(Dialect::Ctp)
        } else if has("datetime") {
            Some(Dialect::Tqsdk)
        } else if names.len() == COMPACT.len() && crate::stamp::time_of_day_ns(names[0].as_bytes()).is_some() {
            Some(Dialect::CtpCompact)
        } else {
            None
        };
        let wrong = |reason: String| MarketError::Header { path: path.to_owned(), reason };
        let Some(found) = found else {
            let start: String = line.trim_end().chars().take(60).collect();
            return Err(wrong(format!("the first line `{start}` is neither a header nor a compact row")));
        };
        if let Some(wanted) = dialect.filter(|d| *d != found) {
            return Err(wrong(format!("the file is of format {}, not {}", found.as_str(), wanted.as_str())));
        }
        let layout = match found {
            Dialect::Tqsdk => Self::tqsdk(path, &names)?,
            Dialect::Ctp => Self::by_names(Dialect::Ctp, &names, ctp_field),
            Dialect::CtpCompact => Self::compact(),
        };
        layout.check().map_err(wrong)?;
        Ok(layout)
    }

    /// Reads a header of tick columns with or without prefixes, of which any may be missing but the time.
    ///
    /// # Errors
    /// `Header` without a time column or with a column twice, `MixedSymbols` if prefixes differ.
    pub(crate) fn of_tick_columns(path: &Path, line: &str) -> Result<Self, MarketError> {
        let names: Vec<&str> = line.trim_end().split(',').map(|f| f.trim().trim_matches('"').trim()).collect();
        let layout = Self::tqsdk(path, &names)?;
        let wrong = |reason: String| MarketError::Header { path: path.to_owned(), reason };
        layout.check_once().map_err(wrong)?;
        if !layout.fields.contains(&Field::DateTime) && !layout.fields.contains(&Field::Nano) {
            return Err(wrong("column datetime is missing".to_owned()));
        }
        Ok(layout)
    }

    fn by_names(dialect: Dialect, names: &[&str], field: impl Fn(&str) -> Field) -> Self {
        Self {
            dialect,
            fields: names.iter().map(|n| field(n)).collect(),
            names: names.iter().map(|n| (*n).to_owned()).collect(),
            average_times_multiplier: dialect == Dialect::Ctp,
            symbol: None,
        }
    }

    fn tqsdk(path: &Path, names: &[&str]) -> Result<Self, MarketError> {
        let mut symbol: Option<&str> = None;
        let mut bare = Vec::with_capacity(names.len());
        for name in names {
            // The symbol itself has a dot: the column is what follows the last one.
            let Some((prefix, column)) = name.rsplit_once('.') else {
                bare.push(*name);
                continue;
            };
            match symbol {
                Some(first) if first != prefix => {
                    return Err(MarketError::MixedSymbols {
                        path: path.to_owned(),
                        line: 1,
                        first: first.to_owned(),
                        other: prefix.to_owned(),
                    });
                }
                _ => symbol = Some(prefix),
            }
            bare.push(column);
        }
        let mut layout = Self::by_names(Dialect::Tqsdk, &bare, |name| match name {
            "datetime" => Field::DateTime,
            "datetime_nano" => Field::Nano,
            "symbol" => Field::Instrument,
            _ => Column::from_name(name).map_or(Field::Skip, tick_field),
        });
        layout.symbol = symbol.map(str::to_owned);
        Ok(layout)
    }

    fn compact() -> Self {
        let fields = COMPACT.iter().map(|n| match *n {
            "time" => Field::TimeOfDay,
            name => Column::from_name(name).map_or(Field::Skip, tick_field),
        });
        Self {
            dialect: Dialect::CtpCompact,
            fields: fields.collect(),
            names: COMPACT.iter().map(|n| (*n).to_owned()).collect(),
            average_times_multiplier: false,
            symbol: None,
        }
    }

    fn check_once(&self) -> Result<(), String> {
        for (i, field) in self.fields.iter().enumerate() {
            if *field != Field::Skip && self.fields[..i].contains(field) {
                return Err(format!("column {} stands there twice", self.names[i]));
            }
        }
        Ok(())
    }

    /// Columns that must be there, columns that may stand once only, levels that must be whole.
    fn check(&self) -> Result<(), String> {
        self.check_once()?;
        let has = |column: Column| self.fields.iter().any(|f| f.cell() == Some(cell(column)));
        let best = [Column::bid_price(0), Column::bid_volume(0), Column::ask_price(0), Column::ask_volume(0)];
        let mut needed = vec![Column::LastPrice, Column::Volume, Column::OpenInterest];
        needed.extend(best);
        let mut missing: Vec<String> = needed.into_iter().filter(|c| !has(*c)).map(|c| c.name().to_owned()).collect();
        let stamps: &[(Field, &str)] = match self.dialect {
            Dialect::Ctp => &[
                (Field::TradingDay, "TradingDay"),
                (Field::Instrument, "InstrumentID"),
                (Field::TimeOfDay, "UpdateTime"),
                (Field::Millisec, "UpdateMillisec"),
            ],
            _ => &[],
        };
        missing.extend(stamps.iter().filter(|(f, _)| !self.fields.contains(f)).map(|(_, n)| (*n).to_owned()));
        if self.symbol.is_some() && !self.fields.contains(&Field::Nano) {
            missing.push("datetime_nano".to_owned());
        }
        if !missing.is_empty() {
            return Err(format!("columns {} are missing", missing.join(", ")));
        }
        for level in 1..L5_LEVELS {
            let of_level = [
                Column::bid_price(level),
                Column::bid_volume(level),
                Column::ask_price(level),
                Column::ask_volume(level),
            ];
            if of_level.iter().any(|c| has(*c)) && !of_level.iter().all(|c| has(*c)) {
                return Err(format!("level {} of the book is not complete: it has four columns", level + 1));
            }
        }
        Ok(())
    }

    /// A row before anything is read: every column that the file lacks is null, sizes 0.
    pub(crate) fn empty_row(&self) -> [f64; CELLS] {
        let mut row = [f64::NAN; CELLS];
        for level in 0..L5_LEVELS {
            row[cell(Column::bid_volume(level))] = 0.0;
            row[cell(Column::ask_volume(level))] = 0.0;
        }
        row
    }
}

impl Field {
    /// The cell that the field is read into.
    pub(crate) fn cell(self) -> Option<usize> {
        match self {
            Self::Cell(_, c) => Some(c),
            _ => None,
        }
    }
}

/// Names of a compact row's fields.
const COMPACT: [&str; 8] =
    ["time", "bid_price1", "bid_volume1", "ask_price1", "ask_volume1", "last_price", "volume", "open_interest"];

fn tick_field(column: Column) -> Field {
    let kind = match column {
        Column::Average | Column::Highest | Column::Lowest => Kind::Price,
        Column::Volume | Column::OpenInterest => Kind::Count,
        Column::Amount => Kind::Number,
        c if c.is_price() => Kind::GridPrice,
        _ => Kind::Lots,
    };
    Field::Cell(kind, cell(column))
}

/// Fields of CTP's `CThostFtdcDepthMarketDataField`.
fn ctp_field(name: &str) -> Field {
    let level = |prefix: &str| {
        let number: usize = name.strip_prefix(prefix)?.parse().ok()?;
        (1..=L5_LEVELS).contains(&number).then(|| number - 1)
    };
    match name {
        "TradingDay" => Field::TradingDay,
        "InstrumentID" => Field::Instrument,
        "UpdateTime" => Field::TimeOfDay,
        "UpdateMillisec" => Field::Millisec,
        "LastPrice" => tick_field(Column::LastPrice),
        "HighestPrice" => tick_field(Column::Highest),
        "LowestPrice" => tick_field(Column::Lowest),
        "AveragePrice" => tick_field(Column::Average),
        "Volume" => tick_field(Column::Volume),
        "Turnover" => tick_field(Column::Amount),
        "OpenInterest" => tick_field(Column::OpenInterest),
        "UpperLimitPrice" => Field::Cell(Kind::Price, UPPER_LIMIT),
        "LowerLimitPrice" => Field::Cell(Kind::Price, LOWER_LIMIT),
        _ => {
            let column = level("BidPrice")
                .map(Column::bid_price)
                .or_else(|| level("BidVolume").map(Column::bid_volume))
                .or_else(|| level("AskPrice").map(Column::ask_price))
                .or_else(|| level("AskVolume").map(Column::ask_volume));
            column.map_or(Field::Skip, tick_field)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, want: Result<Dialect, &str>) {
        match (Layout::of_first_line(Path::new("x.csv"), line, None), want) {
            (Ok(layout), Ok(dialect)) => assert_eq!(layout.dialect, dialect, "{line}"),
            (Err(e), Err(text)) => assert!(e.to_string().contains(text), "{line}: {e}"),
            (got, want) => panic!("{line}: {got:?}, want {want:?}"),
        }
    }

    #[test]
    fn dialects_are_told_by_the_first_line() {
        let book = "X.a1.bid_price1,X.a1.bid_volume1,X.a1.ask_price1,X.a1.ask_volume1";
        let rest = "X.a1.last_price,X.a1.volume,X.a1.amount,X.a1.open_interest";
        check(&format!("datetime,datetime_nano,{book},{rest}\r\n"), Ok(Dialect::Tqsdk));
        check(&format!("{rest},{book},datetime_nano,datetime,X.a1.own\n"), Ok(Dialect::Tqsdk));
        check("21:00:00.500,1,2,3,4,5,6,7\n", Ok(Dialect::CtpCompact));
        check("25:00:00.500,1,2,3,4,5,6,7\n", Err("neither a header nor a compact row"));
        check("a,b,c\n", Err("neither a header nor a compact row"));
        check(&format!("datetime,datetime_nano,{book}\n"), Err("last_price, volume, open_interest are missing"));
        check(&format!("datetime,{book},{rest}\n"), Err("datetime_nano are missing"));
        check(&format!("datetime,datetime_nano,{book},{rest},X.a1.volume\n"), Err("volume stands there twice"));
        check(&format!("datetime,datetime_nano,{book},{rest},X.b1.average\n"), Err("X.b1"));
        check(&format!("datetime,datetime_nano,{book},{rest},X.a1.bid_price3\n"), Err("level 3"));
        check("TradingDay,UpdateTime\n", Err("InstrumentID"));
    }
}
