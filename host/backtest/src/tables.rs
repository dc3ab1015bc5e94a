//! A result as tables for other tools: orders, fills and the equity curve of every fill model.

use crate::record::{EquityPoint, FillRecord, OrderEnd, OrderRecord, Record, TakerBooks};
use crate::run::RunResult;
use ghtrader_kernels::wire::{Offset, Side, Tif};
use ghtrader_store::{StoreError, TableColumn, table_parquet};
use std::collections::BTreeMap;

/// `orders.parquet`, `fills.parquet` and `equity.parquet` of a result: file name and bytes.
///
/// Rows of all fill models one after the other, told apart by `model`; prices in CNY, times of the exchange, a missing
/// number is null. `equity` has about one row a minute and one a fill. The files carry the result's two digests.
///
/// # Errors
/// An encoder's refusal would be a defect.
pub fn result_tables(result: &RunResult) -> Result<[(&'static str, Vec<u8>); 3], StoreError> {
    let identity =
        [("result_digest", result.result_digest.to_string()), ("output_digest", result.output_digest.to_string())];
    let table = |name: &'static str, columns| -> Result<(&'static str, Vec<u8>), StoreError> {
        Ok((name, table_parquet(name, columns, &identity)?))
    };
    Ok([
        table("orders.parquet", orders(result))?,
        table("fills.parquet", fills(result))?,
        table("equity.parquet", equity(result))?,
    ])
}

/// One column over the rows of every model.
fn all<'a, R: 'a, T>(
    result: &'a RunResult,
    rows: impl Fn(&'a Record) -> &'a [R],
    value: impl Fn(&'a str, &'a Record, &'a R) -> T,
) -> Vec<T> {
    let models = result.models.iter();
    models
        .flat_map(|(name, record, _)| {
            rows(record).iter().map(|row| value(name.as_str(), record, row)).collect::<Vec<_>>()
        })
        .collect()
}

fn orders_of(record: &Record) -> &[OrderRecord] {
    &record.orders
}

fn fills_of(record: &Record) -> &[FillRecord] {
    &record.fills
}

fn equity_of(record: &Record) -> &[EquityPoint] {
    &record.equity
}

fn contract(result: &RunResult, number: u32) -> &str {
    result.contracts.get(number as usize).map_or("", String::as_str)
}

const fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

const fn offset(offset: Offset) -> &'static str {
    match offset {
        Offset::Auto => "auto",
        Offset::Open => "open",
        Offset::Close => "close",
        Offset::CloseToday => "close_today",
    }
}

const fn tif(tif: Tif) -> &'static str {
    match tif {
        Tif::Day => "day",
        Tif::Immediate => "immediate",
        Tif::FillOrKill => "fill_or_kill",
    }
}

const fn end(end: OrderEnd) -> &'static str {
    match end {
        OrderEnd::Open => "open",
        OrderEnd::Filled => "filled",
        OrderEnd::Cancelled => "cancelled",
        OrderEnd::Rejected => "rejected",
    }
}

