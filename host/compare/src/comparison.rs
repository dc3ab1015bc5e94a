//! A champion and its challengers: from stored results to verdicts.

use crate::CompareError;
use crate::family::{Family, judge_family};
use crate::figures::Member;
use crate::outcome::{BRACKET, Difference, FILL_MODELS, Outcome, differences, label, shown, varied_params};
use crate::paired::{Paired, Resampling, against};
use crate::verdict::{Verdict, sentence, verdict};
use ghtrader_core::TradingDay;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Most variants of one comparison: their daily differences are held at once.
pub const MAX_VARIANTS: usize = 10_000;
/// Blocks of the cross-validation behind the probability of overfitting.
pub const CSCV_BLOCKS: usize = 16;

/// What every variant is held against.
#[derive(Debug, Clone, PartialEq)]
pub enum Champion {
    /// The first result.
    First,
    /// An account that does nothing.
    Flat,
    /// The one result that answers to a name, the beginning of an id, or parameters as `key=value,…`.
    Named(String),
    /// A result that is no part of the family.
    Outside(Box<Outcome>),
}

/// How to compare.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What every variant is held against.
    pub champion: Champion,
    /// How differences are judged.
    pub resampling: Resampling,
    /// Variants that were tried in all, where that is more than the results given.
    pub trials: Option<usize>,
    /// Results of other conditions are compared as well.
    pub allow_different: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { champion: Champion::First, resampling: Resampling::default(), trials: None, allow_different: false }
    }
}

/// The days that count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CommonDays {
    /// How many.
    pub count: usize,
    /// First of them.
    pub first: TradingDay,
    /// Last of them.
    pub last: TradingDay,
    /// Days that some results have and others do not.
    pub left_out: usize,
    /// All of them.
    #[serde(skip)]
    pub days: Vec<TradingDay>,
}

/// One variant against the champion.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Variant {
    /// Its own figures.
    #[serde(flatten)]
    pub member: Member,
    /// The answer, on pessimistic fills.
    pub verdict: Verdict,
    /// The same in a sentence.
    pub sentence: String,
    /// Parameters that it and the champion have apart.
    pub parameter_differences: Vec<Difference>,
    /// Components that they have apart.
    pub code_differences: Vec<Difference>,
    /// Conditions that they have apart.
    pub condition_differences: Vec<Difference>,
    /// Variant less champion, by fill model.
    pub against: BTreeMap<&'static str, Paired>,
}

/// The whole comparison. Equal results and options give equal bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The answer over all variants.
    pub verdict: Verdict,
    /// The same in a sentence.
    pub sentence: String,
    /// What every variant is held against.
    pub champion: Member,
    /// The days that count.
    pub days: CommonDays,
    /// How differences were judged.
    pub resampling: Resampling,
    /// Challengers, in the order given.
    pub variants: Vec<Variant>,
    /// All of them together.
    pub family: Family,
    /// Parameters that vary.
    pub varied: Vec<String>,
    /// Money at the start, CNY.
    pub initial_cny: f64,
    /// Trading days a year.
    pub annual_days: f64,
    /// What was not tested, or only in part.
    pub untested: Vec<String>,
}

