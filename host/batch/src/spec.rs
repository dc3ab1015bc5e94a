//! The specification of a batch: what a person writes in TOML, checked as a whole.

use crate::axes::{Axis, Sample, axes_of};
use ghtrader_backtest::{Delay, FillSpec, RunSpec};
use ghtrader_core::{Problem, TradingDay};
use ghtrader_settings::{Finding, Key, Kind, check, findings_problem, no_toml};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use toml::{Table, Value};

const PLUGIN: &[Key] = &[Key::required("plugin", Kind::Text), Key::optional("params", Kind::Open)];
const KEYS: &[Key] = &[
    Key::required("version", Kind::Integer { min: 1, max: 1 }),
    Key::required("name", Kind::Text),
    Key::required("varieties", Kind::Texts),
    Key::optional("from", Kind::Text),
    Key::optional("to", Kind::Text),
    Key::optional("split", Kind::Word(&["none", "month", "day"])),
    Key::optional("run", Kind::Open),
    Key::optional("fills", Kind::Tables(FILLS)),
    Key::required(
        "lineups",
        Kind::Tables(&[
            Key::optional("name", Kind::Text),
            Key::optional("features", Kind::Tables(PLUGIN)),
            Key::optional("model.artifact", Kind::Text),
            Key::optional("strategy.plugin", Kind::Text),
            Key::optional("strategy.plugins", Kind::Texts),
            Key::optional("strategy.params", Kind::Open),
            Key::optional("grid", Kind::Open),
        ]),
    ),
    Key::optional("grid", Kind::Open),
    Key::optional("sample.draws", Kind::Integer { min: 1, max: 10_000_000 }),
    Key::optional("sample.seed", Kind::Integer { min: 0, max: i64::MAX }),
];
/// What a table of `[[fills]]` may hold; its values are checked where a run's are.
const FILLS: &[Key] = &[
    Key::optional("models", Kind::Texts),
    Key::optional("central_power", Kind::Open),
    Key::optional("taker_book", Kind::Text),
    Key::optional("beyond_book", Kind::Text),
    Key::optional("beyond_book_penalty_ticks", Kind::Open),
];
/// Sections of `[run]`: those of a run specification that say neither what decides nor on which days.
const RUN: &[&str] = &["seed", "fills", "latency", "fees", "margin", "account", "risk", "roll", "metrics"];

/// How the days of a batch are cut into jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// All days in one job.
    #[default]
    None,
    /// A job a calendar month.
    Month,
    /// A job a trading day.
    Day,
}

/// A plugin as a specification names it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct PluginEntry {
    pub(crate) plugin: String,
    #[serde(default)]
    pub(crate) params: BTreeMap<String, Value>,
}

/// A lineup of a batch; several strategies make several lineups.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LineupEntry {
    pub(crate) name: String,
    pub(crate) features: Vec<PluginEntry>,
    pub(crate) model: Option<String>,
    pub(crate) strategy: PluginEntry,
    pub(crate) axes: Vec<Axis>,
}

/// A batch as specified; every default is filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchSpec {
    /// A name for people.
    pub name: String,
    pub(crate) varieties: Vec<String>,
    pub(crate) from: Option<TradingDay>,
    pub(crate) to: Option<TradingDay>,
    pub(crate) split: Split,
    /// What all jobs of one set of fill models have in common, one entry a set.
    pub(crate) runs: Vec<RunSpec>,
    pub(crate) lineups: Vec<LineupEntry>,
    pub(crate) sample: Option<Sample>,
}

