//! A window's results depend on the window alone.

use ghtrader_kernels::label::{Direction, direction, mid_half_ticks, price_ticks};
use ghtrader_kernels::rolling::{Window, mean, sample_variance, sum};
use proptest::prelude::*;

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![8 => -1e6..1e6_f64, 1 => Just(f64::NAN), 1 => -1e300..1e300_f64]
}

fn bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

proptest! {
    /// F-02: whatever came before the window leaves no trace, NaN and huge numbers included.
    #[test]
    fn history_leaves_no_trace(before in prop::collection::vec(value(), 0..50), last in prop::collection::vec(value(), 7)) {
        let (mut long, mut short) = (Window::<7>::new(), Window::<7>::new());
        before.iter().chain(&last).for_each(|value| { long.push(*value); });
        last.iter().for_each(|value| { short.push(*value); });
        for result in [sum, mean, sample_variance] {
            prop_assert_eq!(bits(result(long.values())), bits(result(short.values())));
            prop_assert_eq!(bits(result(long.values())), bits(result(&last)));
        }
    }

    #[test]
    fn a_window_is_a_queue(values in prop::collection::vec(-1e6..1e6_f64, 1..40)) {
        let mut window = Window::<5>::new();
        for (row, value) in values.iter().enumerate() {
            let left = window.push(*value);
            prop_assert_eq!(bits(left), bits(row.checked_sub(5).map_or(f64::NAN, |past| values[past])));
            let from = (row + 1).saturating_sub(5);
            prop_assert_eq!(&window.values()[5 - (row + 1 - from)..], &values[from..=row]);
        }
    }

    /// The variance against its definition, in plain order.
    #[test]
    fn variance_is_the_mean_square_about_the_mean(values in prop::collection::vec(-1e3..1e3_f64, 2..40)) {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let expected = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        prop_assert!((sample_variance(&values) - expected).abs() <= 1e-9 * expected.max(1.0));
    }

    /// F-14: on the grid, ticks are exact whatever the tick; a move of the threshold counts, half a tick less does not.
    #[test]
    fn ticks_are_exact(ticks in -1_000_000..10_000_000_i64, up in -20..20_i64, spread in 1..9_i64, threshold in 1..5_u32) {
        for tick in [0.005, 0.02, 0.05, 0.2, 0.5, 1.0, 5.0, 10.0] {
            let price = |ticks: i64| ticks as f64 * tick;
            prop_assert_eq!(price_ticks(price(ticks), tick), Some(ticks));
            let now = mid_half_ticks(price(ticks), price(ticks + spread), tick).unwrap();
            let later = mid_half_ticks(price(ticks), price(ticks + spread + up), tick).unwrap();
            let expected = match up {
                up if up >= 2 * i64::from(threshold) => Direction::Up,
                up if up <= -2 * i64::from(threshold) => Direction::Down,
                _ => Direction::Flat,
            };
            prop_assert_eq!(direction(now, later, threshold), expected);
        }
    }
}

#[test]
fn short_windows_have_no_variance() {
    assert!(sample_variance(&[]).is_nan());
    assert!(sample_variance(&[1.0]).is_nan());
    assert_eq!(price_ticks(f64::NAN, 1.0), None);
    assert_eq!(price_ticks(f64::INFINITY, 1.0), None);
}
