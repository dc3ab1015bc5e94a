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

/// Probability that Student's t lies at least |t| from 0, both sides together, for any degrees of freedom above 0; NaN otherwise.
///
/// I(ν/(ν + t²); ν/2, ½), so that small probabilities keep their digits. Source: Abramowitz, Stegun 1964, 26.7.1 and 26.5.27.
pub fn student_t_tail(t: f64, degrees: f64) -> f64 {
    if !(degrees > 0.0 && degrees.is_finite()) || t.is_nan() {
        return f64::NAN;
    }
    if t.is_infinite() {
        return 0.0;
    }
    incomplete_beta(degrees / (degrees + t * t), t * t / (degrees + t * t), 0.5 * degrees, 0.5)
}

/// Inverse of [`student_t_tail`]: the t ≥ 0 beyond which, on both sides together, probability `p` in (0, 1] lies; NaN otherwise.
pub fn student_t_tail_quantile(p: f64, degrees: f64) -> f64 {
    if !(p > 0.0 && p <= 1.0 && degrees > 0.0 && degrees.is_finite()) {
        return f64::NAN;
    }
    let (mut low, mut high) = (0.0, 1.0);
    while student_t_tail(high, degrees) > p && high < 1e300 {
        high *= 2.0;
    }
    for _ in 0..128 {
        let middle = 0.5 * (low + high);
        if student_t_tail(middle, degrees) > p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// Regularised incomplete beta function I(x; a, b); `y` is 1 − x, given apart because the caller knows it to all digits.
///
/// Source: Abramowitz, Stegun 1964, 26.5.8 (continued fraction), by Lentz's method (Press et al. 2007, section 6.4).
fn incomplete_beta(x: f64, y: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if y <= 0.0 {
        return 1.0;
    }
    // The fraction converges quickly on this side of the mean only.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(y, x, b, a);
    }
    let front =
        libm::exp(libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * libm::log(x) + b * libm::log(y)) / a;
    let safe = |v: f64| if v.abs() < 1e-300 { 1e-300 } else { v };
    let (mut c, mut d) = (1.0, 1.0 / safe(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for step in 1..500 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / safe(1.0 + even * d);
        c = safe(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / safe(1.0 + odd * d);
        c = safe(1.0 + odd / c);
        fraction *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    front * fraction
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

    #[test]
    fn the_tail_of_any_degrees_agrees_with_the_finite_sums() {
        for degrees in [1, 2, 3, 7, 30, 400] {
            for t in [0.0, 0.3, 1.0, 2.5, 6.0] {
                let (tail, sum) = (student_t_tail(t, degrees as f64), 2.0 * (1.0 - student_t_cdf(t, degrees)));
                assert!((tail - sum).abs() < 1e-12, "{degrees} {t}: {tail} {sum}");
            }
            let q = student_t_tail_quantile(0.05, degrees as f64);
            assert!((q - student_t_quantile(0.975, degrees)).abs() < 1e-9, "{degrees}: {q}");
        }
        // Between 6 and 7 degrees, and far out, where a difference from 1 would have no digits left.
        let q = student_t_tail_quantile(0.05, 6.5);
        assert!(student_t_quantile(0.975, 7) < q && q < student_t_quantile(0.975, 6));
        assert!(student_t_tail(60.0, 30.0) > 0.0 && student_t_tail(60.0, 30.0) < 1e-28);
        assert!(student_t_tail(1.0, 0.0).is_nan() && student_t_tail_quantile(0.0, 3.0).is_nan());
        assert_eq!((student_t_tail(0.0, 3.0), student_t_tail(f64::INFINITY, 3.0)), (1.0, 0.0));
    }
}
