//! A named rule set over one result. Every rule answers with its value and bound; what is not known has not passed.

use crate::CompareError;
use crate::outcome::BRACKET;
use ghtrader_core::{Digest, DigestBuilder};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The rule set of a promotion, as it stands in files.
const PROMOTE: &str = include_str!("../assets/promote.toml");

/// A rule over one figure: exactly one of its bounds is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A figure of the pessimistic model, or `days`, `dsr`, `fees_confirmed`, `parity`, `look_ahead`, `out_of_sample`.
    pub key: String,
    /// Smallest value that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Largest value that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Value of a check that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is: Option<bool>,
    /// Asked only where several variants were tried.
    #[serde(default)]
    pub if_several_variants: bool,
}

/// A named set of rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSet {
    /// Its name.
    pub name: String,
    /// Its rules, in the order in which they are told.
    #[serde(rename = "rule")]
    pub rules: Vec<Rule>,
}

impl RuleSet {
    /// The rule set of a promotion: `sharpe ≥ 0.5`, `max_drawdown_pct ≤ 0.20`, `round_trips ≥ 100` and so on.
    ///
    /// # Errors
    /// Never; the built-in text is read like any other.
    pub fn promote() -> Result<Self, CompareError> {
        Self::parse("promote", PROMOTE)
    }

    /// Reads a rule set; `file` names it in messages.
    ///
    /// # Errors
    /// [`CompareError::Rules`].
    pub fn parse(file: &str, text: &str) -> Result<Self, CompareError> {
        let bad = |what: String| CompareError::Rules { name: file.to_owned(), what };
        let set: Self = toml::from_str(text).map_err(|e| bad(e.message().to_owned()))?;
        if set.rules.is_empty() {
            return Err(bad("it has no rule, and would pass anything".to_owned()));
        }
        for rule in &set.rules {
            let bounds =
                usize::from(rule.min.is_some()) + usize::from(rule.max.is_some()) + usize::from(rule.is.is_some());
            if bounds != 1 || rule.min.or(rule.max).is_some_and(|b| !b.is_finite()) {
                return Err(bad(format!("`{}` needs exactly one of min, max and is, and a finite bound", rule.key)));
            }
        }
        Ok(set)
    }

    /// Digest of the rules; the name is no part of it.
    pub fn digest(&self) -> Digest {
        let mut b = DigestBuilder::new("ghtrader gate rules 1");
        for rule in &self.rules {
            b.text(&rule.key).int(i64::from(rule.if_several_variants));
            for bound in [rule.min, rule.max] {
                b.int(i64::from(bound.is_some())).float(bound.unwrap_or(0.0));
            }
            b.int(rule.is.map_or(-1, i64::from));
        }
        b.finish()
    }
}

/// What a gate reads.
#[derive(Debug, Clone, Copy)]
pub struct GateInput<'a> {
    /// The result's `report.json`.
    pub report: &'a Value,
    /// What `backtest check` found; null if it has not run.
    pub check: &'a Value,
    /// The comparison of the family that the result was chosen from, as `compare --json` prints it; null if it was the only one.
    pub comparison: &'a Value,
}

/// How one rule ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleResult {
    /// The figure.
    pub key: String,
    /// Its value; null = not known.
    pub value: Value,
    /// The bound.
    pub bound: Value,
    /// `≥`, `≤` or `=`.
    pub relation: &'static str,
    /// Whether it holds.
    pub passed: bool,
    /// `sharpe 0.40 < 0.50`, and why a value is not known.
    pub text: String,
}

/// A gate's answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GateReport {
    /// Name of the rule set.
    pub gate: String,
    /// All rules hold.
    pub passed: bool,
    /// Every rule.
    pub rules: Vec<RuleResult>,
    /// Digest of the rules.
    pub rules_digest: Digest,
    /// The result's own digest.
    pub result_digest: String,
    /// Digest of its output.
    pub output_digest: String,
    /// Variants that were tried; 1 = no comparison was given.
    pub trials: u64,
}

