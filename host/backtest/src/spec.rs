//! The specification of a run: what a person writes in TOML, checked as a whole.

use crate::latency::{Delay, LatencySpec};
use ghtrader_core::{ErrorClass, Problem, TradingDay, Variety};
use ghtrader_exchange::FillModel;
use ghtrader_settings::{Finding, Key, Kind, check, findings_problem, no_toml};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const MODELS: &[&str] = &["pessimistic", "central", "optimistic", "cross_only", "touch"];
const US: Kind = Kind::Integer { min: 0, max: 10_000_000 };

const KEYS: &[Key] = &[
    Key::required("version", Kind::Integer { min: 1, max: 1 }),
    Key::required("name", Kind::Text),
    Key::required("variety", Kind::Text),
    Key::optional("data", Kind::Word(&["main_l5"])),
    Key::optional("from", Kind::Text),
    Key::optional("to", Kind::Text),
    Key::optional("seed", Kind::Integer { min: 0, max: i64::MAX }),
    Key::optional(
        "lineup.features",
        Kind::Tables(&[Key::required("plugin", Kind::Text), Key::optional("params", Kind::Open)]),
    ),
    Key::optional("lineup.model.artifact", Kind::Text),
    Key::required("lineup.strategy.plugin", Kind::Text),
    Key::optional("lineup.strategy.params", Kind::Open),
    Key::optional("fills.models", Kind::Words(MODELS)),
    Key::optional("fills.central_power", Kind::Number { min: 0.1, max: 20.0 }),
    Key::optional("fills.taker_book", Kind::Word(&["k", "k_plus_1", "both"])),
    Key::optional("fills.beyond_book", Kind::Word(&["reject", "penalty"])),
    Key::optional("fills.beyond_book_penalty_ticks", Kind::Integer { min: 0, max: 1_000 }),
    Key::optional("latency.feed_us", US),
    Key::optional("latency.order", Kind::Open),
    Key::optional("latency.cancel", Kind::Open),
    Key::optional("fees.broker_markup", Kind::Number { min: 1.0, max: 100.0 }),
    Key::optional("fees.free", Kind::Flag),
    Key::optional("margin.broker_add", Kind::Number { min: 0.0, max: 1.0 }),
    Key::optional("margin.large_side", Kind::Flag),
    Key::optional("account.initial_cny", Kind::Number { min: 1.0, max: 1e12 }),
    Key::optional("account.mark", Kind::Word(&["last", "mid"])),
    Key::optional("account.close_first", Kind::Word(&["today", "yesterday", "cheapest"])),
    Key::optional("risk.max_abs_position", Kind::Integer { min: 0, max: 100_000 }),
    Key::optional("risk.max_order_lots", Kind::Integer { min: 0, max: 100_000 }),
    Key::optional("roll.policy", Kind::Word(&["transfer", "flatten", "ignore"])),
    Key::optional("roll.penalty_ticks", Kind::Integer { min: 0, max: 1_000 }),
    Key::optional("metrics.annual_days", Kind::Integer { min: 200, max: 366 }),
];

/// A run as specified; every default is filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSpec {
    /// Version of this form.
    pub version: u32,
    /// A name for people.
    pub name: String,
    /// Product, such as `cu`.
    pub variety: String,
    /// Data set; `main_l5`.
    #[serde(default = "main_l5")]
    pub data: String,
    /// First trading day; the first there is if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<TradingDay>,
    /// Last trading day; the last there is if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<TradingDay>,
    /// Seed of whatever a run draws.
    #[serde(default)]
    pub seed: u64,
    /// Features, model, strategy.
    pub lineup: LineupSpec,
    /// How orders fill.
    #[serde(default)]
    pub fills: FillSpec,
    /// Delays.
    #[serde(default)]
    pub latency: LatencySpec,
    /// What the exchange and the broker charge.
    #[serde(default)]
    pub fees: FeeSpec,
    /// What is held against a position.
    #[serde(default)]
    pub margin: MarginSpec,
    /// Money and marks.
    #[serde(default)]
    pub account: AccountSpec,
    /// Limits on orders.
    #[serde(default)]
    pub risk: RiskSpec,
    /// What happens to a position when the main contract changes.
    #[serde(default)]
    pub roll: RollSpec,
    /// How results are expressed.
    #[serde(default)]
    pub metrics: MetricSpec,
}

fn main_l5() -> String {
    "main_l5".to_owned()
}

