//! The benchmark's report for a person.

use serde_json::Value;

const MILLION: f64 = 1e6;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn lines(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn print(report: &Value, published: bool) {
    println!("    runner  fill         threads   orders     fills  position       pnl CNY   M rows/s  (best)");
    for r in lines(&report["runs"]) {
        println!(
            "{}   {:<6}  {:<11}  {:>7} {:>8} {:>9} {:>9} {:>13} {:>10.2}  {:>6.2}",
            text(&r["strategy"]),
            text(&r["runner"]),
            text(&r["fill"]),
            r["threads"],
            r["orders"],
            r["fills"],
            r["position"],
            r["pnl_cny"],
            number(&r["rows_per_s"]) / MILLION,
            number(&r["rows_per_s_best"]) / MILLION,
        );
    }
    for line in lines(&report["one_pass"]) {
        println!(
            "{}: three fill models in one pass take {:.2} x the time of one, preparation included (goal 1.8)",
            text(&line["strategy"]),
            number(&line["three_over_one"])
        );
    }
    for line in lines(&report["resident"]) {
        println!(
            "{}: over rows that stay in guest memory wasm takes {:.2} x native (goal 1.25)",
            text(&line["strategy"]),
            number(&line["wasm_over_native"])
        );
    }
    for line in lines(&report["where"]) {
        println!(
            "{} {}: {:.1} ns a snapshot = rows in {:.1} + guest {:.1} + matching, ledger, records {:.1}; the day's \
             preparation, once for all, {:.1}",
            text(&line["strategy"]),
            text(&line["fill"]),
            number(&line["whole_ns"]),
            number(&line["rows_in_ns"]),
            number(&line["guest_ns"]),
            number(&line["rest_ns"]),
            number(&line["once_for_all_ns"]),
        );
    }
    for line in lines(&report["peer"]) {
        println!(
            "{} {}: peer {:.2} M, wasm {:.2} M = {:.1} x (goal {}), native {:.2} M = {:.1} x",
            text(&line["strategy"]),
            text(&line["fill"]),
            number(&line["peer_rows_per_s"]) / MILLION,
            number(&line["wasm_rows_per_s"]) / MILLION,
            number(&line["wasm_over_peer"]),
            if text(&line["strategy"]) == "A" { 10 } else { 8 },
            number(&line["native_rows_per_s"]) / MILLION,
            number(&line["native_over_peer"]),
        );
    }
    match (published, report["exact"].as_bool()) {
        (true, Some(true)) => println!("all counts as published"),
        (true, _) => {}
        (false, _) => println!("no counts are published for this stream"),
    }
}
