//! The promise that travels inside an artefact: who the plugin is, what it reads, gives and needs.

use crate::params::ParamValue;
use crate::{Finding, manifest_check};
use serde::{Deserialize, Serialize};

/// What a plugin does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Ticks in, columns out; causal.
    Feature,
    /// Ticks with look-ahead in, targets out; never live.
    Label,
    /// Rows in, orders out.
    Strategy,
}

impl Role {
    /// The name in manifests and of the exported interface.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Feature => "feature",
            Self::Label => "label",
            Self::Strategy => "strategy",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far a label's look-ahead may reach; it never crosses a roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// To the next break.
    #[default]
    Session,
    /// To the end of the trading day.
    Day,
    /// To the end of the segment of one contract.
    Segment,
}

/// A plugin's manifest: `plugin.toml` beside the source, canonical JSON inside the artefact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginManifest {
    /// Identity, inputs and reach.
    pub plugin: About,
    /// Output columns at default parameters; none for strategies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<OutputPromise>,
    /// Parameters, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub param: Vec<ParamSpec>,
    /// Limits below the host's.
    #[serde(default, skip_serializing_if = "LimitRequest::is_empty")]
    pub limits: LimitRequest,
    /// A fixture and the digest of the output on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_test: Option<SelfTest>,
}

/// Table `[plugin]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// With role and version the plugin's identity.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// `major.minor.patch`, with a pre-release such as `-dev-1a2b3c4d` behind it or without.
    pub version: String,
    /// One sentence.
    pub description: String,
    /// Paper or book, if any.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Version of the WIT contract.
    pub contract: String,
    /// Columns that it reads, in the order of the words of a row; of a strategy those at default parameters.
    pub inputs: Vec<String>,
    /// Features and strategies: upper bound over all parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup_rows: Option<u32>,
    /// Labels: upper bound over all parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookahead_rows: Option<u32>,
    /// Labels: how far look-ahead may reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<Reach>,
    /// Varieties that it is made for; empty = any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub varieties: Vec<String>,
    /// The outputs depend on parameters; the manifest lists those at defaults.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dynamic_outputs: bool,
}

/// Table `[[output]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputPromise {
    /// Unique within the plugin.
    pub name: String,
    /// Free text, such as `CNY`, `lots` or `1`.
    pub unit: String,
    /// Features: seconds for which a value stays fresh, live only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<u32>,
}

/// Type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamType {
    /// i64
    Integer,
    /// Finite f64.
    Number,
    /// UTF-8 text.
    Text,
    /// true or false.
    Flag,
}

impl ParamType {
    /// The name in manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Text => "text",
            Self::Flag => "flag",
        }
    }
}

impl std::fmt::Display for ParamType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Table `[[param]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParamSpec {
    /// Unique within the plugin.
    pub name: String,
    /// What values it takes.
    #[serde(rename = "type")]
    pub kind: ParamType,
    /// Value where none is given.
    pub default: ParamValue,
    /// Least value, numbers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<ParamValue>,
    /// Greatest value, numbers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<ParamValue>,
    /// Such as `rows`, `ticks`, `1`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// One sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// Table `[limits]`; what is left out is the host's setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitRequest {
    /// Linear memory, MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u32>,
    /// CPU time of a call with one row, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_call_cpu_ms: Option<u32>,
    /// CPU time of any other call, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_call_cpu_ms: Option<u32>,
    /// Size of a result, MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_mib: Option<u32>,
}

impl LimitRequest {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Table `[self_test]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTest {
    /// File beside the manifest.
    pub fixture: String,
    /// Digest of the outputs on it (see [`Trace::digest`](crate::Trace::digest)), in hex; an artefact always has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_sha256: Option<String>,
}

impl PluginManifest {
    /// `role/name@version`.
    pub fn identity(&self) -> String {
        format!("{}/{}@{}", self.plugin.role, self.plugin.name, self.plugin.version)
    }

    /// Reads `plugin.toml`.
    ///
    /// # Errors
    /// All keys that are unknown or missing, or the first value of a wrong type.
    pub fn from_toml(text: &str) -> Result<Self, Vec<Finding>> {
        manifest_check::parse_toml(text)
    }

    /// The one form in which a manifest is embedded: JSON, fields in the order of declaration, no white space, defaults left out.
    pub(crate) fn canonical(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}