/// What decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LineupSpec {
    /// Feature plugins, in order.
    #[serde(default)]
    pub features: Vec<PluginSpec>,
    /// The model whose scores the strategy may read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelSpec>,
    /// The strategy plugin.
    pub strategy: PluginSpec,
}

/// A plugin and its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginSpec {
    /// Path of the artefact.
    pub plugin: String,
    /// Values of its parameters; the manifest's defaults hold for the others.
    #[serde(default)]
    pub params: BTreeMap<String, toml::Value>,
}

/// A trained model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// Path of its folder.
    pub artifact: String,
}

/// How orders fill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FillSpec {
    /// Fill models, side by side in one pass.
    pub models: Vec<FillModelName>,
    /// Power of the central model's queue probability; a guess until fitted on own live fills.
    pub central_power: f64,
    /// Which book a taker walks when it arrives between two snapshots.
    pub taker_book: TakerBookName,
    /// What happens to a taker larger than the five levels.
    pub beyond_book: BeyondBookName,
    /// Ticks by which a penalty worsens the last displayed price.
    pub beyond_book_penalty_ticks: u32,
}

/// A [`FillModel`] by its name in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of the fill models")]
pub enum FillModelName {
    Pessimistic,
    Central,
    Optimistic,
    CrossOnly,
    Touch,
}

impl FillModelName {
    /// The exchange's own type.
    pub fn model(self) -> FillModel {
        match self {
            Self::Pessimistic => FillModel::Pessimistic,
            Self::Central => FillModel::Central,
            Self::Optimistic => FillModel::Optimistic,
            Self::CrossOnly => FillModel::CrossOnly,
            Self::Touch => FillModel::Touch,
        }
    }

    /// The name in files and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pessimistic => "pessimistic",
            Self::Central => "central",
            Self::Optimistic => "optimistic",
            Self::CrossOnly => "cross_only",
            Self::Touch => "touch",
        }
    }
}

/// Which book a taker walks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TakerBookName {
    /// The one the decision was made on.
    K,
    /// The next one.
    #[serde(rename = "k_plus_1")]
    KPlus1,
    /// The next one, and what the one before would have given is reported beside.
    Both,
}

/// What happens beyond the displayed levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BeyondBookName {
    /// The rest is rejected.
    Reject,
    /// The rest fills at a worsened price.
    Penalty,
}

impl Default for FillSpec {
    fn default() -> Self {
        Self {
            models: vec![FillModelName::Pessimistic, FillModelName::Central, FillModelName::Optimistic],
            central_power: 3.0,
            taker_book: TakerBookName::KPlus1,
            beyond_book: BeyondBookName::Reject,
            beyond_book_penalty_ticks: 2,
        }
    }
}

/// What the exchange and the broker charge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeeSpec {
    /// Factor on the exchange's fees.
    pub broker_markup: f64,
    /// Nothing is charged: for comparison with other engines only.
    pub free: bool,
}

impl Default for FeeSpec {
    fn default() -> Self {
        Self { broker_markup: 1.0, free: false }
    }
}

/// What is held against a position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MarginSpec {
    /// Added to the exchange's rate.
    pub broker_add: f64,
    /// The larger of a product's long and short counts.
    pub large_side: bool,
}

impl Default for MarginSpec {
    fn default() -> Self {
        Self { broker_add: 0.0, large_side: true }
    }
}

/// Money and marks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountSpec {
    /// Money at the start.
    pub initial_cny: f64,
    /// Price at which an open position is valued.
    pub mark: MarkName,
    /// Which lots an automatic close takes first.
    pub close_first: CloseFirstName,
}

/// Price at which an open position is valued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkName {
    /// The last traded price.
    Last,
    /// The middle of the best quotes.
    Mid,
}

/// Which lots an automatic close takes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum CloseFirstName {
    Today,
    Yesterday,
    Cheapest,
}

impl Default for AccountSpec {
    fn default() -> Self {
        Self { initial_cny: 1_000_000.0, mark: MarkName::Last, close_first: CloseFirstName::Today }
    }
}

/// Limits on orders; 0 is a limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RiskSpec {
    /// Largest position, long or short.
    pub max_abs_position: u32,
    /// Largest single order.
    pub max_order_lots: u32,
}

impl Default for RiskSpec {
    fn default() -> Self {
        Self { max_abs_position: 10, max_order_lots: 10 }
    }
}

/// What happens to a position when the main contract changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RollSpec {
    /// The rule.
    pub policy: RollPolicy,
    /// Ticks by which the last price is worsened where the old contract has no book any more.
    pub penalty_ticks: u32,
}

