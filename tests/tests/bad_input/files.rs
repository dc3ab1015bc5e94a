//! Files that are no tick files.

use crate::{DAY, Desk, SYMBOL};
use flate2::{Compression, write::GzEncoder};
use ghtrader_tests::Ticks;
use std::io::Write;

/// D-08
#[test]
fn empty_files() {
    let desk = Desk::new();
    assert!(desk.refuses("empty.csv", "", "empty_file").contains("empty.csv"));
    let header = Ticks::new(SYMBOL, 0).text();
    assert!(desk.refuses("header.csv", header, "empty_file").contains("no rows"));
}

/// D-08
#[test]
fn truncated_files() {
    let desk = Desk::new();
    let whole = Ticks::new(SYMBOL, 2_500).text();
    let cut = whole.rfind(",78").unwrap();
    let said = desk.refuses("cut.csv", &whole[..cut], "truncated_file");
    assert!(said.contains("line 2501") && said.contains("of 29 fields"), "{said}");

    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(whole.as_bytes()).unwrap();
    let gz = gz.finish().unwrap();
    let said = desk.refuses("cut.csv.gz", &gz[..gz.len() / 2], "damaged_file");
    assert!(said.contains("cut.csv.gz"), "{said}");
    let mut flipped = gz.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x40;
    ghtrader_tests::write(&desk.path("flipped.csv.gz"), &flipped);
    let (code, answer) = desk.program.json(&["data", "import", "flipped.csv.gz"]);
    assert!(code == 2 && answer["error"]["code"].is_string(), "{answer:#}");
    desk.unchanged();
    // The whole file goes in after all, and replaces the shorter day.
    ghtrader_tests::write(&desk.path("whole.csv.gz"), &gz);
    assert_eq!(desk.import("whole.csv.gz")["symbol_days"][0]["outcome"], "replaced");
}

/// D-08
#[test]
fn binary_files() {
    let desk = Desk::new();
    let bytes: Vec<u8> = (0..4_096u32).map(|i| (i * 131 % 251) as u8).collect();
    let said = desk.refuses("noise.csv", bytes, "binary_file");
    assert!(said.contains("byte 0x00 at offset 0"), "{said}");
    let mut late = Ticks::new(SYMBOL, 2_000).text().into_bytes();
    let at = late.len() - 700;
    late[at] = 0;
    ghtrader_tests::write(&desk.path("late.csv"), &late);
    // Behind rows that can be read, it is one row that cannot.
    let summary = desk.import("late.csv");
    assert_eq!((&summary["rows_stored"], &summary["rows_rejected"]), (&1_999.into(), &1.into()), "{summary:#}");
}

/// D-08
#[test]
fn wrong_headers() {
    let desk = Desk::new();
    let good = Ticks::new(SYMBOL, 10).text();
    let said = desk.refuses("ohlc.csv", "time,open,high,low,close\n1,2,3,4,5\n", "schema_mismatch");
    assert!(said.contains("ohlc.csv"), "{said}");
    let without = good.replace(".bid_price1,", ".bid_prise1,");
    let said = desk.refuses("misspelt.csv", without, "schema_mismatch");
    assert!(said.contains("bid_prise1") || said.contains("bid_price1"), "{said}");
}

/// D-01, D-02
#[test]
fn unknown_symbols() {
    let desk = Desk::new();
    let said = desk.refuses("zz.csv", Ticks::new("SHFE.zz2509", 10).text(), "unknown_contract");
    assert!(said.contains("SHFE.zz"), "{said}");
    let said = desk.refuses("nowhere.csv", Ticks::new("SOME.cu2509", 10).text(), "bad_symbol");
    assert!(said.contains("SOME"), "{said}");
    let said = desk.program.fails(&["data", "report", "SHFE.cu25", DAY], 2, "bad_symbol");
    assert!(said.contains("SHFE.cu25"), "{said}");
}

/// D-08
#[test]
fn mixed_symbols() {
    let desk = Desk::new();
    let mixed = Ticks::new(SYMBOL, 10).text().replace("SHFE.cu2509.ask_price3", "SHFE.cu2510.ask_price3");
    let said = desk.refuses("mixed.csv", mixed, "mixed_symbols");
    assert!(said.contains("SHFE.cu2510") && said.contains(SYMBOL), "{said}");
}

/// D-08: one bad file of several leaves the good ones' days whole.
#[test]
fn a_bad_file_beside_a_good_one() {
    let desk = Desk::new();
    Ticks::new("SHFE.cu2510", 50).write(&desk.path("more"));
    ghtrader_tests::write(&desk.path("more/bad.csv"), "");
    desk.program.fails(&["data", "import", "more/bad.csv", "more/SHFE.cu2510.csv"], 2, "empty_file");
    desk.unchanged();
    desk.program.fails(&["data", "import", "more/not-there.csv"], 2, "unreadable_file");
    desk.unchanged();
}
