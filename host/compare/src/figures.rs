//! What one result did on the days that all compared results share.

use crate::outcome::{BRACKET, DaySums, Outcome};
use ghtrader_core::TradingDay;
use ghtrader_stats as stats;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Figures of one result under one fill model on the common days; what cannot be computed is null.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Profit and loss, CNY.
    pub pnl_cny: f64,
    /// The same a day.
    pub mean_cny: f64,
    /// Annual Sharpe ratio of daily profit and loss; null for fewer than two days or no variation.
    pub sharpe: Option<f64>,
    /// Its standard error, annual as well.
    pub sharpe_se: Option<f64>,
    /// Probability that the true Sharpe ratio is above 0.
    pub psr: Option<f64>,
    /// The same above what the luckiest of all trials without skill would show.
    pub dsr: Option<f64>,
    /// Largest fall from a peak, day's end to day's end, CNY.
    pub max_drawdown_cny: f64,
    /// Fees, CNY.
    pub fees_cny: f64,
    /// Price × lots × multiplier, CNY.
    pub turnover_cny: f64,
    /// Lots filled.
    pub lots: f64,
    /// Fills.
    pub fills: f64,
    /// Lots filled on a mean day.
    pub lots_a_day: f64,
    /// Lots filled on the busiest day.
    pub max_lots_a_day: f64,
    /// Own lots over the lots that the market traded; null where results do not say what it traded.
    pub volume_share: Option<f64>,
    /// The same on the day on which it was largest.
    pub max_volume_share: Option<f64>,
}

/// A figure under the pessimistic, central and optimistic fills; null where one of them did not run.
pub type Bracket = Option<[Option<f64>; 3]>;

/// A result as a part of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Member {
    /// Its name here, unique.
    pub label: String,
    /// `result_digest`.
    pub id: String,
    /// Digest of orders, fills and equity.
    pub output_digest: String,
    /// Parameters, seed and limits.
    pub params: BTreeMap<String, Value>,
    /// Components: version and digest.
    pub code: BTreeMap<String, String>,
    /// Results that it was joined from.
    pub parts: usize,
    /// Fees and margins were checked against the exchange's own tables.
    pub confirmed: bool,
    /// Fill models whose account went bust.
    pub bust: Vec<&'static str>,
    /// Low, central, high of the profit, CNY.
    pub pnl_cny: Bracket,
    /// Low, central, high of the annual Sharpe ratio.
    pub sharpe: Bracket,
    /// By fill model.
    pub figures: BTreeMap<&'static str, Figures>,
    /// Daily sums by fill model on the common days.
    #[serde(skip)]
    pub daily: BTreeMap<&'static str, Vec<DaySums>>,
}

impl Member {
    pub(crate) fn new(outcome: &Outcome, days: &[TradingDay], models: &[&'static str]) -> Self {
        let market: Vec<Option<f64>> = days
            .iter()
            .map(|day| {
                outcome.days.binary_search(day).ok().and_then(|at| outcome.market_lots.get(at).copied().flatten())
            })
            .collect();
        let daily: BTreeMap<&'static str, Vec<DaySums>> =
            models.iter().filter_map(|m| outcome.on(m, days).map(|s| (*m, s))).collect();
        let figures: BTreeMap<&'static str, Figures> =
            daily.iter().map(|(m, s)| (*m, figures(s, &market, outcome.initial_cny, outcome.annual_days))).collect();
        let bracket = |of: fn(&Figures) -> Option<f64>| -> Bracket {
            let [low, central, high] = BRACKET.map(|m| figures.get(m));
            Some([of(low?), of(central?), of(high?)])
        };
        Self {
            label: outcome.label.clone(),
            id: outcome.id.clone(),
            output_digest: outcome.output_digest.clone(),
            params: outcome.params.clone(),
            code: outcome.code.clone(),
            parts: outcome.parts,
            confirmed: outcome.confirmed,
            bust: outcome.bust.iter().copied().collect(),
            pnl_cny: bracket(|f| Some(f.pnl_cny)),
            sharpe: bracket(|f| f.sharpe),
            figures,
            daily,
        }
    }

    /// Daily profit under a fill model, CNY; empty if it did not run.
    pub fn pnl(&self, model: &str) -> Vec<f64> {
        self.daily.get(model).map(|s| s.iter().map(|d| d.pnl_cny).collect()).unwrap_or_default()
    }
}

/// Largest fall of a sum of daily results from its peak, the start included.
pub(crate) fn drawdown_cny(pnl: &[f64], initial_cny: f64) -> f64 {
    let mut at = initial_cny;
    let equity: Vec<f64> = std::iter::once(at)
        .chain(pnl.iter().map(|x| {
            at += x;
            at
        }))
        .collect();
    stats::max_drawdown(&equity)
}

fn figures(series: &[DaySums], market: &[Option<f64>], initial_cny: f64, annual_days: f64) -> Figures {
    let pnl: Vec<f64> = series.iter().map(|d| d.pnl_cny).collect();
    let sum = |of: fn(&DaySums) -> f64| series.iter().map(of).sum::<f64>();
    let lots = sum(|d| d.lots);
    let (daily_sharpe, shape) = (stats::sharpe(&pnl, 1.0), stats::skew_kurtosis(&pnl));
    let shaped = daily_sharpe.zip(shape);
    let shares: Vec<(f64, f64)> =
        series.iter().zip(market).filter_map(|(d, m)| m.filter(|m| *m > 0.0).map(|m| (d.lots, m))).collect();
    let traded: f64 = shares.iter().map(|s| s.1).sum();
    let se = shaped.and_then(|(s, (skew, kurtosis))| stats::sharpe_se(s, pnl.len(), skew, kurtosis));
    Figures {
        pnl_cny: pnl.iter().sum(),
        mean_cny: stats::mean(&pnl),
        sharpe: stats::sharpe(&pnl, annual_days),
        sharpe_se: se.map(|se| se * annual_days.sqrt()),
        psr: shaped.and_then(|(s, (skew, kurtosis))| stats::psr(s, 0.0, pnl.len(), skew, kurtosis)),
        dsr: None,
        max_drawdown_cny: drawdown_cny(&pnl, initial_cny),
        fees_cny: sum(|d| d.fees_cny),
        turnover_cny: sum(|d| d.turnover_cny),
        lots,
        fills: sum(|d| d.fills),
        lots_a_day: lots / series.len() as f64,
        max_lots_a_day: series.iter().map(|d| d.lots).fold(0.0, f64::max),
        volume_share: (traded > 0.0).then(|| shares.iter().map(|s| s.0).sum::<f64>() / traded),
        max_volume_share: shares.iter().map(|(own, all)| own / all).reduce(f64::max),
    }
}
