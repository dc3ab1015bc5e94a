//! Two results day by day, and many of them against one.

use crate::CompareError;
use crate::figures::{Member, drawdown_cny};
use ghtrader_stats::{
    BlockKernel, Rng, StepDown, StepDownCounts, mean, normal_cdf, paired_difference, quantile, sample_std,
    stationary_bootstrap_draw,
};
use rayon::prelude::*;
use serde::Serialize;

/// How differences are judged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Resampling {
    /// Resamples of the days.
    pub draws: usize,
    /// Mean length of a block, days.
    pub mean_block_days: f64,
    /// Seed of the resamples.
    pub seed: u64,
    /// Coverage of intervals; 1 less this is the probability of calling anything better or worse where nothing is.
    pub level: f64,
    /// Fewest pairs that a verdict is read on.
    pub min_days: usize,
}

impl Default for Resampling {
    fn default() -> Self {
        Self { draws: 10_000, mean_block_days: 5.0, seed: 1, level: 0.95, min_days: 20 }
    }
}

impl Resampling {
    pub(crate) fn check(&self) -> Result<(), CompareError> {
        let bound = |good: bool, key, value: String, bound| {
            if good { Ok(()) } else { Err(CompareError::Bound { key, value, bound }) }
        };
        bound((100..=1_000_000).contains(&self.draws), "draws", self.draws.to_string(), "[100, 1000000]")?;
        let block = self.mean_block_days;
        bound((1.0..=250.0).contains(&block), "block", block.to_string(), "[1, 250]")?;
        bound((0.5..=0.999).contains(&self.level), "level", self.level.to_string(), "[0.5, 0.999]")
    }

    /// The resamples of `n` days, lists of day numbers; the k-th is always the same for one seed.
    pub(crate) fn resamples(&self, n: usize) -> Vec<Vec<usize>> {
        let mut rng = Rng::new(self.seed);
        (0..self.draws).map(|_| stationary_bootstrap_draw(n, self.mean_block_days, &mut rng)).collect()
    }
}

/// A variant less the champion, under one fill model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Paired {
    /// Trading days that both have.
    pub pairs: usize,
    /// Mean daily difference, CNY.
    pub mean_cny: f64,
    /// Its sample standard deviation by day; null for one day.
    pub std_cny: Option<f64>,
    /// Standard error of the mean.
    pub standard_error_cny: Option<f64>,
    /// Lower end of the interval of the mean; null for fewer than three days.
    pub low_cny: Option<f64>,
    /// Upper end.
    pub high_cny: Option<f64>,
    /// Lower end by the percentiles of the resampled means, which is too narrow for few days; for comparison with other tools.
    pub percentile_low_cny: Option<f64>,
    /// Upper end by the percentiles.
    pub percentile_high_cny: Option<f64>,
    /// Two-sided probability of such a mean if the truth were 0.
    pub p_value: Option<f64>,
    /// The same for the luckiest of all variants; what verdicts are read on.
    pub p_adjusted: Option<f64>,
    /// Lower end of the interval that holds for all variants together.
    pub family_low_cny: Option<f64>,
    /// Upper end of it.
    pub family_high_cny: Option<f64>,
    /// Share of days on which the variant made more.
    pub share_won: f64,
    /// Share of days on which it made less.
    pub share_lost: f64,
    /// Difference of the largest fall from a peak, CNY; below 0 = the variant fell less.
    pub max_drawdown_cny: f64,
    /// Difference of fees, CNY.
    pub fees_cny: f64,
    /// Difference of turnover, CNY.
    pub turnover_cny: f64,
    /// Difference of lots filled.
    pub lots: f64,
    /// Difference by day, CNY.
    #[serde(skip)]
    pub daily_cny: Vec<f64>,
}

impl Paired {
    /// Whether the difference is more than noise, and which way: 1, 0 or −1.
    pub fn sign(&self, level: f64) -> i8 {
        match self.p_adjusted {
            // Rounding of 1 − level must not decide.
            Some(p) if p <= 1.0 - level + 1e-12 => self.mean_sign(),
            _ => 0,
        }
    }

    pub(crate) fn mean_sign(&self) -> i8 {
        i8::from(self.mean_cny > 0.0) - i8::from(self.mean_cny < 0.0)
    }
}

/// Every variant less the champion under one fill model, judged one by one and all together.
pub(crate) fn against(
    champion: &Member,
    variants: &[&Member],
    model: &'static str,
    initial_cny: f64,
    resampling: &Resampling,
    resamples: &[Vec<usize>],
) -> Vec<Paired> {
    let base = champion.pnl(model);
    let kernel = BlockKernel::new(base.len(), resampling.mean_block_days);
    let mut paired: Vec<Paired> = variants
        .par_iter()
        .map(|variant| one(champion, variant, model, initial_cny, resampling, kernel.as_ref(), resamples))
        .collect();
    if let Some(kernel) = &kernel {
        adjust(&mut paired, kernel, resampling, resamples);
    }
    paired
}

