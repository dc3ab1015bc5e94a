//! Ordinary tests, natively: the driver is the loop that the component runs.

use ghtrader_sdk::{Boundary, FeatureDriver, Instrument, Params};
use my_idea::MyIdea;

fn driver() -> FeatureDriver<MyIdea> {
    let instrument = Instrument { symbol: "SHFE.cu2602".to_owned(), price_tick: 10.0, multiplier: 5.0 };
    FeatureDriver::init(&Params::new(), &instrument).unwrap()
}

/// Rows of bid lots and ask lots that differ from row to row.
fn rows(count: u32) -> Vec<[f64; 2]> {
    (0..count).map(|row| [f64::from(row * 7 % 40), f64::from(row * 13 % 30 + 1)]).collect()
}

/// Outputs by their bits, for rows handed over in blocks.
fn compute(rows: &[[f64; 2]], block: usize) -> Vec<u64> {
    let (mut driver, mut out) = (driver(), Vec::new());
    for rows in rows.chunks(block) {
        let words: Vec<u64> = rows.as_flattened().iter().map(|number| number.to_bits()).collect();
        driver.compute(&words, &mut out).unwrap();
    }
    out.into_iter().map(f64::to_bits).collect()
}

#[test]
fn it_is_the_mean_of_its_window() {
    let values: Vec<f64> = compute(&[[3.0, 1.0]; 25], 25).into_iter().map(f64::from_bits).collect();
    assert!(values[..19].iter().all(|value| value.is_nan()), "unknown before 20 rows");
    assert!(values[19..].iter().all(|value| *value == 0.5));
}

#[test]
fn blocks_of_any_size_give_the_same_bits() {
    let rows = rows(100);
    for block in [1, 3, 20, 99] {
        assert_eq!(compute(&rows, block), compute(&rows, 100));
    }
}

#[test]
fn a_later_row_changes_nothing_earlier() {
    let (mut changed, rows) = (rows(60), rows(60));
    changed[40] = [1.0, 1.0];
    assert_eq!(compute(&changed, 60)[..40], compute(&rows, 60)[..40]);
}

#[test]
fn a_roll_forgets_everything() {
    let (mut driver, mut out) = (driver(), Vec::new());
    driver.compute(&[5.0_f64.to_bits(), 1.0_f64.to_bits()].repeat(30), &mut out).unwrap();
    driver.boundary(Boundary::Roll);
    out.clear();
    driver.compute(&[5.0_f64.to_bits(), 1.0_f64.to_bits()], &mut out).unwrap();
    assert!(out[0].is_nan());
}