/// What happens to a position when the main contract changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollPolicy {
    /// Closed in the old contract and opened again in the new one.
    Transfer,
    /// Closed in the old contract.
    Flatten,
    /// A position over a roll ends the run.
    Ignore,
}

impl Default for RollSpec {
    fn default() -> Self {
        Self { policy: RollPolicy::Transfer, penalty_ticks: 5 }
    }
}

/// How results are expressed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricSpec {
    /// Trading days a year.
    pub annual_days: u32,
}

impl Default for MetricSpec {
    fn default() -> Self {
        Self { annual_days: 252 }
    }
}

impl RunSpec {
    /// A run of one strategy on all days there are, with every default.
    pub fn of_strategy(name: &str, variety: &str, strategy: PluginSpec) -> Self {
        Self {
            version: 1,
            name: name.to_owned(),
            variety: variety.to_owned(),
            data: main_l5(),
            from: None,
            to: None,
            seed: 0,
            lineup: LineupSpec { features: Vec::new(), model: None, strategy },
            fills: FillSpec::default(),
            latency: LatencySpec::default(),
            fees: FeeSpec::default(),
            margin: MarginSpec::default(),
            account: AccountSpec::default(),
            risk: RiskSpec::default(),
            roll: RollSpec::default(),
            metrics: MetricSpec::default(),
        }
    }

    /// Reads a specification; `file` names it in messages, `overrides` (`key=value`) win over what stands in it.
    ///
    /// # Errors
    /// Code `bad_spec` with every finding at once.
    pub fn parse(text: &str, file: &str, overrides: &[String]) -> Result<Self, Problem> {
        Self::parse_with(text, file, &[], overrides)
    }

    /// As [`Self::parse`]; `defaults` (dotted key, value) stand in for keys that neither file nor overrides give.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_with(
        text: &str,
        file: &str,
        defaults: &[(&str, toml::Value)],
        overrides: &[String],
    ) -> Result<Self, Problem> {
        let mut table: toml::Table = text.parse().map_err(|e| no_toml(file, text, &e))?;
        for item in overrides {
            set(&mut table, item)?;
        }
        for (path, value) in defaults {
            let (section, key) = path.split_once('.').unwrap_or(("", path));
            let at = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            // A section that is none is a finding below.
            if let Some(at) = at.as_table_mut() {
                at.entry((*key).to_owned()).or_insert_with(|| value.clone());
            }
        }
        let mut findings = check(&table, KEYS);
        findings.extend(deeper(&table));
        if !findings.is_empty() {
            return Err(findings_problem("bad_spec", file, &findings));
        }
        table.try_into().map_err(|e: toml::de::Error| {
            Problem::new("bad_spec", ErrorClass::User, format!("{file}: {}", e.message()), "mend the key named")
        })
    }

    /// Puts the delays of every trace file into the specification, which then needs no file any more.
    ///
    /// `read` gives the text of a file as the specification names it; `file` names the specification in messages.
    ///
    /// # Errors
    /// Code `bad_spec` with every finding at once.
    pub fn read_traces(&mut self, file: &str, read: impl Fn(&str) -> std::io::Result<String>) -> Result<(), Problem> {
        let mut findings = Vec::new();
        let latency = &mut self.latency;
        for (key, delay) in [("latency.order", &mut latency.order), ("latency.cancel", &mut latency.cancel)] {
            let Some(trace) = delay.unread().map(str::to_owned) else { continue };
            match read(&trace) {
                Ok(text) => findings.extend(delay.take_trace(key, &text).err()),
                Err(e) => {
                    findings.push(Finding {
                        key: format!("{key}.file"),
                        value: trace,
                        what: format!("cannot be read: {e}"),
                    });
                }
            }
        }
        if findings.is_empty() { Ok(()) } else { Err(findings_problem("bad_spec", file, &findings)) }
    }
}