fn one(
    champion: &Member,
    variant: &Member,
    model: &'static str,
    initial_cny: f64,
    resampling: &Resampling,
    kernel: Option<&BlockKernel>,
    resamples: &[Vec<usize>],
) -> Paired {
    let (a, b) = (champion.pnl(model), variant.pnl(model));
    let daily_cny: Vec<f64> = a.iter().zip(&b).map(|(a, b)| b - a).collect();
    let days = daily_cny.len() as f64;
    let share = |of: fn(&f64) -> bool| daily_cny.iter().filter(|d| of(d)).count() as f64 / days;
    let difference = |of: fn(&crate::Figures) -> f64| {
        let side = |m: &Member| m.figures.get(model).map_or(0.0, of);
        side(variant) - side(champion)
    };
    let interval = kernel.map(|k| k.mean_interval(&daily_cny, resampling.level));
    let percentiles = paired_difference(&a, &b, resamples, resampling.level);
    let standard_error = kernel.map(|k| k.standard_error(&daily_cny));
    let mean_cny = mean(&daily_cny);
    let p_value = kernel.zip(standard_error).map(|(kernel, error)| match error > 0.0 {
        true => kernel.p_value(mean_cny / error),
        // Without variation there is no doubt about the mean of these days.
        false => f64::from(u8::from(mean_cny == 0.0)),
    });
    Paired {
        pairs: daily_cny.len(),
        mean_cny,
        std_cny: sample_std(&daily_cny),
        standard_error_cny: standard_error,
        low_cny: interval.and_then(|i| i.low),
        high_cny: interval.and_then(|i| i.high),
        percentile_low_cny: percentiles.as_ref().map(|p| p.low_cny),
        percentile_high_cny: percentiles.as_ref().map(|p| p.high_cny),
        p_value,
        p_adjusted: None,
        family_low_cny: None,
        family_high_cny: None,
        share_won: share(|d| *d > 0.0),
        share_lost: share(|d| *d < 0.0),
        max_drawdown_cny: drawdown_cny(&b, initial_cny) - drawdown_cny(&a, initial_cny),
        fees_cny: difference(|f| f.fees_cny),
        turnover_cny: difference(|f| f.turnover_cny),
        lots: difference(|f| f.lots),
        daily_cny,
    }
}

/// Resamples that one task counts over.
const SHARE: usize = 500;

/// p-values and intervals that hold for all variants together, whatever they have in common.
fn adjust(paired: &mut [Paired], kernel: &BlockKernel, resampling: &Resampling, resamples: &[Vec<usize>]) {
    let p_values: Vec<f64> = paired.iter().map(|p| p.p_value.unwrap_or(1.0)).collect();
    let adjusted = if let [alone] = p_values[..] {
        // One comparison: nothing to adjust for, and no rounding to the number of resamples.
        let reach = kernel.reach(1.0 - resampling.level);
        (vec![alone], reach)
    } else {
        let series: Vec<&[f64]> = paired.iter().map(|p| p.daily_cny.as_slice()).collect();
        let Some(test) = StepDown::new(&series, &p_values, kernel) else { return };
        let shares: Vec<(StepDownCounts, Vec<f64>)> = resamples
            .par_chunks(SHARE)
            .map(|share| {
                let mut largest = Vec::with_capacity(share.len());
                (test.count_with(share, |most| largest.push(most)), largest)
            })
            .collect();
        let counts = shares.iter().fold(StepDownCounts::default(), |all, (counts, _)| all.plus(counts));
        let mut largest: Vec<f64> = shares.into_iter().flat_map(|s| s.1).collect();
        largest.sort_by(f64::total_cmp);
        // A normal score back to a probability, and that to standard errors on few degrees of freedom.
        let outside = 2.0 * normal_cdf(-quantile(&largest, resampling.level));
        (test.adjusted(&counts, &p_values), kernel.reach(outside.clamp(f64::MIN_POSITIVE, 1.0 - resampling.level)))
    };
    for (paired, p) in paired.iter_mut().zip(adjusted.0) {
        paired.p_adjusted = Some(p);
        let half = paired.standard_error_cny.map(|error| error * adjusted.1).filter(|half| half.is_finite());
        paired.family_low_cny = half.map(|half| paired.mean_cny - half);
        paired.family_high_cny = half.map(|half| paired.mean_cny + half);
    }
}
