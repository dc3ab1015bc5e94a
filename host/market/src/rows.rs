//! Reads rows from bytes: the one hot loop of the import.

use crate::MarketError;
use crate::day::{LineRun, unnumbered};
use crate::field::{eight_digits, fields_of, line_end, nano, plain_number, slow_number, text, whole_ns};
use crate::layout::{CELLS, Dialect, Field, Kind, Layout, cell};
use crate::number::{Grid, average_price};
use crate::stamp::{DayClock, StampError, StampReader, millisec, time_of_day_ns};
use ghtrader_core::{
    Calendar, CalendarError, Column, ContractId, ContractTable, ExchangeTimeNs, L5_LEVELS, NS_PER_S, TICK_COLUMNS,
    TickTable, TradingDay,
};

/// A row that is not stored, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Line in the file, from 1; the header counts.
    pub line: u64,
    /// The symbol-day it is counted to: its own, or that of the good row before it if its time cannot be trusted.
    pub trading_day: Option<TradingDay>,
    /// `bad_row`, `off_grid`, `time_backwards`, `not_a_trading_day`, `calendar_uncovered` or `unknown_contract`.
    pub code: &'static str,
    /// What is wrong, with the value.
    pub detail: String,
    /// The line as it stands in the file, cut after 4,096 bytes.
    pub raw: String,
}

/// Room made at once for a trading day: the exchanges send at most two rows a second, 66,600 in the longest day.
const ROWS_OF_A_DAY: usize = 1 << 16;
/// Length of `YYYY-MM-DD HH:MM:SS.fffffffff`.
const STAMP_BYTES: usize = 29;
/// Longest part of a rejected line that is kept.
const RAW_BYTES: usize = 4_096;

const BEST_BID: usize = cell(Column::bid_price(0));

/// What holds for all rows of a file.
#[derive(Debug, Clone)]
pub(crate) struct Rules<'a> {
    pub(crate) calendar: &'a Calendar,
    /// Price ticks and multipliers; without a contract nothing is checked against the grid.
    pub(crate) contract: Option<(&'a ContractTable, &'a ContractId)>,
    /// CTP's average price is divided by this where no contract is known.
    pub(crate) multiplier: f64,
    /// The trading day of a file that does not name it.
    pub(crate) trading_day: Option<TradingDay>,
}

/// Why a row is not stored.
#[derive(Debug, Clone, PartialEq)]
enum Fault {
    /// Too few or too many fields.
    FieldCount,
    /// The text of a field is not what belongs there.
    Unreadable(usize),
    /// `datetime` and `datetime_nano` are different instants.
    StampsDisagree {
        text_ns: i64,
        nano: i64,
    },
    /// A size above 0 at a level without a price; bids are 0..5, asks 5..10.
    SizeWithoutPrice(usize),
    OffGrid(usize),
    TimeBackwards {
        ts_ns: i64,
        last_ns: i64,
    },
    Stamp(StampError),
    UnknownContract(String),
    /// The row belongs to another contract: the file is refused.
    OtherSymbol(usize),
}

impl Fault {
    fn code(&self) -> &'static str {
        match self {
            Self::OffGrid(_) => "off_grid",
            Self::TimeBackwards { .. } => "time_backwards",
            Self::Stamp(
                StampError::NotATradingDay { .. } | StampError::Calendar(CalendarError::NotATradingDay { .. }),
            ) => "not_a_trading_day",
            Self::Stamp(StampError::Calendar(_)) => "calendar_uncovered",
            Self::UnknownContract(_) => "unknown_contract",
            _ => "bad_row",
        }
    }
}

/// A row's time and cells; its trading day is the reader's current one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LastRow {
    pub(crate) ts_ns: i64,
    pub(crate) cells: [f64; TICK_COLUMNS - 1],
}

/// The rows of one trading day, in order of the file; `seq` and `phase` are still empty.
#[derive(Debug, Clone)]
pub(crate) struct DayRows {
    pub(crate) day: TradingDay,
    pub(crate) table: TickTable,
    /// Where its rows stand; lines count as those of [`Chunk::rejects`].
    pub(crate) lines: Vec<LineRun>,
    pub(crate) duplicates: u64,
}

