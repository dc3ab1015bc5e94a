//! Follows a tick series as it grows: every id once, over reconnects, and a word about each that is lost.

use super::chart::{ChartRequest, ChartView, Window};
use super::line::{LineEvent, MarketLine};
use super::pager::{PAGE_ROWS, PageStep, TickPager};
use super::ticks::TickRow;
use std::time::Duration;

/// How long the document may lack a row that its `last_id` speaks of.
const LATE_ROWS: Duration = Duration::from_secs(2);

/// What a step brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Followed {
    /// Rows that follow those before, by id, none missing.
    Rows(Vec<TickRow>),
    /// The past is read: rows come as they happen from here on.
    Live,
    /// The server gives other rows but not these.
    Lost {
        /// First id that is lost.
        from: i64,
        /// Last id that is lost.
        to: i64,
    },
    /// A page was not complete in time; it is asked for again.
    Late,
    /// The series ends before a row that has come: this is another series.
    Regressed {
        /// The next id that was expected.
        next: i64,
        /// The last id that the server has.
        last_id: i64,
    },
}

/// Reads one tick series from an instant or an id on, without an end.
#[derive(Debug)]
pub struct TickFollower {
    symbol: String,
    chart: String,
    next: Option<i64>,
    pager: Option<TickPager>,
    chart_asked: bool,
    hole_since: Option<Duration>,
    regressed: bool,
    live_told: bool,
}

impl TickFollower {
    /// Rows from an instant on, ns since the epoch.
    pub fn from_time(symbol: &str, start_ns: i64) -> Self {
        Self::new(symbol, None, TickPager::of_span(symbol, start_ns, i64::MAX))
    }

    /// Rows from an id on.
    pub fn from_id(symbol: &str, id: i64) -> Self {
        Self::new(symbol, Some(id), TickPager::from_id(symbol, id, i64::MAX))
    }

    fn new(symbol: &str, next: Option<i64>, pager: TickPager) -> Self {
        Self {
            symbol: symbol.to_owned(),
            chart: format!("ghtrader_live_{symbol}"),
            next,
            pager: Some(pager),
            chart_asked: false,
            hole_since: None,
            regressed: false,
            live_told: false,
        }
    }

    /// The symbol.
    pub fn symbol(&self) -> &str {
        &self.symbol
    }

    /// The next id expected; `None` before the first row is known.
    pub fn next_id(&self) -> Option<i64> {
        self.next
    }

    /// The line was opened again.
    pub fn reopened(&mut self) {
        self.hole_since = None;
        if let Some(pager) = &mut self.pager {
            pager.reopened();
        }
    }

    /// Goes on after a transaction, an event or a while. `events` are those since the step before.
    pub fn step(&mut self, line: &mut MarketLine, events: &[LineEvent], now: Duration) -> Vec<Followed> {
        if !self.chart_asked {
            self.chart_asked = true;
            line.set_chart(ChartRequest::ticks(&self.chart, &self.symbol, PAGE_ROWS, Window::Rolling), now);
        }
        let mut out = Vec::new();
        let live = line.chart(&self.chart);
        if let (Some(ChartView::Settled { last_id, .. }), Some(next)) = (live, self.next)
            && last_id + 1 < next
        {
            if !std::mem::replace(&mut self.regressed, true) {
                out.push(Followed::Regressed { next, last_id });
            }
            return out;
        }
        self.page(line, events, now, &mut out);
        if self.pager.is_none() {
            self.live(line, now, &mut out);
        }
        out
    }

    fn page(&mut self, line: &mut MarketLine, events: &[LineEvent], now: Duration, out: &mut Vec<Followed>) {
        let Some(pager) = &mut self.pager else { return };
        let rows = |out: &mut Vec<Followed>, rows: Vec<TickRow>| {
            if !rows.is_empty() {
                out.push(Followed::Rows(rows));
            }
        };
        match pager.step(line, events, now) {
            PageStep::Waiting => {}
            PageStep::Late => out.push(Followed::Late),
            PageStep::Rows(page) => rows(out, page),
            PageStep::Missing { from, to } => {
                pager.skip_to(to + 1);
                out.push(Followed::Lost { from, to });
            }
            PageStep::Last(page) => {
                rows(out, page);
                self.next = pager.next_id().or(self.next).or(Some(0));
                pager.close(line);
                self.pager = None;
                if !std::mem::replace(&mut self.live_told, true) {
                    out.push(Followed::Live);
                }
                return;
            }
        }
        self.next = pager.next_id().or(self.next);
    }

    /// Takes what the rolling chart brings; a hole is read page by page.
    fn live(&mut self, line: &mut MarketLine, now: Duration, out: &mut Vec<Followed>) {
        let Some(next) = self.next else { return };
        let series = ["ticks", self.symbol.as_str()];
        let Some(last_id) = line.document().last_id(&series).filter(|last| *last >= next) else {
            self.hole_since = None;
            return;
        };
        let found = line.document().rows(&series, next, last_id);
        let in_order = found.into_iter().zip(next..).take_while(|((id, _), want)| id == want);
        let rows: Vec<TickRow> = in_order.map_while(|((id, row), _)| TickRow::read(id, row)).collect();
        if let Some(last) = rows.last() {
            self.next = Some(last.id + 1);
            line.forget_ticks(&self.symbol, last_id - PAGE_ROWS);
            let caught_up = last.id >= last_id;
            out.push(Followed::Rows(rows));
            self.hole_since = None;
            if caught_up {
                return;
            }
        }
        // A window that begins behind the next row will not bring it: then there is nothing to wait for.
        let beyond = matches!(line.chart(&self.chart), Some(ChartView::Settled { left, .. }) if left > next);
        let since = *self.hole_since.get_or_insert(now);
        if (beyond || now.saturating_sub(since) >= LATE_ROWS)
            && let Some(next) = self.next
        {
            self.hole_since = None;
            self.pager = Some(TickPager::from_id(&self.symbol, next, i64::MAX));
        }
    }
}

#[cfg(test)]
mod tests;
