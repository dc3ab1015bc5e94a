//! Reads tick files: opens, tells the dialect, cuts into pieces, reads them on all cores, joins the results.

use crate::field::fields_of;
use crate::layout::{Dialect, Field, Layout};
use crate::rows::{Chunk, LastRow, Reject, RowReader, Rules, same_cells};
use crate::{LineRun, MarketError};
use flate2::read::MultiGzDecoder;
use ghtrader_core::{Calendar, ContractId, ContractTable, Digest, TickTable, TradingDay};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of a file that are read to tell dialect, contract and first time.
const HEAD_BYTES: usize = 256 * 1024;
/// Bytes that are looked at for signs of a binary file.
const TEXT_PROBE_BYTES: usize = 8 * 1024;
/// Sizes of the pieces that are read in parallel: big enough to hide their cost, small enough to share a day's file.
const PIECE_BYTES: std::ops::Range<usize> = 1 << 20..32 << 20;

/// What the caller knows about files, and the rules of the market.
#[derive(Debug, Clone)]
pub struct ReadOptions<'a> {
    /// The dialect; `None` = told by the first line.
    pub format: Option<Dialect>,
    /// The contract; `None` = from header, rows or file name.
    pub symbol: Option<ContractId>,
    /// The trading day of compact files, which have no dates.
    pub trading_day: Option<TradingDay>,
    /// Trading days.
    pub calendar: &'a Calendar,
    /// Price ticks and multipliers.
    pub table: &'a ContractTable,
    /// Size of the pieces read in parallel, bytes; `None` = by file size and threads. Results do not depend on it.
    pub piece_bytes: Option<usize>,
}

impl Default for ReadOptions<'_> {
    fn default() -> Self {
        Self {
            format: None,
            symbol: None,
            trading_day: None,
            calendar: Calendar::builtin(),
            table: ContractTable::builtin(),
            piece_bytes: None,
        }
    }
}

/// A tick file of which the head has been read.
#[derive(Debug, Clone, PartialEq)]
pub struct TickFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its form.
    pub dialect: Dialect,
    /// The contract of all its rows.
    pub contract: ContractId,
    /// Trading day of the first good row in its head; rows of an earlier one are `time_backwards`. `None` if there is none.
    pub first_day: Option<TradingDay>,
    /// Bytes as it lies.
    pub size_bytes: u64,
}

/// All rows of a file.
#[derive(Debug, Clone)]
pub struct FileRows {
    /// Digest of the file as it lies.
    pub sha256: Digest,
    /// Lines read, header and empty lines at the end apart.
    pub rows_read: u64,
    /// Rows by trading day, ascending; every rejected row is counted to one, if there is any.
    pub days: Vec<DayPart>,
    /// Rows not stored, by line.
    pub rejects: Vec<Reject>,
}

/// The rows of one trading day in one file.
#[derive(Debug, Clone)]
pub struct DayPart {
    /// The trading day.
    pub day: TradingDay,
    /// Rows in order, in one or more pieces; `seq` and `phase` are empty.
    pub pieces: Vec<TickTable>,
    /// Where the rows stand in the file.
    pub lines: Vec<LineRun>,
    /// Identical repetitions of the row before, dropped.
    pub duplicates: u64,
    /// Rows rejected.
    pub rejected: u64,
}

impl DayPart {
    /// Good rows.
    pub fn rows(&self) -> usize {
        self.pieces.iter().map(TickTable::rows).sum()
    }
}

