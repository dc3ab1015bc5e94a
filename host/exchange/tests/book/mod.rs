//! Small hand-made books and what happens to orders on them.

use ghtrader_core::{Column, NS_PER_S, Phase, TickTable};
use ghtrader_exchange::{
    FillModel, MatchConfig, MatchEvent, Matching, NewOrder, Offset, PrepareSpec, PreparedDay, RejectReason, Side, Tif,
};

pub(crate) const TICK: f64 = 10.0;
pub(crate) const MULTIPLIER: f64 = 5.0;
pub(crate) const HALF: i64 = NS_PER_S / 2;

/// One row: levels and the trades since the row before, as (ticks, lots).
#[derive(Debug, Clone)]
pub(crate) struct Snap {
    pub(crate) half_s: i64,
    pub(crate) phase: Phase,
    pub(crate) bids: Vec<(i32, i32)>,
    pub(crate) asks: Vec<(i32, i32)>,
    pub(crate) trades: Vec<(i32, i32)>,
}

pub(crate) fn snap(half_s: i64, bids: &[(i32, i32)], asks: &[(i32, i32)], trades: &[(i32, i32)]) -> Snap {
    let phase = Phase::Continuous;
    Snap { half_s, phase, bids: bids.to_vec(), asks: asks.to_vec(), trades: trades.to_vec() }
}

pub(crate) fn spec() -> PrepareSpec {
    PrepareSpec {
        price_tick: TICK,
        multiplier: MULTIPLIER,
        double_sided: false,
        windows: vec![(0, 1000 * NS_PER_S)],
        auction_starts_ns: Vec::new(),
    }
}

pub(crate) fn day_with(spec: &PrepareSpec, snaps: &[Snap]) -> PreparedDay {
    PreparedDay::prepare(&table(snaps).view(), spec).unwrap()
}

/// The snapshots as tick rows; volume and amount add up.
pub(crate) fn table(snaps: &[Snap]) -> TickTable {
    let mut table = TickTable::with_capacity(snaps.len());
    let (mut volume, mut amount, mut last) = (0.0, 0.0, f64::NAN);
    for (row, s) in snaps.iter().enumerate() {
        table.ts_ns.push(s.half_s * HALF);
        table.seq.push(row as u32);
        table.phase.push(s.phase as u8);
        for &(price, lots) in &s.trades {
            last = f64::from(price) * TICK;
            volume += f64::from(lots);
            amount += f64::from(lots) * last * MULTIPLIER;
        }
        let mut put = |column: Column, value: f64| table.floats[column.index() - 1].push(value);
        put(Column::LastPrice, last);
        put(Column::Average, f64::NAN);
        put(Column::Highest, f64::NAN);
        put(Column::Lowest, f64::NAN);
        put(Column::Volume, volume);
        put(Column::Amount, amount);
        put(Column::OpenInterest, 0.0);
        for level in 0..5 {
            let cell = |side: &[(i32, i32)]| {
                side.get(level).map_or((f64::NAN, 0.0), |&(p, v)| (f64::from(p) * TICK, f64::from(v)))
            };
            let (bid, ask) = (cell(&s.bids), cell(&s.asks));
            put(Column::bid_price(level), bid.0);
            put(Column::bid_volume(level), bid.1);
            put(Column::ask_price(level), ask.0);
            put(Column::ask_volume(level), ask.1);
        }
    }
    table
}

pub(crate) fn day(snaps: &[Snap]) -> PreparedDay {
    day_with(&spec(), snaps)
}

pub(crate) fn order(id: u64, side: Side, lots: u32, limit_ticks: i32) -> NewOrder {
    let limit_ticks = Some(limit_ticks);
    NewOrder { id, side, lots, limit_ticks, tif: Tif::Day, post_only: false, offset: Offset::Auto }
}

pub(crate) fn matching(model: FillModel) -> Matching {
    Matching::new(MatchConfig::new(model))
}

/// All events up to the end of the day, without its close.
pub(crate) fn run(matching: &mut Matching, day: &PreparedDay) -> Vec<MatchEvent> {
    let mut events = Vec::new();
    let mut row = 1;
    while row < day.rows() {
        row = matching.advance(day, row, day.rows(), &mut events);
    }
    events
}

pub(crate) fn filled(events: &[MatchEvent], of: u64) -> u32 {
    let lots = events.iter().map(|e| match e {
        MatchEvent::Filled { id, lots, .. } if *id == of => *lots,
        _ => 0,
    });
    lots.sum()
}

pub(crate) fn rejection(events: &[MatchEvent], of: u64) -> Option<RejectReason> {
    events.iter().find_map(|e| match e {
        MatchEvent::Rejected { id, reason, .. } if *id == of => Some(*reason),
        _ => None,
    })
}

pub(crate) const BIDS: &[(i32, i32)] = &[(100, 10), (99, 8), (98, 6), (97, 4), (96, 2)];
pub(crate) const ASKS: &[(i32, i32)] = &[(101, 3), (102, 5), (103, 1), (104, 2), (105, 4)];
