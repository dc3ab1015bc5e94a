//! The published fill counts, by the bench program as a user runs it.

use ghtrader_tests::{artefacts, binary};
use serde_json::{Value, json};
use std::process::Command;

/// B-04: the stream of seed 3, as components under every fill rule.
#[test]
fn counts_on_the_common_stream_are_exact() {
    let program = binary("ghtrader-bench", "ghtrader-bench");
    let output = Command::new(program)
        .args(["engine", "--counts", "--short", "--json"])
        .env("GHTRADER_ARTEFACTS", artefacts())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&answer["exact"], &answer["rows"]), (&json!(true), &json!(200_000)));
    let found: Vec<Value> = answer["runs"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|r| r["strategy"] == "B" || r["fill"] == "cross_only")
        .map(|r| json!([r["strategy"], r["fill"], r["orders"], r["fills"], r["position"], r["pnl_cny"]]))
        .collect();
    let published = json!([
        ["A", "cross_only", 7_727, 7_727, -1, 46_150.0],
        ["B", "cross_only", 31_325, 16_166, 2, -76_900.0],
        ["B", "pessimistic", 46_073, 31_297, -5, 129_150.0],
        ["B", "optimistic", 51_626, 36_933, -5, 229_600.0],
        ["B", "touch", 141_361, 131_398, 2, 2_962_150.0],
    ]);
    assert_eq!(Value::Array(found), published);
}
