//! Normal and Student distributions.

/// Standard normal distribution function Φ(x); NaN for NaN.
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// Inverse of Φ: −∞ at 0, ∞ at 1, NaN outside [0, 1].
///
/// Source: Abramowitz, Stegun 1964, 26.2.23 as a start, then Halley steps on Φ to full precision.
pub fn normal_quantile(p: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    if p > 0.5 {
        return -normal_quantile(1.0 - p);
    }
    if p == 0.0 {
        return f64::NEG_INFINITY;
    }
    let t = (-2.0 * libm::log(p)).sqrt();
    let mut x =
        (2.515_517 + t * (0.802_853 + t * 0.010_328)) / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308))) - t;
    for _ in 0..3 {
        let density = libm::exp(-0.5 * x * x) / (2.0 * std::f64::consts::PI).sqrt();
        if density == 0.0 {
            break;
        }
        let e = (normal_cdf(x) - p) / density;
        x -= e / (1.0 + 0.5 * x * e);
    }
    x
}

/// Student's t distribution function for a whole number of degrees of freedom; NaN for 0 degrees.
///
/// Source: Abramowitz, Stegun 1964, 26.7.3 and 26.7.4 (finite sums).
pub fn student_t_cdf(t: f64, degrees: usize) -> f64 {
    if degrees == 0 || t.is_nan() {
        return f64::NAN;
    }
    let theta = libm::atan(t / (degrees as f64).sqrt());
    let (sin, cos) = (libm::sin(theta), libm::cos(theta));
    let odd = degrees % 2 == 1;
    // Terms cos^k with the coefficient's recurrence; k runs over the parity of `degrees − 2`.
    let mut term = if odd { cos } else { 1.0 };
    let mut k = if odd { 1 } else { 0 };
    let mut sum = 0.0;
    while k + 2 <= degrees {
        sum += term;
        term *= cos * cos * (k + 1) as f64 / (k + 2) as f64;
        k += 2;
    }
    let a = if odd { std::f64::consts::FRAC_2_PI * (theta + sin * sum) } else { sin * sum };
    0.5 * (1.0 + a)
}

/// Inverse of [`student_t_cdf`] for `p` in (0, 1); NaN otherwise and for 0 degrees.
pub fn student_t_quantile(p: f64, degrees: usize) -> f64 {
    if !(p > 0.0 && p < 1.0) || degrees == 0 {
        return f64::NAN;
    }
    if p < 0.5 {
        return -student_t_quantile(1.0 - p, degrees);
    }
    let (mut low, mut high) = (0.0, 1.0);
    while student_t_cdf(high, degrees) < p && high < 1e300 {
        high *= 2.0;
    }
    for _ in 0..128 {
        let middle = 0.5 * (low + high);
        if student_t_cdf(middle, degrees) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (p, want) in [
            (0.975, 1.959_963_984_540_054),
            (0.5, 0.0),
            (1e-10, -6.361_340_902_404_056),
            (0.001, -3.090_232_306_167_813_5),
        ] {
            assert!((normal_quantile(p) - want).abs() < 1e-12, "{p}: {}", normal_quantile(p));
        }
        assert!(normal_quantile(1.5).is_nan());
        for (degrees, want) in [
            (1, 12.706_204_736_432_095),
            (2, 4.302_652_729_696_142),
            (5, 2.570_581_835_636_314),
            (12, 2.178_812_829_667_229),
            (100, 1.983_971_518_449_633_7),
        ] {
            assert!(
                (student_t_quantile(0.975, degrees) - want).abs() < 1e-9,
                "{degrees}: {}",
                student_t_quantile(0.975, degrees)
            );
        }
        assert!(student_t_quantile(0.975, 0).is_nan());
    }
}
