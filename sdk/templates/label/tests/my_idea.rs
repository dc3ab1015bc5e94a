//! Ordinary tests, natively: the driver is the loop that the component runs.

use ghtrader_sdk::{Instrument, LabelDriver, Params};
use my_idea::MyIdea;

fn driver(horizon_rows: i64) -> LabelDriver<MyIdea> {
    let instrument = Instrument { symbol: "SHFE.cu2602".to_owned(), price_tick: 10.0, multiplier: 5.0 };
    LabelDriver::init(&Params::new().with("horizon_rows", horizon_rows), &instrument).unwrap()
}

/// Labels of the first `emit` rows.
fn labels(driver: &mut LabelDriver<MyIdea>, rows: &[[f64; 2]], emit: usize) -> Vec<f64> {
    let words: Vec<u64> = rows.as_flattened().iter().map(|number| number.to_bits()).collect();
    let mut out = Vec::new();
    driver.compute(&words, emit as u32, &mut out).unwrap();
    out
}

#[test]
fn it_counts_ticks_and_knows_where_the_reach_ends() {
    let rows = [[100.0, 110.0], [110.0, 120.0], [110.0, f64::NAN], [90.0, 110.0]];
    let got = labels(&mut driver(1), &rows, 4);
    assert_eq!(got[0], 1.0);
    assert!(got[1].is_nan() && got[2].is_nan(), "a side is empty");
    assert!(got[3].is_nan(), "beyond the reach");
}

#[test]
fn blocks_of_any_size_give_the_same_labels() {
    let rows: Vec<[f64; 2]> = (0..80).map(|row| f64::from(row * 37 % 11) * 10.0).map(|bid| [bid, bid + 10.0]).collect();
    let mut driver = driver(5);
    let whole = labels(&mut driver, &rows, 80);
    for block in [1, 7, 40] {
        let blocks = (0..80).step_by(block).flat_map(|from| {
            let emit = block.min(80 - from);
            // A block brings the rows behind it that its labels read.
            labels(&mut driver, &rows[from..80.min(from + emit + 5)], emit)
        });
        let bits = |values: Vec<f64>| values.into_iter().map(f64::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(blocks.collect()), bits(whole.clone()));
    }
}
