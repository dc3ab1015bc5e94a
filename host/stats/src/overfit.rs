//! How much of a result is the luck of having tried many variants.

use crate::{normal_quantile, psr};
use serde::{Deserialize, Serialize};

/// Euler's constant γ.
const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;

/// Expected largest Sharpe ratio of `n_trials` trials without skill whose ratios have the variance `variance`.
///
/// √V·((1 − γ)·Φ⁻¹(1 − 1/N) + γ·Φ⁻¹(1 − 1/(N·e))); 0 for fewer than two trials. Source: Bailey, López de Prado 2014.
pub fn expected_max_sharpe(variance: f64, n_trials: usize) -> f64 {
    if n_trials < 2 {
        return 0.0;
    }
    let n = n_trials as f64;
    // −Φ⁻¹(q) = Φ⁻¹(1 − q), and q keeps its digits when it is small.
    let upper = |q: f64| -normal_quantile(q);
    variance.sqrt() * ((1.0 - EULER_GAMMA) * upper(1.0 / n) + EULER_GAMMA * upper(1.0 / (n * std::f64::consts::E)))
}

/// Deflated Sharpe ratio: [`psr`] against [`expected_max_sharpe`]; all ratios per observation.
///
/// Source: Bailey, López de Prado 2014.
pub fn dsr(
    sharpe: f64,
    variance: f64,
    n_trials: usize,
    n_observations: usize,
    skew: f64,
    kurtosis: f64,
) -> Option<f64> {
    psr(sharpe, expected_max_sharpe(variance, n_trials), n_observations, skew, kurtosis)
}

/// By what the best variant is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PboMeasure {
    /// Mean of the periods.
    Mean,
    /// Mean over sample standard deviation; a column without variation counts as 0, or as ±∞ by the sign of its mean.
    Sharpe,
}

impl PboMeasure {
    /// From the sums of chosen blocks.
    fn of(self, part: BlockSum) -> f64 {
        let m = part.sum / part.count;
        match self {
            Self::Mean => m,
            Self::Sharpe if part.low < part.high && part.count >= 2.0 => {
                let centre = part.centred / part.count;
                let variance = (part.squares - part.centred * centre).max(0.0) / (part.count - 1.0);
                m / variance.sqrt()
            }
            Self::Sharpe if m == 0.0 => 0.0,
            Self::Sharpe => m.signum() * f64::INFINITY,
        }
    }
}

/// What a measure needs of some periods; the sums of blocks add up, so that no choice of blocks reads a period again.
#[derive(Debug, Clone, Copy)]
struct BlockSum {
    count: f64,
    sum: f64,
    /// Sum and squares of the values less their variant's mean over all periods, which keeps the digits of the variance.
    centred: f64,
    squares: f64,
    low: f64,
    high: f64,
}

impl BlockSum {
    const NONE: Self =
        Self { count: 0.0, sum: 0.0, centred: 0.0, squares: 0.0, low: f64::INFINITY, high: f64::NEG_INFINITY };

    fn plus(self, other: &Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            centred: self.centred + other.centred,
            squares: self.squares + other.squares,
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }
}

/// Blocks whose 2ⁿ choices are summed beforehand.
const GROUP_BLOCKS: usize = 8;

/// Sums of a group's blocks by variant, for every choice of them; bit k of its number says whether block k is in it.
fn choices(blocks: &[Vec<BlockSum>]) -> Vec<Vec<BlockSum>> {
    let mut sums = vec![vec![BlockSum::NONE; blocks.first().map_or(0, Vec::len)]];
    for block in blocks {
        let with: Vec<Vec<BlockSum>> =
            sums.iter().map(|sum| sum.iter().zip(block).map(|(s, b)| s.plus(b)).collect()).collect();
        sums.extend(with);
    }
    sums
}

/// Result of [`pbo_cscv`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pbo {
    /// Share of logits ≤ 0: probability that the best variant in-sample is below the median out of sample.
    pub pbo: f64,
    /// ln(w/(1 − w)), w = rank/(N + 1), of every choice of blocks, ascending.
    pub logits: Vec<f64>,
}

/// Probability of backtest overfitting by combinatorially symmetric cross-validation.
///
/// `returns[period][variant]`, finite. Periods are cut into `blocks` equal blocks (even, at least 2); periods that do not fill the
/// blocks are left out at the start. On ties the first variant is the best in-sample, and ranks are averaged out of sample.
/// `None` for fewer than two variants, ragged rows, an odd number of blocks, or fewer periods than blocks.
/// Source: Bailey, Borwein, López de Prado, Zhu 2017.
pub fn pbo_cscv(returns: &[Vec<f64>], blocks: usize, measure: PboMeasure) -> Option<Pbo> {
    let variants = returns.first()?.len();
    // Above 26 blocks the choices no longer fit any patience: C(26, 13) is 10 million.
    if variants < 2 || !(2..=26).contains(&blocks) || blocks % 2 == 1 || returns.len() < blocks {
        return None;
    }
    if returns.iter().any(|row| row.len() != variants) {
        return None;
    }
    let block_rows = returns.len() / blocks;
    let rows = &returns[returns.len() - block_rows * blocks..];
    let centres: Vec<f64> =
        (0..variants).map(|v| rows.iter().map(|row| row[v]).sum::<f64>() / rows.len() as f64).collect();
    let block_sums: Vec<Vec<BlockSum>> = rows
        .chunks(block_rows)
        .map(|block| {
            let one = |v: usize| {
                block.iter().fold(BlockSum::NONE, |sum, row| {
                    let (x, d) = (row[v], row[v] - centres[v]);
                    sum.plus(&BlockSum { count: 1.0, sum: x, centred: d, squares: d * d, low: x, high: x })
                })
            };
            (0..variants).map(one).collect()
        })
        .collect();
    // The sums of every choice inside a group of blocks: a choice of all blocks is then the sum of a few of them.
    let groups: Vec<Vec<Vec<BlockSum>>> = block_sums.chunks(GROUP_BLOCKS).map(choices).collect();
    let scores = |chosen: u32| -> Vec<f64> {
        let mut total = vec![BlockSum::NONE; variants];
        for (at, group) in groups.iter().enumerate() {
            let inside = &group[(chosen >> (at * GROUP_BLOCKS)) as usize & (group.len() - 1)];
            total.iter_mut().zip(inside).for_each(|(t, b)| *t = t.plus(b));
        }
        total.into_iter().map(|t| measure.of(t)).collect()
    };
    let all = (1u32 << blocks) - 1;
    let mut logits: Vec<f64> = (0..=all)
        .filter(|chosen| chosen.count_ones() as usize == blocks / 2)
        .map(|chosen| {
            let inside = scores(chosen);
            let best = (1..variants).fold(0, |best, v| if inside[v] > inside[best] { v } else { best });
            let outside = scores(all & !chosen);
            let below = outside.iter().filter(|s| **s < outside[best]).count() as f64;
            let equal = outside.iter().filter(|s| **s == outside[best]).count() as f64;
            let w = (below + (equal + 1.0) / 2.0) / (variants + 1) as f64;
            libm::log(w / (1.0 - w))
        })
        .collect();
    logits.sort_by(f64::total_cmp);
    let pbo = logits.iter().filter(|l| **l <= 0.0).count() as f64 / logits.len() as f64;
    Some(Pbo { pbo, logits })
}
