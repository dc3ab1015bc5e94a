//! Pages through the past of a tick series, so that each id comes once and none is skipped without a word.

use super::chart::{ChartRequest, ChartView, Window};
use super::line::{LineEvent, MarketLine};
use super::ticks::TickRow;
use std::time::Duration;

/// Rows asked for at once.
pub const PAGE_ROWS: i64 = 2_000;
/// How long rows that are missing inside an answer may still follow it.
const LATE_ROWS: Duration = Duration::from_secs(2);
/// How often missing rows are asked for again on one line.
const GAP_REQUESTS: u32 = 3;

/// What a step brought.
#[derive(Debug, Clone, PartialEq)]
pub enum PageStep {
    /// Nothing yet.
    Waiting,
    /// The rows that follow those before, by id, none missing. More may come.
    Rows(Vec<TickRow>),
    /// The last rows: the series or the time span ends with them.
    Last(Vec<TickRow>),
    /// The server gives other rows but not these, however often it is asked.
    Missing {
        /// First id that is missing.
        from: i64,
        /// Last id that is missing.
        to: i64,
    },
    /// The page was not complete in time.
    Late,
}

/// Rows that are missing inside an answer.
#[derive(Debug, Clone, Copy)]
struct Gap {
    from: i64,
    /// Rows of the window that are there: while they grow, the rest may follow.
    there: usize,
    since: Duration,
    requests: u32,
}

/// Reads a tick series page by page on a [`MarketLine`].
#[derive(Debug)]
pub struct TickPager {
    chart: String,
    symbol: String,
    start_ns: i64,
    end_ns: i64,
    page_rows: i64,
    next: Option<i64>,
    asked: bool,
    gap: Option<Gap>,
    pages: u64,
}

impl TickPager {
    /// Rows from one instant to another (ns since the epoch), the second not included.
    pub fn of_span(symbol: &str, start_ns: i64, end_ns: i64) -> Self {
        Self {
            chart: format!("ghtrader_page_{symbol}"),
            symbol: symbol.to_owned(),
            start_ns,
            end_ns,
            page_rows: PAGE_ROWS,
            next: None,
            asked: false,
            gap: None,
            pages: 0,
        }
    }

    /// Rows from an id to an instant, not included.
    pub fn from_id(symbol: &str, id: i64, end_ns: i64) -> Self {
        Self { next: Some(id), ..Self::of_span(symbol, i64::MIN, end_ns) }
    }

    /// The first id that has not come; `None` before the first row.
    pub fn next_id(&self) -> Option<i64> {
        self.next
    }

    /// Pages asked for, gaps that were asked for again apart.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// Its chart is of no use any more.
    pub fn close(&self, line: &mut MarketLine) {
        line.delete_chart(&self.chart);
    }

    fn ask(&mut self, line: &mut MarketLine, width: i64, now: Duration) {
        let window = match self.next {
            Some(id) => Window::From(id),
            None => Window::At { focus_ns: self.start_ns, position: 0 },
        };
        self.asked = true;
        line.set_chart(ChartRequest::ticks(&self.chart, &self.symbol, width, window), now);
    }

    /// Goes on after a transaction, an event or a while. `events` are those since the step before.
    pub fn step(&mut self, line: &mut MarketLine, events: &[LineEvent], now: Duration) -> PageStep {
        if !self.asked {
            self.pages += 1;
            self.ask(line, self.page_rows, now);
            return PageStep::Waiting;
        }
        for event in events {
            match event {
                LineEvent::Chart { id, view: ChartView::Empty } if *id == self.chart => {
                    return PageStep::Last(Vec::new());
                }
                LineEvent::ChartLate { id } if *id == self.chart => {
                    self.asked = false;
                    return PageStep::Late;
                }
                _ => {}
            }
        }
        let Some(ChartView::Settled { left, right, last_id }) = line.chart(&self.chart) else {
            return PageStep::Waiting;
        };
        let (first, last) = (self.next.unwrap_or(left).max(0), right.min(last_id));
        self.next = Some(first);
        let rows: Vec<TickRow> = line
            .document()
            .rows(&["ticks", &self.symbol], first, last)
            .into_iter()
            .map_while(|(id, row)| TickRow::read(id, row))
            .collect();
        let whole = rows.iter().zip(first..).take_while(|(row, id)| row.id == *id).count();
        // What lies behind the span is not wanted, so it may be missing.
        if let Some(end) = rows[..whole].iter().position(|r| r.ts_ns >= self.end_ns) {
            return PageStep::Last(self.take(rows, end));
        }
        let wanted = usize::try_from(last - first + 1).unwrap_or(0);
        if whole < wanted {
            let to = rows.get(whole).map_or(last, |r| r.id - 1);
            return match whole {
                0 => self.missing(line, first, to, rows.len(), now),
                _ => PageStep::Rows(self.take(rows, whole)),
            };
        }
        self.gap = None;
        let rows = self.take(rows, whole);
        // A line that follows the series beside this one shows its newest rows.
        line.forget_ticks(&self.symbol, first.min(last_id - PAGE_ROWS));
        if last >= last_id {
            return PageStep::Last(rows);
        }
        self.pages += 1;
        self.ask(line, self.page_rows, now);
        PageStep::Rows(rows)
    }

    fn take(&mut self, mut rows: Vec<TickRow>, count: usize) -> Vec<TickRow> {
        rows.truncate(count);
        if let Some(last) = rows.last() {
            self.next = Some(last.id + 1);
        }
        rows
    }

    fn missing(&mut self, line: &mut MarketLine, from: i64, to: i64, there: usize, now: Duration) -> PageStep {
        let known = self.gap.filter(|g| g.from == from);
        let mut gap = known.unwrap_or(Gap { from, there, since: now, requests: 0 });
        if there > gap.there {
            (gap.there, gap.since) = (there, now);
        }
        self.gap = Some(gap);
        if now.saturating_sub(gap.since) < LATE_ROWS {
            return PageStep::Waiting;
        }
        if gap.requests >= GAP_REQUESTS {
            self.asked = false;
            return PageStep::Missing { from, to };
        }
        self.gap = Some(Gap { since: now, requests: gap.requests + 1, ..gap });
        // A server answers a request that differs from the one before.
        self.ask(line, self.page_rows - 1 - i64::from(gap.requests), now);
        PageStep::Waiting
    }

    /// Goes on behind rows that the server does not give.
    pub fn skip_to(&mut self, id: i64) {
        self.next = Some(id);
        self.asked = false;
        self.gap = None;
    }

    /// The line was opened again: rows that were there are gone, and the page is asked for anew by the line itself.
    pub fn reopened(&mut self) {
        self.gap = None;
    }
}

#[cfg(test)]
mod tests;
