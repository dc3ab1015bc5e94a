//! What admission, packing and parameter checks find; always reported all at once.

use crate::{CallSite, PluginFault};
use ghtrader_core::{ErrorClass, Problem};
use serde::Serialize;

/// One thing that is wrong with an artefact, a manifest or a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable name, `snake_case`; never renamed.
    pub code: &'static str,
    /// The thing, its value and the bound, in one sentence.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
    /// Where, such as `plugin.toml: param.threshold`, `export strategy.run`, `row 17`; empty for the artefact as a whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub place: String,
}

impl Finding {
    /// Makes a finding from its parts.
    pub fn new(code: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code, what: what.into(), remedy: remedy.into(), place: String::new() }
    }

    /// The same, with its place.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = place.into();
        self
    }

    /// Joins findings into the one problem with which a command ends: the first one's code, all of them in the text.
    pub fn into_problem(findings: &[Self]) -> Problem {
        let Some(first) = findings.first() else {
            return Problem::new("internal", ErrorClass::Internal, "a check failed without a finding", "");
        };
        let class = if first.code.starts_with("param_") { ErrorClass::User } else { ErrorClass::Plugin };
        let what: Vec<String> = findings
            .iter()
            .enumerate()
            .map(|(i, f)| if i == 0 { f.what.clone() } else { format!("[{}] {}", f.code, f.what) })
            .collect();
        Problem::new(first.code, class, what.join("\n"), first.remedy.clone())
    }
}

impl From<PluginFault> for Finding {
    fn from(fault: PluginFault) -> Self {
        let place = fault.at().map(place_of).unwrap_or_default();
        let problem = Problem::from(fault);
        Self::new(problem.code, problem.what, problem.remedy).at(place)
    }
}

/// `export strategy.run, row 17`.
fn place_of(at: &CallSite) -> String {
    let export = match at.plugin.split_once('/') {
        Some((role, _)) => format!("export {role}.{}", at.function),
        None => format!("export {}", at.function),
    };
    if at.rows.is_empty() { export } else { format!("{export}, row {}", at.rows.start) }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}] {}", self.code, self.what)?;
        if !self.place.is_empty() {
            write!(f, " at {}", self.place)?;
        }
        if !self.remedy.is_empty() {
            write!(f, " ({})", self.remedy)?;
        }
        Ok(())
    }
}

/// The name nearest to `name` among `known`, if one is near enough to be what was meant.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known.into_iter().map(|k| (edit_distance(name, k), k)).min().filter(|(d, k)| *d <= 1 + k.len() / 4).map(|(_, k)| k)
}

/// Levenshtein distance in characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        assert_eq!(nearest("bid_prise1", ["ask_price1", "bid_price1"]), Some("bid_price1"));
        assert_eq!(nearest("quite_different", ["ask_price1", "bid_price1"]), None);
        assert_eq!(edit_distance("", "abc"), 3);
    }
}