impl BatchSpec {
    /// Reads a specification; `file` names it in messages, `defaults` (dotted key, value) stand in for what `[run]` leaves
    /// out.
    ///
    /// # Errors
    /// Code `bad_batch_spec` with every finding at once, `bad_toml`.
    pub fn parse(text: &str, file: &str, defaults: &[(&str, Value)]) -> Result<Self, Problem> {
        let mut table: Table = text.parse().map_err(|e| no_toml(file, text, &e))?;
        // One product is the usual case.
        if let (false, Some(Value::String(one))) = (table.contains_key("varieties"), table.get("variety")) {
            let one = Value::Array(vec![Value::String(one.clone())]);
            table.remove("variety");
            table.insert("varieties".to_owned(), one);
        }
        let mut findings = check(&table, KEYS);
        let bad = |findings: &[Finding]| findings_problem("bad_batch_spec", file, findings);
        if !findings.is_empty() {
            return Err(bad(&findings));
        }
        let day = |key: &str, findings: &mut Vec<Finding>| {
            let text = table.get(key).and_then(Value::as_str)?;
            text.parse::<TradingDay>().map_err(|e| findings.push(finding(key, text, e.to_string()))).ok()
        };
        let (from, to) = (day("from", &mut findings), day("to", &mut findings));
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            findings.push(finding("from", &from.to_string(), format!("lies after to = {to}")));
        }
        let varieties = texts(table.get("varieties"));
        if varieties.is_empty() {
            findings.push(finding("varieties", "[]", "needs at least one product, such as cu".to_owned()));
        }
        let split = match table.get("split").and_then(Value::as_str) {
            Some("month") => Split::Month,
            Some("day") => Split::Day,
            _ => Split::None,
        };
        let common = axes_of("grid", table.get("grid"), &mut findings);
        let lineups = lineups(&table, &common, &mut findings);
        let sample = table.get("sample").and_then(Value::as_table).map(|t| {
            let whole = |key: &str| t.get(key).and_then(Value::as_integer).map(i64::unsigned_abs);
            Sample { draws: whole("draws").unwrap_or(0), seed: whole("seed").unwrap_or(0) }
        });
        if sample.is_some_and(|s| s.draws == 0) {
            findings.push(finding("sample.draws", "", "is missing".to_owned()));
        }
        for lineup in &lineups {
            for axis in &lineup.axes {
                findings.extend(axis.finding(sample.is_some()));
            }
        }
        let runs = runs(&table, file, defaults, &mut findings)?;
        if !findings.is_empty() {
            findings.dedup();
            return Err(bad(&findings));
        }
        let name = table.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Self { name, varieties, from, to, split, runs, lineups, sample })
    }

    /// As [`RunSpec::read_traces`], for what all jobs have in common.
    ///
    /// # Errors
    /// As there.
    pub fn read_traces(&mut self, file: &str, read: impl Fn(&str) -> std::io::Result<String>) -> Result<(), Problem> {
        self.runs.iter_mut().try_for_each(|run| run.read_traces(file, &read))
    }
}

impl BatchSpec {
    /// Every plugin, model and trace of delays that it names, by path or reference.
    pub fn files(&self) -> Vec<&str> {
        let decide = self.lineups.iter().flat_map(|l| {
            let plugins = l.features.iter().chain([&l.strategy]).map(|p| p.plugin.as_str());
            plugins.chain(l.model.as_deref())
        });
        let delays = self.runs.iter().flat_map(|r| [&r.latency.order, &r.latency.cancel]);
        decide.chain(delays.filter_map(Delay::unread)).collect()
    }
}

fn finding(key: &str, value: &str, what: String) -> Finding {
    Finding { key: key.to_owned(), value: value.to_owned(), what }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array);
    list.map(|l| l.iter().filter_map(Value::as_str).map(str::to_owned).collect()).unwrap_or_default()
}

fn lineups(table: &Table, common: &[Axis], findings: &mut Vec<Finding>) -> Vec<LineupEntry> {
    let mut lineups: Vec<LineupEntry> = Vec::new();
    let entries = table.get("lineups").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if entries.is_empty() {
        findings.push(finding("lineups", "[]", "needs at least one lineup".to_owned()));
    }
    for (i, entry) in entries.iter().filter_map(Value::as_table).enumerate() {
        let key = |name: &str| format!("lineups[{i}].{name}");
        let features: Vec<PluginEntry> =
            entry.get("features").and_then(|f| f.clone().try_into().ok()).unwrap_or_default();
        let model = entry.get("model").and_then(|m| m.get("artifact")).and_then(Value::as_str).map(str::to_owned);
        let strategy = entry.get("strategy");
        let one = strategy.and_then(|s| s.get("plugin")).and_then(Value::as_str).map(str::to_owned);
        let several = texts(strategy.and_then(|s| s.get("plugins")));
        if one.is_some() != several.is_empty() {
            let what = "give one `plugin`, or several in `plugins`".to_owned();
            findings.push(finding(&key("strategy"), "", what));
        }
        let params: BTreeMap<String, Value> =
            strategy.and_then(|s| s.get("params")).and_then(|p| p.clone().try_into().ok()).unwrap_or_default();
        let own = axes_of(&key("grid"), entry.get("grid"), findings);
        let kept = common.iter().filter(|c| own.iter().all(|o| o.key != c.key)).cloned();
        let mut axes: Vec<Axis> = own.iter().cloned().chain(kept).collect();
        axes.sort_by(|a, b| a.key.cmp(&b.key));
        let named = entry.get("name").and_then(Value::as_str);
        let many = several.len() > 1;
        for plugin in one.into_iter().chain(several) {
            let name = match named {
                Some(name) if many => format!("{name} {plugin}"),
                Some(name) => name.to_owned(),
                None => plugin.clone(),
            };
            if lineups.iter().any(|l| l.name == name) {
                findings.push(finding(&key("name"), &name, "is there twice".to_owned()));
            }
            let strategy = PluginEntry { plugin, params: params.clone() };
            let (features, model, axes) = (features.clone(), model.clone(), axes.clone());
            lineups.push(LineupEntry { name, features, model, strategy, axes });
        }
    }
    lineups
}

