//! The golden vectors of the main schedule and of validation.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use ghtrader_core::{Column, ContractId, ContractSpec, TickTable, TradingDay};
use ghtrader_pipeline::*;
use serde_json::{Value, json};

/// Runs every case of a file; `answer` gives what the code says, in the file's own shape, or `None` for an unknown op.
fn check(file: &str, answer: impl Fn(&str, &Value) -> Option<Value>) {
    let path = format!("{}/../../../shared/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: ../shared/golden not found");
        return;
    };
    let file: Value = serde_json::from_str(&text).unwrap();
    let tolerance = file["tolerance"]["rel"].as_f64().unwrap_or(0.0);
    let cases = file["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let op = case["input"]["op"].as_str().unwrap();
        let got = answer(op, &case["input"]).unwrap_or_else(|| panic!("unknown op {op}"));
        let want = &case["expected"];
        assert!(equal(&got, want, tolerance), "{}: {}\n got {got}\nwant {want}", case["id"], case["why"]);
    }
}

fn equal(got: &Value, want: &Value, rel: f64) -> bool {
    match (got, want) {
        (Value::Number(g), Value::Number(w)) => {
            let (g, w) = (g.as_f64().unwrap(), w.as_f64().unwrap());
            (g - w).abs() <= rel * w.abs()
        }
        (Value::Array(g), Value::Array(w)) => g.len() == w.len() && g.iter().zip(w).all(|(g, w)| equal(g, w, rel)),
        (Value::Object(g), Value::Object(w)) => {
            g.len() == w.len() && w.iter().all(|(k, w)| g.get(k).is_some_and(|g| equal(g, w, rel)))
        }
        _ => got == want,
    }
}

fn number(v: &Value) -> f64 {
    v.as_str().map_or_else(|| v.as_f64().unwrap(), |text| text.parse().unwrap())
}

fn day(v: &Value) -> TradingDay {
    v.as_str().unwrap().parse().unwrap()
}

fn contract(text: &str) -> ContractId {
    text.parse().unwrap()
}

fn rows_of(s: &MainSchedule) -> Value {
    let row = |r: &ghtrader_store::ScheduleRow| json!({"trading_day": r.date, "contract": r.main_contract, "segment_id": r.segment_id});
    s.rows.iter().map(row).collect()
}

/// D-19, D-20
#[test]
fn main_schedule() {
    check("main_schedule.json", |op, input| {
        let list = |name: &str| input[name].as_array().unwrap();
        Some(match op {
            "schedule_from_open_interest" => {
                let of = |c: &Value| Listed {
                    contract: contract(c["contract"].as_str().unwrap()),
                    days_left: c["days_left"].as_i64(),
                };
                let listed: Vec<_> = list("contracts").iter().map(of).collect();
                // The days left also follow from the exchange's rule.
                let first = day(&input["days"][0]["trading_day"]);
                for l in &listed {
                    let calendar = ghtrader_core::Calendar::builtin();
                    assert_eq!(*l, Listed::by_rule(l.contract.clone(), calendar, first), "{}", input);
                }
                let closes = |d: &Value| DayCloses {
                    trading_day: day(&d["trading_day"]),
                    closes: d["open_interest_lots"]
                        .as_object()
                        .unwrap()
                        .iter()
                        .map(|(c, oi)| {
                            let volume_lots = d["volume_lots"].get(c).map_or(0.0, number);
                            let close = Close { open_interest_lots: number(oi), volume_lots, close_cny: f64::NAN };
                            (contract(c), close)
                        })
                        .collect(),
                };
                let days: Vec<_> = list("days").iter().map(closes).collect();
                let rule = ScheduleRule {
                    confirm_days: input["confirm_days"].as_u64().unwrap() as u32,
                    min_days_to_expiry: input["min_days_to_expiry"].as_i64().unwrap(),
                };
                schedule_from_open_interest(&listed, &days, rule).map_or(json!("error"), |s| rows_of(&s))
            }
            "schedule_from_events" => {
                let event = |e: &Value| (day(&e[0]), contract(e[1].as_str().unwrap()));
                let events: Vec<_> = list("events").iter().map(event).collect();
                let days: Vec<_> = list("trading_days").iter().map(day).collect();
                schedule_from_events(&events, &days)
                    .map_or(json!("error"), |s| json!({"rows": rows_of(&s), "schedule_hash": s.schedule_hash}))
            }
            _ => return None,
        })
    });
}

/// A table of `rows` null rows with some columns filled in.
fn table(rows: usize, columns: &[(Column, Vec<f64>)]) -> TickTable {
    let mut t = TickTable { ts_ns: vec![0; rows], seq: (0..rows as u32).collect(), ..Default::default() };
    t.phase = vec![2; rows];
    t.floats = std::array::from_fn(|_| vec![f64::NAN; rows]);
    for (c, values) in columns {
        t.floats[c.index() - 1].clone_from(values);
    }
    t
}

