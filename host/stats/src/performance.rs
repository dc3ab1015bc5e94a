//! Performance of a series of daily values.

/// Arithmetic mean; NaN for no values.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Sample standard deviation (n − 1), in two passes; `None` for fewer than two values.
///
/// Equal values give exactly 0, whatever the rounding of their mean.
pub fn sample_std(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    if values.iter().all(|v| *v == values[0]) {
        return Some(0.0);
    }
    let m = mean(values);
    Some((values.iter().map(|v| (v - m) * (v - m)).sum::<f64>() / (values.len() - 1) as f64).sqrt())
}

/// Sharpe ratio mean/std·√annual_days with the sample standard deviation; `None` for fewer than two values or no variation.
///
/// `annual_days` 1 gives the ratio per observation. Source: Sharpe 1994.
pub fn sharpe(values: &[f64], annual_days: f64) -> Option<f64> {
    let std = sample_std(values)?;
    let ratio = mean(values) / std * annual_days.sqrt();
    (std > 0.0 && ratio.is_finite()).then_some(ratio)
}

/// Skewness γ₃ and kurtosis γ₄ (3 for a normal) by population moments; `None` for fewer than two values or no variation.
pub fn skew_kurtosis(values: &[f64]) -> Option<(f64, f64)> {
    if sample_std(values)? == 0.0 {
        return None;
    }
    let m = mean(values);
    let moment = |k: i32| values.iter().map(|v| (v - m).powi(k)).sum::<f64>() / values.len() as f64;
    let variance = moment(2);
    Some((moment(3) / (variance * variance.sqrt()), moment(4) / (variance * variance)))
}

/// Variance factor of an estimated Sharpe ratio per observation, 1 − γ₃·S + (γ₄ − 1)/4·S².
fn sharpe_variance_factor(sharpe: f64, skew: f64, kurtosis: f64) -> f64 {
    1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe * sharpe
}

/// Standard error of a Sharpe ratio per observation; `None` for fewer than two observations or a negative variance.
///
/// Source: Lo 2002; Bailey, López de Prado 2012.
pub fn sharpe_se(sharpe: f64, n_observations: usize, skew: f64, kurtosis: f64) -> Option<f64> {
    let variance = sharpe_variance_factor(sharpe, skew, kurtosis);
    (n_observations >= 2 && variance >= 0.0).then(|| (variance / (n_observations - 1) as f64).sqrt())
}

/// Probability that the true Sharpe ratio exceeds `sharpe_benchmark`; both per observation.
///
/// `None` for fewer than two observations or a variance that is not positive. Source: Bailey, López de Prado 2012.
pub fn psr(sharpe: f64, sharpe_benchmark: f64, n_observations: usize, skew: f64, kurtosis: f64) -> Option<f64> {
    let variance = sharpe_variance_factor(sharpe, skew, kurtosis);
    (n_observations >= 2 && variance > 0.0).then(|| {
        crate::normal_cdf((sharpe - sharpe_benchmark) * ((n_observations - 1) as f64).sqrt() / variance.sqrt())
    })
}

/// Largest fall from a running peak, in the unit of the values; 0 for fewer than two.
pub fn max_drawdown(equity: &[f64]) -> f64 {
    drawdown(equity, |peak, e| peak - e)
}

/// Largest fall from a running peak as a share of that peak; 0 for fewer than two values.
pub fn max_drawdown_pct(equity: &[f64]) -> f64 {
    drawdown(equity, |peak, e| (peak - e) / peak)
}

fn drawdown(equity: &[f64], fall: impl Fn(f64, f64) -> f64) -> f64 {
    let (mut peak, mut worst) = (f64::NEG_INFINITY, 0.0f64);
    for &e in equity {
        peak = peak.max(e);
        worst = worst.max(fall(peak, e));
    }
    worst
}
