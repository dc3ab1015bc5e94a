//! The settings that hold: built-in, then the file, then the environment, then the command line.

use crate::check::shown_of;
use crate::table::{SETTINGS, Setting, VARIETIES, VARIETY_SECTIONS, settings};
use crate::{Finding, Kind, check, findings_problem, nearest, no_toml};
use ghtrader_core::{Digest, DigestBuilder, Problem};
use serde::Serialize;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// Prefix of the environment's names.
const PREFIX: &str = "GHTRADER_";
/// Names with that prefix that are no settings.
const RESERVED: &[&str] = &[
    "GHTRADER_ROOT",
    "GHTRADER_CONFIG",
    "GHTRADER_TOKEN",
    "GHTRADER_ARTEFACTS",
    "GHTRADER_PYTHON",
    "GHTRADER_DIFF_PYTHON",
    "GHTRADER_QUESTDB_JAR",
    "GHTRADER_QUESTDB_PASSWORD",
    // What is secret is no setting: `config show` shows settings.
    "GHTRADER_DIFF_USER",
    "GHTRADER_DIFF_PASSWORD",
    "GHTRADER_DIFF_CLIENT_ID",
    "GHTRADER_DIFF_CLIENT_SECRET",
];
const RESERVED_PREFIX: &str = "GHTRADER_JOB_";

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// No one said anything else.
    BuiltIn,
    /// The file of this name.
    File(String),
    /// The variable of this name.
    Environment(String),
    /// `--set`.
    CommandLine,
}

/// One effective value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effective {
    /// The value; absent = unset.
    pub value: Option<Value>,
    /// Where it comes from.
    pub origin: Origin,
}

/// All settings as they hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Settings {
    values: BTreeMap<&'static str, Effective>,
}

impl Default for Settings {
    fn default() -> Self {
        let one = |s: &Setting| (s.key.path, Effective { value: literal(s.default), origin: Origin::BuiltIn });
        Self { values: SETTINGS.iter().map(one).collect() }
    }
}

/// A TOML value, `None` for an empty text.
fn literal(text: &str) -> Option<Value> {
    format!("v = {text}").parse::<Table>().ok().and_then(|mut t| t.remove("v"))
}

/// The environment's name of a key: `plugin.memory_mib` → `GHTRADER_PLUGIN_MEMORY_MIB`.
pub fn environment_name(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "_").to_ascii_uppercase())
}

impl Settings {
    /// Settles all sources; `file` is (name, text), `environment` all variables, `overrides` are `key=value`.
    ///
    /// # Errors
    /// Code `bad_settings` with every finding of every source at once.
    pub fn resolve(
        file: Option<(&str, &str)>,
        environment: impl IntoIterator<Item = (String, String)>,
        overrides: &[String],
    ) -> Result<Self, Problem> {
        let mut effective = Self::default();
        let mut findings: Vec<Finding> = Vec::new();
        if let Some((name, text)) = file {
            let table: Table = text.parse().map_err(|e| no_toml(name, text, &e))?;
            let keys: Vec<_> = settings().iter().map(|s| s.key).collect();
            let found = check(&table, &keys).into_iter().map(|f| Finding { key: format!("{name}: {}", f.key), ..f });
            findings.extend(found);
            for setting in settings() {
                if let Some(value) = at(&table, setting.key.path) {
                    effective.put(setting, value.clone(), Origin::File(name.to_owned()));
                }
            }
        }
        let mut variables: Vec<(String, String)> =
            environment.into_iter().filter(|(n, _)| n.starts_with(PREFIX)).collect();
        variables.sort();
        for (name, text) in variables {
            if RESERVED.contains(&name.as_str()) || name.starts_with(RESERVED_PREFIX) {
                continue;
            }
            match settings().iter().find(|s| environment_name(s.key.path) == name) {
                Some(setting) => effective.text(setting, &text, Origin::Environment(name), &mut findings),
                None => {
                    let names: Vec<String> = settings().iter().map(|s| environment_name(s.key.path)).collect();
                    let names = names.iter().map(String::as_str).chain(RESERVED.iter().copied());
                    findings.push(unknown(&name, &text, names));
                }
            }
        }
        for item in overrides {
            let (path, text) = item.split_once('=').unwrap_or((item, ""));
            match settings().iter().find(|s| s.key.path == path.trim()) {
                Some(setting) => effective.text(setting, text.trim(), Origin::CommandLine, &mut findings),
                None => findings.push(unknown(path.trim(), text, settings().iter().map(|s| s.key.path))),
            }
        }
        if findings.is_empty() {
            Ok(effective)
        } else {
            Err(findings_problem("bad_settings", "the settings", &findings))
        }
    }

    fn put(&mut self, setting: &Setting, value: Value, origin: Origin) {
        self.values.insert(setting.key.path, Effective { value: Some(value), origin });
    }

