//! A stored result as a comparison reads it: daily series by fill model, and everything that it was made under.

use crate::CompareError;
use ghtrader_core::TradingDay;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The fill models that make a bracket, in the order low, central, high.
pub const BRACKET: [&str; 3] = ["pessimistic", "central", "optimistic"];
/// Every fill model, the bracket's first.
pub const FILL_MODELS: [&str; 5] = ["pessimistic", "central", "optimistic", "cross_only", "touch"];
/// Version of `report.json` that is read.
const SCHEMA_VERSION: u64 = 1;

/// Sums of one trading day under one fill model.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DaySums {
    /// Profit and loss, fees taken off, CNY.
    pub pnl_cny: f64,
    /// Fees, CNY.
    pub fees_cny: f64,
    /// Lots filled.
    pub lots: f64,
    /// Fills.
    pub fills: f64,
    /// Price × lots × multiplier, CNY.
    pub turnover_cny: f64,
}

/// One result.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Its `result_digest`; that of the first part where parts were joined.
    pub id: String,
    /// Digest of its orders, fills and equity.
    pub output_digest: String,
    /// The specification's name.
    pub name: String,
    /// A name that no other result of the comparison has.
    pub label: String,
    /// Trading days, ascending.
    pub days: Vec<TradingDay>,
    /// By fill model, one entry a day.
    pub models: BTreeMap<&'static str, Vec<DaySums>>,
    /// Lots that the market traded on each day, where the result says it.
    pub market_lots: Vec<Option<f64>>,
    /// Money at the start, CNY.
    pub initial_cny: f64,
    /// Trading days a year.
    pub annual_days: f64,
    /// What it was made under: fees, fills, latency and the like, by dotted key.
    pub conditions: BTreeMap<String, String>,
    /// Digest of each day's rows.
    pub day_digests: Vec<String>,
    /// What its author chose: parameters, seed, risk limits, by dotted key.
    pub params: BTreeMap<String, Value>,
    /// Components and models: `role/name` → `version digest`.
    pub code: BTreeMap<String, String>,
    /// Fees and margins were checked against the exchange's own tables.
    pub confirmed: bool,
    /// Fill models whose account went bust.
    pub bust: BTreeSet<&'static str>,
    /// Results that this one was joined from.
    pub parts: usize,
}

/// A setting that two results have apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// Dotted key.
    pub key: String,
    /// The champion's value; `–` where it has none.
    pub champion: String,
    /// The variant's.
    pub variant: String,
}

struct Reader<'a> {
    name: &'a str,
    root: &'a Value,
}

impl<'a> Reader<'a> {
    fn bad(&self, what: impl Into<String>) -> CompareError {
        CompareError::Corrupt { name: self.name.to_owned(), what: what.into() }
    }

    fn at(&self, pointer: &str) -> Result<&'a Value, CompareError> {
        self.root.pointer(pointer).filter(|v| !v.is_null()).ok_or_else(|| self.bad(format!("{pointer} is missing")))
    }

    fn text(&self, pointer: &str) -> Result<String, CompareError> {
        let value = self.at(pointer)?;
        value.as_str().map(str::to_owned).ok_or_else(|| self.bad(format!("{pointer} = {value} is no text")))
    }

    fn number(&self, pointer: &str) -> Result<f64, CompareError> {
        let value = self.at(pointer)?;
        value.as_f64().ok_or_else(|| self.bad(format!("{pointer} = {value} is no number")))
    }

    fn list(&self, pointer: &str) -> Result<&'a [Value], CompareError> {
        let value = self.at(pointer)?;
        value.as_array().map(Vec::as_slice).ok_or_else(|| self.bad(format!("{pointer} is no list")))
    }

    fn day(&self, value: &Value, pointer: &str) -> Result<TradingDay, CompareError> {
        let day = value.as_str().and_then(|t| t.parse().ok());
        day.ok_or_else(|| self.bad(format!("{pointer}: {value} is no trading day")))
    }
}