/// Compares results; each is read by [`Outcome::read`].
///
/// # Errors
/// [`CompareError`].
pub fn compare(mut outcomes: Vec<Outcome>, options: &Options) -> Result<Comparison, CompareError> {
    options.resampling.check()?;
    let outside = matches!(options.champion, Champion::Flat | Champion::Outside(_));
    let needed = if outside { 1 } else { 2 };
    if outcomes.len() < needed {
        return Err(CompareError::TooFew { given: outcomes.len(), needed });
    }
    if outcomes.len() > MAX_VARIANTS {
        return Err(CompareError::TooMany { given: outcomes.len(), most: MAX_VARIANTS });
    }
    adopt_varied_conditions(&mut outcomes);
    label(&mut outcomes);
    let (champion, challengers) = split_champion(outcomes, &options.champion)?;
    let found: Vec<Vec<Difference>> = challengers.iter().map(|c| condition_differences(&champion, c)).collect();
    if !options.allow_different
        && let Some((first, conditions)) = challengers.iter().zip(&found).find(|(_, d)| !d.is_empty())
    {
        let shown: Vec<String> = conditions
            .iter()
            .take(5)
            .map(|d| format!("{}: {} in {}, {} in {}", d.key, d.champion, champion.label, d.variant, first.label))
            .collect();
        return Err(CompareError::Different { differences: shown.join("; ") });
    }
    let (days, short) = common_days(&champion, &challengers, options.resampling.min_days)?;
    let models: Vec<&'static str> = FILL_MODELS
        .into_iter()
        .filter(|m| champion.models.contains_key(m) && challengers.iter().all(|c| c.models.contains_key(m)))
        .collect();
    let mut untested = untested(&champion, &challengers, &models, &days);
    let initial_cny = champion.initial_cny;

    let held = Member::new(&champion, &days.days, &models);
    let mut members: Vec<Member> = Vec::with_capacity(challengers.len());
    let mut pairs: Vec<BTreeMap<&'static str, Paired>> = vec![BTreeMap::new(); challengers.len()];
    // A variant on too few of the days is set aside: it is not to take them from all the others.
    let judged: Vec<usize> = (0..challengers.len()).filter(|i| !short.contains(i)).collect();
    for (i, challenger) in challengers.iter().enumerate() {
        if short.contains(&i) {
            let own: Vec<TradingDay> = shared(&champion.days, &challenger.days);
            let (a, b) = (Member::new(&champion, &own, &models), Member::new(challenger, &own, &models));
            untested.push(format!("{}: {} common days, too few for a verdict", challenger.label, own.len()));
            if !own.is_empty() {
                let resamples = options.resampling.resamples(own.len());
                for model in &models {
                    let one = against(&a, &[&b], model, initial_cny, &options.resampling, &resamples);
                    pairs[i].extend(one.into_iter().map(|p| (*model, p)));
                }
            }
            members.push(b);
        } else {
            members.push(Member::new(challenger, &days.days, &models));
        }
    }
    if !judged.is_empty() {
        let resamples = options.resampling.resamples(days.count);
        let views: Vec<&Member> = judged.iter().map(|i| &members[*i]).collect();
        for model in &models {
            let all = against(&held, &views, model, initial_cny, &options.resampling, &resamples);
            for (at, paired) in judged.iter().zip(all) {
                pairs[*at].insert(model, paired);
            }
        }
    }
    let mut champion_member = held;
    let family = {
        let mut all: Vec<&mut Member> = judged_members(&mut members, &judged);
        if !outside {
            all.push(&mut champion_member);
        }
        judge_family(&mut all, options.trials, challengers.len() + usize::from(!outside), champion.annual_days)
    };
    untested.extend(family.notes.iter().cloned());
    let variants: Vec<Variant> = members
        .into_iter()
        .zip(pairs)
        .zip(challengers.iter().zip(found))
        .map(|((member, against), (challenger, condition_differences))| {
            let verdict = verdict(&against, &options.resampling);
            let sentence =
                sentence(verdict, &member.label, &champion.label, &against, judged.len(), &options.resampling);
            Variant {
                verdict,
                sentence,
                parameter_differences: differences(&champion.params, &challenger.params, shown),
                code_differences: differences(&champion.code, &challenger.code, Clone::clone),
                condition_differences,
                against,
                member,
            }
        })
        .collect();
    let (verdict, sentence) = overall(&variants, &champion.label);
    let mut everybody = challengers;
    if !outside {
        everybody.push(champion.clone());
    }
    Ok(Comparison {
        verdict,
        sentence,
        champion: champion_member,
        days,
        resampling: options.resampling,
        variants,
        family,
        varied: varied_params(&everybody),
        initial_cny,
        annual_days: champion.annual_days,
        untested,
    })
}

fn judged_members<'a>(members: &'a mut [Member], judged: &[usize]) -> Vec<&'a mut Member> {
    let judged: BTreeSet<usize> = judged.iter().copied().collect();
    members.iter_mut().enumerate().filter(|(i, _)| judged.contains(i)).map(|(_, m)| m).collect()
}

/// Conditions that a batch varied on purpose, such as a latency, are parameters there.
fn adopt_varied_conditions(outcomes: &mut [Outcome]) {
    let keys: BTreeSet<String> = outcomes.iter().flat_map(|o| o.conditions.keys().cloned()).collect();
    for key in keys {
        if outcomes.windows(2).any(|o| o[0].conditions.get(&key) != o[1].conditions.get(&key)) {
            for outcome in outcomes.iter_mut() {
                let value = outcome.conditions.get(&key).map_or(Value::Null, |text| {
                    text.parse::<f64>()
                        .ok()
                        .and_then(serde_json::Number::from_f64)
                        .map_or_else(|| Value::String(text.clone()), Value::Number)
                });
                outcome.params.insert(key.clone(), value);
            }
        }
    }
}