impl TickFile {
    /// Opens a file and reads its head.
    ///
    /// # Errors
    /// Unreadable, empty, binary, damaged; no known header; no contract, or one that the contract table does not know;
    /// a compact file without a trading day.
    pub fn open(path: &Path, options: &ReadOptions<'_>) -> Result<Self, MarketError> {
        let unreadable = |e: std::io::Error| MarketError::Unreadable { path: path.to_owned(), reason: e.to_string() };
        let mut file = std::fs::File::open(path).map_err(unreadable)?;
        let about = file.metadata().map_err(unreadable)?;
        if !about.is_file() {
            let reason = "no regular file: it is read twice, which a pipe cannot be; save it first".to_owned();
            return Err(MarketError::Unreadable { path: path.to_owned(), reason });
        }
        let size_bytes = about.len();
        let mut raw = Vec::new();
        file.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut raw).map_err(unreadable)?;
        let whole_file_in_head = raw.len() as u64 == size_bytes;
        let mut head = Vec::new();
        let mut cut = !whole_file_in_head;
        if is_gzip(&raw) {
            let decoded = MultiGzDecoder::new(raw.as_slice()).take(HEAD_BYTES as u64).read_to_end(&mut head);
            match decoded {
                // The head of a longer stream always breaks off.
                Err(_) if cut => {}
                Err(e) => return Err(MarketError::Damaged { path: path.to_owned(), reason: e.to_string() }),
                Ok(n) => cut = cut || n == HEAD_BYTES,
            }
        } else {
            head = raw;
        }
        let text = check_text(path, &head)?;
        let (layout, body) = split_header(path, text, options.format)?;
        let contract = contract_of(path, &layout, body, options)?;
        let first_day = {
            let rules = rules(&layout, &contract, path, options)?;
            // A line that the head cuts off is no row.
            let whole_lines =
                if cut { body.iter().rposition(|c| *c == b'\n').map_or(0, |p| p + 1) } else { body.len() };
            let mut rows = body[..whole_lines].to_vec();
            end_line(&mut rows);
            let chunk = RowReader::new(&layout, &rules).chunk(&rows, None);
            chunk.ok().and_then(|c| c.days.first().map(|d| d.day))
        };
        Ok(Self { path: path.to_owned(), dialect: layout.dialect, contract, first_day, size_bytes })
    }

    /// Reads all rows, on all cores of the current rayon pool. The result does not depend on their number.
    ///
    /// # Errors
    /// Unreadable, damaged, breaking off inside a line, rows of another contract. Nothing of such a file may be used.
    pub fn read(&self, options: &ReadOptions<'_>) -> Result<FileRows, MarketError> {
        let path = self.path.as_path();
        let raw = std::fs::read(path)
            .map_err(|e| MarketError::Unreadable { path: path.to_owned(), reason: e.to_string() })?;
        if is_gzip(&raw) {
            let mut text = Vec::with_capacity(raw.len().saturating_mul(12));
            let (sha256, decoded) =
                rayon::join(|| Digest::of(&raw), || MultiGzDecoder::new(raw.as_slice()).read_to_end(&mut text));
            decoded.map_err(|e| MarketError::Damaged { path: path.to_owned(), reason: e.to_string() })?;
            drop(raw);
            return self.rows(text, sha256, options);
        }
        // The line end that may be missing is added after hashing.
        let sha256 = Digest::of(&raw);
        self.rows(raw, sha256, options)
    }

    fn rows(&self, mut data: Vec<u8>, sha256: Digest, options: &ReadOptions<'_>) -> Result<FileRows, MarketError> {
        let path = self.path.as_path();
        let ends_with_line_end = data.ends_with(b"\n");
        end_line(&mut data);
        let text = check_text(path, &data)?;
        let (layout, body) = split_header(path, text, Some(self.dialect))?;
        let rules = rules(&layout, &self.contract, path, options)?;
        let header_lines = u64::from(layout.dialect != Dialect::CtpCompact);
        let mixed = |(line, other): (u64, String), before: u64| MarketError::MixedSymbols {
            path: path.to_owned(),
            line: header_lines + before + line + 1,
            first: self.contract.to_string(),
            other,
        };
        let share = body.len() / (4 * rayon::current_num_threads());
        let pieces = pieces(body, options.piece_bytes.unwrap_or(share.clamp(PIECE_BYTES.start, PIECE_BYTES.end)));
        let read = |piece: &&[u8], before| RowReader::new(&layout, &rules).chunk(piece, before);
        let chunks: Vec<_> = pieces.par_iter().map(|piece| read(piece, None)).collect();

        let mut joined = Joined::default();
        let mut ends_short = false;
        for (piece, chunk) in pieces.iter().zip(chunks) {
            let mut chunk = chunk.map_err(|e| mixed(e, joined.rows_read))?;
            if let (Some(last), Some(first)) = (joined.last, chunk.first)
                && (first.ts_ns < last.ts_ns || (first.ts_ns == last.ts_ns && same_cells(&first.cells, &last.cells)))
            {
                // Time goes back over the border of two pieces, or a row repeats over it: only the true predecessor tells.
                chunk = read(piece, Some(last)).map_err(|e| mixed(e, joined.rows_read))?;
            }
            ends_short = chunk.ends_short;
            joined.add(chunk, header_lines);
        }
        if ends_short
            && !ends_with_line_end
            && let Some(last) = joined.rejects.last()
        {
            let fields = fields_of(last.raw.as_bytes()).count();
            let expected = layout.fields.len();
            return Err(MarketError::Truncated { path: path.to_owned(), line: last.line, fields, expected });
        }
        joined.count_rejects();
        Ok(FileRows { sha256, rows_read: joined.rows_read, days: joined.days, rejects: joined.rejects })
    }
}