/// What was read from a piece of a file.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) lines: u64,
    pub(crate) days: Vec<DayRows>,
    /// Line numbers count from 0 at the start of the piece.
    pub(crate) rejects: Vec<Reject>,
    pub(crate) first: Option<LastRow>,
    /// The last line has too few fields.
    pub(crate) ends_short: bool,
}

impl Chunk {
    pub(crate) fn last(&self) -> Option<LastRow> {
        let table = &self.days.iter().rev().find(|d| d.table.rows() > 0)?.table;
        let row = table.rows() - 1;
        Some(LastRow { ts_ns: table.ts_ns[row], cells: std::array::from_fn(|c| table.floats[c][row]) })
    }
}

/// Bits and not values: null equals null.
pub(crate) fn same_cells(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

/// The trading day that rows are being read for.
struct CurrentDay {
    day: TradingDay,
    /// For how long a stamp without a trading day beside it needs no new look at the calendar: `from_ns <= t < to_ns`.
    from_ns: i64,
    to_ns: i64,
    grid: Option<Grid>,
    multiplier: f64,
}

/// Which of the two time columns a TqSdk file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stamps {
    Text,
    Nano,
    Both,
}

/// Reads rows one after the other; keeps what rows next to each other share.
pub(crate) struct RowReader<'a> {
    layout: &'a Layout,
    rules: &'a Rules<'a>,
    instrument: Option<String>,
    stamps_are: Stamps,
    stamps: StampReader,
    current: Option<CurrentDay>,
    clock: Option<(u32, DayClock)>,
    pub(crate) cells: [f64; CELLS],
    text_ns: i64,
    nano: i64,
    of_day_ns: i64,
    millis: i64,
    day_number: u32,
    off_grid: Option<usize>,
}

impl<'a> RowReader<'a> {
    pub(crate) fn new(layout: &'a Layout, rules: &'a Rules<'a>) -> Self {
        Self {
            layout,
            rules,
            instrument: rules.contract.map(|(_, c)| c.instrument()),
            stamps_are: match (layout.fields.contains(&Field::DateTime), layout.fields.contains(&Field::Nano)) {
                (true, true) => Stamps::Both,
                (false, true) => Stamps::Nano,
                _ => Stamps::Text,
            },
            stamps: StampReader::default(),
            current: None,
            clock: None,
            cells: layout.empty_row(),
            text_ns: 0,
            nano: 0,
            of_day_ns: 0,
            millis: 0,
            day_number: 0,
            off_grid: None,
        }
    }

    /// Reads a piece of a file that ends with a line end. `before` is the last row in front of it.
    ///
    /// # Errors
    /// `(line, symbol)` of a row of another contract.
    pub(crate) fn chunk(&mut self, bytes: &[u8], before: Option<LastRow>) -> Result<Chunk, (u64, String)> {
        let mut out = Chunk::default();
        let line_bytes = bytes.iter().position(|c| *c == b'\n').unwrap_or(0) + 1;
        let mut last_ns = before.map_or(i64::MIN, |b| b.ts_ns);
        let mut start = 0;
        while start < bytes.len() {
            match self.row(bytes, start, last_ns) {
                Ok((ts_ns, day, next)) => {
                    start = next;
                    out.lines += 1;
                    if out.first.is_none() {
                        let mut cells = [0.0; TICK_COLUMNS - 1];
                        cells.copy_from_slice(&self.cells[..TICK_COLUMNS - 1]);
                        out.first = Some(LastRow { ts_ns, cells });
                    }
                    if out.days.last().is_none_or(|d| d.day != day) {
                        let rows_left = (bytes.len() - start) / line_bytes + 1;
                        let table = unnumbered(rows_left.min(ROWS_OF_A_DAY));
                        out.days.push(DayRows { day, table, lines: Vec::new(), duplicates: 0 });
                    }
                    let Some(rows) = out.days.last_mut() else { continue };
                    if ts_ns == last_ns && self.repeats(&rows.table, before.as_ref()) {
                        rows.duplicates += 1;
                        continue;
                    }
                    last_ns = ts_ns;
                    LineRun::note(&mut rows.lines, rows.table.rows() as u32, 0, out.lines - 1);
                    rows.table.ts_ns.push(ts_ns);
                    for (column, value) in rows.table.floats.iter_mut().zip(&self.cells) {
                        column.push(*value);
                    }
                }
                Err(fault) => {
                    let end = line_end(bytes, start);
                    let line = bytes[start..end].trim_ascii_end();
                    if let Fault::OtherSymbol(field) = fault
                        && fields_of(line).count() == self.layout.fields.len()
                    {
                        return Err((out.lines, self.text(line, field)));
                    }
                    let short = fields_of(line).count() < self.layout.fields.len();
                    out.ends_short = end >= bytes.len() && short;
                    out.rejects.push(self.reject(out.lines, line, fault, out.days.last().map(|d| d.day)));
                    out.lines += 1;
                    start = end;
                }
            }
        }
        Ok(out)
    }