fn named(columns: &Value, rows: impl Fn(&Value) -> Vec<f64>) -> Vec<(Column, Vec<f64>)> {
    let column = |(name, v): (&String, &Value)| (Column::from_name(name).unwrap(), rows(v));
    columns.as_object().unwrap().iter().map(column).collect()
}

fn numbers(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(number).collect()
}

/// One row of `row_findings` as columns.
fn book_row(rows: &[&Value]) -> TickTable {
    let mut columns = Vec::new();
    for i in 0..5 {
        let level = |name: &str| rows.iter().map(|r| number(&r[name][i])).collect::<Vec<_>>();
        columns.push((Column::bid_price(i), level("bid_price_cny")));
        columns.push((Column::bid_volume(i), level("bid_volume_lots")));
        columns.push((Column::ask_price(i), level("ask_price_cny")));
        columns.push((Column::ask_volume(i), level("ask_volume_lots")));
    }
    let one = |name: &str| rows.iter().map(|r| number(&r[name])).collect::<Vec<_>>();
    columns.push((Column::LastPrice, one("last_price_cny")));
    columns.push((Column::Volume, one("volume_lots")));
    columns.push((Column::Amount, one("amount_cny")));
    let mut t = table(rows.len(), &columns);
    t.ts_ns = rows.iter().map(|r| r["ts_ns"].as_i64().unwrap()).collect();
    t
}

/// D-28, D-33
#[test]
fn l5_validation() {
    check("l5_validation.json", |op, input| {
        let count = |name: &str| input[name].as_u64().unwrap_or_else(|| panic!("{name}"));
        Some(match op {
            "is_l5_row" => json!(table(1, &named(&input["fields"], |v| vec![number(v)])).view().has_l5(0)),
            "row_findings" => {
                let tick = number(&input["price_tick_cny"]);
                let spec = ContractSpec { multiplier: 1.0, price_tick: tick, price_tick_text: tick.to_string() };
                match &input["previous"] {
                    Value::Null => json!(row_findings(&book_row(&[&input["row"]]).view(), 0, None, &spec)),
                    p => json!(row_findings(&book_row(&[p, &input["row"]]).view(), 1, Some(0), &spec)),
                }
            }
            "gap_statistics" => {
                let interval = |v: &Value| Interval {
                    night: v["session"] == "night",
                    start_s: v["start_s"].as_i64().unwrap(),
                    end_s: v["end_s"].as_i64().unwrap(),
                };
                let intervals: Vec<_> = input["intervals"].as_array().unwrap().iter().map(interval).collect();
                let second = |v: &Value| (v[0].as_i64().unwrap(), v[1].as_u64().unwrap());
                let seconds: Vec<_> = input["ticks_per_second"].as_array().unwrap().iter().map(second).collect();
                let rule = GapRule {
                    strict_ratio: number(&input["strict_ratio"]),
                    day_threshold_s: number(&input["gap_threshold_s"]["day"]),
                    night_threshold_s: number(&input["gap_threshold_s"]["night"]),
                };
                json!(compute_gap_statistics(&intervals, &seconds, rule))
            }
            "validation_state" => {
                let counts = ValidationCounts {
                    half_missing_s: count("half_missing_s") as i64,
                    strict_fixed_s: count("strict_fixed_s") as i64,
                    outside_s: count("outside_s") as i64,
                    count_gt_30: count("count_gt_30"),
                    segments_avg_per_day: number(&input["segments_avg_per_day"]),
                    missing_days: count("missing_days"),
                    provider_errors: count("provider_errors"),
                    provider_missing_segments: count("provider_missing_segments"),
                };
                let policy = ValidationPolicy {
                    missing_half_info_ratio: number(&input["missing_half_info_ratio"]),
                    missing_half_block_ratio: number(&input["missing_half_block_ratio"]),
                    outside_sessions_block_s: count("outside_sessions_block_s") as i64,
                    gap_block_gt30: count("gap_block_gt30"),
                    segments_warn_avg_per_day: number(&input["segments_warn_avg_per_day"]),
                    source_blocking: input["source_blocking"].as_bool().unwrap(),
                    source_missing_days_tolerance: count("source_missing_days_tolerance"),
                    ..Default::default()
                };
                json!(compute_validation_state(&counts, &policy))
            }
            "field_quality" => {
                let t = table(count("rows") as usize, &named(&input["columns"], numbers));
                json!(compute_field_quality(&t.view()))
            }
            _ => return None,
        })
    });
}