impl Outcome {
    /// Reads a `report.json`, or a batch's `results/<id>.json`; `name` names it in messages.
    ///
    /// # Errors
    /// [`CompareError::Corrupt`] naming the place, [`CompareError::NoPessimistic`].
    pub fn read(name: &str, report: &Value) -> Result<Self, CompareError> {
        let r = Reader { name, root: report };
        if report["schema_version"].as_u64() != Some(SCHEMA_VERSION) {
            return Err(r.bad(format!("schema_version = {}, {SCHEMA_VERSION} is read", report["schema_version"])));
        }
        let days = r.list("/data/days")?;
        let days = days.iter().map(|d| r.day(d, "/data/days")).collect::<Result<Vec<_>, _>>()?;
        if days.is_empty() || days.windows(2).any(|d| d[0] >= d[1]) {
            return Err(r.bad("/data/days is empty or not ascending"));
        }
        let digests = r.list("/data/manifest_digests")?;
        let day_digests: Vec<String> = digests.iter().filter_map(|d| d.as_str().map(str::to_owned)).collect();
        if day_digests.len() != days.len() {
            return Err(r.bad(format!("{} days and {} digests of their rows", days.len(), day_digests.len())));
        }
        let found = r.at("/fill_models")?.as_object().ok_or_else(|| r.bad("/fill_models is no section"))?;
        let mut models = BTreeMap::new();
        let mut bust = BTreeSet::new();
        for model in FILL_MODELS.iter().filter(|m| found.contains_key(**m)) {
            models.insert(*model, series(&r, model, &days)?);
            if found[*model]["bust"].as_bool() == Some(true) {
                bust.insert(*model);
            }
        }
        if !models.contains_key(BRACKET[0]) {
            let models = found.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(CompareError::NoPessimistic { name: name.to_owned(), models });
        }
        let volumes = report.pointer("/data/volume_lots").and_then(Value::as_array);
        let market_lots = (0..days.len()).map(|i| volumes.and_then(|v| v.get(i)).and_then(Value::as_f64)).collect();
        let (params, code) = lineup(&r)?;
        Ok(Self {
            id: r.text("/result_digest")?,
            output_digest: r.text("/output_digest")?,
            label: r.text("/spec/name")?,
            name: r.text("/spec/name")?,
            days,
            models,
            market_lots,
            initial_cny: r.number("/spec/account/initial_cny")?,
            annual_days: r.number("/spec/metrics/annual_days")?,
            conditions: conditions(report),
            day_digests,
            params,
            code,
            confirmed: report.pointer("/tables/confirmed").and_then(Value::as_bool).unwrap_or(false),
            bust,
            parts: 1,
        })
    }

    /// An account that does nothing on the days of another: what every variant has to beat.
    pub fn flat(like: &Self) -> Self {
        let nothing = vec![DaySums::default(); like.days.len()];
        Self {
            id: "flat".to_owned(),
            output_digest: String::new(),
            name: "flat".to_owned(),
            label: "flat".to_owned(),
            models: like.models.keys().map(|m| (*m, nothing.clone())).collect(),
            params: BTreeMap::new(),
            code: BTreeMap::new(),
            bust: BTreeSet::new(),
            ..like.clone()
        }
    }

    /// The series of a fill model on some of the days, which the result has to have.
    pub fn on(&self, model: &str, days: &[TradingDay]) -> Option<Vec<DaySums>> {
        let series = self.models.get(model)?;
        days.iter().map(|day| self.days.binary_search(day).ok().and_then(|at| series.get(at).copied())).collect()
    }

    /// What makes two results the same variant on other days: lineup, parameters and conditions.
    fn identity(&self) -> String {
        format!("{:?}\n{:?}\n{:?}", self.code, self.params, self.conditions)
    }
}

