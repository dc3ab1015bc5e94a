//! Rows that are not what a row should be: rejected with line and reason, or kept and counted; never dropped in silence.

use crate::{DAY, Desk, SYMBOL, text};
use ghtrader_tests::Ticks;
use serde_json::Value;
use std::path::Path;

/// Imports a file of 2,000 rows with one bad row, the 1,001st; gives its line of the rejects file.
fn rejected(spoil: impl FnOnce(&mut Ticks)) -> (Value, String) {
    let desk = Desk::empty();
    let mut ticks = Ticks::new(SYMBOL, 2_000);
    spoil(&mut ticks);
    ticks.write(desk.dir.path());
    let summary = desk.import("SHFE.cu2509.csv");
    assert_eq!((&summary["rows_stored"], &summary["rows_rejected"]), (&1_999.into(), &1.into()), "{summary:#}");
    assert_eq!(desk.program.ok(&["data", "show", SYMBOL, DAY])["rows"], 1_999);
    let file = desk.dir.path().join(summary["rejects_file"].as_str().unwrap());
    let found: Vec<String> =
        text(Path::new(&file)).lines().filter(|l| l.contains(",1002,")).map(str::to_owned).collect();
    assert_eq!(found.len(), 1, "{}", text(&file));
    (summary, found[0].clone())
}

/// D-08
#[test]
fn time_going_back() {
    let (_, line) = rejected(|t| {
        t.at(1_000, 9 * 3_600_000 + 10);
    });
    assert!(line.contains("time_backwards") && line.contains("09:08:19.5"), "{line}");
}

/// D-04
#[test]
fn prices_off_the_grid() {
    let (_, line) = rejected(|t| {
        t.set(1_000, "last_price", "78003");
    });
    assert!(line.contains("off_grid") && line.contains("last_price 78003"), "{line}");
}

/// D-04: how many bad rows a day may have is a setting.
#[test]
fn a_limit_of_ones_own() {
    let desk = Desk::empty();
    let mut ticks = Ticks::new(SYMBOL, 300);
    ticks.set(100, "last_price", "78003");
    desk.refuses("SHFE.cu2509.csv", ticks.text(), "off_grid");
    let mine = ["data", "import", "SHFE.cu2509.csv", "--set", "import.quarantine_max_ratio=0.01"];
    let summary = desk.program.ok(&mine);
    assert_eq!((&summary["rows_stored"], &summary["rows_rejected"]), (&299.into(), &1.into()), "{summary:#}");
    let wrong = [&mine[..4], &["import.quarantine_max_ratio=1.5"]].concat();
    desk.program.fails(&wrong, 2, "bad_settings");
}

/// D-04
#[test]
fn fields_that_are_no_numbers() {
    let (_, line) = rejected(|t| {
        t.set(1_000, "volume", "many");
    });
    assert!(line.contains("bad_row") && line.contains("volume `many` is unreadable"), "{line}");
    let (_, line) = rejected(|t| {
        t.set(1_000, "bid_price2", "nan");
    });
    assert!(line.contains("bid level 2 has a size but no price"), "{line}");
}

/// D-05
#[test]
fn dates_outside_the_calendar() {
    let (_, line) = rejected(|t| {
        t.stamp(1_000, "2031-07-18", 2_191, 9 * 3_600_000);
    });
    assert!(line.contains("calendar_uncovered") && line.contains("2031"), "{line}");

    let desk = Desk::new();
    let mut saturday = Ticks::new(SYMBOL, 20);
    for row in 0..20 {
        saturday.stamp(row, "2025-07-19", 1, 10 * 3_600_000 + 500 * row as i64);
    }
    let said = desk.refuses("saturday.csv", saturday.text(), "not_a_trading_day");
    assert!(said.contains("20 of 20 rows rejected") && said.contains("2025-07-19"), "{said}");
    let mut late = Ticks::new(SYMBOL, 20);
    for row in 0..20 {
        late.stamp(row, "2031-07-18", 2_191, 9 * 3_600_000 + 500 * row as i64);
    }
    let said = desk.refuses("late.csv", late.text(), "calendar_uncovered");
    assert!(said.contains("2031-07-18") && said.contains("2028-01-01"), "{said}");
    desk.program.fails(&["data", "sessions", "--var", "cu", "--day", "2025-07-19"], 2, "not_a_trading_day");
}

