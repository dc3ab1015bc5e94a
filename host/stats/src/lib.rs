//! Measures and their intervals: performance, overfitting, ranking, calibration, and the seeded numbers behind them.
//!
//! Pure functions without I/O or clock. Transcendental functions come from `libm`, not from the platform, so that a result has the
//! same bits on every machine.

mod classify;
mod dependent;
mod distribution;
mod interval;
mod overfit;
mod performance;
mod random;
mod resample;

pub use classify::{
    AucInfluence, ClassReport, ReliabilityBin, argmax, auc, auc_influence, brier, brier_binary, classification_report,
    ece, log_loss, reliability, row_brier, row_log_loss, table_ece,
};
pub use dependent::{BlockKernel, StepDown, StepDownCounts};
pub use distribution::{
    normal_cdf, normal_quantile, student_t_cdf, student_t_quantile, student_t_tail, student_t_tail_quantile,
};
pub use interval::{Interval, ratio_interval, statistic_interval};
pub use overfit::{Pbo, PboMeasure, dsr, expected_max_sharpe, pbo_cscv};
pub use performance::{max_drawdown, max_drawdown_pct, mean, psr, sample_std, sharpe, sharpe_se, skew_kurtosis};
pub use random::Rng;
pub use resample::{
    PairedDifference, paired_difference, quantile, stationary_bootstrap_draw, stationary_bootstrap_index,
};

#[cfg(test)]
mod tests;