fn series(r: &Reader<'_>, model: &str, days: &[TradingDay]) -> Result<Vec<DaySums>, CompareError> {
    let place = format!("/fill_models/{model}");
    let daily = r.list(&format!("{place}/equity_daily"))?;
    if daily.len() != days.len() {
        return Err(r.bad(format!("{place}/equity_daily has {} of {} days", daily.len(), days.len())));
    }
    let by_day = r.at(&format!("{place}/by_day"))?;
    let mut series = Vec::with_capacity(days.len());
    for (entry, day) in daily.iter().zip(days) {
        if r.day(&entry["trading_day"], &place)? != *day {
            return Err(r.bad(format!("{place}/equity_daily has {} where {day} belongs", entry["trading_day"])));
        }
        let number = |key: &str| {
            let value = entry[key].as_f64();
            value.ok_or_else(|| r.bad(format!("{place}/equity_daily, {day}: {key} = {} is no number", entry[key])))
        };
        series.push(DaySums {
            pnl_cny: number("pnl_cny")?,
            fees_cny: number("fees_cny")?,
            lots: number("lots")?,
            fills: number("fills")?,
            // Days without a fill have no entry there.
            turnover_cny: by_day[day.to_string()]["turnover_cny"].as_f64().unwrap_or(0.0),
        });
    }
    Ok(series)
}

/// Sections of a specification that say under which conditions a result was made; the rest is the author's choice.
const CONDITIONS: [&str; 9] = ["variety", "data", "fees", "margin", "fills", "latency", "account", "roll", "metrics"];
/// Which models run side by side changes none of them.
const NO_CONDITION: [&str; 1] = ["fills.models"];

fn conditions(report: &Value) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for section in CONDITIONS {
        flatten(section, &report["spec"][section], &mut out);
    }
    out.retain(|key, _| !NO_CONDITION.contains(&key.as_str()));
    // A product alone means that of its exchange; a batch writes both.
    if let Some(variety) = out.get_mut("variety")
        && let Some((_, product)) = variety.split_once('.')
    {
        *variety = product.to_owned();
    }
    // Which contract was main says the digest of each day's rows.
    if let Some(version) = report.pointer("/engine/version") {
        out.insert("engine.version".to_owned(), shown(version));
    }
    out
}

fn flatten(key: &str, value: &Value, out: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| flatten(&format!("{key}.{name}"), value, out)),
        Value::Null => {}
        value => {
            out.insert(key.to_owned(), shown(value));
        }
    }
}

/// A value as a person writes it: texts without quotes.
pub(crate) fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

type Lineup = (BTreeMap<String, Value>, BTreeMap<String, String>);

fn lineup(r: &Reader<'_>) -> Result<Lineup, CompareError> {
    let (mut params, mut code) = (BTreeMap::new(), BTreeMap::new());
    let features = r.root.pointer("/lineup/features").and_then(Value::as_array);
    let strategy = r.at("/lineup/strategy")?;
    for component in features.into_iter().flatten().chain([strategy]) {
        let text = |key: &str| component[key].as_str().unwrap_or_default();
        let (name, digest) = (text("name"), text("digest"));
        if name.is_empty() || digest.is_empty() {
            return Err(r.bad("/lineup holds a component without name or digest"));
        }
        code.insert(name.to_owned(), format!("{} {digest}", text("version")));
        // A feature's parameter carries its plugin's name; the strategy is one, so its own need none.
        let prefix = if name.starts_with("strategy/") { "strategy" } else { name };
        for (key, value) in component["params"].as_object().into_iter().flatten() {
            params.insert(format!("{prefix}.{key}"), value.clone());
        }
    }
    for model in r.root.pointer("/lineup/model").and_then(Value::as_array).into_iter().flatten() {
        let from = model["first_day"].as_str().map_or_else(String::new, |d| format!(" from {d}"));
        code.insert(format!("model{from}"), shown(&model["digest"]));
    }
    if let Some(seed) = r.root.pointer("/spec/seed") {
        params.insert("seed".to_owned(), seed.clone());
    }
    for (key, value) in r.root.pointer("/spec/risk").and_then(Value::as_object).into_iter().flatten() {
        params.insert(format!("risk.{key}"), value.clone());
    }
    Ok((params, code))
}

