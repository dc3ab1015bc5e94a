//! Klines of a series, of any duration.

use crate::tape::Series;
use ghtrader_core::{CST_OFFSET_NS, Calendar, Column, NS_PER_S, Phase};

/// A day in durations.
pub(crate) const DAY_NS: i64 = 86_400 * NS_PER_S;

/// One kline, or what is known of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bar {
    /// Its start; days: 00:00 Shanghai time of the trading day.
    pub(crate) start_ns: i64,
    /// Its first row with a price.
    pub(crate) first_row: usize,
    pub(crate) open: f64,
    pub(crate) high: f64,
    pub(crate) low: f64,
    pub(crate) close: f64,
    pub(crate) volume: f64,
    pub(crate) open_oi: f64,
    pub(crate) close_oi: f64,
}

/// All klines of a series and duration, complete; the id of a bar is its index.
#[derive(Debug)]
pub(crate) struct Bars {
    pub(crate) bars: Vec<Bar>,
}

impl Bars {
    /// Cuts a series into bars: by Shanghai time inside a day, by trading day from a day on.
    ///
    /// Rows without a price make no bar. What comes before a window opens, such as its auction, belongs to the window's
    /// first bar; what comes behind its end, such as the closing snapshot, to its last.
    pub(crate) fn new(series: &Series, duration_ns: i64, calendar: &Calendar) -> Self {
        let mut bars: Vec<Bar> = Vec::new();
        for day in &series.days {
            let windows = calendar.session_windows(&series.variety, day.day);
            let mut volume_before = 0.0;
            for row in day.rows.clone() {
                let price = series.cell(Column::LastPrice, row);
                if !price.is_finite() {
                    continue;
                }
                let start_ns = if duration_ns >= DAY_NS {
                    let days = duration_ns / DAY_NS;
                    i64::from(day.day.days()).div_euclid(days) * days * DAY_NS - CST_OFFSET_NS
                } else {
                    let t = series.ticks.ts_ns[row];
                    let t = match windows.iter().find(|w| t < w.data_end_ns()) {
                        Some(w) if t >= w.end_ns => w.end_ns - 1,
                        Some(w) if t < w.start_ns => before_window(&windows, w.start_ns, t, series.ticks.phase[row]),
                        None => windows.last().map_or(t, |w| w.end_ns - 1),
                        Some(_) => t,
                    };
                    (t + CST_OFFSET_NS).div_euclid(duration_ns) * duration_ns - CST_OFFSET_NS
                };
                let oi = series.cell(Column::OpenInterest, row);
                let volume = series.cell(Column::Volume, row);
                let traded = if volume.is_finite() { (volume - volume_before).max(0.0) } else { 0.0 };
                volume_before = if volume.is_finite() { volume } else { volume_before };
                match bars.last_mut().filter(|b| b.start_ns == start_ns) {
                    Some(bar) => bar.add(price, traded, oi),
                    None => bars.push(Bar {
                        start_ns,
                        first_row: row,
                        open: price,
                        high: price,
                        low: price,
                        close: price,
                        volume: traded,
                        open_oi: oi,
                        close_oi: oi,
                    }),
                }
            }
        }
        Self { bars }
    }

    /// Bars that have begun when so many rows are shown.
    pub(crate) fn shown(&self, rows: usize) -> usize {
        self.bars.partition_point(|b| b.first_row < rows)
    }
}

/// The time that a row before a window counts at: its start for an auction, else the end of the window before.
fn before_window(windows: &[ghtrader_core::SessionWindow], start_ns: i64, t: i64, phase: u8) -> i64 {
    let before = windows.iter().rev().find(|w| w.end_ns <= t);
    match before {
        Some(w) if phase != Phase::Auction as u8 => w.end_ns - 1,
        _ => start_ns,
    }
}

impl Bar {
    fn add(&mut self, price: f64, traded: f64, oi: f64) {
        self.high = self.high.max(price);
        self.low = self.low.min(price);
        self.close = price;
        self.volume += traded;
        self.close_oi = oi;
    }
}

/// The last bar as far as it is known, made row by row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Running {
    id: usize,
    /// Rows taken.
    rows: usize,
    /// Where the trading day of the last row ends: volume counts anew behind it.
    day_end: usize,
    volume_before: f64,
    pub(crate) bar: Bar,
}

impl Running {
    /// Bar `id` of which `rows` rows of the series are shown; goes on from what it was, if it was the same bar.
    pub(crate) fn at(last: Option<Self>, series: &Series, bars: &Bars, id: usize, rows: usize) -> Self {
        let mut running = match last.filter(|r| r.id == id && r.rows <= rows) {
            Some(running) => running,
            None => {
                let whole = bars.bars[id];
                let first = whole.first_row;
                let day = series.day_of(first);
                let volume_before = (day.rows.start..first)
                    .rev()
                    .map(|row| (series.cell(Column::LastPrice, row), series.cell(Column::Volume, row)))
                    .find(|(price, volume)| price.is_finite() && volume.is_finite())
                    .map_or(0.0, |(_, volume)| volume);
                let price = series.cell(Column::LastPrice, first);
                let oi = series.cell(Column::OpenInterest, first);
                let bar =
                    Bar { open: price, high: price, low: price, close: price, volume: 0.0, close_oi: oi, ..whole };
                let mut running = Self { id, rows: first, day_end: day.rows.end, volume_before, bar };
                running.take(series, first);
                running
            }
        };
        let end = bars.bars.get(id + 1).map_or(rows, |next| next.first_row.min(rows));
        for row in running.rows..end {
            running.take(series, row);
        }
        running
    }

    fn take(&mut self, series: &Series, row: usize) {
        self.rows = row + 1;
        if row >= self.day_end {
            self.day_end = series.day_of(row).rows.end;
            self.volume_before = 0.0;
        }
        let price = series.cell(Column::LastPrice, row);
        if !price.is_finite() {
            return;
        }
        let volume = series.cell(Column::Volume, row);
        let traded = if volume.is_finite() { (volume - self.volume_before).max(0.0) } else { 0.0 };
        self.volume_before = if volume.is_finite() { volume } else { self.volume_before };
        self.bar.add(price, traded, series.cell(Column::OpenInterest, row));
    }
}