/// What is wrong inside single values, as far as they have the right type.
fn deeper(table: &toml::Table) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut wrong = |key: &str, value: &dyn std::fmt::Display, what: String| {
        findings.push(Finding { key: key.to_owned(), value: value.to_string(), what });
    };
    let text = |key: &str| table.get(key).and_then(toml::Value::as_str);
    if let Some(variety) = text("variety")
        && let Err(e) = variety.parse::<Variety>()
    {
        wrong("variety", &variety, e.to_string());
    }
    let mut day = |key: &str| match text(key).map(|text| (text, text.parse::<TradingDay>())) {
        Some((_, Ok(day))) => Some(day),
        Some((text, Err(e))) => {
            wrong(key, &text, e.to_string());
            None
        }
        None => None,
    };
    if let (Some(from), Some(to)) = (day("from"), day("to"))
        && from > to
    {
        wrong("from", &from, format!("lies after to = {to}"));
    }
    let inner = |section: &str, key: &str| table.get(section).and_then(|s| s.get(key));
    if let Some(models) = inner("fills", "models").and_then(toml::Value::as_array) {
        let mut seen: Vec<&str> = Vec::new();
        for model in models.iter().filter_map(toml::Value::as_str) {
            if seen.contains(&model) {
                wrong("fills.models", &model, "stands there twice".to_owned());
            }
            seen.push(model);
        }
        if models.is_empty() {
            wrong("fills.models", &"[]", format!("needs at least one of {}", MODELS.join(", ")));
        }
    }
    for (key, name) in [("latency.order", "order"), ("latency.cancel", "cancel")] {
        let Some(value) = inner("latency", name) else { continue };
        match value.clone().try_into::<Delay>() {
            Ok(delay) => findings.extend(delay.finding(key)),
            Err(e) => {
                let value: String = value.to_string().chars().take(80).collect();
                findings.push(Finding { key: key.to_owned(), value, what: e.message().to_owned() });
            }
        }
    }
    findings
}