/// Pieces of one file put together in order.
#[derive(Default)]
struct Joined {
    rows_read: u64,
    days: Vec<DayPart>,
    rejects: Vec<Reject>,
    last: Option<LastRow>,
}

impl Joined {
    fn add(&mut self, chunk: Chunk, header_lines: u64) {
        self.last = chunk.last().or(self.last);
        let day_before = self.days.last().map(|d| d.day);
        for mut reject in chunk.rejects {
            reject.line += header_lines + self.rows_read + 1;
            reject.trading_day = reject.trading_day.or(day_before);
            self.rejects.push(reject);
        }
        let lines_before = header_lines + self.rows_read + 1;
        self.rows_read += chunk.lines;
        for rows in chunk.days {
            let part = self.part(rows.day);
            part.duplicates += rows.duplicates;
            let rows_before = part.rows() as u32;
            for run in rows.lines {
                LineRun::note(&mut part.lines, rows_before + run.row, 0, lines_before + run.line);
            }
            part.pieces.push(rows.table);
        }
    }

    fn part(&mut self, day: TradingDay) -> &mut DayPart {
        let at = self.days.partition_point(|d| d.day < day);
        if self.days.get(at).is_none_or(|d| d.day != day) {
            self.days.insert(at, DayPart { day, pieces: Vec::new(), lines: Vec::new(), duplicates: 0, rejected: 0 });
        }
        &mut self.days[at]
    }

    /// Counts every rejected row to a trading day; those in front of the first good row to its day.
    fn count_rejects(&mut self) {
        let first_day = self.days.first().map(|d| d.day);
        let mut rejects = std::mem::take(&mut self.rejects);
        for reject in &mut rejects {
            reject.trading_day = reject.trading_day.or(first_day);
            if let Some(day) = reject.trading_day {
                self.part(day).rejected += 1;
            }
        }
        self.rejects = rejects;
    }
}

/// Digest of a file as it lies, and one of its lines, from 1; gzip or not.
///
/// # Errors
/// `file_unreadable`, and `file_damaged` for a gzip stream that breaks off.
pub fn read_line(path: &Path, line: u64) -> Result<(Digest, Option<String>), MarketError> {
    let raw =
        std::fs::read(path).map_err(|e| MarketError::Unreadable { path: path.to_owned(), reason: e.to_string() })?;
    let sha256 = Digest::of(&raw);
    let mut text = Vec::new();
    if is_gzip(&raw) {
        let decoded = MultiGzDecoder::new(raw.as_slice()).read_to_end(&mut text);
        decoded.map_err(|e| MarketError::Damaged { path: path.to_owned(), reason: e.to_string() })?;
    } else {
        text = raw;
    }
    let number = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
    let found =
        text.split(|c| *c == b'\n').nth(number).map(|l| String::from_utf8_lossy(l.trim_ascii_end()).into_owned());
    Ok((sha256, found))
}