    /// Reads a whole text row by row as it stands: no grid, no calendar, no row dropped. Time must not go back.
    pub(crate) fn every_row(&mut self, bytes: &[u8]) -> Result<TickTable, Reject> {
        let mut table = unnumbered(bytes.len() / (line_end(bytes, 0).max(1)) + 1);
        let (mut start, mut last_ns) = (0, i64::MIN);
        while start < bytes.len() {
            let read = self.fields(bytes, start).and_then(|next| Ok((next, self.stamp()?.0)));
            let in_order = read.and_then(|(next, ts_ns)| {
                if ts_ns < last_ns { Err(Fault::TimeBackwards { ts_ns, last_ns }) } else { Ok((next, ts_ns)) }
            });
            let (next, ts_ns) = in_order.map_err(|fault| {
                let line = bytes[start..line_end(bytes, start)].trim_ascii_end();
                self.reject(table.rows() as u64, line, fault, None)
            })?;
            (start, last_ns) = (next, ts_ns);
            table.ts_ns.push(ts_ns);
            for (column, value) in table.floats.iter_mut().zip(&self.cells) {
                column.push(*value);
            }
        }
        Ok(table)
    }

    /// Takes rows of this contract only.
    pub(crate) fn only(&mut self, instrument: &str) {
        self.instrument = Some(instrument.to_owned());
    }

    fn repeats(&self, table: &TickTable, before: Option<&LastRow>) -> bool {
        match table.rows() {
            0 => before.is_some_and(|b| same_cells(&b.cells, &self.cells)),
            n => table.floats.iter().zip(&self.cells).all(|(column, v)| column[n - 1].to_bits() == v.to_bits()),
        }
    }

    /// Reads the row at `start`; returns its time, its trading day, and where the next one starts.
    #[inline]
    fn row(&mut self, bytes: &[u8], start: usize, last_ns: i64) -> Result<(i64, TradingDay, usize), Fault> {
        let mut next = self.fields(bytes, start)?;
        let (ts_ns, of_file) = self.stamp()?;
        let known = self.current.as_ref().is_some_and(|c| match of_file {
            Some(day) => c.day == day,
            None => c.from_ns <= ts_ns && ts_ns < c.to_ns,
        });
        if !known {
            self.enter_day(ts_ns, of_file)?;
            // The grid may be another one from this day on.
            next = self.fields(bytes, start)?;
        }
        if let Some(field) = self.off_grid {
            return Err(Fault::OffGrid(field));
        }
        self.check_levels()?;
        if self.layout.average_times_multiplier {
            let (average, volume) = (const { cell(Column::Average) }, const { cell(Column::Volume) });
            let multiplier = self.current.as_ref().map_or(f64::NAN, |c| c.multiplier);
            self.cells[average] = average_price(self.cells[average], self.cells[volume], multiplier);
        }
        if ts_ns < last_ns {
            return Err(Fault::TimeBackwards { ts_ns, last_ns });
        }
        let day = self.current.as_ref().map_or(TradingDay::from_days(0), |c| c.day);
        Ok((ts_ns, day, next))
    }

