//! What a day's rows say to every account alike: when they are, where its borders lie, what a position is worth.

use super::Day;
use crate::spec::MarkName;
use ghtrader_core::{Border, BorderKind, Column, TickView, day_borders};
use ghtrader_kernels::wire::{Boundary, Event};
use std::ops::Range;
use std::sync::OnceLock;

/// Rows whose extreme marks are kept, so that stretches which change no extreme of an equity curve are passed over.
pub(super) const STRETCH_ROWS: usize = 16;

/// Worked out at first use and shared by all fill models and strategies of a run.
#[derive(Debug, Default)]
pub struct Timeline {
    times: OnceLock<Times>,
    mids_cny: OnceLock<Vec<f64>>,
    last: OnceLock<Marks>,
    mid: OnceLock<Marks>,
}

#[derive(Debug)]
pub(super) struct Times {
    /// Session time from the day's first row to each row, breaks left out, ns.
    session_ns: Vec<i64>,
    /// Host events by row, ascending.
    pub(super) borders: Vec<(usize, Event)>,
}

/// Value of a unit of position, row by row: the wanted price, else the other, else the last known.
#[derive(Debug)]
pub(super) struct Marks {
    /// CNY; rows before the first price have that one.
    pub(super) cny: Vec<f64>,
    /// The first row with a price.
    pub(super) first: usize,
    /// Least and largest of each whole stretch.
    pub(super) stretches: Vec<(f64, f64)>,
}

impl Times {
    /// Session time from a row to a later one, ns.
    pub(super) fn passed_ns(&self, from: usize, to: usize) -> i64 {
        self.session_ns[to] - self.session_ns[from]
    }
}

impl Timeline {
    pub(super) fn times(&self, day: &Day<'_>) -> &Times {
        self.times.get_or_init(|| {
            let borders = day_borders(day.view.ts_ns, day.windows);
            let session_ns = session_time(day.view.ts_ns, &borders);
            let event = |kind| match kind {
                BorderKind::Session => Event::Boundary(Boundary::Session),
                BorderKind::Gap => Event::Gap,
            };
            Times { session_ns, borders: borders.into_iter().map(|b| (b.row, event(b.kind))).collect() }
        })
    }

    /// Middle of the best quotes, row by row, CNY; NaN with a side empty.
    pub(super) fn mids_cny(&self, day: &Day<'_>) -> &[f64] {
        self.mids_cny.get_or_init(|| {
            let (bids, asks) = (day.view.float(Column::bid_price(0)), day.view.float(Column::ask_price(0)));
            bids.iter().zip(asks).map(|(bid, ask)| (bid + ask) * 0.5).collect()
        })
    }

    /// Brings what is read at scattered rows near, as far as it has been worked out.
    pub(super) fn warm(&self, rows: Range<usize>) {
        let marks = [&self.last, &self.mid].into_iter().filter_map(|cell| cell.get().map(|marks| &marks.cny));
        for column in marks.chain(self.mids_cny.get()) {
            ghtrader_exchange::warm(&column[rows.clone()]);
        }
    }

    pub(super) fn marks(&self, day: &Day<'_>, mark: MarkName) -> &Marks {
        let cell = if mark == MarkName::Mid { &self.mid } else { &self.last };
        cell.get_or_init(|| Marks::of(&day.view, mark))
    }
}

impl Marks {
    fn of(view: &TickView<'_>, mark: MarkName) -> Self {
        let last = view.float(Column::LastPrice);
        let (bids, asks) = (view.float(Column::bid_price(0)), view.float(Column::ask_price(0)));
        let mut cny = Vec::with_capacity(last.len());
        let (mut known, mut first) = (f64::NAN, last.len());
        for (row, &last) in last.iter().enumerate() {
            let mid = (bids[row] + asks[row]) * 0.5;
            let (wanted, other) = if mark == MarkName::Mid { (mid, last) } else { (last, mid) };
            let price = if wanted.is_nan() { other } else { wanted };
            if !price.is_nan() {
                first = first.min(row);
                known = price;
            }
            cny.push(known);
        }
        let start = cny.get(first).copied().unwrap_or(0.0);
        cny[..first].fill(start);
        let stretches = cny.as_chunks::<STRETCH_ROWS>().0.iter().map(|rows| extremes(rows)).collect();
        Self { cny, first, stretches }
    }

    /// Least and largest of the whole stretch around a row, if it is whole.
    pub(super) fn stretch(&self, row: usize) -> Option<(f64, f64)> {
        self.stretches.get(row / STRETCH_ROWS).copied()
    }

    /// Least and largest of some rows.
    pub(super) fn extremes(&self, rows: Range<usize>) -> (f64, f64) {
        extremes(&self.cny[rows])
    }
}

fn extremes(cny: &[f64]) -> (f64, f64) {
    let least = |low: f64, v: f64| if v < low { v } else { low };
    let most = |high: f64, v: f64| if v > high { v } else { high };
    // Four at a time: one after the other each would wait for the one before.
    let (fours, rest) = cny.as_chunks::<4>();
    let (mut low, mut high) = ([f64::INFINITY; 4], [f64::NEG_INFINITY; 4]);
    for four in fours {
        for (lane, &v) in four.iter().enumerate() {
            (low[lane], high[lane]) = (least(low[lane], v), most(high[lane], v));
        }
    }
    let low = low.into_iter().chain(rest.iter().copied()).fold(f64::INFINITY, least);
    let high = high.into_iter().chain(rest.iter().copied()).fold(f64::NEG_INFINITY, most);
    (low, high)
}

/// Session time from the first row to each row, ns; what lies between two sessions is none.
fn session_time(ts_ns: &[i64], borders: &[Border]) -> Vec<i64> {
    let mut breaks = borders.iter().filter(|b| b.kind == BorderKind::Session).map(|b| b.row).peekable();
    let mut passed_ns = 0;
    (0..ts_ns.len())
        .map(|row| {
            if breaks.next_if_eq(&row).is_none() && row > 0 {
                passed_ns += ts_ns[row] - ts_ns[row - 1];
            }
            passed_ns
        })
        .collect()
}
