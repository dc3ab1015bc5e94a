//! Rows on their way into the store: a text file a symbol-day, in the form that the import reads, growing by whole
//! lines.

use super::error::FetchError;
use ghtrader_core::{Digest, TradingDay};
use ghtrader_market::diff::TickRow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Bytes of a file's end in which its last line lies.
const TAIL_BYTES: u64 = 64 * 1024;

/// The spools of one symbol of one source.
#[derive(Debug)]
pub(crate) struct Spool {
    dir: PathBuf,
    days: BTreeMap<TradingDay, SpoolDay>,
}

#[derive(Debug)]
struct SpoolDay {
    path: PathBuf,
    file: File,
    last: Option<(i64, i64)>,
    rows: u64,
    synced: bool,
}

fn failed(doing: &'static str, path: &Path, e: &std::io::Error) -> FetchError {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let full = matches!(e.kind(), StorageFull | QuotaExceeded | FileTooLarge);
    FetchError::Spool { doing, path: path.to_owned(), full, why: e.to_string() }
}

/// The folder of a source's spools: rows of one server never continue those of another.
pub(crate) fn source_dir(root: &Path, purpose: &str, host: &str) -> PathBuf {
    root.join(purpose).join(&Digest::of(host.as_bytes()).short16()[..8])
}

impl Spool {
    /// Opens what is there, without lines that a crash cut short.
    pub(crate) fn open(dir: PathBuf) -> Result<Self, FetchError> {
        std::fs::create_dir_all(&dir).map_err(|e| failed("make", &dir, &e))?;
        let mut days = BTreeMap::new();
        for entry in std::fs::read_dir(&dir).map_err(|e| failed("read", &dir, &e))? {
            let path = entry.map_err(|e| failed("read", &dir, &e))?.path();
            let stem = path.file_stem().and_then(|s| s.to_str());
            let day: Option<TradingDay> =
                stem.filter(|_| path.extension().is_some_and(|e| e == "csv")).and_then(|s| s.parse().ok());
            if let Some(day) = day {
                days.insert(day, SpoolDay::open(path)?);
            }
        }
        Ok(Self { dir, days })
    }

    /// Days with a spool, ascending.
    pub(crate) fn days(&self) -> Vec<TradingDay> {
        self.days.keys().copied().collect()
    }

    /// The last row of the last day: its day, id and time.
    pub(crate) fn last(&self) -> Option<(TradingDay, i64, i64)> {
        self.days.iter().rev().find_map(|(day, d)| d.last.map(|(id, ts)| (*day, id, ts)))
    }

    /// Rows of a day.
    pub(crate) fn rows(&self, day: TradingDay) -> u64 {
        self.days.get(&day).map_or(0, |d| d.rows)
    }

    /// Where a day's rows lie.
    pub(crate) fn path(&self, day: TradingDay) -> PathBuf {
        self.dir.join(format!("{day}.csv"))
    }

    /// Adds rows of a day; they are safe behind [`Spool::sync`].
    pub(crate) fn append(&mut self, day: TradingDay, rows: &[TickRow]) -> Result<(), FetchError> {
        let Some(last) = rows.last() else { return Ok(()) };
        if !self.days.contains_key(&day) {
            let path = self.path(day);
            self.days.insert(day, SpoolDay::open(path)?);
        }
        let Some(spool) = self.days.get_mut(&day) else { return Ok(()) };
        let mut text = String::with_capacity(rows.len() * 256);
        rows.iter().for_each(|r| r.push_text(&mut text));
        spool.file.write_all(text.as_bytes()).map_err(|e| failed("write", &spool.path, &e))?;
        spool.last = Some((last.id, last.ts_ns));
        spool.rows += rows.len() as u64;
        spool.synced = false;
        Ok(())
    }

    /// Makes every row survive a crash of the machine.
    pub(crate) fn sync(&mut self) -> Result<(), FetchError> {
        for spool in self.days.values_mut().filter(|s| !s.synced) {
            spool.file.sync_data().map_err(|e| failed("sync", &spool.path, &e))?;
            spool.synced = true;
        }
        Ok(())
    }