/// Keys whose values differ, with both; what one side lacks is `–`.
pub(crate) fn differences<V: PartialEq>(
    champion: &BTreeMap<String, V>,
    variant: &BTreeMap<String, V>,
    show: impl Fn(&V) -> String,
) -> Vec<Difference> {
    let keys: BTreeSet<&String> = champion.keys().chain(variant.keys()).collect();
    let side = |value: Option<&V>| value.map_or_else(|| "–".to_owned(), &show);
    keys.into_iter()
        .filter(|key| champion.get(*key) != variant.get(*key))
        .map(|key| Difference { key: key.clone(), champion: side(champion.get(key)), variant: side(variant.get(key)) })
        .collect()
}

/// Joins results of one variant on days that do not overlap, as a batch splits them by day or month.
///
/// Each part started without a position, as the batch ran it. The order of the first parts stays.
pub fn join_parts(outcomes: Vec<Outcome>) -> Vec<Outcome> {
    let mut groups: Vec<Vec<Outcome>> = Vec::new();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for outcome in outcomes {
        match known.get(&outcome.identity()) {
            Some(at) => groups[*at].push(outcome),
            None => {
                known.insert(outcome.identity(), groups.len());
                groups.push(vec![outcome]);
            }
        }
    }
    groups.into_iter().flat_map(joined).collect()
}

fn joined(mut parts: Vec<Outcome>) -> Vec<Outcome> {
    parts.sort_by_key(|p| p.days[0]);
    let overlap = parts.windows(2).any(|p| p[0].days.last() >= p[1].days.first());
    let same_models = parts.windows(2).all(|p| p[0].models.keys().eq(p[1].models.keys()));
    if parts.len() == 1 || overlap || !same_models {
        return parts;
    }
    let mut parts = parts.into_iter();
    let Some(mut whole) = parts.next() else { return Vec::new() };
    for part in parts {
        whole.days.extend(part.days);
        whole.day_digests.extend(part.day_digests);
        whole.market_lots.extend(part.market_lots);
        for (model, series) in part.models {
            whole.models.entry(model).or_default().extend(series);
        }
        whole.bust.extend(part.bust);
        whole.confirmed &= part.confirmed;
        whole.parts += 1;
    }
    vec![whole]
}

/// Gives every result a label of its own: its name, else with the parameters and versions that vary, else with its id.
pub(crate) fn label(outcomes: &mut [Outcome]) {
    let varied = varied_params(outcomes);
    let count = |labels: &[String]| {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        labels.iter().for_each(|l| *seen.entry(l.clone()).or_default() += 1);
        seen
    };
    let names: Vec<String> = outcomes.iter().map(|o| o.name.clone()).collect();
    let often = count(&names);
    let with_params: Vec<String> = outcomes
        .iter()
        .map(|o| {
            if often.get(&o.name) == Some(&1) {
                return o.name.clone();
            }
            let mut words: Vec<String> = varied
                .iter()
                .filter_map(|key| o.params.get(key).map(|v| (key, v)))
                .map(|(key, value)| format!("{}={}", key.strip_prefix("strategy.").unwrap_or(key), shown(value)))
                .collect();
            if words.is_empty() {
                words = vec![o.name.clone()];
            }
            words.join(" ")
        })
        .collect();
    let often = count(&with_params);
    for (outcome, label) in outcomes.iter_mut().zip(with_params) {
        let short: String = outcome.id.chars().take(8).collect();
        outcome.label = if often.get(&label) == Some(&1) { label } else { format!("{label} {short}") };
    }
}

/// Parameters that have more than one value over the results.
pub(crate) fn varied_params(outcomes: &[Outcome]) -> Vec<String> {
    let keys: BTreeSet<&String> = outcomes.iter().flat_map(|o| o.params.keys()).collect();
    let varies = |key: &&String| outcomes.windows(2).any(|o| o[0].params.get(*key) != o[1].params.get(*key));
    keys.into_iter().filter(varies).cloned().collect()
}