fn split_champion(mut outcomes: Vec<Outcome>, champion: &Champion) -> Result<(Outcome, Vec<Outcome>), CompareError> {
    match champion {
        Champion::First => {
            let first = outcomes.remove(0);
            Ok((first, outcomes))
        }
        Champion::Flat => Ok((Outcome::flat(&outcomes[0]), outcomes)),
        Champion::Outside(champion) => {
            let mut champion = (**champion).clone();
            // The same result may be in the family as well; two of one name would not be told apart.
            outcomes.retain(|o| o.id != champion.id);
            if outcomes.is_empty() {
                return Err(CompareError::TooFew { given: 1, needed: 2 });
            }
            if outcomes.iter().any(|o| o.label == champion.label) {
                champion.label = format!("champion {}", champion.label);
            }
            Ok((champion, outcomes))
        }
        Champion::Named(wanted) => {
            let found: Vec<usize> = (0..outcomes.len()).filter(|i| answers(&outcomes[*i], wanted)).collect();
            let [at] = found[..] else {
                let known: Vec<String> = outcomes.iter().take(10).map(|o| format!("`{}`", o.label)).collect();
                let more = outcomes.len().saturating_sub(10);
                let known = known.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() };
                return Err(CompareError::Champion { wanted: wanted.clone(), found: found.len(), known });
            };
            let champion = outcomes.remove(at);
            Ok((champion, outcomes))
        }
    }
}

/// Fewest characters of an id that name a result.
const ID_CHARS: usize = 6;

fn answers(outcome: &Outcome, wanted: &str) -> bool {
    if outcome.label == wanted || outcome.id == wanted {
        return true;
    }
    if wanted.len() >= ID_CHARS && wanted.bytes().all(|b| b.is_ascii_hexdigit()) && outcome.id.starts_with(wanted) {
        return true;
    }
    let pairs: Option<Vec<(&str, &str)>> = wanted.split([',', ' ']).map(|pair| pair.split_once('=')).collect();
    pairs.is_some_and(|pairs| {
        pairs.iter().all(|(key, value)| {
            let own = outcome.params.get(*key).or_else(|| outcome.params.get(&format!("strategy.{key}")));
            own.is_some_and(|own| shown(own) == *value || same_number(own, value))
        })
    })
}

fn same_number(own: &Value, text: &str) -> bool {
    own.as_f64().zip(text.parse::<f64>().ok()).is_some_and(|(a, b)| a == b)
}

/// What two results were made under, where it differs: days, rows, fees, fills and the rest.
fn condition_differences(champion: &Outcome, variant: &Outcome) -> Vec<Difference> {
    let mut found = differences(&champion.conditions, &variant.conditions, Clone::clone);
    if champion.days != variant.days {
        let text = |o: &Outcome| match (o.days.first(), o.days.last()) {
            (Some(first), Some(last)) => format!("{} from {first} to {last}", o.days.len()),
            _ => "none".to_owned(),
        };
        found.insert(0, Difference { key: "days".into(), champion: text(champion), variant: text(variant) });
    }
    let rows = |o: &Outcome, day| o.days.binary_search(&day).ok().and_then(|at| o.day_digests.get(at).cloned());
    let other = shared(&champion.days, &variant.days).into_iter().find(|d| rows(champion, *d) != rows(variant, *d));
    if let Some(day) = other {
        let text = |o: &Outcome| rows(o, day).map_or_else(String::new, |d| d.chars().take(16).collect());
        found.push(Difference { key: format!("data.{day}"), champion: text(champion), variant: text(variant) });
    }
    if champion.confirmed != variant.confirmed {
        found.push(Difference {
            key: "tables.confirmed".into(),
            champion: champion.confirmed.to_string(),
            variant: variant.confirmed.to_string(),
        });
    }
    found
}

fn shared(a: &[TradingDay], b: &[TradingDay]) -> Vec<TradingDay> {
    a.iter().copied().filter(|day| b.binary_search(day).is_ok()).collect()
}

