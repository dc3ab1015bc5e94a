//! Instruments, as an instrument query answers them.

use crate::graphql::arguments;
use crate::tape::{Day, Series, Tape};
use crate::terms::Terms;
use ghtrader_core::{ExchangeTimeNs, NS_PER_S, TradingDay, delivery_month, last_trading_day};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const HOUR_NS: i64 = 3_600 * NS_PER_S;
/// Most lots of one order.
pub(crate) const MOST_LOTS: u32 = 500;

/// The result of a query at a step of the clock: `{"multi_symbol_info":[…]}`.
///
/// # Errors
/// A query that cannot be read, or an unknown instrument.
pub(crate) fn answer(
    tape: &Tape,
    terms: &Terms,
    step: usize,
    query: &str,
    variables: Option<&Value>,
) -> Result<Value, String> {
    let asked = arguments(query, variables)?;
    let texts = |name: &str| -> Option<Vec<&str>> {
        match asked.get(name)? {
            Value::Array(list) => Some(list.iter().filter_map(Value::as_str).collect()),
            Value::String(one) => Some(vec![one.as_str()]),
            _ => None,
        }
    };
    let now_ns = tape.steps.get(step).map_or(0, |s| s.ts_ns);
    let at_ns = asked.get("timestamp").and_then(Value::as_i64).unwrap_or(now_ns);
    let ids = texts("instrument_id");
    if let Some(unknown) = ids.iter().flatten().find(|id| tape.find(id).is_none()) {
        return Err(format!("unknown instrument {unknown}"));
    }
    let flag = |name: &str| asked.get(name).and_then(Value::as_bool);
    let named = |list: &Option<Vec<&str>>, value: &str| list.as_ref().is_none_or(|l| l.contains(&value));
    let (classes, exchanges, products) = (texts("class"), texts("exchange_id"), texts("product_id"));
    let fits = |series: &Series| {
        let (class, exchange, product) = names(series);
        named(&ids, &series.symbol)
            && named(&classes, class)
            && named(&exchanges, exchange)
            && named(&products, product)
            && flag("expired").is_none_or(|wanted| wanted == is_expired(tape, series, at_ns))
            && flag("has_night").is_none_or(|wanted| wanted == has_night(tape, series, step))
    };
    let found: Vec<Value> =
        tape.series.iter().filter(|s| fits(s)).map(|s| instrument(tape, terms, s, step, at_ns)).collect();
    Ok(json!({ "multi_symbol_info": found }))
}

/// Class, exchange and product as a query names them; a main contract has an exchange of its own and no product.
fn names(series: &Series) -> (&'static str, &str, &str) {
    match &series.contract {
        Some(contract) => ("FUTURE", contract.variety().exchange().as_str(), contract.variety().product()),
        None => ("CONT", "KQ", ""),
    }
}

/// The day of a series at a step: the present trading day's, else the one before it, else its first.
pub(crate) fn present_day<'a>(tape: &Tape, series: &'a Series, step: usize) -> &'a Day {
    let today = tape.trading_day(step);
    let after = series.days.partition_point(|d| d.day <= today);
    &series.days[after.saturating_sub(1)]
}

fn expiry(tape: &Tape, series: &Series) -> Option<TradingDay> {
    last_trading_day(series.contract.as_ref()?, &tape.calendar)
}

/// 15:00 of the last trading day, ns.
fn expiry_ns(day: TradingDay) -> i64 {
    ExchangeTimeNs::from_cst(day, 15 * HOUR_NS).0
}

fn is_expired(tape: &Tape, series: &Series, at_ns: i64) -> bool {
    expiry(tape, series).is_some_and(|day| expiry_ns(day) < at_ns)
}

fn has_night(tape: &Tape, series: &Series, step: usize) -> bool {
    tape.calendar.night_session(&series.variety, present_day(tape, series, step).day).is_some()
}

fn instrument(tape: &Tape, terms: &Terms, series: &Series, step: usize, at_ns: i64) -> Value {
    let day = present_day(tape, series, step);
    let (class, exchange, product) = names(series);
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    // Numbers that are not known are null here: this is no merge patch of numbers. Nor is a day known that is to come.
    let begun = day.day <= tape.trading_day(step);
    let known = |value: f64| if begun && value.is_finite() { json!(value) } else { Value::Null };
    put("instrument_id", json!(series.symbol));
    put("exchange_id", json!(exchange));
    put("class", json!(class));
    let name = series.contract.as_ref().map_or_else(|| series.symbol.clone(), |c| c.instrument());
    put("instrument_name", json!(name));
    put("english_name", json!(name));
    put("price_tick", json!(series.spec.price_tick));
    put("price_decs", json!(series.price_decimals()));
    put("volume_multiple", json!(series.spec.multiplier));
    put("trading_day", json!(day.day.compact()));
    put("trading_time", trading_time(tape, series, day.day));
    put("pre_close", known(day.pre_close));
    put("pre_open_interest", known(day.pre_open_interest));
    put("settlement_price", known(day.pre_settlement));
    put("upper_limit", known(day.upper));
    put("lower_limit", known(day.lower));
    put("expired", json!(is_expired(tape, series, at_ns)));
    let of = &tape.series[day.contract];
    match &series.contract {
        Some(contract) => {
            put("product_id", json!(product));
            put("product_short_name", json!(product));
            put("quote_multiple", json!(1));
            if let Some((year, month)) = delivery_month(contract) {
                put("delivery_year", json!(year));
                put("delivery_month", json!(month));
            }
            put("expire_datetime", expiry(tape, series).map_or(Value::Null, |d| json!(expiry_ns(d))));
            for name in ["max_limit_order_volume", "open_max_limit_order_volume"] {
                put(name, json!(MOST_LOTS));
            }
            for name in ["min_limit_order_volume", "open_min_limit_order_volume"] {
                put(name, json!(1));
            }
            // No market orders: neither does SHFE take them.
            for name in [
                "max_market_order_volume",
                "min_market_order_volume",
                "open_max_market_order_volume",
                "open_min_market_order_volume",
                "open_limit",
            ] {
                put(name, json!(0));
            }
            put("position_limit", Value::Null);
            put("mmsa", json!(false));
            put("categories", json!([]));
            let lot = terms.lot(contract, day.day, series.spec.multiplier, day.reference(series));
            put("margin", lot.map_or(Value::Null, |l| json!(l.margin_cny)));
            put("commission", lot.map_or(Value::Null, |l| json!(l.commission_cny)));
        }
        None => {
            let node = instrument(tape, terms, of, step, at_ns);
            put("underlying", json!({ "count": 1, "edges": [{ "underlying_multiple": 1, "node": node }] }));
        }
    }
    Value::Object(fields)
}

/// `{"day":[["09:00:00","10:15:00"],…],"night":[["21:00:00","25:00:00"]]}`: hours over 24 run past midnight.
fn trading_time(tape: &Tape, series: &Series, day: TradingDay) -> Value {
    let mut sessions: BTreeMap<&str, Vec<[String; 2]>> = [("day", Vec::new()), ("night", Vec::new())].into();
    for window in tape.calendar.session_windows(&series.variety, day) {
        let date = ExchangeTimeNs(window.start_ns).cst_date();
        let midnight_ns = ExchangeTimeNs::from_cst(date, 0).0;
        let clock = |t: i64| {
            let s = (t - midnight_ns) / NS_PER_S;
            format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
        };
        let session = sessions.entry(if window.night { "night" } else { "day" }).or_default();
        session.push([clock(window.start_ns), clock(window.end_ns)]);
    }
    json!(sessions)
}
