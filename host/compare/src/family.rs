//! All variants together: how much of the best one is the luck of having tried many.

use crate::comparison::CSCV_BLOCKS;
use crate::figures::Member;
use crate::outcome::BRACKET;
use ghtrader_stats::{PboMeasure, dsr, expected_max_sharpe, mean, pbo_cscv, sharpe, skew_kurtosis};
use serde::Serialize;

/// Figures of a family of variants under pessimistic fills; what cannot be computed is null, with a note.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Family {
    /// Results in it.
    pub members: usize,
    /// Variants that were tried; at least the members.
    pub trials: usize,
    /// The one with the largest Sharpe ratio.
    pub best: Option<String>,
    /// Its annual Sharpe ratio.
    pub sharpe: Option<f64>,
    /// Standard error of that.
    pub sharpe_se: Option<f64>,
    /// Annual Sharpe ratio that the luckiest of the trials would show on average if none had skill.
    pub expected_max_sharpe: Option<f64>,
    /// Deflated Sharpe ratio of the best: probability that its true ratio is above that luck (Bailey, López de Prado 2014).
    pub dsr: Option<f64>,
    /// Probability of backtest overfitting by combinatorially symmetric cross-validation (Bailey et al. 2017).
    pub pbo: Option<f64>,
    /// Blocks that the days were cut into.
    pub pbo_blocks: usize,
    /// Ways of choosing half of the blocks.
    pub pbo_splits: Option<usize>,
    /// How much of the best is luck, in a sentence.
    pub sentence: String,
    /// Why a figure is null.
    #[serde(skip)]
    pub(crate) notes: Vec<String>,
}

/// Judges a family and writes each member's own deflated Sharpe ratio.
pub(crate) fn judge_family(
    members: &mut [&mut Member],
    trials: Option<usize>,
    tried: usize,
    annual_days: f64,
) -> Family {
    let model = BRACKET[0];
    let trials = trials.unwrap_or(0).max(tried);
    let series: Vec<Vec<f64>> = members.iter().map(|m| m.pnl(model)).collect();
    let daily: Vec<Option<f64>> = series.iter().map(|pnl| sharpe(pnl, 1.0)).collect();
    let known: Vec<f64> = daily.iter().copied().flatten().collect();
    // The variance over one ratio says nothing; over equal ones it is 0, and so is the luck.
    let variance = (known.len() >= 2).then(|| {
        let m = mean(&known);
        known.iter().map(|s| (s - m) * (s - m)).sum::<f64>() / (known.len() - 1) as f64
    });
    let deflated: Vec<Option<f64>> = series
        .iter()
        .zip(&daily)
        .map(|(pnl, daily)| {
            let (daily, variance, (skew, kurtosis)) = ((*daily)?, variance?, skew_kurtosis(pnl)?);
            dsr(daily, variance, trials, pnl.len(), skew, kurtosis)
        })
        .collect();
    for (member, deflated) in members.iter_mut().zip(&deflated) {
        if let Some(figures) = member.figures.get_mut(model) {
            figures.dsr = *deflated;
        }
    }
    let mut best: Option<(usize, f64)> = None;
    for (i, ratio) in daily.iter().enumerate().filter_map(|(i, s)| s.map(|s| (i, s))) {
        if best.is_none_or(|(_, most)| ratio > most) {
            best = Some((i, ratio));
        }
    }
    let mut notes = Vec::new();
    if variance.is_none() {
        notes.push(format!("dsr: {} variants have a Sharpe ratio, at least 2 are needed", known.len()));
    }
    let days = series.first().map_or(0, Vec::len);
    let pbo = if members.len() < 2 {
        notes.push("pbo: one variant, at least 2 are needed".to_owned());
        None
    } else if days < CSCV_BLOCKS {
        notes.push(format!("pbo: {days} days, {CSCV_BLOCKS} blocks need a day each"));
        None
    } else {
        let rows: Vec<Vec<f64>> = (0..days).map(|day| series.iter().map(|pnl| pnl[day]).collect()).collect();
        pbo_cscv(&rows, CSCV_BLOCKS, PboMeasure::Sharpe)
    };
    let annual = annual_days.sqrt();
    let luck = variance.map(|v| expected_max_sharpe(v, trials) * annual);
    let figures = best.and_then(|(i, _)| members[i].figures.get(model).cloned());
    let mut family = Family {
        members: members.len(),
        trials,
        best: best.map(|(i, _)| members[i].label.clone()),
        sharpe: figures.as_ref().and_then(|f| f.sharpe),
        sharpe_se: figures.as_ref().and_then(|f| f.sharpe_se),
        expected_max_sharpe: luck,
        dsr: best.and_then(|(i, _)| deflated[i]),
        pbo: pbo.as_ref().map(|p| p.pbo),
        pbo_blocks: CSCV_BLOCKS,
        pbo_splits: pbo.as_ref().map(|p| p.logits.len()),
        sentence: String::new(),
        notes,
    };
    family.sentence = sentence(&family);
    family
}

fn sentence(family: &Family) -> String {
    let (Some(best), Some(sharpe), Some(luck), Some(dsr)) =
        (&family.best, family.sharpe, family.expected_max_sharpe, family.dsr)
    else {
        return "How much of the best is luck cannot be said: fewer than two variants have a Sharpe ratio.".to_owned();
    };
    let trials = family.trials;
    let pbo = match family.pbo {
        Some(pbo) => format!(
            " Chosen on one half of the days, the best was in the lower half of the others in {:.0} % of {} splits.",
            100.0 * pbo,
            family.pbo_splits.unwrap_or(0)
        ),
        None => String::new(),
    };
    format!(
        "The best of {trials} trials is {best} with a Sharpe ratio of {sharpe:.2}; the luckiest of {trials} without skill would show \
         {luck:.2} on average, and {best} is above that with probability {dsr:.2}.{pbo}"
    )
}