fn orders(result: &RunResult) -> Vec<(&'static str, TableColumn<'_>)> {
    let rows = orders_of;
    let books: Vec<BTreeMap<u64, &TakerBooks>> =
        result.models.iter().map(|(_, r, _)| r.taker_books.iter().map(|b| (b.order_id, b)).collect()).collect();
    let book = |value: fn(&TakerBooks) -> f64| -> Vec<f64> {
        let models = result.models.iter().zip(&books);
        models
            .flat_map(|((_, record, _), books)| {
                record.orders.iter().map(|o| books.get(&o.id).map_or(f64::NAN, |b| value(b))).collect::<Vec<_>>()
            })
            .collect()
    };
    vec![
        ("model", TableColumn::Text(all(result, rows, |model, _, _| model))),
        ("order_id", TableColumn::Id(all(result, rows, |_, _, o| o.id))),
        ("contract", TableColumn::Text(all(result, rows, |_, _, o| contract(result, o.contract)))),
        ("trading_day", TableColumn::Day(all(result, rows, |_, _, o| o.trading_day))),
        ("decided_row", TableColumn::Id(all(result, rows, |_, _, o| u64::from(o.decided_row)))),
        ("decided_at", TableColumn::Time(all(result, rows, |_, _, o| o.decided_ts_ns))),
        ("arrived_at", TableColumn::Time(all(result, rows, |_, _, o| o.arrival_ts_ns))),
        ("side", TableColumn::Text(all(result, rows, |_, _, o| side(o.side)))),
        ("offset", TableColumn::Text(all(result, rows, |_, _, o| offset(o.offset)))),
        ("tif", TableColumn::Text(all(result, rows, |_, _, o| tif(o.tif)))),
        ("post_only", TableColumn::Flag(all(result, rows, |_, _, o| o.post_only))),
        ("lots", TableColumn::Count(all(result, rows, |_, _, o| o.lots))),
        ("limit_cny", TableColumn::Number(all(result, rows, |_, _, o| o.limit_cny))),
        ("decided_mid_cny", TableColumn::Number(all(result, rows, |_, _, o| o.decided_mid_cny))),
        ("accepted", TableColumn::Flag(all(result, rows, |_, _, o| o.accepted))),
        ("filled_lots", TableColumn::Count(all(result, rows, |_, _, o| o.filled_lots))),
        ("end", TableColumn::Text(all(result, rows, |_, _, o| end(o.end)))),
        ("reason", TableColumn::Text(all(result, rows, |_, _, o| o.reason_name()))),
        ("taker_k_lots", TableColumn::Number(book(|b| f64::from(b.k_lots)))),
        ("taker_k_price_cny", TableColumn::Number(book(|b| b.k_price_cny))),
        ("taker_k_plus_1_lots", TableColumn::Number(book(|b| f64::from(b.k_plus_1_lots)))),
        ("taker_k_plus_1_price_cny", TableColumn::Number(book(|b| b.k_plus_1_price_cny))),
    ]
}

fn fills(result: &RunResult) -> Vec<(&'static str, TableColumn<'_>)> {
    let rows = fills_of;
    let markout = |at: usize| TableColumn::Number(all(result, rows, move |_, _, f| f.markout_ticks[at]));
    vec![
        ("model", TableColumn::Text(all(result, rows, |model, _, _| model))),
        ("order_id", TableColumn::Id(all(result, rows, |_, _, f| f.order_id))),
        ("contract", TableColumn::Text(all(result, rows, |_, _, f| contract(result, f.contract)))),
        ("trading_day", TableColumn::Day(all(result, rows, |_, _, f| f.trading_day))),
        ("filled_at", TableColumn::Time(all(result, rows, |_, _, f| f.ts_ns))),
        ("side", TableColumn::Text(all(result, rows, |_, _, f| side(f.side)))),
        ("lots", TableColumn::Count(all(result, rows, |_, _, f| f.lots))),
        ("price_cny", TableColumn::Number(all(result, rows, |_, _, f| f.price_cny))),
        ("fee_cny", TableColumn::Number(all(result, rows, |_, _, f| f.fee_cny))),
        ("maker", TableColumn::Flag(all(result, rows, |_, _, f| f.maker))),
        ("position_lots", TableColumn::Integer(all(result, rows, |_, _, f| f.position_lots))),
        ("slippage_ticks", TableColumn::Number(all(result, rows, |_, _, f| f.slippage_ticks))),
        ("markout_1_ticks", markout(0)),
        ("markout_10_ticks", markout(1)),
        ("markout_50_ticks", markout(2)),
        ("markout_200_ticks", markout(3)),
    ]
}

fn equity(result: &RunResult) -> Vec<(&'static str, TableColumn<'_>)> {
    let rows = equity_of;
    vec![
        ("model", TableColumn::Text(all(result, rows, |model, _, _| model))),
        ("at", TableColumn::Time(all(result, rows, |_, _, p| p.ts_ns))),
        ("equity_cny", TableColumn::Number(all(result, rows, |_, _, p| p.equity_cny))),
    ]
}
