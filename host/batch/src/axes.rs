//! Parameters that vary over a batch: lists, ranges, and points drawn by a Latin hypercube.

use crate::project::param_value;
use ghtrader_plugin::ParamValue;
use ghtrader_settings::Finding;
use ghtrader_stats::Rng;
use std::collections::BTreeMap;
use toml::Value;

/// A point of a grid: parameter by its key, such as `strategy.threshold` or `features.core-factors.window`.
pub(crate) type Point = BTreeMap<String, ParamValue>;

/// How many points are drawn instead of taking all, and by which seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) draws: u64,
    pub(crate) seed: u64,
}

/// One parameter with the values that it takes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    pub(crate) key: String,
    /// Where it stands in the specification.
    place: String,
    values: Values,
}

#[derive(Debug, Clone, PartialEq)]
enum Values {
    List(Vec<ParamValue>),
    Whole { from: i64, to: i64, step: Option<i64> },
    Real { from: f64, to: f64, step: Option<f64>, log: bool },
    Bad(String),
}

/// The axes of a table: `strategy.threshold = [1, 2]`, `strategy.hold = { from = 10, to = 50, step = 10 }`.
pub(crate) fn axes_of(place: &str, table: Option<&Value>, findings: &mut Vec<Finding>) -> Vec<Axis> {
    let mut axes = Vec::new();
    match table {
        None => {}
        Some(Value::Table(table)) => {
            for (name, value) in table {
                walk(place, name, value, &mut axes);
            }
        }
        Some(other) => findings.push(Finding {
            key: place.to_owned(),
            value: other.to_string(),
            what: "is a section; write a list or a range for each parameter".to_owned(),
        }),
    }
    axes.sort_by(|a: &Axis, b| a.key.cmp(&b.key));
    axes
}

fn walk(place: &str, key: &str, value: &Value, axes: &mut Vec<Axis>) {
    let values = match value {
        Value::Table(inner) if !inner.contains_key("from") && !inner.contains_key("to") => {
            for (name, value) in inner {
                walk(place, &format!("{key}.{name}"), value, axes);
            }
            return;
        }
        Value::Table(range) => range_of(range),
        Value::Array(list) => list_of(list),
        single => list_of(std::slice::from_ref(single)),
    };
    axes.push(Axis { key: key.to_owned(), place: format!("{place}.{key}"), values });
}

fn list_of(list: &[Value]) -> Values {
    if list.is_empty() {
        return Values::Bad("is an empty list: the batch would have no job".to_owned());
    }
    let plain = |v: &Value| !v.is_table() && !v.is_array() && !v.is_datetime();
    let finite = |v: &Value| v.as_float().is_none_or(f64::is_finite);
    match list.iter().find(|v| !plain(v) || !finite(v)) {
        Some(bad) => Values::Bad(format!("holds {bad}, which is no value of a parameter")),
        None => Values::List(list.iter().map(param_value).collect()),
    }
}

fn range_of(range: &toml::Table) -> Values {
    if let Some(other) = range.keys().find(|k| !["from", "to", "step", "log"].contains(&k.as_str())) {
        return Values::Bad(format!("a range has no `{other}`; write from, to, step or log"));
    }
    let (Some(from), Some(to)) = (range.get("from"), range.get("to")) else {
        return Values::Bad("a range needs from and to".to_owned());
    };
    let step = range.get("step");
    let log = match range.get("log") {
        None => false,
        Some(Value::Boolean(log)) => *log,
        Some(other) => return Values::Bad(format!("log is true or false, not {other}")),
    };
    if let (Some(from), Some(to), false) = (from.as_integer(), to.as_integer(), log)
        && step.is_none_or(Value::is_integer)
    {
        let step = step.and_then(Value::as_integer);
        return if from > to || step.is_some_and(|s| s < 1) {
            let step = step.map_or_else(String::new, |s| format!(", step = {s}"));
            Values::Bad(format!("needs from ≤ to and step ≥ 1, not from = {from}, to = {to}{step}"))
        } else {
            Values::Whole { from, to, step }
        };
    }
    let real = |v: &Value| v.as_float().or(v.as_integer().map(|i| i as f64)).filter(|v| v.is_finite());
    let (Some(from), Some(to)) = (real(from), real(to)) else {
        return Values::Bad("from and to are numbers".to_owned());
    };
    let step = match step.map(real) {
        Some(None) => return Values::Bad("step is a number".to_owned()),
        Some(step) => step,
        None => None,
    };
    if from > to
        || !(to - from).is_finite()
        || step.is_some_and(|s| s <= 0.0)
        || (log && (from <= 0.0 || step.is_some()))
    {
        let step = step.map_or_else(String::new, |s| format!(", step = {s}"));
        return Values::Bad(format!(
            "needs from ≤ to and step > 0; with log, from > 0 and no step; not from = {from}, to = {to}{step}"
        ));
    }
    Values::Real { from, to, step, log }
}

