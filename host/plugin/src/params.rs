//! Parameters of a plugin: given by name, checked against the manifest, completed by its defaults.

use crate::finding::nearest;
use crate::manifest::{ParamSpec, ParamType, PluginManifest};
use crate::{Finding, PluginFault};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A parameter's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ParamValue {
    /// true or false.
    Flag(bool),
    /// i64
    Integer(i64),
    /// Finite f64.
    Number(f64),
    /// UTF-8 text.
    Text(String),
}

/// Parameters by name.
pub type Params = BTreeMap<String, ParamValue>;

impl ParamValue {
    /// Its type.
    pub fn kind(&self) -> ParamType {
        match self {
            Self::Flag(_) => ParamType::Flag,
            Self::Integer(_) => ParamType::Integer,
            Self::Number(_) => ParamType::Number,
            Self::Text(_) => ParamType::Text,
        }
    }

    /// The value as that type, where nothing is lost by it: an integer is a number too.
    #[expect(clippy::cast_precision_loss, reason = "guarded by the comparison with the way back")]
    pub(crate) fn as_kind(&self, kind: ParamType) -> Option<Self> {
        match (self, kind) {
            (Self::Integer(i), ParamType::Number) if (*i as f64) as i64 == *i => Some(Self::Number(*i as f64)),
            (Self::Number(n), ParamType::Number) if !n.is_finite() => None,
            (value, kind) if value.kind() == kind => Some(value.clone()),
            _ => None,
        }
    }

    fn parse(text: &str, kind: ParamType) -> Option<Self> {
        match kind {
            ParamType::Integer => text.parse().ok().map(Self::Integer),
            ParamType::Number => text.parse().ok().filter(|n: &f64| n.is_finite()).map(Self::Number),
            ParamType::Flag => text.parse().ok().map(Self::Flag),
            ParamType::Text => Some(Self::Text(text.to_owned())),
        }
    }
}

impl std::fmt::Display for ParamValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(v) => write!(f, "{v}"),
            Self::Integer(v) => write!(f, "{v}"),
            Self::Number(v) => write!(f, "{v:?}"),
            Self::Text(v) => f.write_str(v),
        }
    }
}

impl ParamSpec {
    /// What the parameter takes, such as `integer in [1, 100000] rows`.
    pub fn bounds(&self) -> String {
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        match (&self.min, &self.max) {
            (Some(min), Some(max)) => format!("{} in [{min}, {max}]{unit}", self.kind),
            (Some(min), None) => format!("{} of at least {min}{unit}", self.kind),
            (None, Some(max)) => format!("{} of at most {max}{unit}", self.kind),
            (None, None) => format!("{}{unit}", self.kind),
        }
    }

    /// The value in the parameter's own type, if it is of that type and within bounds.
    pub(crate) fn check(&self, value: &ParamValue) -> Result<ParamValue, Finding> {
        let typed = value.as_kind(self.kind).ok_or_else(|| {
            let what = format!("parameter `{}` = {value} is a {}, not a {}", self.name, value.kind(), self.bounds());
            Finding::new("param_type", what, format!("it takes {}", self.bounds()))
        })?;
        let below = self.min.as_ref().is_some_and(|min| less(&typed, min));
        let above = self.max.as_ref().is_some_and(|max| less(max, &typed));
        if below || above {
            let what = format!("parameter `{}` = {value} is out of bounds: {}", self.name, self.bounds());
            return Err(Finding::new("param_out_of_bounds", what, format!("it takes {}", self.bounds())));
        }
        Ok(typed)
    }
}

/// Numeric order; values that are no numbers have none.
#[expect(clippy::cast_precision_loss, reason = "mixed bounds only; integers are compared exactly")]
fn less(a: &ParamValue, b: &ParamValue) -> bool {
    let float = |v: &ParamValue| match v {
        ParamValue::Integer(i) => Some(*i as f64),
        ParamValue::Number(n) => Some(*n),
        _ => None,
    };
    match (a, b) {
        (ParamValue::Integer(a), ParamValue::Integer(b)) => a < b,
        _ => matches!((float(a), float(b)), (Some(a), Some(b)) if a < b),
    }
}

impl PluginManifest {
    /// Checks parameters and adds the defaults of those not given.
    ///
    /// # Errors
    /// All of `param_unknown`, `param_type`, `param_out_of_bounds` that apply.
    pub fn resolve_params(&self, given: &Params) -> Result<Params, Vec<Finding>> {
        let mut findings: Vec<Finding> =
            given.keys().filter(|k| !self.param.iter().any(|p| p.name == **k)).map(|k| self.unknown_param(k)).collect();
        let mut resolved = Params::new();
        for spec in &self.param {
            match spec.check(given.get(&spec.name).unwrap_or(&spec.default)) {
                Ok(value) => {
                    resolved.insert(spec.name.clone(), value);
                }
                Err(finding) => findings.push(finding),
            }
        }
        if findings.is_empty() { Ok(resolved) } else { Err(findings) }
    }

    /// Reads parameters given as text (`k=v` on a command line); types are the manifest's. Defaults are not added.
    ///
    /// # Errors
    /// All of `param_unknown`, `param_type`, `param_out_of_bounds` that apply.
    pub fn parse_params<'a>(
        &self,
        given: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Params, Vec<Finding>> {
        let (mut params, mut findings) = (Params::new(), Vec::new());
        for (name, text) in given {
            let Some(spec) = self.param.iter().find(|p| p.name == name) else {
                findings.push(self.unknown_param(name));
                continue;
            };
            let value = ParamValue::parse(text, spec.kind).unwrap_or_else(|| ParamValue::Text(text.to_owned()));
            match spec.check(&value) {
                Ok(value) => {
                    params.insert(name.to_owned(), value);
                }
                Err(finding) => findings.push(finding),
            }
        }
        if findings.is_empty() { Ok(params) } else { Err(findings) }
    }

    fn unknown_param(&self, name: &str) -> Finding {
        let known: Vec<&str> = self.param.iter().map(|p| p.name.as_str()).collect();
        let remedy = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "the plugin takes no parameters".to_owned(),
            None => format!("it takes {}", known.join(", ")),
        };
        Finding::new("param_unknown", format!("{} has no parameter `{name}`", self.identity()), remedy)
    }
}

/// The first finding as the fault of an instantiation.
pub(crate) fn param_fault(findings: Vec<Finding>) -> PluginFault {
    let what = findings.iter().map(|f| f.what.as_str()).collect::<Vec<_>>().join("; ");
    match findings.into_iter().next() {
        Some(first) => PluginFault::Param { code: first.code, what, remedy: first.remedy },
        None => PluginFault::Param { code: "param_unknown", what, remedy: String::new() },
    }
}