    /// Keeps a day's rows beside the spools, for who wants to know why they were refused.
    pub(crate) fn set_aside(&mut self, day: TradingDay) -> Result<(), FetchError> {
        let Some(spool) = self.days.remove(&day) else { return Ok(()) };
        let aside = spool.path.with_extension("refused.csv");
        std::fs::rename(&spool.path, aside).map_err(|e| failed("move", &spool.path, &e))
    }

    /// Throws a day's spool away: its rows are in the store, or of no use.
    pub(crate) fn remove(&mut self, day: TradingDay) -> Result<(), FetchError> {
        let Some(spool) = self.days.remove(&day) else { return Ok(()) };
        std::fs::remove_file(&spool.path).map_err(|e| failed("remove", &spool.path, &e))
    }
}

impl SpoolDay {
    fn open(path: PathBuf) -> Result<Self, FetchError> {
        let wrong = |e: std::io::Error| failed("open", &path, &e);
        let mut file = File::options().create(true).read(true).append(true).open(&path).map_err(wrong)?;
        let mut length = file.metadata().map_err(wrong)?.len();
        if length == 0 {
            file.write_all(TickRow::text_header().as_bytes()).map_err(wrong)?;
            file.sync_all().map_err(wrong)?;
            if let Some(dir) = path.parent() {
                File::open(dir).and_then(|d| d.sync_all()).map_err(wrong)?;
            }
            return Ok(Self { path, file, last: None, rows: 0, synced: true });
        }
        let from = length.saturating_sub(TAIL_BYTES);
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(from)).map_err(wrong)?;
        file.read_to_end(&mut tail).map_err(wrong)?;
        let end = tail.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        if end < tail.len() {
            length = from + end as u64;
            file.set_len(length).and_then(|()| file.sync_data()).map_err(wrong)?;
        }
        let line = tail[..end].trim_ascii_end().rsplit(|b| *b == b'\n').next().unwrap_or_default();
        let last = std::str::from_utf8(line).ok().and_then(TickRow::id_and_time);
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut text)).map_err(wrong)?;
        let rows = (text.iter().filter(|b| **b == b'\n').count() as u64).saturating_sub(1);
        if length == 0 {
            // The header itself was cut short.
            drop(file);
            std::fs::remove_file(&path).map_err(wrong)?;
            return Self::open(path);
        }
        Ok(Self { path, file, last, rows, synced: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghtrader_core::TICK_COLUMNS;

    fn row(id: i64) -> TickRow {
        let mut cells = [f64::NAN; TICK_COLUMNS - 1];
        cells[4] = id as f64;
        TickRow { id, ts_ns: 1_000 + id, cells }
    }

    /// D-11
    #[test]
    fn a_line_that_a_crash_cut_short_is_gone_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let day: TradingDay = "2025-07-18".parse().unwrap();
        let whole = {
            let mut spool = Spool::open(dir.path().to_owned()).unwrap();
            spool.append(day, &[row(7), row(8)]).unwrap();
            spool.sync().unwrap();
            std::fs::read(spool.path(day)).unwrap()
        };
        let path = dir.path().join("2025-07-18.csv");
        let header = TickRow::text_header().len();
        let first = header + whole[header..].iter().position(|b| *b == b'\n').unwrap() + 1;
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let spool = Spool::open(dir.path().to_owned()).unwrap();
            let (rows, last) = match cut {
                c if c == whole.len() => (2, Some((day, 8, 1_008))),
                c if c >= first => (1, Some((day, 7, 1_007))),
                _ => (0, None),
            };
            assert_eq!((spool.rows(day), spool.last()), (rows, last), "cut at {cut}");
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.starts_with(&TickRow::text_header()) && text.ends_with('\n'), "cut at {cut}: {text}");
        }
        let mut spool = Spool::open(dir.path().to_owned()).unwrap();
        spool.append(day, &[row(9)]).unwrap();
        assert_eq!(spool.rows(day), 3);
        spool.remove(day).unwrap();
        assert!(!path.exists() && spool.days().is_empty());
    }

    #[test]
    fn spools_of_two_sources_lie_apart() {
        let root = Path::new("r");
        assert_ne!(source_dir(root, "download", "ws://a"), source_dir(root, "download", "ws://b"));
        assert_eq!(source_dir(root, "download", "ws://a"), source_dir(root, "download", "ws://a"));
    }
}