    /// Takes a value as typed: TOML, or a plain text where the setting is one.
    fn text(&mut self, setting: &Setting, text: &str, origin: Origin, findings: &mut Vec<Finding>) {
        // No setting is a date by TOML's measure: one that is typed as such is a text.
        let value = literal(text).filter(|v| !v.is_datetime()).unwrap_or_else(|| Value::String(text.to_owned()));
        let mut table = Table::new();
        let mut at = &mut table;
        let mut parts: Vec<&str> = setting.key.path.split('.').collect();
        let last = parts.pop().unwrap_or_default();
        for part in parts {
            let next = at.entry(part).or_insert_with(|| Value::Table(Table::new()));
            let Some(inner) = next.as_table_mut() else { return };
            at = inner;
        }
        at.insert(last.to_owned(), value.clone());
        let found = check(&table, &[setting.key]);
        if found.is_empty() {
            self.put(setting, value, origin);
        } else {
            let from = match &origin {
                Origin::Environment(name) => name.clone(),
                _ => "--set".to_owned(),
            };
            findings.extend(found.into_iter().map(|f| Finding { key: format!("{from}: {}", f.key), ..f }));
        }
    }

    /// The same settings with one text replaced by the program itself; a key that does not exist is left out.
    #[must_use]
    pub fn with_text(mut self, path: &str, text: &str) -> Self {
        if let Some(setting) = settings().iter().find(|s| s.key.path == path) {
            self.put(setting, Value::String(text.to_owned()), Origin::CommandLine);
        }
        self
    }

    /// All values by key; of those for single products the ones that are set.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Effective)> {
        self.values.iter().map(|(k, v)| (*k, v))
    }

    /// The key that holds for a product: its own where one is set, else the general one.
    pub fn key_for(&self, product: &str, path: &'static str) -> &'static str {
        let own = format!("variety.{product}.{path}");
        self.values.get_key_value(own.as_str()).map_or(path, |(key, _)| key)
    }

    /// A setting with where it comes from.
    pub fn effective(&self, path: &str) -> Option<&Effective> {
        self.values.get(path)
    }

    fn value(&self, path: &str) -> Option<&Value> {
        debug_assert!(self.values.contains_key(path), "no setting {path}");
        self.values.get(path).and_then(|e| e.value.as_ref())
    }

    /// A text; `None` if unset.
    pub fn text_of(&self, path: &str) -> Option<&str> {
        self.value(path).and_then(Value::as_str)
    }

    /// A whole number within its bounds.
    pub fn integer(&self, path: &str) -> i64 {
        self.value(path).and_then(Value::as_integer).unwrap_or_default()
    }

    /// A number within its bounds.
    pub fn number(&self, path: &str) -> f64 {
        self.value(path).and_then(|v| v.as_float().or(v.as_integer().map(|i| i as f64))).unwrap_or_default()
    }

    /// A list of whole numbers.
    pub fn integers(&self, path: &str) -> Vec<i64> {
        let list = self.value(path).and_then(Value::as_array);
        list.map(|l| l.iter().filter_map(Value::as_integer).collect()).unwrap_or_default()
    }

    /// A list of texts.
    pub fn texts(&self, path: &str) -> Vec<String> {
        let list = self.value(path).and_then(Value::as_array);
        list.map(|l| l.iter().filter_map(Value::as_str).map(str::to_owned).collect()).unwrap_or_default()
    }

    /// true or false.
    pub fn flag(&self, path: &str) -> bool {
        self.value(path).and_then(Value::as_bool).unwrap_or_default()
    }

    /// Digest over all values, not their origins.
    pub fn digest(&self) -> Digest {
        let mut b = DigestBuilder::new("ghtrader settings 1");
        for (key, effective) in &self.values {
            // Unset is written as an empty text in the commented file: both mean the same.
            b.text(key).text(&effective.value.as_ref().map_or_else(|| "\"\"".to_owned(), ToString::to_string));
        }
        b.finish()
    }
}

fn at<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(a, b)| (a, Some(b)));
    let value = table.get(first)?;
    match rest {
        None => Some(value),
        Some(rest) => at(value.as_table()?, rest),
    }
}

fn unknown<'a>(name: &str, text: &str, names: impl Iterator<Item = &'a str>) -> Finding {
    let what = match nearest(name, names) {
        Some(near) => format!("there is no such setting; is `{near}` meant?"),
        None => "there is no such setting".to_owned(),
    };
    Finding { key: name.to_owned(), value: shown_of(name, text), what }
}

