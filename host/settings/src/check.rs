//! Comparing a TOML table with what may stand in it.

use crate::nearest;
use ghtrader_core::{ErrorClass, Problem};
use serde::Serialize;
use toml::{Table, Value};

/// What a key holds, with its bounds (both ends included).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// true or false.
    Flag,
    /// A whole number.
    Integer {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// A finite number; a whole one is read as such.
    Number {
        /// Smallest.
        min: f64,
        /// Largest.
        max: f64,
    },
    /// Any text.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// A list of words.
    Words(&'static [&'static str]),
    /// A list of whole numbers.
    Integers {
        /// Smallest of each.
        min: i64,
        /// Largest of each.
        max: i64,
    },
    /// A table that its own reader checks.
    Open,
    /// A list of tables, each with these keys.
    Tables(&'static [Key]),
}

impl Kind {
    /// The bounds as they stand behind a description; empty if there are none.
    pub fn bounds(self) -> String {
        match self {
            Self::Integer { min, max } | Self::Integers { min, max } => format!(" [{min}, {max}]"),
            Self::Number { min, max } => format!(" [{min}, {max}]"),
            Self::Word(words) | Self::Words(words) => format!(" [{}]", words.join(", ")),
            _ => String::new(),
        }
    }
}

/// One key that may stand in a file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    /// Dotted path, such as `latency.feed_us`.
    pub path: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// It has no default.
    pub required: bool,
}

impl Key {
    /// A key with a default.
    pub const fn optional(path: &'static str, kind: Kind) -> Self {
        Self { path, kind, required: false }
    }

    /// A key that must be given.
    pub const fn required(path: &'static str, kind: Kind) -> Self {
        Self { path, kind, required: true }
    }
}

/// A text that is no TOML, by the line where it ceases to be; `file` names it.
pub fn no_toml(file: &str, text: &str, error: &toml::de::Error) -> Problem {
    let before = error.span().and_then(|span| text.as_bytes().get(..span.start));
    let line = before.map_or_else(String::new, |before| {
        format!(", line {}", before.iter().filter(|byte| **byte == b'\n').count() + 1)
    });
    let what = format!("{file}{line} is no TOML: {}", error.message());
    Problem::new("bad_toml", ErrorClass::User, what, "mend the line named")
}

/// One thing wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Dotted path of the key.
    pub key: String,
    /// The value as given; empty if there is none.
    pub value: String,
    /// What is wrong, with the bound or the nearest name.
    pub what: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.value.is_empty() {
            write!(f, "{}: {}", self.key, self.what)
        } else {
            write!(f, "{} = {}: {}", self.key, self.value, self.what)
        }
    }
}

/// Every difference between a table and the keys that may stand in it, in the order of the file, missing keys last.
pub fn check(table: &Table, keys: &[Key]) -> Vec<Finding> {
    let mut findings = Vec::new();
    walk(table, "", keys, &mut findings);
    for key in keys.iter().filter(|k| k.required) {
        let mut at = Some(table);
        let mut parts = key.path.split('.').peekable();
        let mut found = false;
        while let (Some(table), Some(part)) = (at, parts.next()) {
            let value = table.get(part);
            if parts.peek().is_none() {
                found = value.is_some();
            }
            at = value.and_then(Value::as_table);
        }
        if !found {
            findings.push(Finding { key: key.path.to_owned(), value: String::new(), what: "is missing".to_owned() });
        }
    }
    findings
}

/// The value of a key that nobody knows, unless it may be a secret by its name.
pub(crate) fn shown_of(key: &str, value: &str) -> String {
    let key = key.to_lowercase();
    let secret = ["pass", "pwd", "secret", "token", "key", "credential"].iter().any(|word| key.contains(word));
    if secret { String::new() } else { value.to_owned() }
}

fn walk(table: &Table, prefix: &str, keys: &[Key], findings: &mut Vec<Finding>) {
    for (name, value) in table {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if let Some(key) = keys.iter().find(|k| k.path == path) {
            one(&path, value, key.kind, findings);
            continue;
        }
        let section = format!("{path}.");
        let inside = keys.iter().any(|k| k.path.starts_with(&section));
        match value {
            Value::Table(inner) if inside => walk(inner, &path, keys, findings),
            _ if inside => findings.push(finding(&path, value, "is a section; write its keys below it".to_owned())),
            _ => {
                let near = nearest(&path, keys.iter().map(|k| k.path));
                let what = match near {
                    Some(near) => format!("there is no such key; is `{near}` meant?"),
                    None => "there is no such key".to_owned(),
                };
                findings.push(Finding { value: shown_of(&path, &value.to_string()), key: path, what });
            }
        }
    }
}

