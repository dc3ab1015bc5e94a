//! F-02, F-03: cutting into blocks changes nothing, and no row reads a later one.

use core_factors::CoreFactors;
use ghtrader_sdk::{Boundary, FeatureDriver, Instrument, Params};
use proptest::prelude::*;

const WIDTH: usize = 22;
const OUTPUTS: usize = 11;

/// Rows and the borders before them, with empty levels, empty sides and zero sizes; from a seed, as drawing each number
/// by a strategy of its own takes a hundred times as long.
fn day(seed: u64, rows: usize) -> (Vec<[f64; WIDTH]>, Vec<Option<Boundary>>) {
    let mut state = seed | 1;
    let mut below = |bound: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) % bound
    };
    let mut number = |_| match below(100) {
        0 => f64::NAN,
        1 => 0.0,
        _ => below(1 << 30) as f64 / 64.0,
    };
    let numbers = (0..rows).map(|_| std::array::from_fn(&mut number)).collect();
    let borders = (0..rows).map(|_| Boundary::ALL.get(below(60) as usize).copied()).collect();
    (numbers, borders)
}

/// Outputs by their bits, NaN made one, for rows cut at `cuts` and at each border.
fn compute(rows: &[[f64; WIDTH]], borders: &[Option<Boundary>], cut: impl Fn(usize) -> bool) -> Vec<u64> {
    let instrument = Instrument { symbol: "SHFE.cu2602".to_owned(), price_tick: 10.0, multiplier: 5.0 };
    let mut driver = FeatureDriver::<CoreFactors>::init(&Params::new(), &instrument).unwrap();
    let (mut block, mut out) = (Vec::new(), Vec::new());
    for (at, row) in rows.iter().enumerate() {
        if cut(at) || borders[at].is_some() {
            driver.compute(&block, &mut out).unwrap();
            block.clear();
            borders[at].into_iter().for_each(|border| driver.boundary(border));
        }
        block.extend(row.map(f64::to_bits));
    }
    driver.compute(&block, &mut out).unwrap();
    out.into_iter().map(|value: f64| if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }).collect()
}

proptest! {
    #[test]
    fn blocks_of_any_size_give_the_same_bits(
        seed: u64,
        rows in 1..120_usize,
        cuts in prop::collection::vec(any::<bool>(), 120),
        size in 1..50_usize,
    ) {
        let (rows, borders) = day(seed, rows);
        let by_row = compute(&rows, &borders, |_| true);
        prop_assert_eq!(by_row.len(), rows.len() * OUTPUTS);
        prop_assert_eq!(&compute(&rows, &borders, |at| cuts[at]), &by_row);
        prop_assert_eq!(&compute(&rows, &borders, |at| at % size == 0), &by_row);
        prop_assert_eq!(&compute(&rows, &borders, |_| false), &by_row);
    }

    #[test]
    fn a_later_row_changes_nothing_earlier(seed: u64, rows in 1..120_usize, changed in 0..120_usize, other: u64) {
        let (mut rows, borders) = day(seed, rows);
        let changed = changed % rows.len();
        let before = compute(&rows, &borders, |_| false);
        rows[changed] = day(other, 1).0[0];
        let after = compute(&rows, &borders, |_| false);
        prop_assert_eq!(&before[..changed * OUTPUTS], &after[..changed * OUTPUTS]);
    }

    /// Finite memory: twenty rows of warm-up give what the whole history gives.
    #[test]
    fn the_declared_warm_up_is_enough(seed: u64, rows in 22..80_usize) {
        let (rows, _) = day(seed, rows);
        let none = vec![None; rows.len()];
        let whole = compute(&rows, &none, |_| false);
        let short = compute(&rows[rows.len() - 21..], &none, |_| false);
        prop_assert_eq!(&whole[whole.len() - OUTPUTS..], &short[short.len() - OUTPUTS..]);
    }
}