impl Axis {
    /// What is wrong with the axis; a range without a step only makes sense where points are drawn.
    pub(crate) fn finding(&self, drawn: bool) -> Option<Finding> {
        let what = match &self.values {
            Values::Bad(what) => what.clone(),
            Values::Whole { step: None, .. } | Values::Real { step: None, .. } if !drawn => {
                "a range without a step is drawn from: give step, or [sample] with draws".to_owned()
            }
            _ => return None,
        };
        Some(Finding { key: self.place.clone(), value: String::new(), what })
    }

    /// How many values the axis has, without making them.
    fn count(&self) -> u128 {
        match &self.values {
            Values::List(list) => list.len() as u128,
            Values::Whole { from, to, step } => {
                let wide = (i128::from(*to) - i128::from(*from)).unsigned_abs();
                wide / u128::from(step.unwrap_or(1).unsigned_abs().max(1)) + 1
            }
            Values::Real { from, to, step: Some(step), .. } => steps(*from, *to, *step),
            Values::Real { .. } | Values::Bad(_) => 1,
        }
    }

    fn values(&self) -> Vec<ParamValue> {
        (0..self.count()).filter_map(|place| self.value(place)).collect()
    }

    /// The value at a place below [`Self::count`]; none of a range without a step.
    fn value(&self, place: u128) -> Option<ParamValue> {
        match &self.values {
            Values::List(list) => list.get(usize::try_from(place).ok()?).cloned(),
            Values::Whole { from, step, .. } => {
                let value = i128::from(*from) + i128::try_from(place).ok()? * i128::from(step.unwrap_or(1));
                i64::try_from(value).ok().map(ParamValue::Integer)
            }
            Values::Real { from, step: Some(step), .. } => Some(ParamValue::Number(tidy(from + place as f64 * step))),
            Values::Real { .. } | Values::Bad(_) => None,
        }
    }

    /// The value at a share of the axis in [0, 1).
    fn at(&self, share: f64) -> ParamValue {
        match &self.values {
            Values::Whole { from, to, step: None } => {
                let wide = (i128::from(*to) - i128::from(*from)) as f64 + 1.0;
                let value = i128::from(*from) + (share * wide) as i128;
                ParamValue::Integer(i64::try_from(value).map_or(*to, |value| value.min(*to)))
            }
            Values::Real { from, to, step: None, log: false } => ParamValue::Number(from + share * (to - from)),
            Values::Real { from, to, step: None, log: true } => ParamValue::Number(from * libm::pow(to / from, share)),
            _ => {
                let count = self.count();
                let place = ((share * count as f64) as u128).min(count.saturating_sub(1));
                self.value(place).unwrap_or(ParamValue::Flag(false))
            }
        }
    }
}

/// Values of a stepped range, its end included where a step falls on it up to rounding.
fn steps(from: f64, to: f64, step: f64) -> u128 {
    (((to - from) / step + 1e-9).floor().max(0.0) as u128).saturating_add(1)
}

/// 0.1 + 2 × 0.1 is meant to be 0.3: twelve digits are what a person wrote.
fn tidy(value: f64) -> f64 {
    format!("{value:.12e}").parse().unwrap_or(value)
}

/// How many points a set of axes gives, without making them.
pub(crate) fn count_points(axes: &[Axis], sample: Option<Sample>) -> u128 {
    match sample {
        Some(sample) if !axes.is_empty() => u128::from(sample.draws),
        _ => axes.iter().fold(1u128, |all, axis| all.saturating_mul(axis.count())),
    }
}

/// All points of a grid, the last axis fastest; or as many as are drawn by a Latin hypercube.
///
/// Each axis is cut into as many equal parts as there are points; every part is drawn from once, in an order of its own.
/// Source: McKay, Beckman, Conover, "A Comparison of Three Methods for Selecting Values of Input Variables", 1979.
pub(crate) fn points(axes: &[Axis], sample: Option<Sample>) -> Vec<Point> {
    if let Some(sample) = sample.filter(|_| !axes.is_empty()) {
        return drawn(axes, sample);
    }
    let mut points = vec![Point::new()];
    for axis in axes {
        let values = axis.values();
        let with = |point: &Point| {
            let one = |value: &ParamValue| {
                let mut next = point.clone();
                next.insert(axis.key.clone(), value.clone());
                next
            };
            values.iter().map(one).collect::<Vec<_>>()
        };
        points = points.iter().flat_map(with).collect();
    }
    points
}

