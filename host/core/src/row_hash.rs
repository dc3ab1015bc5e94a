//! Row digests that datasets are compared by (`fnv1a64_v1`).

use crate::{Column, TickView};

const OFFSET: u64 = 1_469_598_103_934_665_603;
const PRIME: u64 = 1_099_511_628_211;

impl TickView<'_> {
    /// Digest of one row: word-wise FNV-1a over the time and the f64 columns' bits in schema order.
    ///
    /// NaN counts as +0.0, −0.0 keeps its sign. The symbol is not part of it.
    /// Source: Fowler, Noll, Vo; 64-bit words in place of bytes, as the reference datasets do.
    pub fn row_hash(&self, row: usize) -> i64 {
        let mix = |h: u64, word: u64| (h ^ word).wrapping_mul(PRIME);
        let start = mix(OFFSET, self.ts_ns[row] as u64);
        let words = Column::floats().map(|c| {
            let x = self.float(c)[row];
            if x.is_nan() { 0 } else { x.to_bits() }
        });
        words.fold(start, mix) as i64
    }
}

/// What a set of row hashes amounts to, whatever their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowHashAggregate {
    /// Smallest.
    pub min: i64,
    /// Largest.
    pub max: i64,
    /// Wrapping sum.
    pub sum: i64,
    /// Wrapping sum of the absolute values.
    pub abs_sum: i64,
}

impl RowHashAggregate {
    /// Over all hashes; `None` if there are none.
    pub fn of(hashes: impl IntoIterator<Item = i64>) -> Option<Self> {
        hashes.into_iter().fold(None, |all: Option<Self>, h| {
            let a = all.unwrap_or(Self { min: h, max: h, sum: 0, abs_sum: 0 });
            Some(Self {
                min: a.min.min(h),
                max: a.max.max(h),
                sum: a.sum.wrapping_add(h),
                abs_sum: a.abs_sum.wrapping_add(h.wrapping_abs()),
            })
        })
    }
}
