//! Golden vectors of number, stamp and row parsing. D-04, D-06, D-08, D-09
#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where an assumption breaks")]

use ghtrader_core::{Calendar, Column, L5_LEVELS, TradingDay};
use ghtrader_market::{
    Grid, Row, assign_sequence, average_price, ctp_time, cumulative_delta, datetime_text, parse_lots, parse_price,
    parse_row, price_to_ticks,
};
use serde_json::{Value, json};
use std::path::Path;

fn number(x: f64) -> Value {
    if x.is_nan() { json!("NaN") } else { json!(x) }
}

fn text<'v>(input: &'v Value, key: &str) -> &'v str {
    input[key].as_str().unwrap_or_else(|| panic!("{key} is no text in {input}"))
}

fn days(input: &Value) -> Vec<TradingDay> {
    let list = input["trading_day"].as_array().expect("days");
    list.iter().map(|d| d.as_str().expect("day").parse().expect("day")).collect()
}

fn row(row: &Row) -> serde_json::Map<String, Value> {
    let cell = |c: Column| row.floats[c.index() - 1];
    let levels = |column: fn(usize) -> Column| -> Value { (0..L5_LEVELS).map(|l| number(cell(column(l)))).collect() };
    let fields = json!({
        "symbol": row.symbol,
        "ts_ns": row.ts.0,
        "trading_day": row.trading_day.to_string(),
        "last_price_cny": number(cell(Column::LastPrice)),
        "average_cny": number(cell(Column::Average)),
        "volume_lots": number(cell(Column::Volume)),
        "amount_cny": number(cell(Column::Amount)),
        "open_interest_lots": number(cell(Column::OpenInterest)),
        "bid_price_cny": levels(Column::bid_price),
        "bid_volume_lots": levels(Column::bid_volume),
        "ask_price_cny": levels(Column::ask_price),
        "ask_volume_lots": levels(Column::ask_volume),
        "upper_limit_cny": number(row.upper_limit_cny),
        "lower_limit_cny": number(row.lower_limit_cny),
    });
    fields.as_object().expect("object").clone()
}

/// Only what the vector names is compared; whole rows carry more columns than it lists.
fn named(got: serde_json::Map<String, Value>, expected: &Value) -> Value {
    let Some(names) = expected.as_object() else { return Value::Object(got) };
    names.keys().filter_map(|k| Some((k.clone(), got.get(k)?.clone()))).collect()
}

fn result(op: &str, input: &Value, expected: &Value) -> Value {
    let calendar = Calendar::builtin();
    let error = json!("error");
    let bytes = |key: &str| text(input, key).as_bytes().to_vec();
    match op {
        "parse_price" => parse_price(&bytes("text")).map_or(error, number),
        "parse_lots" => parse_lots(&bytes("text")).map_or(error, number),
        "price_to_ticks" => {
            let grid = Grid::parse(text(input, "tick_text")).expect("tick");
            price_to_ticks(&bytes("text"), &grid).map_or(error, |ticks| json!(ticks))
        }
        "datetime_text" => datetime_text(&bytes("text")).map_or(error, |ns| json!(ns)),
        "ctp_time" => {
            let [day, time, millis] = ["TradingDay", "UpdateTime", "UpdateMillisec"].map(|k| text(input, k));
            ctp_time(day, time, millis, calendar)
                .map_or(error, |(day, ts)| json!({"trading_day": day.to_string(), "ts_ns": ts.0}))
        }
        "tqsdk_row" | "ctp_row" => {
            let multiplier = input["multiplier"].as_f64().unwrap_or(f64::NAN);
            let parsed = parse_row(text(input, "header"), text(input, "line"), multiplier, calendar);
            parsed.map_or(error, |mut parsed| {
                if let (Some(exchange), Some(symbol)) = (input["exchange"].as_str(), &parsed.symbol) {
                    parsed.symbol = Some(format!("{exchange}.{symbol}"));
                }
                named(row(&parsed), expected)
            })
        }
        "assign_sequence" => {
            let stamps = input["ts_ns"].as_array().expect("stamps");
            let rows: Vec<_> = stamps.iter().map(|t| t.as_i64().expect("i64")).zip(days(input)).collect();
            json!(assign_sequence(&rows))
        }
        "cumulative_delta" => {
            let values = input["cumulative_lots"].as_array().expect("values");
            let rows: Vec<_> = values.iter().map(|v| v.as_f64().expect("lots")).zip(days(input)).collect();
            let starts_inside = input["starts_inside_day"].as_bool().expect("flag");
            cumulative_delta(&rows, starts_inside).map_or(error, |(deltas, firsts)| {
                let deltas: Vec<Value> = deltas.into_iter().map(number).collect();
                json!({"delta_lots": deltas, "first_of_day": firsts})
            })
        }
        "ctp_average_price" => {
            let average = parse_price(&bytes("average_text")).expect("price");
            let [volume, multiplier] = ["volume_lots", "multiplier"].map(|k| input[k].as_f64().expect("number"));
            number(average_price(average, volume, multiplier))
        }
        "empty_side" => {
            // A side by itself: as the best bid of an otherwise empty row.
            let header = "datetime,datetime_nano,X.y1.last_price,X.y1.volume,X.y1.amount,X.y1.open_interest,\
                          X.y1.bid_price1,X.y1.bid_volume1,X.y1.ask_price1,X.y1.ask_volume1";
            let line = format!(
                "2025-07-17 21:00:00,1752757200000000000,,0,0,0,{},{},,0",
                text(input, "price_text"),
                input["lots"]
            );
            parse_row(header, &line, 1.0, calendar).map_or(error, |row| {
                let [price, lots] = [Column::bid_price(0), Column::bid_volume(0)].map(|c| row.floats[c.index() - 1]);
                json!({"price_cny": number(price), "lots": number(lots)})
            })
        }
        other => panic!("unknown op {other}: this test has to learn it"),
    }
}

fn equal(got: &Value, want: &Value) -> bool {
    match (got, want) {
        (Value::Number(a), Value::Number(b)) if a.is_i64() && b.is_i64() => a == b,
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN));
            (a - b).abs() <= 1e-15 * b.abs()
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            let named = b.iter().filter(|(k, _)| !k.starts_with("cst_"));
            named.clone().count() == a.len() && named.into_iter().all(|(k, v)| a.get(k).is_some_and(|a| equal(a, v)))
        }
        _ => got == want,
    }
}

#[test]
fn every_case_of_parsing() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/parsing.json");
    let Ok(file) = std::fs::read_to_string(path) else {
        eprintln!("skipped: ../shared/golden not found");
        return;
    };
    let file: Value = serde_json::from_str(&file).expect("JSON");
    let cases = file["cases"].as_array().expect("cases");
    let mut wrong = Vec::new();
    for case in cases {
        let got = result(text(&case["input"], "op"), &case["input"], &case["expected"]);
        if !equal(&got, &case["expected"]) {
            wrong.push(format!("{}: got {got}, want {} ({})", case["id"], case["expected"], case["why"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