fn drawn(axes: &[Axis], sample: Sample) -> Vec<Point> {
    let n = sample.draws as usize;
    let mut points = vec![Point::new(); n];
    let mut rng = Rng::new(sample.seed);
    for axis in axes {
        let mut parts: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            parts.swap(i, rng.below(i + 1));
        }
        for (point, part) in points.iter_mut().zip(parts) {
            let share = (part as f64 + rng.uniform()) / n as f64;
            point.insert(axis.key.clone(), axis.at(share));
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes(text: &str) -> Vec<Axis> {
        let table: Value = Value::Table(text.parse().expect("TOML"));
        let mut findings = Vec::new();
        let axes = axes_of("grid", Some(&table), &mut findings);
        assert!(findings.is_empty());
        axes
    }

    fn shown(points: &[Point]) -> Vec<String> {
        let one = |p: &Point| p.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ");
        points.iter().map(one).collect()
    }

    #[test]
    fn a_grid_is_the_product_of_lists_and_ranges() {
        let axes = axes("strategy.b = [true, false]\n[strategy.a]\nfrom = 0.1\nto = 0.3\nstep = 0.1\n[f.x]\nn = 7\n");
        assert_eq!(count_points(&axes, None), 6);
        assert_eq!(
            shown(&points(&axes, None))[..3],
            [
                "f.x.n=7 strategy.a=0.1 strategy.b=true",
                "f.x.n=7 strategy.a=0.1 strategy.b=false",
                "f.x.n=7 strategy.a=0.2 strategy.b=true"
            ]
        );
        assert_eq!(
            shown(&points(&axes, None)).last().map(String::as_str),
            Some("f.x.n=7 strategy.a=0.3 strategy.b=false")
        );
    }

    #[test]
    fn a_number_of_points_is_known_before_they_are_made() {
        let axes = axes("a = { from = 1, to = 1000000, step = 1 }\nb = { from = 1, to = 1000000, step = 1 }");
        assert_eq!(count_points(&axes, None), 1_000_000_000_000);
        assert_eq!(points(&[], None), vec![Point::new()]);
    }

    /// No step is too small to be counted, nor to be drawn from.
    #[test]
    fn a_tiny_step_is_counted_and_drawn_from() {
        for step in ["1e-7", "1e-20", "1e-39", "1e-300"] {
            let axes = axes(&format!("a = {{ from = 0.5, to = 0.9, step = {step} }}\nb = [1, 2]"));
            assert!(count_points(&axes, None) >= 8_000_000, "{step}");
            let drawn = points(&axes, Some(Sample { draws: 5, seed: 1 }));
            assert!(
                drawn.iter().filter_map(|p| number(&p["a"])).all(|v| (0.5..=0.9).contains(&v)),
                "{step}: {drawn:?}"
            );
        }
        let wide = axes(&format!("a = {{ from = {}, to = {} }}", i64::MIN, i64::MAX));
        assert_eq!(points(&wide, Some(Sample { draws: 5, seed: 1 })).len(), 5);
    }

    #[test]
    fn a_latin_hypercube_draws_from_every_part_once() {
        let axes =
            axes("a = { from = 0.0, to = 1.0 }\nb = { from = 1, to = 10 }\nc = { from = 1.0, to = 100.0, log = true }");
        let sample = Sample { draws: 10, seed: 7 };
        let points = points(&axes, Some(sample));
        assert_eq!(points.len(), 10);
        let mut a: Vec<usize> = points.iter().filter_map(|p| number(&p["a"])).map(|v| (v * 10.0) as usize).collect();
        let mut b: Vec<i64> = points.iter().filter_map(|p| number(&p["b"])).map(|v| v as i64).collect();
        a.sort_unstable();
        b.sort_unstable();
        assert_eq!((a, b), ((0..10).collect(), (1..=10).collect()));
        assert!(points.iter().filter_map(|p| number(&p["c"])).all(|v| (1.0..=100.0).contains(&v)));
        assert_eq!(points, super::points(&axes, Some(sample)), "the same seed gives the same points");
        assert_ne!(points, super::points(&axes, Some(Sample { seed: 8, ..sample })));
    }

    fn number(value: &ParamValue) -> Option<f64> {
        match value {
            ParamValue::Number(v) => Some(*v),
            ParamValue::Integer(v) => Some(*v as f64),
            _ => None,
        }
    }

    #[test]
    fn a_range_that_makes_no_sense_is_a_finding() {
        for text in [
            "a = []",
            "a = { from = 2, to = 1, step = 1 }",
            "a = { from = 1 }",
            "a = { from = 1, to = 2 }",
            "a = { from = 1.0, to = 2.0, step = nan }",
            "a = { from = -1e308, to = 1e308, step = 1.0 }",
            "a = { from = 1.0, to = 2.0, log = 'true' }",
        ] {
            assert!(axes(text).iter().any(|a| a.finding(false).is_some()), "{text}");
        }
        assert!(axes("a = { from = 1, to = 2 }").iter().all(|a| a.finding(true).is_none()));
    }
}
