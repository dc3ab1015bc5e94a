//! Windows over the last rows, computed from the window alone.
//!
//! A sum that is carried along forgets nothing: its rounding error is a trace of every row since the start, and one
//! NaN never leaves. So a window is kept and summed afresh, always in the same order by age; what a row gives is the
//! same to the bit wherever the stream began.

/// The last `N` values, oldest first; NaN where fewer were seen.
#[derive(Debug, Clone, Copy)]
pub struct Window<const N: usize> {
    /// Both halves hold the same values, so that a window is one slice wherever it starts.
    halves: [[f64; N]; 2],
    oldest: usize,
}

impl<const N: usize> Default for Window<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Window<N> {
    /// A window that has seen nothing.
    pub const fn new() -> Self {
        const { assert!(N > 0, "a window of no rows") };
        Self { halves: [[f64::NAN; N]; 2], oldest: 0 }
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        *self = Self::new();
    }

    /// Adds the newest value and returns the one that leaves: that of `N` rows before, NaN where there was none.
    #[inline]
    pub fn push(&mut self, value: f64) -> f64 {
        let [first, second] = &mut self.halves;
        let left = core::mem::replace(&mut first[self.oldest], value);
        second[self.oldest] = value;
        self.oldest = if self.oldest + 1 == N { 0 } else { self.oldest + 1 };
        left
    }

    /// The values, oldest first.
    #[inline]
    pub fn values(&self) -> &[f64; N] {
        // `oldest` < N, so N values always follow; the alternative is never taken and spares a panic.
        self.halves.as_flattened()[self.oldest..].first_chunk().unwrap_or(&self.halves[0])
    }
}

/// Sum of a window; NaN where a value is.
///
/// Older values are added in four lanes by position, the lanes joined, the newest added one by one: one fixed order for
/// a length, and fit for vector units.
#[inline]
pub fn sum(window: &[f64]) -> f64 {
    lane_sum(window, |value| value)
}

/// Arithmetic mean of a window; NaN where a value is, or without values.
#[inline]
pub fn mean(window: &[f64]) -> f64 {
    sum(window) / window.len() as f64
}

/// Sample variance (n − 1) of a window, in two passes; NaN where a value is, or with fewer than two values.
#[inline]
pub fn sample_variance(window: &[f64]) -> f64 {
    if window.len() < 2 {
        return f64::NAN;
    }
    let mean = mean(window);
    let squares = lane_sum(window, |value| (value - mean) * (value - mean));
    squares / (window.len() as f64 - 1.0)
}

/// Relative change, `now / past − 1`; NaN where one is.
#[inline]
pub fn simple_return(now: f64, past: f64) -> f64 {
    now / past - 1.0
}

#[inline]
fn lane_sum(window: &[f64], term: impl Fn(f64) -> f64) -> f64 {
    // The newest values were stored one by one a moment ago. A vector load over them would wait until they have left
    // the store buffer, which costs more than adding them one by one.
    let (older, newest) = window.split_at(window.len().saturating_sub(4) / 4 * 4);
    let mut lanes = [0.0; 4];
    for block in older.as_chunks::<4>().0 {
        for (lane, value) in lanes.iter_mut().zip(block) {
            *lane += term(*value);
        }
    }
    let [a, b, c, d] = lanes;
    newest.iter().fold((a + c) + (b + d), |sum, value| sum + term(*value))
}
