//! The golden vectors of the calendar and of identities.
#![allow(clippy::unwrap_used, reason = "a test")]

use ghtrader_core::{
    Calendar, Column, Digest, ExchangeTimeNs, RowHashAggregate, SessionWindow, TickTable, TradingDay, Variety,
};
use serde_json::{Value, json};

/// Runs every case of a file; `answer` gives what the code says, in the file's own shape.
fn check(file: &str, answer: impl Fn(&str, &Value) -> Value) {
    let path = format!("{}/../../../shared/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: ../shared/golden not found");
        return;
    };
    let file: Value = serde_json::from_str(&text).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let got = answer(case["input"]["op"].as_str().unwrap(), &case["input"]);
        let mut want = case["expected"].clone();
        if let Some(object) = want.as_object_mut() {
            object.retain(|name, _| !name.ends_with("_cst"));
        }
        assert_eq!(got, want, "{}: {}", case["id"], case["why"]);
    }
}

/// D-05, D-06, D-07
#[test]
fn calendar() {
    let c = Calendar::builtin();
    check("calendar.json", |op, input| {
        let day = |name: &str| input[name].as_str().unwrap().parse::<TradingDay>().unwrap();
        let time = || ExchangeTimeNs(input["ts_ns"].as_i64().unwrap());
        let variety = || -> Variety {
            let text = format!("{}.{}", input["exchange"].as_str().unwrap(), input["product"].as_str().unwrap());
            text.parse().unwrap()
        };
        let or_error = |d: Result<TradingDay, _>| d.map_or(json!("error"), |d| json!(d));
        match op {
            "is_trading_day" => json!(c.is_trading_day(day("date"))),
            "next_trading_day" => or_error(c.next_trading_day(day("date"))),
            "previous_trading_day" => or_error(c.previous_trading_day(day("date"))),
            "trading_days" => json!(c.trading_days(day("from"), day("to"))),
            "trading_day_of" => or_error(c.trading_day_of(time())),
            "night_session" => c
                .night_session(&variety(), day("trading_day"))
                .map_or(Value::Null, |w: SessionWindow| json!({"open_ns": w.start_ns, "close_ns": w.end_ns})),
            "session_windows" => {
                let windows = c.session_windows(&variety(), day("trading_day"));
                json!(windows.iter().map(|w| [w.start_ns, w.end_ns]).collect::<Vec<_>>())
            }
            "market_phase" => json!(c.phase(&variety(), time()).as_str()),
            _ => panic!("unknown op {op}"),
        }
    });
}

#[test]
fn identity() {
    check("identity.json", |op, input| match op {
        "schema_hash" => json!(Column::schema_hash()),
        "row_hash" => {
            let columns = input["columns"].as_object().unwrap();
            assert!(columns.keys().all(|name| Column::from_name(name).is_some()));
            let mut row = TickTable { ts_ns: vec![input["datetime_ns"].as_i64().unwrap()], ..Default::default() };
            (row.seq, row.phase) = (vec![0], vec![0]);
            for c in Column::floats() {
                let value = columns.get(c.name()).map_or(0.0, |v| match v.as_str() {
                    Some(text) => text.parse().unwrap(),
                    None => v.as_f64().unwrap(),
                });
                row.floats[c.index() - 1] = vec![value];
            }
            json!(row.view().row_hash(0))
        }
        "row_hash_aggregate" => {
            let hashes = input["hashes"].as_array().unwrap().iter().map(|h| h.as_i64().unwrap());
            RowHashAggregate::of(hashes)
                .map_or(Value::Null, |a| json!({"min": a.min, "max": a.max, "sum": a.sum, "abs_sum": a.abs_sum}))
        }
        "sha16" => json!(Digest::of(input["text"].as_str().unwrap().as_bytes()).short16()),
        _ => panic!("unknown op {op}"),
    });
}

/// D-05: the compact table against a published list.
#[test]
fn holidays_match_the_published_list() {
    let path = format!("{}/../../../shared/data/calendar/shinny_chinese_holiday.json", env!("CARGO_MANIFEST_DIR"));
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: ../shared/data not found");
        return;
    };
    let (mut published, bad) = Calendar::parse_holidays(&text).unwrap();
    published.push("2024-02-09".parse().unwrap());
    assert!(bad.is_empty());
    let c = Calendar::builtin();
    let (first, last) = (TradingDay::from_ymd(2003, 1, 1).unwrap(), c.covered_to());
    for day in (first.days()..=last.days()).map(TradingDay::from_days) {
        assert_eq!(c.is_trading_day(day), !day.is_weekend() && !published.contains(&day), "{day}");
    }
}