    #[inline]
    fn check_levels(&self) -> Result<(), Fault> {
        for level in 0..L5_LEVELS {
            // Price and size of the bid, price and size of the ask.
            let bid = BEST_BID + 4 * level;
            if self.cells[bid].is_nan() && self.cells[bid + 1] != 0.0 {
                return Err(Fault::SizeWithoutPrice(level));
            }
            if self.cells[bid + 2].is_nan() && self.cells[bid + 3] != 0.0 {
                return Err(Fault::SizeWithoutPrice(L5_LEVELS + level));
            }
        }
        Ok(())
    }

    /// Reads all fields of the row at `start` into the cells; returns where the next row starts.
    #[inline]
    fn fields(&mut self, b: &[u8], start: usize) -> Result<usize, Fault> {
        self.off_grid = None;
        let layout = self.layout;
        let last = layout.fields.len() - 1;
        let mut at = start;
        for (k, field) in layout.fields.iter().enumerate() {
            if let Field::Cell(kind, c) = *field {
                let (value, decimal, end) = match plain_number(b, at) {
                    Some((decimal, end)) => (decimal.to_f64(), Some(decimal), end),
                    None => slow_number(b, at).ok_or(Fault::Unreadable(k))?,
                };
                at = end;
                self.cells[c] = match kind {
                    Kind::GridPrice | Kind::Price if value == 0.0 => f64::NAN,
                    Kind::GridPrice => {
                        let grid = self.current.as_ref().and_then(|c| c.grid.as_ref());
                        if grid.is_some_and(|g| !g.holds(value, decimal)) && !value.is_nan() {
                            self.off_grid = self.off_grid.or(Some(k));
                        }
                        value
                    }
                    Kind::Lots | Kind::Count if decimal.is_none_or(|d| d.scale != 0) && value.fract() != 0.0 => {
                        match (value.is_nan(), kind) {
                            (false, _) => return Err(Fault::Unreadable(k)),
                            (true, Kind::Lots) => 0.0,
                            (true, _) => f64::NAN,
                        }
                    }
                    Kind::Price | Kind::Lots | Kind::Count | Kind::Number => value,
                };
            } else {
                at = self.other_field(k, *field, b, at)?;
            }
            if k < last {
                if b[at] != b',' {
                    return Err(Fault::FieldCount);
                }
                at += 1;
            }
        }
        match b[at..] {
            [b'\n', ..] => Ok(at + 1),
            [b'\r', b'\n', ..] => Ok(at + 2),
            _ => Err(Fault::FieldCount),
        }
    }

    /// Reads a field that is no cell; returns where its delimiter stands.
    #[inline]
    fn other_field(&mut self, k: usize, field: Field, b: &[u8], at: usize) -> Result<usize, Fault> {
        let unreadable = || Fault::Unreadable(k);
        if field == Field::Nano {
            let (ns, end) = nano(b, at).ok_or_else(unreadable)?;
            self.nano = ns;
            return Ok(end);
        }
        if field == Field::DateTime {
            // The usual width first: a reader that accepts it has seen that no delimiter is inside.
            let usual = b.get(at..at + STAMP_BYTES + 1).and_then(|t| t.strip_suffix(b","));
            if let Some(ns) = usual.and_then(|t| self.stamps.read(t)) {
                self.text_ns = ns;
                return Ok(at + STAMP_BYTES);
            }
        }
        let (text, end) = text(b, at).ok_or(Fault::FieldCount)?;
        match field {
            Field::DateTime => {
                let ns = self.stamps.read(text).or_else(|| whole_ns(text));
                self.text_ns = ns.ok_or_else(unreadable)?;
            }
            Field::TimeOfDay => self.of_day_ns = time_of_day_ns(text).ok_or_else(unreadable)?,
            Field::Millisec => self.millis = millisec(text).ok_or_else(unreadable)?,
            Field::TradingDay => self.day_number = eight_digits(text).ok_or_else(unreadable)?,
            Field::Instrument => {
                if let Some(wanted) = &self.instrument {
                    let name = text.iter().rposition(|c| *c == b'.').map_or(text, |dot| &text[dot + 1..]);
                    if !name.eq_ignore_ascii_case(wanted.as_bytes()) {
                        return Err(Fault::OtherSymbol(k));
                    }
                }
            }
            Field::Skip | Field::Nano | Field::Cell(..) => {}
        }
        Ok(end)
    }

