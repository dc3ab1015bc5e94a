//! Where two runs over the same days part: the first row on which they decided differently, and what they saw there.

use crate::record::{OrderRecord, Record};
use crate::run::{DayData, RunResult};
use ghtrader_core::{Column, TradingDay};
use ghtrader_kernels::wire::{Offset, Side, Tif};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The first row on which two runs part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Divergence {
    /// Fill model under which it is seen first.
    pub fill_model: &'static str,
    /// The day.
    pub trading_day: TradingDay,
    /// Row of the day, from 0.
    pub row: usize,
    /// Exchange time of the row, ns.
    pub ts_ns: i64,
    /// The contract traded.
    pub contract: String,
    /// The row's book, price levels best first.
    pub book: Value,
    /// What the first run saw and did.
    pub a: Seen,
    /// What the second run saw and did.
    pub b: Seen,
    /// Orders that both had sent alike before, under that fill model.
    pub equal_orders: usize,
}

/// One side of a divergence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Seen {
    /// Features and scores of the row.
    pub inputs: Map<String, Value>,
    /// Net position when the row came, lots.
    pub position_lots: i64,
    /// Orders decided on the row; empty = none.
    pub actions: Vec<Value>,
}

/// Everything of an order that was decided, none of what became of it. Limits by their bits: NaN is a market order.
type Decision = (u32, u8, u8, u8, bool, u32, u64);

fn decision(o: &OrderRecord) -> Decision {
    (o.contract, o.side as u8, o.offset as u8, o.tif as u8, o.post_only, o.lots, o.limit_cny.to_bits())
}

/// The orders of one row.
struct Group<'a> {
    at: (TradingDay, usize),
    orders: &'a [OrderRecord],
}

fn groups(orders: &[OrderRecord]) -> Vec<Group<'_>> {
    orders
        .chunk_by(|x, y| (x.trading_day, x.decided_row) == (y.trading_day, y.decided_row))
        .map(|orders| Group { at: (orders[0].trading_day, orders[0].decided_row as usize), orders })
        .collect()
}

/// Day and row, the orders of both records there, and how many were alike before.
type Parting<'a> = ((TradingDay, usize), [&'a [OrderRecord]; 2], usize);

/// First row at which the orders of two records differ.
///
/// Cancels leave no row of their own: where decisions agree and an order ended otherwise, its own row is named.
fn first_row<'a>(a: &'a Record, b: &'a Record) -> Option<Parting<'a>> {
    let (left, right) = (groups(&a.orders), groups(&b.orders));
    let (mut i, mut equal) = (0, 0);
    loop {
        let (x, y) = (left.get(i), right.get(i));
        match (x, y) {
            (None, None) => break,
            (Some(x), Some(y)) if x.at == y.at && x.orders.iter().map(decision).eq(y.orders.iter().map(decision)) => {
                equal += x.orders.len();
            }
            _ => {
                let at = x.map(|g| g.at).into_iter().chain(y.map(|g| g.at)).min()?;
                let of = |g: Option<&Group<'a>>| g.filter(|g| g.at == at).map_or(&[][..], |g| g.orders);
                return Some((at, [of(x), of(y)], equal));
            }
        }
        i += 1;
    }
    let ended = |o: &OrderRecord| (o.accepted, o.filled_lots, o.end, o.arrival_ts_ns);
    let other = a.orders.iter().zip(&b.orders).position(|(x, y)| ended(x) != ended(y))?;
    let (x, y) = (&a.orders[other..=other], &b.orders[other..=other]);
    Some(((x[0].trading_day, x[0].decided_row as usize), [x, y], other))
}

fn action(o: &OrderRecord) -> Value {
    let limit = if o.limit_cny.is_nan() { Value::Null } else { json!(o.limit_cny) };
    json!({
        "side": match o.side { Side::Buy => "buy", Side::Sell => "sell" },
        "lots": o.lots,
        "limit_cny": limit,
        "offset": match o.offset {
            Offset::Auto => "auto",
            Offset::Open => "open",
            Offset::Close => "close",
            Offset::CloseToday => "close_today",
        },
        "tif": match o.tif { Tif::Day => "day", Tif::Immediate => "immediate", Tif::FillOrKill => "fill_or_kill" },
        "post_only": o.post_only,
        "end": o.end,
        "filled_lots": o.filled_lots,
        "reason": o.reason_name(),
    })
}

fn seen(record: &Record, days: &[DayData], at: (TradingDay, usize), ts_ns: i64, orders: &[OrderRecord]) -> Seen {
    let mut inputs = Map::new();
    if let Some(day) = days.iter().find(|d| d.trading_day == at.0) {
        for (name, values) in day.columns.names.iter().zip(&day.columns.values) {
            let value = values.get(at.1).copied().filter(|v| v.is_finite());
            inputs.insert(name.clone(), json!(value));
        }
    }
    let before = record.fills.iter().rev().find(|f| f.ts_ns <= ts_ns);
    Seen { inputs, position_lots: before.map_or(0, |f| f.position_lots), actions: orders.iter().map(action).collect() }
}

fn book(day: &DayData, row: usize) -> Value {
    let view = day.ticks.view();
    let at = |column: Column| view.float(column).get(row).copied().filter(|v| v.is_finite());
    let side = |price: fn(usize) -> Column, lots: fn(usize) -> Column| -> Vec<Value> {
        (0..5).map(|level| json!([at(price(level)), at(lots(level))])).collect()
    };
    json!({
        "last_price": at(Column::LastPrice),
        "bid": side(Column::bid_price, Column::bid_volume),
        "ask": side(Column::ask_price, Column::ask_volume),
    })
}

/// The first row on which two runs over the same days part; `None` if they sent the same orders under every common fill model.
///
/// Of all fill models that both have, the one that shows it earliest; the first of them on equal rows.
pub fn first_difference(a: (&RunResult, &[DayData]), b: (&RunResult, &[DayData])) -> Option<Divergence> {
    let mut first: Option<Divergence> = None;
    for (name, left, _) in &a.0.models {
        let Some((_, right, _)) = b.0.models.iter().find(|(other, ..)| other == name) else { continue };
        let Some((at, [x, y], equal_orders)) = first_row(left, right) else { continue };
        if first.as_ref().is_some_and(|f| (f.trading_day, f.row) <= at) {
            continue;
        }
        let Some(day) = a.1.iter().chain(b.1).find(|d| d.trading_day == at.0) else { continue };
        let ts_ns = day.ticks.view().ts_ns.get(at.1).copied().unwrap_or(0);
        first = Some(Divergence {
            fill_model: name.as_str(),
            trading_day: at.0,
            row: at.1,
            ts_ns,
            contract: day.contract.clone(),
            book: book(day, at.1),
            a: seen(left, a.1, at, ts_ns, x),
            b: seen(right, b.1, at, ts_ns, y),
            equal_orders,
        });
    }
    first
}
