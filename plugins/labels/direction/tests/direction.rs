//! F-14: direction labels through the driver.

use direction::DirectionLabel;
use ghtrader_sdk::{Instrument, LabelDriver, Params};
use proptest::prelude::*;

fn driver(horizons: &str, threshold_ticks: i64, price_tick: f64) -> LabelDriver<DirectionLabel> {
    let params = Params::new().with("horizons_rows", horizons).with("threshold_ticks", threshold_ticks);
    let instrument = Instrument { symbol: "SHFE.au2602".to_owned(), price_tick, multiplier: 1000.0 };
    LabelDriver::init(&params, &instrument).unwrap()
}

fn words(rows: &[[f64; 2]]) -> Vec<u64> {
    rows.as_flattened().iter().map(|price| price.to_bits()).collect()
}

fn compute(driver: &mut LabelDriver<DirectionLabel>, rows: &[[f64; 2]], emit: usize) -> Vec<Option<u8>> {
    let mut out = Vec::new();
    driver.compute(&words(rows), emit as u32, &mut out).unwrap();
    out.into_iter().map(|label: f64| (!label.is_nan()).then_some(label as u8)).collect()
}

#[test]
fn exact_ties_and_missing_sides() {
    let rows = [[550.0, 550.04], [550.02, 550.06], [550.02, 550.08], [f64::NAN, 550.08], [550.0, 550.04]];
    let labels = compute(&mut driver("1,2", 1, 0.02), &rows, 5);
    let by_row: Vec<_> = labels.chunks(2).collect();
    assert_eq!(by_row[0], [Some(2), Some(2)], "a tick up is up, though binary floats say 0.0199999");
    assert_eq!(by_row[1], [Some(1), None], "half a tick is flat; two rows on a side is missing");
    assert_eq!(by_row[2], [None, Some(0)]);
    assert_eq!(by_row[3], [None, None], "no mid, no label");
    assert_eq!(by_row[4], [None, None], "beyond the reach");
}

#[test]
fn outputs_follow_the_horizons() {
    let described = driver("10, 50,200", 1, 0.02).description().clone();
    let names: Vec<_> = described.outputs.iter().map(|column| column.name.as_str()).collect();
    assert_eq!((names, described.lookahead_rows), (vec!["direction_10", "direction_50", "direction_200"], 200));
    let instrument = Instrument { symbol: "SHFE.au2602".to_owned(), price_tick: 0.02, multiplier: 1000.0 };
    for (horizons, culprit) in [("10,x", "`x`"), ("", "``"), ("0", "`0`"), ("10001", "`10001`"), ("5,5", "direction_5")]
    {
        let params = Params::new().with("horizons_rows", horizons).with("threshold_ticks", 1_i64);
        let error = LabelDriver::<DirectionLabel>::init(&params, &instrument).unwrap_err();
        assert!(error.message().contains(culprit), "{horizons}: {error}");
    }
}

fn price() -> impl Strategy<Value = [f64; 2]> {
    let side = || prop_oneof![9 => (1000..1020_i32).prop_map(|ticks| f64::from(ticks) * 0.02), 1 => Just(f64::NAN)];
    [side(), side()]
}

proptest! {
    /// F-02: blocks with their look-ahead give what the whole day gives.
    #[test]
    fn blocks_of_any_size_give_the_same_labels(rows in prop::collection::vec(price(), 1..100), size in 1..40_usize) {
        let mut driver = driver("1,7,20", 1, 0.02);
        let whole = compute(&mut driver, &rows, rows.len());
        let blocks = (0..rows.len()).step_by(size).flat_map(|from| {
            let to = rows.len().min(from + size);
            compute(&mut driver, &rows[from..rows.len().min(to + 20)], to - from)
        });
        prop_assert_eq!(blocks.collect::<Vec<_>>(), whole);
    }

    /// A label is that of its horizon's row alone.
    #[test]
    fn other_rows_change_nothing(rows in prop::collection::vec(price(), 9..60), changed in 0..60_usize, other in price()) {
        let changed = changed % rows.len();
        let mut driver = driver("7", 2, 0.02);
        let before = compute(&mut driver, &rows, rows.len());
        let mut later = rows.clone();
        later[changed] = other;
        let after = compute(&mut driver, &later, rows.len());
        for at in (0..rows.len()).filter(|at| *at != changed && at + 7 != changed) {
            prop_assert_eq!(before[at], after[at]);
        }
    }
}
