//! Golden vectors: every case of `factors.json` and `labels.json`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use ghtrader_kernels::flow::{CumulativeChange, Quote, order_flow_imbalance};
use ghtrader_kernels::rolling::{Window, sample_variance, simple_return, sum};
use ghtrader_kernels::wire::{Boundary, Side};
use ghtrader_kernels::{book, label};
use serde_json::{Value, json};
use std::path::Path;

/// Runs every case of a file through `answer`; expected and given are compared by the file's tolerance.
fn check(file: &str, answer: impl Fn(&str, &Value) -> Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden").join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: ../shared/golden not found");
        return;
    };
    let golden: Value = serde_json::from_str(&text).unwrap();
    let bound = |key: &str| golden["tolerance"][key].as_f64().unwrap_or(0.0);
    let cases = golden["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let got = answer(case["input"]["op"].as_str().unwrap(), &case["input"]);
        if let Err(at) = compare(&case["expected"], &got, bound("abs"), bound("rel")) {
            panic!("{}: {} ({at})\nexpected {}\ngot {got}", case["id"], case["why"], case["expected"]);
        }
    }
}

fn compare(expected: &Value, got: &Value, abs: f64, rel: f64) -> Result<(), String> {
    match (expected, got) {
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .try_for_each(|(i, (a, b))| compare(a, b, abs, rel).map_err(|at| format!("[{i}]{at}"))),
        (Value::Object(a), Value::Object(b)) if a.len() == b.len() => {
            a.iter().try_for_each(|(key, a)| compare(a, &b[key], abs, rel).map_err(|at| format!(".{key}{at}")))
        }
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            let close = (b - a).abs() <= abs.max(rel * a.abs());
            if close { Ok(()) } else { Err(format!(": {b} is not {a}")) }
        }
        _ if expected == got => Ok(()),
        _ => Err(format!(": {got} is not {expected}")),
    }
}