/// Holds a result against a rule set.
///
/// # Errors
/// [`CompareError::Corrupt`] for a document that is no result, or a comparison that does not have it.
pub fn gate(name: &str, input: &GateInput<'_>, rules: &RuleSet) -> Result<GateReport, CompareError> {
    let corrupt = |what: &str| CompareError::Corrupt { name: name.to_owned(), what: what.to_owned() };
    let text = |key: &str| input.report[key].as_str().map(str::to_owned);
    let result_digest = text("result_digest").ok_or_else(|| corrupt("result_digest is missing"))?;
    let output_digest = text("output_digest").ok_or_else(|| corrupt("output_digest is missing"))?;
    let trials = if input.comparison.is_null() {
        1
    } else {
        let trials = input.comparison["family"]["trials"].as_u64();
        trials.ok_or_else(|| corrupt("the comparison names no number of trials"))?
    };
    let dsr = if input.comparison.is_null() { Value::Null } else { deflated(input.comparison, &result_digest)? };
    let rules_met = rules
        .rules
        .iter()
        .filter(|rule| !rule.if_several_variants || trials > 1)
        .map(|rule| held(rule, &known(rule, input, &dsr)))
        .collect::<Vec<_>>();
    Ok(GateReport {
        gate: rules.name.clone(),
        passed: rules_met.iter().all(|r| r.passed),
        rules: rules_met,
        rules_digest: rules.digest(),
        result_digest,
        output_digest,
        trials,
    })
}

/// The deflated Sharpe ratio of a result inside its family.
fn deflated(comparison: &Value, id: &str) -> Result<Value, CompareError> {
    let variants = comparison["variants"].as_array();
    let mut members = variants.into_iter().flatten().chain([&comparison["champion"]]);
    let own = members.find(|m| m["id"] == id).ok_or_else(|| CompareError::Corrupt {
        name: "the comparison".to_owned(),
        what: format!("none of its variants is the result {id}"),
    })?;
    Ok(own["figures"][BRACKET[0]]["dsr"].clone())
}

/// A value, or why there is none.
struct Known {
    value: Value,
    why: &'static str,
}

fn known(rule: &Rule, input: &GateInput<'_>, dsr: &Value) -> Known {
    let report = input.report;
    let of = |value: Value, why| Known { value, why };
    match rule.key.as_str() {
        "days" => of(report["data"]["days"].as_array().map_or(Value::Null, |d| d.len().into()), "no days are named"),
        "dsr" => of(dsr.clone(), "the comparison has none for this result"),
        "fees_confirmed" => of(report["tables"]["confirmed"].clone(), "the result does not say"),
        "parity" => of(input.check["passed"].clone(), "`ghtrader backtest check` has not run"),
        "look_ahead" => of(input.check["look_ahead"].clone(), "`ghtrader backtest check` has not run"),
        "out_of_sample" => of(out_of_sample(report), "the result does not say on which days its model was trained"),
        key => {
            let value = report["fill_models"][BRACKET[0]][key].clone();
            of(if value.is_number() || value.is_boolean() { value } else { Value::Null }, "the report has null")
        }
    }
}

/// Whether no scored day lies in the training days of the model that scored it; true without a model, null if not known.
fn out_of_sample(report: &Value) -> Value {
    let Some(models) = report["lineup"]["model"].as_array() else { return Value::Bool(true) };
    let day = |v: &Value| v.as_str().map(str::to_owned);
    let first = day(&report["data"]["days"][0]);
    let each: Option<Vec<bool>> = models
        .iter()
        .map(|m| {
            // Days are ISO texts, which sort as days do. A walk-forward names the first day of each test part.
            let scores_from = day(&m["first_day"]).or_else(|| first.clone())?;
            Some(day(&m["trained_last_day"])? < scores_from)
        })
        .collect();
    each.map_or(Value::Null, |each| Value::Bool(each.into_iter().all(|ok| ok)))
}

fn held(rule: &Rule, known: &Known) -> RuleResult {
    let value = &known.value;
    let (bound, relation, unmet, passed): (Value, _, _, bool) = match (rule.min, rule.max, rule.is) {
        (Some(min), ..) => (min.into(), "≥", "<", value.as_f64().is_some_and(|v| v >= min)),
        (_, Some(max), _) => (max.into(), "≤", ">", value.as_f64().is_some_and(|v| v <= max)),
        (.., is) => {
            let is = is.unwrap_or(true);
            (is.into(), "=", "≠", value.as_bool() == Some(is))
        }
    };
    let shown = |v: &Value| match v.as_f64() {
        Some(x) if x.fract() == 0.0 && x.abs() < 1e15 => format!("{x:.0}"),
        Some(x) => format!("{x:.2}"),
        None => v.to_string(),
    };
    let text = if value.is_null() {
        format!("{} null: {}", rule.key, known.why)
    } else {
        // Two digits may make a value equal to a bound that it misses.
        let (mut left, right) = (shown(value), shown(&bound));
        if left == right && !passed {
            left = value.to_string();
        }
        format!("{} {left} {} {right}", rule.key, if passed { relation } else { unmet })
    };
    RuleResult { key: rule.key.clone(), value: value.clone(), bound, relation, passed, text }
}