pub(crate) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// Ends the text with exactly one line end; empty lines at the end are no rows.
pub(crate) fn end_line(data: &mut Vec<u8>) {
    let end = data.trim_ascii_end().len();
    data.truncate(end);
    data.push(b'\n');
}

/// The text without a byte-order mark.
pub(crate) fn check_text<'t>(path: &Path, text: &'t [u8]) -> Result<&'t [u8], MarketError> {
    if text.trim_ascii().is_empty() {
        return Err(MarketError::Empty { path: path.to_owned() });
    }
    let probe = &text[..text.len().min(TEXT_PROBE_BYTES)];
    let control = |c: &u8| *c < b' ' && !matches!(*c, b'\t' | b'\n' | b'\r');
    if let Some(offset) = probe.iter().position(control) {
        return Err(MarketError::Binary { path: path.to_owned(), byte: probe[offset], offset });
    }
    Ok(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text))
}

/// The layout, and the rows without the header.
fn split_header<'t>(path: &Path, text: &'t [u8], format: Option<Dialect>) -> Result<(Layout, &'t [u8]), MarketError> {
    let end = text.iter().position(|c| *c == b'\n').map_or(text.len(), |p| p + 1);
    let layout = Layout::of_first_line(path, &String::from_utf8_lossy(&text[..end]), format)?;
    let body = if layout.dialect == Dialect::CtpCompact { text } else { &text[end..] };
    if body.trim_ascii().is_empty() {
        return Err(MarketError::Empty { path: path.to_owned() });
    }
    Ok((layout, body))
}

/// Cuts at line ends into pieces of about `size` bytes.
fn pieces(mut body: &[u8], size: usize) -> Vec<&[u8]> {
    let size = size.max(1);
    let mut out = Vec::with_capacity(body.len() / size + 1);
    while body.len() > size {
        let end = body[size..].iter().position(|c| *c == b'\n').map_or(body.len(), |p| size + p + 1);
        let (piece, rest) = body.split_at(end);
        out.push(piece);
        body = rest;
    }
    if !body.is_empty() {
        out.push(body);
    }
    out
}

fn rules<'a>(
    layout: &Layout,
    contract: &'a ContractId,
    path: &Path,
    options: &'a ReadOptions<'_>,
) -> Result<Rules<'a>, MarketError> {
    let trading_day = match (layout.dialect, options.trading_day) {
        (Dialect::CtpCompact, None) => return Err(MarketError::NoTradingDay { path: path.to_owned() }),
        (Dialect::CtpCompact, Some(day)) => {
            options.calendar.previous_trading_day(day)?;
            if !options.calendar.is_trading_day(day) {
                return Err(MarketError::NotATradingDay { day });
            }
            Some(day)
        }
        _ => None,
    };
    let contract = Some((options.table, contract));
    Ok(Rules { calendar: options.calendar, contract, multiplier: f64::NAN, trading_day })
}