/// The commented settings file that `ghtrader init` writes.
pub fn commented_file() -> String {
    let mut text = String::from(
        "# Settings of ghTrader. Every line shows a default; remove the # to change it.\n# Later wins: this file, then \
         GHTRADER_… variables, then --set key=value.\n",
    );
    let mut section = "";
    for setting in SETTINGS {
        let path = setting.key.path;
        let (own, name) = path.split_once('.').unwrap_or(("", path));
        if own != section {
            text.push_str(&format!("\n[{own}]\n"));
            section = own;
        }
        let (about, bounds) = (setting.about, setting.key.kind.bounds());
        text.push_str(&match (setting.default, setting.key.kind) {
            ("", Kind::Text) => format!("# {about}{bounds}\n#{name} = \"\"\n"),
            // There is no word for a number that is not set.
            ("", _) => format!("# {about}{bounds}\n# {name} =\n"),
            (default, _) => format!("# {about}{bounds}\n#{name} = {default}\n"),
        });
    }
    let (products, sections) = (VARIETIES.join(", "), VARIETY_SECTIONS.join(", "));
    text.push_str(&format!(
        "\n# For one product alone ({products}): any key of {sections}.\n# [variety.cu.l5_validate]\n# gap_threshold_s = 8\n"
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    /// P-09
    #[test]
    fn faults_of_all_sources_are_found_at_once() {
        let file = ("ghtrader.toml", "[plugin]\nmemory_mib = 0\nmemry = 3\n");
        let problem = Settings::resolve(Some(file), env(&[("GHTRADER_BUILD_BLOCK_ROWS", "3")]), &["x=1".into()]);
        let what = problem.expect_err("four faults").what;
        for part in ["4 things", "plugin.memory_mib = 0: lies outside [1, 4096]", "GHTRADER_BUILD_BLOCK_ROWS", "x = 1"]
        {
            assert!(what.contains(part), "{part} in {what}");
        }
        // A name that was mistyped may have been that of a secret.
        let file = ("ghtrader.toml", "[diff]\npassword = 'x7'\n");
        let variables = env(&[("GHTRADER_DIFF_PASSWORT", "x7")]);
        let problem = Settings::resolve(Some(file), variables, &["diff.secret=x7".into()]);
        let what = problem.expect_err("three faults").what;
        assert!(!what.contains("x7") && what.contains("is `GHTRADER_DIFF_PASSWORD` meant?"), "{what}");
    }

    /// P-10, P-11, P-12
    #[test]
    fn later_sources_win_and_zero_is_a_value() {
        let file = ("ghtrader.toml", "[schedule]\nmin_days_to_expiry = 0\n[build]\nworkers = 1\n");
        let variables = env(&[("GHTRADER_BUILD_WORKERS", "2"), ("GHTRADER_ROOT", "x"), ("HOME", "y")]);
        let s = Settings::resolve(Some(file), variables, &["backtest.feed_us=0".into()]).expect("good settings");
        assert_eq!(s.integer("schedule.min_days_to_expiry"), 0);
        assert_eq!((s.integer("build.workers"), s.integer("backtest.feed_us")), (2, 0));
        let origin = |key: &str| s.iter().find(|(k, _)| *k == key).map(|(_, e)| e.origin.clone());
        assert_eq!(origin("build.workers"), Some(Origin::Environment("GHTRADER_BUILD_WORKERS".into())));
        assert_eq!(origin("build.block_rows"), Some(Origin::BuiltIn));
        assert_ne!(s.digest(), Settings::default().digest());
    }

    /// P-03, P-12
    #[test]
    fn defaults_are_lawful_and_names_unique() {
        let uncommented =
            |line: &str| line.strip_prefix('#').filter(|l| !l.starts_with(' ')).unwrap_or(line).to_owned();
        let lines: Vec<String> = commented_file().lines().map(uncommented).collect();
        let text = lines.join("\n");
        assert!(text.contains("\nblock_rows = 2048"));
        let resolved = Settings::resolve(Some(("ghtrader.toml", &text)), [], &[]);
        assert!(resolved.is_ok(), "{resolved:?}");
        let mut names: Vec<String> = settings().iter().map(|s| environment_name(s.key.path)).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), settings().len());
    }

    /// D-29: a product's own value wins, from whatever source, and 0 is one.
    #[test]
    fn a_product_may_have_its_own() {
        let file =
            ("ghtrader.toml", "[l5_validate]\ngap_threshold_s = 6\n[variety.cu.l5_validate]\ngap_block_gt30 = 0\n");
        let variables = env(&[("GHTRADER_VARIETY_CU_L5_VALIDATE_GAP_THRESHOLD_S", "8")]);
        let s = Settings::resolve(Some(file), variables, &[]).expect("good settings");
        let threshold = |product| s.number(s.key_for(product, "l5_validate.gap_threshold_s"));
        assert_eq!((threshold("cu"), threshold("au")), (8.0, 6.0));
        let key = s.key_for("cu", "l5_validate.gap_block_gt30");
        let effective = s.effective(key).expect("a value");
        assert_eq!(
            (key, &effective.origin),
            ("variety.cu.l5_validate.gap_block_gt30", &Origin::File("ghtrader.toml".into()))
        );
        assert_eq!(s.integer(key), 0);
        let bad = Settings::resolve(
            None,
            [],
            &["variety.cu.l5_validate.strict_ratio=2".into(), "variety.zn.schedule.source=oi".into()],
        );
        let what = bad.expect_err("two faults").what;
        assert!(what.contains("lies outside [0, 1]") && what.contains("variety.zn.schedule.source"), "{what}");
    }
}
