//! What a comparison says in one word and one sentence.

use crate::outcome::BRACKET;
use crate::paired::{Paired, Resampling};
use ghtrader_page::{grouped, signed};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The answer, read on the pessimistic fill model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It makes more, beyond noise.
    Better,
    /// It makes less, beyond noise.
    Worse,
    /// Chance alone gives such a difference often enough.
    Noise,
    /// Too few pairs for any of the others.
    TooFewDays,
    /// One fill model says better or worse beyond noise, and another has the opposite sign.
    DependsOnFills,
}

impl Verdict {
    /// The word in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Noise => "noise",
            Self::TooFewDays => "too_few_days",
            Self::DependsOnFills => "depends_on_fills",
        }
    }
}

/// The verdict on one variant from its differences by fill model; `against` has the pessimistic one.
///
/// Signs that differ by chance say nothing about fills: at least one of the models has to be beyond noise.
pub(crate) fn verdict(against: &BTreeMap<&'static str, Paired>, resampling: &Resampling) -> Verdict {
    let legs: Vec<&Paired> = BRACKET.iter().filter_map(|m| against.get(m)).collect();
    let Some(low) = against.get(BRACKET[0]).filter(|p| p.pairs >= resampling.min_days) else {
        return Verdict::TooFewDays;
    };
    let signs: Vec<i8> = legs.iter().map(|p| p.sign(resampling.level)).collect();
    let opposed = |sign: &i8| *sign != 0 && legs.iter().any(|leg| leg.mean_sign() == -sign);
    if signs.iter().any(opposed) {
        return Verdict::DependsOnFills;
    }
    match low.sign(resampling.level) {
        1 => Verdict::Better,
        -1 => Verdict::Worse,
        _ => Verdict::Noise,
    }
}

/// `+210 CNY a day, 95 % interval 40 to 380`.
fn amount(paired: &Paired, level: f64) -> String {
    let mean = signed(paired.mean_cny);
    match (paired.low_cny, paired.high_cny) {
        (Some(_), Some(_)) => format!("{mean} CNY a day, {}", interval(paired, level)),
        _ => format!("{mean} CNY a day, no interval"),
    }
}

/// `95 % interval 40 to 380`.
fn interval(paired: &Paired, level: f64) -> String {
    match (paired.low_cny, paired.high_cny) {
        (Some(low), Some(high)) => format!("{} % interval {} to {}", percent(level), ends(low), ends(high)),
        _ => "no interval".to_owned(),
    }
}

/// An end of an interval: no plus sign, and digits where whole CNY would say 0.
fn ends(value: f64) -> String {
    if value != 0.0 && value.abs() < 10.0 {
        return format!("{}{:.1}", if value < 0.0 { "−" } else { "" }, value.abs());
    }
    let sign = if value <= -0.5 { "−" } else { "" };
    format!("{sign}{}", grouped(value))
}

/// `95`, `99.9`.
fn percent(level: f64) -> String {
    let percent = (level * 1000.0).round() / 10.0;
    format!("{percent}")
}

pub(crate) fn p_text(p: f64) -> String {
    if p < 0.001 { "below 0.001".to_owned() } else { format!("{p:.3}") }
}

/// The sentence on one variant; `trials` = variants that are judged together.
pub(crate) fn sentence(
    verdict: Verdict,
    variant: &str,
    champion: &str,
    against: &BTreeMap<&'static str, Paired>,
    trials: usize,
    resampling: &Resampling,
) -> String {
    let level = resampling.level;
    let Some(low) = against.get(BRACKET[0]) else {
        return format!("{variant} did not run under pessimistic fills.");
    };
    if low.pairs == 0 {
        return format!("{variant} and {champion} share no trading day.");
    }
    let size = ends(low.mean_cny.abs());
    let days = format!("{} days", low.pairs);
    let adjusted = match (low.p_adjusted, trials) {
        (Some(p), 2..) => format!(" (adjusted p {})", p_text(p)),
        _ => String::new(),
    };
    let others = |only_clear: bool| -> String {
        let legs: Vec<(&str, &Paired)> = BRACKET[1..].iter().filter_map(|m| against.get(m).map(|p| (*m, p))).collect();
        // A strategy that only takes fills alike under every model.
        if legs.len() == 2 && legs.iter().all(|(_, p)| p.daily_cny == low.daily_cny) {
            return if only_clear { String::new() } else { "; the same under central and optimistic ones".to_owned() };
        }
        let text: Vec<String> = legs
            .into_iter()
            .filter(|(_, p)| !only_clear || p.sign(level) != 0)
            .map(|(m, p)| format!("{m} {}", amount(p, level)))
            .collect();
        if text.is_empty() { String::new() } else { format!("; {}", text.join("; ")) }
    };
    match verdict {
        Verdict::TooFewDays => format!(
            "{days} are too few to tell {variant} from {champion}, {} are needed; so far {} under pessimistic fills.",
            resampling.min_days,
            amount(low, level)
        ),
        Verdict::Better | Verdict::Worse => {
            let (verb, among) = match verdict {
                Verdict::Better => ("beats", "the luckiest"),
                _ => ("loses to", "the unluckiest"),
            };
            let family =
                if trials > 1 { format!(", also as {among} of {trials} variants{adjusted}") } else { String::new() };
            format!(
                "{variant} {verb} {champion} by {size} CNY a day over {days}, {}, under pessimistic fills{family}{}.",
                interval(low, level),
                others(false)
            )
        }
        Verdict::Noise if low.daily_cny.iter().all(|d| *d == 0.0) => {
            format!(
                "{variant} and {champion} made the same on each of {days}, under pessimistic fills{}.",
                others(true)
            )
        }
        Verdict::Noise if low.p_value.is_some_and(|p| p <= 1.0 - level) => format!(
            "{variant} differs from {champion} by {} over {days} under pessimistic fills, but among {trials} variants luck alone \
             gives that{adjusted}: noise{}.",
            amount(low, level),
            others(true)
        ),
        Verdict::Noise => format!(
            "{variant} and {champion} differ by noise: {} over {days} under pessimistic fills, the interval covers 0{}.",
            amount(low, level),
            others(true)
        ),
        Verdict::DependsOnFills => format!(
            "Whether {variant} is better than {champion} depends on how orders fill: over {days} pessimistic {}{}.",
            amount(low, level),
            others(false)
        ),
    }
}