fn number(value: &Value) -> f64 {
    if value == "NaN" { f64::NAN } else { value.as_f64().unwrap() }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn shown(value: f64) -> Value {
    if value.is_nan() { json!("NaN") } else { json!(value) }
}

fn all_shown(values: impl IntoIterator<Item = f64>) -> Value {
    values.into_iter().map(shown).collect()
}

struct Snapshot {
    bid: Vec<f64>,
    bid_lots: Vec<f64>,
    ask: Vec<f64>,
    ask_lots: Vec<f64>,
}

impl Snapshot {
    fn read(value: &Value) -> Self {
        Self {
            bid: numbers(&value["bid_price_cny"]),
            bid_lots: numbers(&value["bid_volume_lots"]),
            ask: numbers(&value["ask_price_cny"]),
            ask_lots: numbers(&value["ask_volume_lots"]),
        }
    }

    fn quote(&self, level: usize) -> Quote {
        Quote {
            bid: self.bid[level],
            bid_lots: self.bid_lots[level],
            ask: self.ask[level],
            ask_lots: self.ask_lots[level],
        }
    }
}

fn book_factors(input: &Value) -> Value {
    let s = Snapshot::read(&input["snapshot"]);
    let (b, v, a, w) = (s.bid[0], s.bid_lots[0], s.ask[0], s.ask_lots[0]);
    json!({
        "spread_cny": shown(book::spread(b, a)),
        "mid_cny": shown(book::mid(b, a)),
        "microprice_cny": shown(book::microprice(b, v, a, w)),
        "queue_imbalance": all_shown(s.bid_lots.iter().zip(&s.ask_lots).map(|(v, w)| book::imbalance(*v, *w))),
        "imbalance_total": shown(book::imbalance(book::total_lots(&s.bid_lots), book::total_lots(&s.ask_lots))),
        "depth_weighted_price_cny": shown(book::depth_weighted_price(&s.bid, &s.bid_lots, &s.ask, &s.ask_lots)),
        "book_slope": shown(book::slope(&s.bid_lots, &s.ask_lots)),
    })
}

fn ofi(input: &Value) -> Value {
    let snapshots: Vec<Snapshot> = input["snapshots"].as_array().unwrap().iter().map(Snapshot::read).collect();
    let new_segment = input["new_segment"].as_array().unwrap();
    (0..snapshots.len())
        .map(|row| {
            all_shown((0..5).map(|level| match row.checked_sub(1) {
                Some(previous) if new_segment[row] == false => {
                    order_flow_imbalance(&snapshots[previous].quote(level), &snapshots[row].quote(level))
                }
                _ => f64::NAN,
            }))
        })
        .collect()
}

/// Calls `$function::<N>` for a window length known at run time.
macro_rules! with_rows {
    ($rows:expr, $function:ident $arguments:tt; $($n:literal)*) => {
        match $rows.as_u64().unwrap() {
            $($n => $function::<$n> $arguments,)*
            other => panic!("no window of {other} rows in this test; add it"),
        }
    };
}

fn returns<const N: usize>(mids: &[f64], borders: &[Vec<Boundary>]) -> Value {
    let mut past = Window::<N>::new();
    all_shown(mids.iter().zip(borders).map(|(mid, borders)| {
        if borders.contains(&Boundary::Roll) {
            past.reset();
        }
        simple_return(*mid, past.push(*mid))
    }))
}

fn volatility<const N: usize>(mids: &[f64], borders: &[Vec<Boundary>]) -> Value {
    let mut past = Window::<1>::new();
    let mut steps = Window::<N>::new();
    all_shown(mids.iter().zip(borders).map(|(mid, borders)| {
        if borders.contains(&Boundary::Roll) {
            past.reset();
            steps.reset();
        }
        steps.push(simple_return(*mid, past.push(*mid)));
        sample_variance(steps.values()).sqrt()
    }))
}

fn deltas<const N: usize>(volumes: &[f64], interests: &[f64], borders: &[Vec<Boundary>]) -> (Value, Value) {
    let (mut change, mut changes, mut past) = (CumulativeChange::default(), Window::<N>::new(), Window::<N>::new());
    let rows = volumes.iter().zip(interests).zip(borders).map(|((volume, interest), borders)| {
        for border in borders {
            change.boundary(*border);
            if *border == Boundary::Roll {
                changes.reset();
                past.reset();
            }
        }
        changes.push(change.next(*volume));
        (sum(changes.values()), interest - past.push(*interest))
    });
    let (volume, interest): (Vec<f64>, Vec<f64>) = rows.unzip();
    (all_shown(volume), all_shown(interest))
}

fn rolling(input: &Value) -> Value {
    let (days, segments) = (input["trading_day"].as_array().unwrap(), input["segment_id"].as_array().unwrap());
    let borders: Vec<Vec<Boundary>> = (0..days.len())
        .map(|row| {
            let changed = |list: &[Value]| row > 0 && list[row] != list[row - 1];
            let borders = [(changed(days), Boundary::TradingDay), (changed(segments), Boundary::Roll)];
            borders.into_iter().filter_map(|(changed, border)| changed.then_some(border)).collect()
        })
        .collect();
    let mids = numbers(&input["mid_cny"]);
    let (volumes, interests) = (numbers(&input["volume_lots"]), numbers(&input["open_interest_lots"]));
    let (volume, interest) = with_rows!(input["delta_rows"], deltas(&volumes, &interests, &borders); 1 2 3 5 10);
    json!({
        "return": with_rows!(input["return_rows"], returns(&mids, &borders); 1 2 3 5 10),
        "volatility": with_rows!(input["volatility_rows"], volatility(&mids, &borders); 2 3 4 5 10 20),
        "volume_delta_lots": volume,
        "oi_delta_lots": interest,
    })
}

/// Whether row `later` lies within the reach of row `row`.
fn reaches(input: &Value, row: usize, later: usize) -> bool {
    let same = |key: &str| input[key][row] == input[key][later];
    let exists = later < input["segment_id"].as_array().unwrap().len();
    exists
        && same("segment_id")
        && match input["reach"].as_str().unwrap() {
            "segment" => true,
            "day" => same("trading_day"),
            "session" => same("trading_day") && same("session"),
            other => panic!("unknown reach {other}"),
        }
}

fn direction_label(input: &Value) -> Value {
    let (bid, ask) = (numbers(&input["bid_price1_cny"]), numbers(&input["ask_price1_cny"]));
    let tick = number(&input["price_tick_cny"]);
    let horizon = input["horizon_rows"].as_u64().unwrap() as usize;
    let threshold = input["threshold_ticks"].as_u64().unwrap() as u32;
    let mid = |row: usize| label::mid_half_ticks(bid[row], ask[row], tick);
    (0..bid.len())
        .map(|row| {
            let later = Some(row + horizon).filter(|later| reaches(input, row, *later)).and_then(mid);
            mid(row).zip(later).map(|(now, later)| label::direction(now, later, threshold) as u8)
        })
        .map(|class| json!(class))
        .collect()
}

fn fill_label(input: &Value) -> Value {
    let (bid, ask) = (numbers(&input["bid_price1_cny"]), numbers(&input["ask_price1_cny"]));
    let (bid_lots, ask_lots) = (numbers(&input["bid_volume1_lots"]), numbers(&input["ask_volume1_lots"]));
    let row = input["row"].as_u64().unwrap() as usize;
    let integer = |key: &str| input[key].as_u64().unwrap() as u32;
    let answer = |side, price: f64, lots: f64| {
        let later = (row + 1..).take_while(|later| reaches(input, row, *later)).map(|later| (bid[later], ask[later]));
        let tick = number(&input["price_tick_cny"]);
        let label = label::fill_label(side, price, lots, integer("level"), tick, integer("horizon_rows"), later);
        json!({
            "order_price_cny": shown(label.order_price),
            "fill": label.fill.map(u8::from),
            "time_to_fill_rows": label.time_to_fill_rows,
            "queue_position_lots": label.queue_position_lots,
            "censored": u8::from(label.censored),
        })
    };
    json!({ "bid": answer(Side::Buy, bid[row], bid_lots[row]), "ask": answer(Side::Sell, ask[row], ask_lots[row]) })
}

/// F-01, F-04, F-05, F-07
#[test]
fn factors() {
    check("factors.json", |op, input| match op {
        "book_factors" => book_factors(input),
        "ofi" => ofi(input),
        "rolling" => rolling(input),
        other => panic!("unknown op {other}"),
    });
}

/// F-14, F-17
#[test]
fn labels() {
    check("labels.json", |op, input| match op {
        "direction_label" => direction_label(input),
        "fill_label" => fill_label(input),
        other => panic!("unknown op {other}"),
    });
}