/// One run specification a set of fill models, without days and lineup.
fn runs(
    table: &Table,
    file: &str,
    defaults: &[(&str, Value)],
    findings: &mut Vec<Finding>,
) -> Result<Vec<RunSpec>, Problem> {
    let mut base = Table::new();
    if let Some(run) = table.get("run") {
        let Some(run) = run.as_table() else {
            findings.push(finding("run", &run.to_string(), "is a section; write its keys below it".to_owned()));
            return Ok(Vec::new());
        };
        for (key, value) in run {
            if !RUN.contains(&key.as_str()) {
                let what = format!("is no section of [run]; there are {}", RUN.join(", "));
                findings.push(finding(&format!("run.{key}"), &value.to_string(), what));
            }
            base.insert(key.clone(), value.clone());
        }
    }
    if !findings.is_empty() {
        return Ok(Vec::new());
    }
    let text = |v: &str| Value::String(v.to_owned());
    base.insert("version".to_owned(), Value::Integer(1));
    base.insert("name".to_owned(), text("batch"));
    base.insert("variety".to_owned(), text("cu"));
    let strategy: Table = [("plugin".to_owned(), text("batch"))].into_iter().collect();
    let lineup: Table = [("strategy".to_owned(), Value::Table(strategy))].into_iter().collect();
    base.insert("lineup".to_owned(), Value::Table(lineup));
    let sets = table.get("fills").and_then(Value::as_array).filter(|s| !s.is_empty());
    let sets: Vec<Option<&Value>> = sets.map_or_else(|| vec![None], |s| s.iter().map(Some).collect());
    let mut runs: Vec<RunSpec> = Vec::new();
    for set in sets {
        let mut one = base.clone();
        if let Some(set) = set {
            // What the set leaves out is as [run.fills] says it.
            let mut fills = one.get("fills").and_then(Value::as_table).cloned().unwrap_or_default();
            fills.extend(set.as_table().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
            one.insert("fills".to_owned(), Value::Table(fills));
        }
        let spec = RunSpec::parse_with(&one.to_string(), file, defaults, &[])?;
        if !runs.contains(&spec) {
            runs.push(spec);
        }
    }
    Ok(runs)
}

/// A set of fill models as a table's cell.
pub(crate) fn fills_cell(fills: &FillSpec) -> String {
    fills.models.iter().map(|m| m.as_str()).collect::<Vec<_>>().join("+")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "version = 1\nname = 'x'\nvariety = 'cu'\n[[lineups]]\nname = 'a'\n[lineups.strategy]\nplugin = \
                        'a.wasm'\n";

    #[test]
    fn one_variety_and_one_set_of_fill_models_are_the_default() {
        let spec = BatchSpec::parse(GOOD, "b.toml", &[]).expect("a good specification");
        assert_eq!((spec.varieties.len(), spec.runs.len(), spec.lineups.len()), (1, 1, 1));
        assert_eq!(spec.runs[0].fills.models.len(), 3);
    }

    #[test]
    fn several_strategies_are_several_lineups() {
        let text = GOOD.replace("plugin = 'a.wasm'", "plugins = ['a@1.0.0', 'a@1.1.0']\nparams = { edge = 1 }");
        let spec = BatchSpec::parse(&text, "b.toml", &[]).expect("a good specification");
        let names: Vec<&str> = spec.lineups.iter().map(|l| l.name.as_str()).collect();
        assert_eq!(names, ["a a@1.0.0", "a a@1.1.0"]);
    }

    /// B-22, B-02
    #[test]
    fn every_fault_is_found_at_once() {
        let text = format!("{GOOD}[grid]\nstrategy.edge = []\n[sample]\nseed = 1\n[run]\nlatncy = 3\n");
        let problem = BatchSpec::parse(&text, "b.toml", &[]).expect_err("faults");
        assert_eq!(problem.code, "bad_batch_spec");
        for part in ["sample.draws", "strategy.edge", "run.latncy"] {
            assert!(problem.what.contains(part), "{part} in {}", problem.what);
        }
        let text = format!("{GOOD}[[fills]]\nmodels = ['best']\n");
        assert_eq!(BatchSpec::parse(&text, "b.toml", &[]).expect_err("a fault").code, "bad_spec");
        let text = GOOD.replace("plugin = 'a.wasm'", "plugin = 'a.wasm'\nplugins = ['b.wasm']");
        assert!(BatchSpec::parse(&text, "b.toml", &[]).expect_err("both").what.contains("lineups[0].strategy"));
    }
}