/// D-04: a day that loses too much is refused as a whole, and the stored one stays.
#[test]
fn a_day_with_many_bad_rows_is_refused() {
    let desk = Desk::new();
    let mut ticks = Ticks::new(SYMBOL, 2_000);
    for row in 500..503 {
        ticks.set(row, "ask_price1", "78003");
    }
    ticks.write(desk.dir.path());
    const WHY: &str = "3 of 2000 rows rejected (0.15 %), at most 0.10 % are allowed";
    let said = desk.program.fails(&["data", "import", "SHFE.cu2509.csv"], 2, "off_grid");
    assert!(said.contains(WHY) && said.contains("line 502"), "{said}");
    desk.unchanged();
    // Beside a day that is stored, the answer is no, and the day refused says why.
    Ticks::new("SHFE.cu2510", 100).write(desk.dir.path());
    let (code, summary) = desk.program.json(&["data", "import", "SHFE.cu2509.csv", "SHFE.cu2510.csv"]);
    assert_eq!((code, &summary["rows_refused"], &summary["rows_rejected"]), (1, &1_997.into(), &3.into()));
    assert!(summary["symbol_days"][0]["reason"].as_str().unwrap().contains(WHY), "{summary:#}");
    let rejects = desk.dir.path().join(summary["rejects_file"].as_str().unwrap());
    assert_eq!(text(&rejects).matches("off_grid").count(), 3);
}

/// Imports a file of which every row is kept, identical ones apart; gives its day.
fn kept(duplicates: u64, spoil: impl FnOnce(&mut Ticks)) -> (Desk, Value) {
    let desk = Desk::empty();
    let mut ticks = Ticks::new(SYMBOL, 2_000);
    spoil(&mut ticks);
    ticks.write(desk.dir.path());
    let summary = desk.import("SHFE.cu2509.csv");
    assert_eq!((&summary["rows_rejected"], &summary["rows_duplicate"]), (&0.into(), &duplicates.into()));
    assert_eq!(summary["rows_stored"].as_u64().unwrap() + duplicates, summary["rows_read"].as_u64().unwrap());
    (desk, summary["symbol_days"][0].clone())
}

/// D-08: the same row twice is stored once and counted; another row with the same stamp is a row of its own.
#[test]
fn duplicate_stamps() {
    let (_, day) = kept(1, |t| {
        t.repeat(1_000);
    });
    assert_eq!(day["rows"], 2_000);
    let (desk, day) = kept(0, |t| {
        t.at(1_001, 9 * 3_600_000 + 500_000);
    });
    assert_eq!(day["rows"], 2_000);
    assert_eq!(desk.program.ok(&["data", "report", SYMBOL, DAY])["quality"]["duplicate_time"], 1);
}

/// D-04
#[test]
fn nan_and_missing_sides() {
    let (desk, day) = kept(0, |t| {
        for row in 100..110 {
            t.without_side(row, "ask");
        }
        t.without_side(200, "bid").without_side(200, "ask").set(300, "last_price", "nan").set(301, "average", "");
    });
    assert_eq!(day["rows"], 2_000);
    let report = desk.program.ok(&["data", "report", SYMBOL, DAY]);
    assert_eq!((&report["rows"], &report["signal_rows"]), (&2_000.into(), &1_989.into()), "{report:#}");
    assert!(report["quality"]["null_rate_book"].as_f64().unwrap() > 0.0);
}

/// D-33
#[test]
fn crossed_and_negative_books() {
    let (desk, day) = kept(0, |t| {
        t.set(700, "ask_price1", "77000").set(701, "ask_price1", "77010");
        t.set(900, "bid_price5", "-10");
    });
    assert_eq!((&day["crossed_rows"], &day["negative_price_rows"]), (&2.into(), &1.into()), "{day:#}");
    let quality = &desk.program.ok(&["data", "report", SYMBOL, DAY])["quality"];
    assert_eq!((&quality["crossed"]["count"], &quality["negative_price"]["count"]), (&2.into(), &1.into()));
}

/// D-33
#[test]
fn volume_going_down() {
    let (desk, day) = kept(0, |t| {
        t.set(1_500, "volume", "3");
    });
    assert_eq!(day["volume_falls"], 1);
    assert_eq!(desk.program.ok(&["data", "report", SYMBOL, DAY])["quality"]["volume_decreased"], 1);
}

/// D-12: a synthetic market takes the place of no day that was recorded, and an import tells what it replaces.
#[test]
fn a_recorded_day_is_not_made_again() {
    let desk = Desk::empty();
    Ticks::new(SYMBOL, 2_000).write(desk.dir.path());
    desk.import("SHFE.cu2509.csv");
    let market = ["data", "synth", "--var", "cu", "--days", "3", "--rows-per-day", "1000", "--first-day", DAY];
    let what = desk.program.fails(&market, 4, "recorded_day");
    assert!(what.contains(&format!("{SYMBOL} on {DAY} holds 2,000 rows from tqsdk")), "{what}");
    assert_eq!(desk.program.ok(&["data", "list"])["rows"].as_array().map_or(1, Vec::len), 1, "nothing was stored");
    Ticks::new(SYMBOL, 1_500).write(desk.dir.path());
    let summary = desk.import("SHFE.cu2509.csv");
    let day = &summary["symbol_days"][0];
    assert_eq!((&day["outcome"], &day["replaced_rows"]), (&"replaced".into(), &2_000.into()), "{day:#}");
}