/// The contract of a file: from the caller, the header's prefixes, the rows, or the file's name, in this order.
fn contract_of(
    path: &Path,
    layout: &Layout,
    body: &[u8],
    options: &ReadOptions<'_>,
) -> Result<ContractId, MarketError> {
    let symbol_error = |error| MarketError::Symbol { path: path.to_owned(), error };
    let first_row: Vec<&[u8]> = body
        .split(|c| *c == b'\n')
        .map(|line| fields_of(line.trim_ascii_end()).collect::<Vec<_>>())
        .find(|fields| fields.len() == layout.fields.len())
        .unwrap_or_default();
    let of_row = |is: &dyn Fn(usize) -> bool| {
        let at = (0..layout.fields.len()).find(|k| is(*k))?;
        let text = String::from_utf8_lossy(first_row.get(at)?).trim().to_owned();
        (!text.is_empty()).then_some(text)
    };
    let file_name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let in_rows = of_row(&|k| layout.fields[k] == Field::Instrument);
    let in_file = layout.symbol.clone().or(in_rows);
    let known = match (&options.symbol, &in_file) {
        (Some(contract), Some(text)) => {
            let instrument = text.rsplit('.').next().unwrap_or_default();
            if !instrument.eq_ignore_ascii_case(&contract.instrument()) {
                return Err(MarketError::MixedSymbols {
                    path: path.to_owned(),
                    line: 1 + u64::from(layout.symbol.is_none()),
                    first: contract.to_string(),
                    other: text.clone(),
                });
            }
            contract.clone()
        }
        (Some(contract), None) => contract.clone(),
        (None, Some(text)) if text.contains('.') => text.parse().map_err(symbol_error)?,
        (None, Some(text)) => {
            let exchange = of_row(&|k| layout.names[k] == "ExchangeID");
            let exchange = exchange.or_else(|| exchange_in_name(&file_name));
            with_exchange(path, text, exchange, options.table)?
        }
        (None, None) => {
            let instrument =
                instrument_in_name(&file_name).ok_or_else(|| MarketError::NoSymbol { path: path.to_owned() })?;
            with_exchange(path, &instrument, exchange_in_name(&file_name), options.table)?
        }
    };
    if !options.table.varieties().any(|v| v == known.variety()) {
        let error = ghtrader_core::SpecError::Unknown {
            variety: known.variety().clone(),
            on: options.trading_day.unwrap_or(options.calendar.covered_to()),
        };
        return Err(MarketError::Spec { path: path.to_owned(), error });
    }
    Ok(known)
}

/// `SHFE.ru1901_20181008.tick-ctp.csv.gz` names SHFE.
fn exchange_in_name(name: &str) -> Option<String> {
    let (exchange, _) = name.split_once('.')?;
    format!("{exchange}.cu").parse::<ghtrader_core::Variety>().is_ok().then(|| exchange.to_owned())
}

/// `cu1712_20171113.csv` and `SHFE.cu1712.csv` name cu1712.
fn instrument_in_name(name: &str) -> Option<String> {
    let rest = match exchange_in_name(name) {
        Some(exchange) => &name[exchange.len() + 1..],
        None => name,
    };
    let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
    let digits = rest[letters..].bytes().take_while(u8::is_ascii_digit).count();
    (letters > 0 && digits > 0).then(|| rest[..letters + digits].to_owned())
}

/// The contract of an instrument name; without an exchange the only one that lists the product.
fn with_exchange(
    path: &Path,
    instrument: &str,
    exchange: Option<String>,
    table: &ContractTable,
) -> Result<ContractId, MarketError> {
    let symbol_error = |error| MarketError::Symbol { path: path.to_owned(), error };
    if let Some(exchange) = exchange {
        return format!("{exchange}.{instrument}").parse().map_err(symbol_error);
    }
    let any: ContractId = instrument.parse().map_err(symbol_error)?;
    let product = any.variety().product();
    let exchanges: BTreeSet<_> = table
        .varieties()
        .filter(|v| v.product().eq_ignore_ascii_case(product))
        .map(|v| v.exchange().as_str())
        .collect();
    match exchanges.iter().collect::<Vec<_>>().as_slice() {
        [only] => format!("{only}.{instrument}").parse().map_err(symbol_error),
        [] => Err(MarketError::Exchange {
            path: path.to_owned(),
            product: product.to_owned(),
            exchanges: "no exchange in the contract table".to_owned(),
        }),
        several => Err(MarketError::Exchange {
            path: path.to_owned(),
            product: product.to_owned(),
            exchanges: several.iter().map(|e| **e).collect::<Vec<_>>().join(" and "),
        }),
    }
}