/// Puts `key=value` into a table; the value is TOML, or a text if it is none.
fn set(table: &mut toml::Table, item: &str) -> Result<(), Problem> {
    let bad = |what: String| Problem::new("bad_override", ErrorClass::User, what, "write --with latency.feed_us=0");
    let (path, value) = item.split_once('=').ok_or_else(|| bad(format!("`{item}` is no key=value")))?;
    let value = format!("v = {value}")
        .parse::<toml::Table>()
        .ok()
        .and_then(|mut t| t.remove("v"))
        // A day is a text here.
        .filter(|v| !v.is_datetime())
        .unwrap_or_else(|| toml::Value::String(value.to_owned()));
    let mut at = table;
    let mut parts: Vec<&str> = path.trim().split('.').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let next = at.entry(part).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        at = next.as_table_mut().ok_or_else(|| bad(format!("`{part}` in `{path}` is no section")))?;
    }
    at.insert(last.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "version = 1\nname = 'x'\nvariety = 'cu'\n[lineup.strategy]\nplugin = 'maker.wasm'\n";

    /// B-02: what is wrong inside a delay, a day or a list is found with everything else.
    #[test]
    fn faults_inside_values_are_found_with_the_others() {
        let text = "version = 1\nname = 'x'\nvariety = '9'\nfrom = '2025-07-02'\nto = '2025-07-01'\n\
                    [lineup.strategy]\nplugin = 'maker.wasm'\n\
                    [fills]\nmodels = ['touch', 'touch']\ntaker_book = 'next'\n\
                    [latency]\norder = { kind = 'lognormal', median_us = 0, sigma = 9.0, max_us = 1 }\n\
                    cancel = { kind = 'guess' }\n[account]\ninitial_cny = 0\n";
        let problem = RunSpec::parse(text, "run.toml", &[]).expect_err("seven faults");
        for part in [
            "7 things",
            "variety = 9",
            "from = 2025-07-02: lies after to = 2025-07-01",
            "fills.models = touch: stands there twice",
            "fills.taker_book",
            "latency.order = median_us 0, sigma 9, max_us 1: needs 0 < median_us",
            "latency.cancel",
            "constant",
            "account.initial_cny = 0",
        ] {
            assert!(problem.what.contains(part), "{part} in {}", problem.what);
        }
    }

    /// B-08: a trace is read once; what is written then needs no file.
    #[test]
    fn a_trace_becomes_part_of_the_specification() {
        let with = ["latency.order={ kind = 'trace', file = 'delays.txt' }".to_owned()];
        let spec = RunSpec::parse(GOOD, "run.toml", &with).expect("a good specification");
        assert_eq!(spec.latency.order.unread(), Some("delays.txt"));
        let read = |text: &'static str| {
            let mut spec = spec.clone();
            let done = spec.read_traces("run.toml", |file| {
                assert_eq!(file, "delays.txt");
                Ok(text.to_owned())
            });
            done.map(|()| spec)
        };
        let spec = read("# measured\n500\n\n700 # slow\n").expect("two delays");
        assert_eq!(spec.latency.order, Delay::Trace { file: None, us: vec![500, 700] });
        let text = toml::to_string(&spec).expect("TOML");
        assert!(!text.contains("delays.txt"));
        assert_eq!(RunSpec::parse(&text, "run.toml", &[]).expect("the same"), spec);
        let (mut rng, mut sent) = (ghtrader_stats::Rng::new(1), 0);
        let drawn: Vec<i64> = (0..5).map(|_| spec.latency.order.draw_us(&mut rng, &mut sent)).collect();
        assert_eq!(drawn, [500, 700, 500, 700, 500], "in their order, and again");
        for (text, why) in [
            ("", "1 to 100000 delays"),
            ("# nothing", "1 to 100000 delays"),
            ("500\nfast", "line 2 of delays.txt"),
            ("-1", "line 1 of delays.txt"),
            ("10000001", "[0, 10000000]"),
        ] {
            let problem = read(text).expect_err(text);
            assert_eq!(problem.code, "bad_spec");
            assert!(problem.what.contains(why), "{why} in {}", problem.what);
        }
        let mut unreadable = RunSpec::parse(GOOD, "run.toml", &with).expect("a good specification");
        let gone = |_: &str| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
        let problem = unreadable.read_traces("run.toml", gone).expect_err("no such file");
        assert!(problem.what.contains("latency.order.file = delays.txt"), "{}", problem.what);
        let both = ["latency.order={ kind = 'trace', file = 'a', us = [1] }".to_owned()];
        assert!(RunSpec::parse(GOOD, "run.toml", &both).is_err());
    }

    /// B-02
    #[test]
    fn three_faults_are_three_findings() {
        let text = format!("{GOOD}[fills]\nmodels = ['best']\n[risk]\nmax_order_lots = -1\n[latency]\nfeed = 3\n");
        let problem = RunSpec::parse(&text, "run.toml", &[]).expect_err("three faults");
        assert_eq!((problem.code, problem.class), ("bad_spec", ErrorClass::User));
        for part in ["3 things", "fills.models", "risk.max_order_lots = -1", "[0, 100000]", "latency.feed = 3"] {
            assert!(problem.what.contains(part), "{part} in {}", problem.what);
        }
    }

    #[test]
    fn defaults_are_filled_in_and_zero_is_a_value() {
        let spec = RunSpec::parse(GOOD, "run.toml", &["risk.max_abs_position=0".into(), "from=2025-07-01".into()]);
        let spec = spec.expect("a good specification");
        assert_eq!(spec.risk.max_abs_position, 0);
        assert_eq!(spec.from.map(|d| d.to_string()).as_deref(), Some("2025-07-01"));
        assert_eq!(spec.fills.models.len(), 3);
    }

    /// B-18: a result folder keeps its specification, which has to be read again.
    #[test]
    fn what_is_written_is_read_again() {
        let overrides = [
            "fills.taker_book=k",
            "fills.taker_book=k_plus_1",
            "fills.taker_book=both",
            "fills.beyond_book=penalty",
            "account.mark=mid",
            "account.close_first=yesterday",
            "roll.policy=flatten",
            "fills.models=['cross_only', 'touch']",
            "from=2025-07-01",
        ];
        for item in overrides {
            let spec = RunSpec::parse(GOOD, "run.toml", &[item.to_owned()]).expect(item);
            let text = toml::to_string(&spec).expect("TOML");
            assert_eq!(RunSpec::parse(&text, "run.toml", &[]).expect(item), spec, "{item}");
        }
    }

    #[test]
    fn a_default_of_the_settings_yields_to_the_file() {
        let defaults =
            [("latency.feed_us", toml::Value::Integer(7)), ("metrics.annual_days", toml::Value::Integer(244))];
        let text = format!("{GOOD}[latency]\nfeed_us = 0\n");
        let spec = RunSpec::parse_with(&text, "run.toml", &defaults, &[]).expect("a good specification");
        assert_eq!((spec.latency.feed_us, spec.metrics.annual_days), (0, 244));
    }

    #[test]
    fn days_in_the_wrong_order_are_refused() {
        let overrides = ["from=2025-07-02".to_owned(), "to=2025-07-01".to_owned()];
        assert!(RunSpec::parse(GOOD, "run.toml", &overrides).is_err());
        assert!(RunSpec::parse(GOOD, "run.toml", &["from=2025-02-30".to_owned()]).is_err());
    }
}