fn one(path: &str, value: &Value, kind: Kind, findings: &mut Vec<Finding>) {
    let mut wrong = |what: String| findings.push(finding(path, value, what));
    match (kind, value) {
        (Kind::Flag, Value::Boolean(_)) | (Kind::Text, Value::String(_)) | (Kind::Open, _) => {}
        (Kind::Integer { min, max }, Value::Integer(v)) => {
            if !(min..=max).contains(v) {
                wrong(format!("lies outside [{min}, {max}]"));
            }
        }
        (Kind::Number { min, max }, Value::Integer(_) | Value::Float(_)) => {
            let v = value.as_float().or(value.as_integer().map(|v| v as f64)).unwrap_or(f64::NAN);
            if v.is_nan() || v < min || v > max {
                wrong(format!("lies outside [{min}, {max}]"));
            }
        }
        (Kind::Word(words), Value::String(v)) => {
            if !words.contains(&v.as_str()) {
                wrong(format!("is none of {}", words.join(", ")));
            }
        }
        (Kind::Texts, Value::Array(list)) if list.iter().all(Value::is_str) => {}
        (Kind::Words(words), Value::Array(list)) if list.iter().all(Value::is_str) => {
            for bad in list.iter().filter_map(Value::as_str).filter(|v| !words.contains(v)) {
                wrong(format!("`{bad}` is none of {}", words.join(", ")));
            }
        }
        (Kind::Integers { min, max }, Value::Array(list)) if list.iter().all(Value::is_integer) => {
            for bad in list.iter().filter_map(Value::as_integer).filter(|v| !(min..=max).contains(v)) {
                wrong(format!("{bad} lies outside [{min}, {max}]"));
            }
        }
        (Kind::Tables(keys), Value::Array(list)) if list.iter().all(Value::is_table) => {
            for (i, table) in list.iter().filter_map(Value::as_table).enumerate() {
                for mut f in check(table, keys) {
                    f.key = format!("{path}[{i}].{}", f.key);
                    findings.push(f);
                }
            }
        }
        _ => wrong(format!("is {}, not {}", value.type_str(), name(kind))),
    }
}

fn finding(path: &str, value: &Value, what: String) -> Finding {
    Finding { key: path.to_owned(), value: value.to_string(), what }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Flag => "true or false",
        Kind::Integer { .. } => "a whole number",
        Kind::Number { .. } => "a number",
        Kind::Text | Kind::Word(_) => "a text",
        Kind::Texts | Kind::Words(_) => "a list of texts",
        Kind::Integers { .. } => "a list of whole numbers",
        Kind::Open => "a table",
        Kind::Tables(_) => "a list of tables",
    }
}

/// All findings as one problem of class `user`.
pub fn findings_problem(code: &'static str, file: &str, findings: &[Finding]) -> Problem {
    let list: Vec<String> = findings.iter().map(|f| format!("\n  {f}")).collect();
    let count = findings.len();
    let things = if count == 1 { "thing is" } else { "things are" };
    Problem::new(
        code,
        ErrorClass::User,
        format!("{count} {things} wrong in {file}{}", list.concat()),
        "mend them all and try again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[Key] = &[
        Key::required("name", Kind::Text),
        Key::optional("seed", Kind::Integer { min: 0, max: 100 }),
        Key::optional("fills.models", Kind::Words(&["central", "touch"])),
        Key::optional("fills.central_power", Kind::Number { min: 0.1, max: 20.0 }),
        Key::optional("feature", Kind::Tables(&[Key::required("plugin", Kind::Text)])),
    ];

    #[track_caller]
    fn check_text(toml: &str, expected: &[&str]) {
        let table: Table = toml.parse().expect("TOML");
        let got: Vec<String> = check(&table, KEYS).iter().map(ToString::to_string).collect();
        assert_eq!(got, expected);
    }

    /// B-02, P-09
    #[test]
    fn every_fault_is_found_at_once() {
        check_text("name = 'x'\nseed = 0\n[fills]\nmodels = []\ncentral_power = 3", &[]);
        check_text(
            "seed = 101\n[fills]\nmodels = ['best']\ncentral_powr = 1",
            &[
                "fills.central_powr = 1: there is no such key; is `fills.central_power` meant?",
                "fills.models = [\"best\"]: `best` is none of central, touch",
                "seed = 101: lies outside [0, 100]",
                "name: is missing",
            ],
        );
        check_text(
            "name = 1\nfills = 2",
            &["fills = 2: is a section; write its keys below it", "name = 1: is integer, not a text"],
        );
        check_text("name = ''\n[[feature]]\n[[feature]]\nplugin = 'x'", &["feature[0].plugin: is missing"]);
        check_text("name = ''\n[fills]\ncentral_power = nan", &["fills.central_power = nan: lies outside [0.1, 20]"]);
    }
}
