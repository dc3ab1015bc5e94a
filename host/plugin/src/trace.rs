//! What an instance gives over a fixture, cut into calls in any way, and where two runs part.
//!
//! An instance may run in a sandbox or natively: the drivers know the traits alone, and call as the host calls.

mod broker;
mod drive;
mod stream;

pub(crate) use drive::label_reaches;
pub use drive::{trace_feature, trace_label, trace_strategy};

use crate::fixture::canonical;
use ghtrader_core::{Digest, DigestBuilder};
use ghtrader_kernels::wire::{Action, WORDS};
use std::ops::Range;

/// How the rows of a fixture are cut into calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Splits {
    /// All rows in one block.
    Whole,
    /// Blocks of one row, as live.
    Single,
    /// Blocks of that many rows, at least one.
    Blocks(usize),
    /// Blocks of random length by a seed, and windows of random length in them.
    Random(u64),
}

impl Splits {
    /// The blocks, in order and without a hole.
    fn blocks(self, rows: usize) -> Vec<Range<usize>> {
        let mut rng = match self {
            Self::Random(seed) => Rng::new(seed),
            _ => Rng::new(0),
        };
        let mut blocks = Vec::new();
        let mut start = 0;
        while start < rows {
            let length = match self {
                Self::Whole => rows,
                Self::Single => 1,
                Self::Blocks(length) => length.max(1),
                // Short ones show what hangs on a border, long ones what hangs on a length.
                Self::Random(_) if rng.below(2) == 0 => 1 + rng.below(7) as usize,
                Self::Random(_) => 1 + rng.below(400) as usize,
            };
            let end = (start + length).min(rows);
            blocks.push(start..end);
            start = end;
        }
        blocks
    }
}

impl std::fmt::Display for Splits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole => f.write_str("one block"),
            Self::Single => f.write_str("blocks of one row"),
            Self::Blocks(rows) => write!(f, "blocks of {rows} rows"),
            Self::Random(seed) => write!(f, "random blocks of seed {seed}"),
        }
    }
}

/// All that an instance gave over a fixture; every NaN is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    outputs: Vec<String>,
    rows: usize,
    given: Given,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Given {
    /// Bits, `rows × outputs`, row-major.
    Values(Vec<u64>),
    /// Packed actions by the row at which they were sent.
    Actions(Vec<(usize, [u64; WORDS])>),
}

/// The first place where two traces differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Row of the fixture, from 0.
    pub row: usize,
    /// Output column, or `action`.
    pub output: String,
    /// What the one and the other have there.
    pub values: [String; 2],
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "row {}, {}: {} and {}", self.row, self.output, self.values[0], self.values[1])
    }
}

impl Trace {
    fn of_values(outputs: Vec<String>, rows: usize, values: &[f64]) -> Self {
        Self { outputs, rows, given: Given::Values(values.iter().map(|v| canonical(*v)).collect()) }
    }

    fn of_actions(rows: usize, actions: Vec<(usize, [u64; WORDS])>) -> Self {
        Self { outputs: Vec::new(), rows, given: Given::Actions(actions) }
    }

    /// Rows of the fixture.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Actions of a strategy, values of a feature or label.
    pub fn count(&self) -> usize {
        match &self.given {
            Given::Values(values) => values.len(),
            Given::Actions(actions) => actions.len(),
        }
    }

    /// Digest of the names and all that was given, the same on every machine.
    pub fn digest(&self) -> Digest {
        let mut digest = DigestBuilder::new("ghtrader trace 1");
        digest.int(self.rows as i64).int(self.outputs.len() as i64);
        for name in &self.outputs {
            digest.text(name);
        }
        let mut bytes = Vec::new();
        match &self.given {
            Given::Values(values) => bytes.extend(values.iter().flat_map(|v| v.to_le_bytes())),
            Given::Actions(actions) => {
                for (row, words) in actions {
                    bytes.extend((*row as u64).to_le_bytes());
                    bytes.extend(words.iter().flat_map(|w| w.to_le_bytes()));
                }
            }
        }
        digest.bytes(&bytes).finish()
    }

    /// Where the two part first; `None` if they are equal to the bit.
    pub fn first_difference(&self, other: &Self) -> Option<Difference> {
        if self.outputs != other.outputs || self.rows != other.rows {
            let values = [self, other].map(|t| format!("{} rows of [{}]", t.rows, t.outputs.join(", ")));
            return Some(Difference { row: 0, output: "outputs".to_owned(), values });
        }
        self.first_difference_before(other, self.rows)
    }

    /// Where the two part first before row `end`.
    pub fn first_difference_before(&self, other: &Self, end: usize) -> Option<Difference> {
        match (&self.given, &other.given) {
            (Given::Values(a), Given::Values(b)) => {
                let width = self.outputs.len().max(1);
                let known = end * width;
                let at = a.iter().zip(b).take(known).position(|(a, b)| a != b)?;
                Some(Difference {
                    row: at / width,
                    output: self.outputs.get(at % width).cloned().unwrap_or_default(),
                    values: [a[at], b[at]].map(|bits| format!("{:?}", f64::from_bits(bits))),
                })
            }
            (Given::Actions(a), Given::Actions(b)) => {
                let at = (0..a.len().max(b.len())).find(|i| a.get(*i) != b.get(*i))?;
                let (a, b) = (a.get(at), b.get(at));
                let row = [a, b].into_iter().flatten().map(|(row, _)| *row).min()?;
                let shown = |entry: Option<&(usize, [u64; WORDS])>| match entry.filter(|(at, _)| *at == row) {
                    Some((_, words)) => {
                        Action::decode(words).map_or_else(|| format!("{words:?}"), |a| format!("{a:?}"))
                    }
                    None => "no action".to_owned(),
                };
                (row < end).then(|| Difference { row, output: "action".to_owned(), values: [shown(a), shown(b)] })
            }
            _ => None,
        }
    }
}

/// Small numbers by a seed, the same on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed ^ 0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        mix(self.0) % bound
    }
}

/// Spreads a word's bits over all its places (the finaliser of SplitMix64).
pub(crate) fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests;