/// Days that the champion and all challengers have, but for challengers that share fewer than `min_days` with it.
fn common_days(
    champion: &Outcome,
    challengers: &[Outcome],
    min_days: usize,
) -> Result<(CommonDays, BTreeSet<usize>), CompareError> {
    let own: Vec<Vec<TradingDay>> = challengers.iter().map(|c| shared(&champion.days, &c.days)).collect();
    let mut short: BTreeSet<usize> = (0..own.len()).filter(|i| own[*i].len() < min_days).collect();
    if short.len() == own.len() {
        // Nobody has enough: then nobody is set aside, and every verdict says so.
        short.clear();
    }
    let kept = |i: &usize| !short.contains(i);
    let days = (0..own.len()).filter(kept).fold(champion.days.clone(), |days, i| shared(&days, &own[i]));
    let (Some(first), Some(last)) = (days.first().copied(), days.last().copied()) else {
        let empty = challengers.iter().find(|c| shared(&champion.days, &c.days).is_empty()).or(challengers.last());
        return Err(CompareError::NoCommonDay {
            a: champion.label.clone(),
            b: empty.map_or_else(String::new, |c| c.label.clone()),
        });
    };
    let all: BTreeSet<TradingDay> = challengers.iter().chain([champion]).flat_map(|o| o.days.iter().copied()).collect();
    let left_out = all.len() - days.len();
    Ok((CommonDays { count: days.len(), first, last, left_out, days }, short))
}

fn untested(champion: &Outcome, challengers: &[Outcome], models: &[&str], days: &CommonDays) -> Vec<String> {
    let mut notes = Vec::new();
    if days.left_out > 0 {
        notes.push(format!("{} days that not every result has are left out", days.left_out));
    }
    for model in BRACKET.iter().filter(|m| !models.contains(*m)) {
        notes.push(format!("{model} fills: not every result has them, so signs are compared without them"));
    }
    let unconfirmed = challengers.iter().chain([champion]).filter(|o| !o.confirmed).count();
    if unconfirmed > 0 {
        notes.push(
            "fees and margins are built-in rows without a checked source: differences in turnover rest on them"
                .to_owned(),
        );
    }
    let bust: Vec<&str> =
        challengers.iter().chain([champion]).filter(|o| !o.bust.is_empty()).map(|o| o.label.as_str()).collect();
    if !bust.is_empty() {
        notes.push(format!("accounts that went bust and made nothing afterwards: {}", first_few(&bust)));
    }
    let joined = challengers.iter().filter(|c| c.parts > 1).count();
    if joined > 0 {
        notes.push(format!(
            "{joined} variants were joined from results on parts of the days, each begun without a position"
        ));
    }
    if challengers.iter().any(|c| c.market_lots.iter().any(Option::is_none)) {
        notes.push("share of the traded volume: some results do not say what the market traded".to_owned());
    }
    notes
}

pub(crate) fn first_few(names: &[&str]) -> String {
    let shown = names.iter().take(5).copied().collect::<Vec<_>>().join(", ");
    if names.len() > 5 { format!("{shown} and {} more", names.len() - 5) } else { shown }
}

/// The answer over all variants, and the sentence that says it.
fn overall(variants: &[Variant], champion: &str) -> (Verdict, String) {
    if let [alone] = variants {
        return (alone.verdict, alone.sentence.clone());
    }
    let count = |v: Verdict| variants.iter().filter(|x| x.verdict == v).count();
    let mean = |v: &&Variant| v.against.get(BRACKET[0]).map_or(f64::NEG_INFINITY, |p| p.mean_cny);
    let best = |which: Option<Verdict>| {
        let mut chosen = variants.iter().filter(|v| which.is_none_or(|w| v.verdict == w));
        let first = chosen.next()?;
        // The first of equals: the order of the results decides, nothing else.
        Some(chosen.fold(first, |best, v| if mean(&v) > mean(&best) { v } else { best }))
    };
    let all = variants.len();
    let better = count(Verdict::Better);
    if better > 0 {
        let best = best(Some(Verdict::Better)).map_or("", |v| v.sentence.as_str());
        let are = if better == 1 { "is" } else { "are" };
        return (Verdict::Better, format!("{better} of {all} variants {are} better than {champion}. {best}"));
    }
    let (verdict, why) = match () {
        () if count(Verdict::TooFewDays) == all => (Verdict::TooFewDays, "there are too few days to tell"),
        () if count(Verdict::Worse) == all => (Verdict::Worse, "all are worse"),
        () if count(Verdict::Noise) == 0 && count(Verdict::DependsOnFills) > 0 => {
            (Verdict::DependsOnFills, "what is left depends on how orders fill")
        }
        () => (Verdict::Noise, "the best of them is noise"),
    };
    let best = best(Some(verdict)).or_else(|| best(None)).map_or("", |v| v.sentence.as_str());
    (verdict, format!("None of {all} variants is better than {champion}: {why}. {best}"))
}
