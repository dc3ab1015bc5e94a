//! The golden vectors of filling, fees and margin, and the account, through the functions that the engine uses.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod account;
mod fees_margin;
mod fill_models;

use serde_json::Value;
use std::path::Path;

/// Runs every case of a golden file; `compute` gives the result to be compared, or an error text where one is expected.
fn check_file(name: &str, compute: impl Fn(&str, &Value) -> Result<Value, String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden").join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: ../shared/golden not found");
        return;
    };
    let file: Value = serde_json::from_str(&text).unwrap();
    let (rel, abs) = (number(&file["tolerance"]["rel"]), number(&file["tolerance"]["abs"]));
    let cases = file["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let (id, why, want) = (&case["id"], &case["why"], &case["expected"]);
        let input = &case["input"];
        match compute(input["op"].as_str().unwrap(), input) {
            Ok(got) => assert!(same(&got, want, rel, abs), "{id}: got {got}, want {want}; {why}"),
            Err(error) => assert!(want == "error", "{id}: failed with {error}, want {want}; {why}"),
        }
    }
    eprintln!("{name}: {} cases", cases.len());
}

/// Floats within the tolerance; all else, lengths included, exact.
fn same(got: &Value, want: &Value, rel: f64, abs: f64) -> bool {
    match (got, want) {
        (Value::Number(_), Value::Number(_)) => {
            (number(got) - number(want)).abs() <= f64::max(abs, rel * number(want).abs())
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b, rel, abs)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && b.iter().all(|(k, b)| a.get(k).is_some_and(|a| same(a, b, rel, abs)))
        }
        _ => got == want,
    }
}

fn number(value: &Value) -> f64 {
    if value == "NaN" { f64::NAN } else { value.as_f64().unwrap_or_else(|| panic!("{value} is no number")) }
}

fn lots(value: &Value) -> u32 {
    value.as_u64().unwrap().try_into().unwrap()
}

fn text<T: std::str::FromStr>(value: &Value) -> T {
    value.as_str().and_then(|t| t.parse().ok()).unwrap_or_else(|| panic!("{value} cannot be read"))
}