    /// The instant of the row just read, and its trading day where the file or the caller names it.
    #[inline]
    fn stamp(&mut self) -> Result<(i64, Option<TradingDay>), Fault> {
        if self.layout.dialect == Dialect::Tqsdk {
            return match self.stamps_are {
                Stamps::Text => Ok((self.text_ns, None)),
                Stamps::Both if self.text_ns != self.nano => {
                    Err(Fault::StampsDisagree { text_ns: self.text_ns, nano: self.nano })
                }
                Stamps::Both | Stamps::Nano => Ok((self.nano, None)),
            };
        }
        let clock = match self.clock {
            Some((number, clock)) if number == self.day_number => clock,
            _ => self.set_clock()?,
        };
        Ok((clock.at(self.of_day_ns) + self.millis * 1_000_000, Some(clock.day)))
    }

    #[cold]
    fn set_clock(&mut self) -> Result<DayClock, Fault> {
        let day = match self.rules.trading_day.filter(|_| self.layout.dialect == Dialect::CtpCompact) {
            Some(day) => day,
            None => {
                let n = self.day_number;
                let day = TradingDay::from_ymd((n / 10_000) as i32, n / 100 % 100, n % 100);
                let position = self.layout.fields.iter().position(|f| *f == Field::TradingDay);
                day.ok_or(Fault::Unreadable(position.unwrap_or(0)))?
            }
        };
        let clock = DayClock::new(day, self.rules.calendar).map_err(Fault::Stamp)?;
        self.clock = Some((self.day_number, clock));
        Ok(clock)
    }

    #[cold]
    fn enter_day(&mut self, ts_ns: i64, of_file: Option<TradingDay>) -> Result<(), Fault> {
        let t = ExchangeTimeNs(ts_ns);
        let (from_ns, to_ns) = half_day_around(t);
        let day = match of_file {
            Some(day) => day,
            None => self.rules.calendar.trading_day_of(t).map_err(|e| Fault::Stamp(e.into()))?,
        };
        let (mut grid, mut multiplier) = (None, self.rules.multiplier);
        if let Some((table, contract)) = self.rules.contract {
            let unknown = |e: String| Fault::UnknownContract(e);
            let spec = table.spec(contract.variety(), day).map_err(|e| unknown(e.to_string()))?;
            grid = Some(Grid::parse(&spec.price_tick_text).map_err(|e| unknown(e.to_string()))?);
            multiplier = spec.multiplier;
        }
        self.current = Some(CurrentDay { day, from_ns, to_ns, grid, multiplier });
        Ok(())
    }

    #[cold]
    fn text(&self, line: &[u8], field: usize) -> String {
        let text = fields_of(line).nth(field).unwrap_or_default();
        String::from_utf8_lossy(&text[..text.len().min(80)]).into_owned()
    }

