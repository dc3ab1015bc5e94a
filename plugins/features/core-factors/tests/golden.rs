//! The golden vectors through the driver, as rows: what the component computes.

use core_factors::CoreFactors;
use ghtrader_sdk::{Boundary, FeatureDriver, Instrument, Params};
use serde_json::Value;
use std::path::Path;

const OUTPUTS: usize = 11;
const LEVELS: usize = 5;

fn golden(op: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/golden/factors.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("skipped: ../shared/golden not found");
        return Vec::new();
    };
    let mut golden: Value = serde_json::from_str(&text).unwrap();
    let Value::Array(cases) = golden["cases"].take() else { panic!("no cases") };
    let cases: Vec<Value> = cases.into_iter().filter(|case| case["input"]["op"] == op).collect();
    assert!(!cases.is_empty(), "no case of {op}");
    cases
}

fn number(value: &Value) -> f64 {
    if value == "NaN" { f64::NAN } else { value.as_f64().unwrap() }
}

fn levels(value: &Value) -> [f64; LEVELS] {
    std::array::from_fn(|level| number(&value[level]))
}

fn compute(rows: &[([[f64; LEVELS]; 4], f64, f64)]) -> Vec<[f64; OUTPUTS]> {
    let instrument = Instrument { symbol: "SHFE.cu2602".to_owned(), price_tick: 10.0, multiplier: 5.0 };
    let mut driver = FeatureDriver::<CoreFactors>::init(&Params::new(), &instrument).unwrap();
    let mut out = Vec::new();
    for (levels, volume, interest) in rows {
        let numbers = levels.iter().flatten().chain([volume, interest]);
        driver.compute(&numbers.map(|number| number.to_bits()).collect::<Vec<_>>(), &mut out).unwrap();
    }
    out.as_chunks().0.to_vec()
}

fn check(case: &Value, what: &str, got: f64, expected: &Value) {
    let expected = number(expected);
    let close = (got - expected).abs() <= 1e-12_f64.max(1e-12 * expected.abs());
    let same = close || got.is_nan() && expected.is_nan();
    assert!(same, "{}: {}: {what} is {got}, not {expected}", case["id"], case["why"]);
}

/// F-01, F-04: the seven factors of one book.
#[test]
fn books() {
    for case in golden("book_factors") {
        let s = &case["input"]["snapshot"];
        let sides = ["bid_price_cny", "bid_volume_lots", "ask_price_cny", "ask_volume_lots"].map(|key| levels(&s[key]));
        let got = compute(&[(sides, 0.0, 0.0)])[0];
        let expected = &case["expected"];
        let factors = [
            (0, "spread_cny"),
            (1, "mid_cny"),
            (2, "microprice_cny"),
            (4, "imbalance_total"),
            (5, "depth_weighted_price_cny"),
            (10, "book_slope"),
        ];
        for (at, key) in factors {
            check(&case, key, got[at], &expected[key]);
        }
        check(&case, "imbalance_1", got[3], &expected["queue_imbalance"][0]);
    }
}

/// F-01: the table with windows 10, 20, 10; the first values stand in rows 10 and 20.
#[test]
fn windows() {
    let mut tables = 0;
    for case in golden("rolling") {
        let input = &case["input"];
        let rows = [&input["return_rows"], &input["volatility_rows"], &input["delta_rows"]];
        if rows.map(Value::as_u64) != [Some(10), Some(20), Some(10)] {
            continue;
        }
        tables += 1;
        let list = |key: &str| input[key].as_array().unwrap().iter().map(number).collect::<Vec<_>>();
        let (mids, volumes, interests) = (list("mid_cny"), list("volume_lots"), list("open_interest_lots"));
        let rows: Vec<_> = (0..mids.len())
            .map(|row| {
                let side = |away: f64| std::array::from_fn(|level| mids[row] + away * (level as f64 + 0.5));
                ([side(-1.0), [1.0; LEVELS], side(1.0), [1.0; LEVELS]], volumes[row], interests[row])
            })
            .collect();
        let got = compute(&rows);
        for (at, key) in [(6, "return"), (7, "volatility"), (8, "volume_delta_lots"), (9, "oi_delta_lots")] {
            for (row, got) in got.iter().enumerate() {
                check(&case, &format!("{key}[{row}]"), got[at], &case["expected"][key][row]);
            }
        }
    }
    assert!(tables > 0 || !Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/golden").exists());
}

/// F-05: a trading day restarts the volume, a roll forgets everything, in whichever order they are told.
#[test]
fn borders() {
    let instrument = Instrument { symbol: "SHFE.cu2602".to_owned(), price_tick: 10.0, multiplier: 5.0 };
    let row = |price: f64, volume: f64| {
        let levels = [price, price - 1.0, price - 2.0, price - 3.0, price - 4.0];
        let sides = [levels, [2.0; LEVELS], levels.map(|level| 2.0 * price + 10.0 - level), [2.0; LEVELS]];
        let numbers = sides.as_flattened().iter().chain([&volume, &100.0]);
        numbers.map(|number| number.to_bits()).collect::<Vec<_>>()
    };
    let run = |borders: &[Boundary]| {
        let mut driver = FeatureDriver::<CoreFactors>::init(&Params::new(), &instrument).unwrap();
        let mut out = Vec::new();
        for step in 0..30 {
            driver.compute(&row(100.0, f64::from(1000 + step)), &mut out).unwrap();
        }
        borders.iter().for_each(|border| driver.boundary(*border));
        for step in 1..30 {
            driver.compute(&row(200.0, f64::from(step)), &mut out).unwrap();
        }
        out.as_chunks::<OUTPUTS>().0[30..].to_vec()
    };
    let day = run(&[Boundary::TradingDay]);
    assert_eq!(day[0][8], 9.0 + 1.0, "nine changes of one lot, and the day's first volume");
    assert_eq!(day[0][6], 205.0 / 105.0 - 1.0, "prices go on");
    for borders in [&[Boundary::Roll, Boundary::TradingDay][..], &[Boundary::TradingDay, Boundary::Roll]] {
        let roll = run(borders);
        let first = |factor: usize| roll.iter().position(|row| !row[factor].is_nan());
        assert_eq!([6, 7, 8, 9].map(first), [Some(10), Some(20), Some(10), Some(10)]);
        assert!(roll[20..].iter().all(|row| row[6] == 0.0 && row[7] == 0.0 && row[8] == 10.0));
    }
}