    #[cold]
    fn reject(&self, line_number: u64, line: &[u8], fault: Fault, day_before: Option<TradingDay>) -> Reject {
        let found = fields_of(line).count();
        let expected = self.layout.fields.len();
        let name = |field: usize| self.layout.names.get(field).map_or("", String::as_str);
        let fault = if found == expected { fault } else { Fault::FieldCount };
        let detail = match &fault {
            Fault::FieldCount if found == expected => "a quote is not closed".to_owned(),
            Fault::FieldCount => format!("{found} fields under {expected} columns"),
            Fault::Unreadable(field) => format!("{} `{}` is unreadable", name(*field), self.text(line, *field)),
            Fault::OtherSymbol(field) => format!("{} `{}` is another contract", name(*field), self.text(line, *field)),
            Fault::StampsDisagree { text_ns, nano } => {
                format!("datetime and datetime_nano differ by {} ns", i128::from(*nano) - i128::from(*text_ns))
            }
            Fault::SizeWithoutPrice(level) => {
                let side = if *level < L5_LEVELS { "bid" } else { "ask" };
                format!("{side} level {} has a size but no price", level % L5_LEVELS + 1)
            }
            Fault::OffGrid(field) => {
                format!("{} {} is no multiple of the price tick", name(*field), self.text(line, *field))
            }
            Fault::TimeBackwards { ts_ns, last_ns } => {
                format!("{} after {}", ExchangeTimeNs(*ts_ns), ExchangeTimeNs(*last_ns))
            }
            Fault::Stamp(e) => e.to_string(),
            Fault::UnknownContract(e) => e.clone(),
        };
        let trading_day = match &fault {
            Fault::OffGrid(_) | Fault::SizeWithoutPrice(_) => self.current.as_ref().map(|c| c.day),
            _ => day_before,
        };
        let mut raw = String::from_utf8_lossy(&line[..line.len().min(RAW_BYTES)]).into_owned();
        if line.len() > RAW_BYTES {
            raw.push('…');
        }
        Reject { line: line_number, trading_day, code: fault.code(), detail, raw }
    }
}

/// The stretch of exchange time around `t` in which no border of the trading-day rule lies: borders are 06:00 and 18:00.
fn half_day_around(t: ExchangeTimeNs) -> (i64, i64) {
    const HALF_DAY: i64 = 12 * 3_600 * NS_PER_S;
    let since_six = t.cst_ns_of_day() - HALF_DAY / 2;
    let from = t.0 - since_six.rem_euclid(HALF_DAY);
    (from, from + HALF_DAY)
}

/// One row read by itself: for single lines and tests of the row rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Symbol in the header's prefixes, or the row's own contract name, as written.
    pub symbol: Option<String>,
    /// Exchange time.
    pub ts: ExchangeTimeNs,
    /// Trading day by the file's own column, or else by the calendar's rule.
    pub trading_day: TradingDay,
    /// The f64 tick columns in schema order; NaN = null.
    pub floats: [f64; TICK_COLUMNS - 1],
    /// CTP's daily price limits, CNY; NaN where the dialect has none.
    pub upper_limit_cny: f64,
    /// Lower limit.
    pub lower_limit_cny: f64,
}

/// Reads one line under its header by the rules of a whole file. CTP's average price is divided by `multiplier`.
///
/// # Errors
/// `Header` for a bad header; `Row` with the reason for a line that would be rejected.
pub fn parse_row(header: &str, line: &str, multiplier: f64, calendar: &Calendar) -> Result<Row, MarketError> {
    let path = std::path::Path::new("row");
    let layout = Layout::of_first_line(path, header, None)?;
    let rules = Rules { calendar, contract: None, multiplier, trading_day: None };
    let mut reader = RowReader::new(&layout, &rules);
    let bytes = [line.trim_end().as_bytes(), b"\n"].concat();
    match reader.row(&bytes, 0, i64::MIN) {
        Ok((ts_ns, trading_day, _)) => {
            let mut floats = [0.0; TICK_COLUMNS - 1];
            floats.copy_from_slice(&reader.cells[..TICK_COLUMNS - 1]);
            let instrument = layout.fields.iter().position(|f| *f == Field::Instrument);
            let of_row = instrument.map(|field| reader.text(line.as_bytes(), field));
            Ok(Row {
                symbol: layout.symbol.clone().or(of_row),
                ts: ExchangeTimeNs(ts_ns),
                trading_day,
                floats,
                upper_limit_cny: reader.cells[crate::layout::UPPER_LIMIT],
                lower_limit_cny: reader.cells[crate::layout::LOWER_LIMIT],
            })
        }
        Err(fault) => {
            let reject = reader.reject(1, line.trim_end().as_bytes(), fault, None);
            Err(MarketError::Row { code: reject.code, line: 1, reason: reject.detail })
        }
    }
}
