//! Reads a manifest and says all that is wrong with it at once.

use crate::contract::SUPPORTED_CONTRACTS;
use crate::finding::nearest;
use crate::manifest::{OutputPromise, ParamSpec, PluginManifest, Role, SelfTest};
use crate::version::Version;
use crate::{Finding, Limits, ParamType};
use ghtrader_core::{Column, Digest};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Component, Path};

/// Tables of a manifest: name, is a list, required keys, other keys.
const TABLES: [(&str, bool, &[&str], &[&str]); 5] = [
    (
        "plugin",
        false,
        &["name", "role", "version", "description", "contract", "inputs"],
        &["source", "warmup_rows", "lookahead_rows", "reach", "varieties", "dynamic_outputs"],
    ),
    ("output", true, &["name", "unit"], &["ttl_s"]),
    ("param", true, &["name", "type", "default"], &["min", "max", "unit", "description"]),
    ("limits", false, &[], &["memory_mib", "live_call_cpu_ms", "block_call_cpu_ms", "output_mib"]),
    ("self_test", false, &["fixture"], &["output_sha256"]),
];

/// Reads `plugin.toml`.
pub(crate) fn parse_toml(text: &str) -> Result<PluginManifest, Vec<Finding>> {
    let value: Value = toml::from_str(text).map_err(|e| {
        vec![Finding::new("manifest_invalid", format!("plugin.toml is no TOML: {e}"), "mend the line named")]
    })?;
    let findings = check_keys(&value);
    if !findings.is_empty() {
        return Err(findings);
    }
    toml::from_str(text)
        .map_err(|e| vec![Finding::new("manifest_invalid", format!("plugin.toml: {e}"), "mend the line named")])
        .map(normalised)
}

/// Reads an embedded manifest.
pub(crate) fn parse_json(data: &[u8]) -> Result<PluginManifest, Vec<Finding>> {
    let invalid = |e: serde_json::Error| {
        vec![Finding::new(
            "manifest_invalid",
            format!("the embedded manifest is malformed: {e}"),
            "pack the module again",
        )]
    };
    let value: Value = serde_json::from_slice(data).map_err(invalid)?;
    let findings = check_keys(&value);
    if !findings.is_empty() {
        return Err(findings);
    }
    serde_json::from_value(value).map_err(invalid)
}

/// All unknown and missing keys.
fn check_keys(value: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    let unknown = |key: String, known: Vec<&str>| {
        let last = key.rsplit('.').next().unwrap_or(&key);
        let remedy = nearest(last, known.iter().copied())
            .map_or_else(|| format!("known are {}", known.join(", ")), |n| format!("did you mean `{n}`?"));
        Finding::new("manifest_unknown_key", format!("the manifest has an unknown key `{key}`"), remedy)
            .at(in_manifest(&key))
    };
    let top = value.as_object();
    for key in top.into_iter().flatten().map(|(k, _)| k) {
        if !TABLES.iter().any(|t| t.0 == key) {
            findings.push(unknown(key.clone(), TABLES.iter().map(|t| t.0).collect()));
        }
    }
    for (table, is_list, required, others) in TABLES {
        let entries: Vec<(String, &Value)> = match (top.and_then(|t| t.get(table)), is_list) {
            (Some(Value::Array(list)), true) => {
                list.iter().enumerate().map(|(i, v)| (format!("{table}[{i}]"), v)).collect()
            }
            (Some(value), _) => vec![(table.to_owned(), value)],
            (None, _) => Vec::new(),
        };
        if table == "plugin" && entries.is_empty() {
            findings.push(missing("plugin"));
        }
        for (path, entry) in entries {
            let keys: BTreeSet<&str> = entry.as_object().into_iter().flatten().map(|(k, _)| k.as_str()).collect();
            let known: Vec<&str> = required.iter().chain(others).copied().collect();
            findings.extend(
                keys.iter().filter(|k| !known.contains(k)).map(|k| unknown(format!("{path}.{k}"), known.clone())),
            );
            findings.extend(required.iter().filter(|k| !keys.contains(*k)).map(|k| missing(&format!("{path}.{k}"))));
        }
    }
    findings
}

/// A key's place.
pub(crate) fn in_manifest(key: &str) -> String {
    format!("plugin.toml: {key}")
}

pub(crate) fn missing(key: &str) -> Finding {
    Finding::new("manifest_missing_key", format!("the manifest has no `{key}`"), "add it").at(in_manifest(key))
}

/// Numbers written without a point become what their type says, so that there is one canonical form.
fn normalised(mut manifest: PluginManifest) -> PluginManifest {
    for p in &mut manifest.param {
        let kind = p.kind;
        for value in [Some(&mut p.default), p.min.as_mut(), p.max.as_mut()].into_iter().flatten() {
            if let Some(typed) = value.as_kind(kind) {
                *value = typed;
            }
        }
    }
    manifest
}

/// The widest limits that any host may be set to.
pub(crate) fn widest() -> Limits {
    Limits {
        memory_mib: 4096,
        live_call_cpu_ms: 1000,
        block_call_cpu_ms: 60_000,
        wall_limit_ms: 60_000,
        output_mib: 1024,
    }
}

/// Whether a plugin of that role may ask for that column.
pub(crate) fn is_known_input(role: Role, name: &str) -> bool {
    let named = |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty());
    Column::from_name(name).is_some() || (role == Role::Strategy && (named("feature/") || named("score/")))
}

pub(crate) fn unsupported_contract(version: &str) -> Finding {
    Finding::new(
        "contract_unsupported",
        format!("contract version `{version}` is not one of {}", SUPPORTED_CONTRACTS.join(", ")),
        "build the plugin with an SDK of a supported contract",
    )
    .at(in_manifest("plugin.contract"))
}

/// All that is wrong with what a manifest says; `bounds` are the host's limits.
pub(crate) fn check(manifest: &PluginManifest, bounds: &Limits) -> Vec<Finding> {
    let mut findings = Vec::new();
    check_about(manifest, &mut findings);
    check_outputs(manifest, &mut findings);
    check_params(&manifest.param, &mut findings);
    let limits = &manifest.limits;
    for (key, asked, bound) in [
        ("memory_mib", limits.memory_mib, bounds.memory_mib),
        ("live_call_cpu_ms", limits.live_call_cpu_ms, bounds.live_call_cpu_ms),
        ("block_call_cpu_ms", limits.block_call_cpu_ms, bounds.block_call_cpu_ms),
        ("output_mib", limits.output_mib, bounds.output_mib),
    ] {
        match asked {
            Some(0) => {
                findings.push(invalid(&format!("limits.{key}"), format!("limits.{key} = 0"), "give at least 1"));
            }
            Some(asked) if asked > bound => findings.push(
                Finding::new(
                    "limit_above_host",
                    format!("limits.{key} = {asked} is above the host's plugin.{key} = {bound}"),
                    "ask for less, or raise the host's setting",
                )
                .at(in_manifest(&format!("limits.{key}"))),
            ),
            _ => {}
        }
    }
    if let Some(test) = &manifest.self_test {
        check_self_test(test, &mut findings);
    }
    findings
}

fn invalid(key: &str, what: String, remedy: &str) -> Finding {
    Finding::new("manifest_invalid", what, remedy).at(in_manifest(key))
}

fn check_about(manifest: &PluginManifest, findings: &mut Vec<Finding>) {
    let about = &manifest.plugin;
    let mut chars = about.name.chars();
    let name_ok = chars.next().is_some_and(|c| c.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && about.name.len() <= 64;
    if !name_ok {
        findings.push(invalid(
            "plugin.name",
            format!("plugin.name = `{}`", about.name),
            "use 1 to 64 lower-case letters, digits and hyphens, a letter first",
        ));
    }
    if Version::parse(&about.version).is_none() {
        let remedy = "write major.minor.patch, such as 0.1.0, or a pre-release of it, such as 0.1.0-dev.1";
        findings.push(invalid("plugin.version", format!("plugin.version = `{}`", about.version), remedy));
    }
    if !SUPPORTED_CONTRACTS.contains(&about.contract.as_str()) {
        findings.push(unsupported_contract(&about.contract));
    }
    if about.inputs.is_empty() {
        findings.push(invalid("plugin.inputs", "plugin.inputs is empty".to_owned(), "name at least one column"));
    }
    findings.extend(duplicates("plugin.inputs", about.inputs.iter()));
    for name in about.inputs.iter().filter(|n| !is_known_input(about.role, n)) {
        let remedy = match nearest(name, Column::all().map(Column::name)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if about.role == Role::Strategy => "name a tick column, `feature/NAME` or `score/NAME`".to_owned(),
            None => "name a tick column; `data schema` lists them".to_owned(),
        };
        findings.push(
            Finding::new("unknown_column", format!("plugin.inputs names `{name}`, which is no column"), remedy)
                .at(in_manifest("plugin.inputs")),
        );
    }
    for variety in about.varieties.iter().filter(|v| v.is_empty() || !v.chars().all(|c| c.is_ascii_alphabetic())) {
        findings.push(invalid(
            "plugin.varieties",
            format!("plugin.varieties names `{variety}`"),
            "write product codes such as cu",
        ));
    }
    let foreign = |key: &str, given: bool| {
        given.then(|| {
            let place = format!("plugin.{key}");
            invalid(&place, format!("plugin.{key} is given for a {}", about.role), "leave it out")
        })
    };
    let is_label = about.role == Role::Label;
    findings.extend(foreign("warmup_rows", is_label && about.warmup_rows.is_some()));
    findings.extend(foreign("lookahead_rows", !is_label && about.lookahead_rows.is_some()));
    findings.extend(foreign("reach", !is_label && about.reach.is_some()));
    if is_label && about.lookahead_rows.is_none() {
        findings.push(missing("plugin.lookahead_rows"));
    }
}

fn check_self_test(test: &SelfTest, findings: &mut Vec<Finding>) {
    let beside = Path::new(&test.fixture);
    let plain = beside.components().all(|part| matches!(part, Component::Normal(_)));
    if !plain || beside.components().next().is_none() {
        findings.push(invalid(
            "self_test.fixture",
            format!("self_test.fixture = `{}`", test.fixture),
            "name a file beside plugin.toml, without `..` and no absolute path",
        ));
    }
    if let Some(digest) = &test.output_sha256
        && digest.parse::<Digest>().map_or(true, |d| d.to_string() != *digest)
    {
        findings.push(invalid(
            "self_test.output_sha256",
            format!("self_test.output_sha256 = `{digest}` is no digest"),
            "give 64 lower-case hex digits, or leave it out: the packer fills it in",
        ));
    }
}

fn check_outputs(manifest: &PluginManifest, findings: &mut Vec<Finding>) {
    let (role, outputs) = (manifest.plugin.role, &manifest.output);
    if role == Role::Strategy && !outputs.is_empty() {
        findings.push(invalid(
            "output",
            "a strategy has [[output]]".to_owned(),
            "leave it out; strategies give orders",
        ));
    }
    if role != Role::Strategy && outputs.is_empty() {
        findings.push(invalid(
            "output",
            format!("a {role} has no [[output]]"),
            "list every output column with its unit",
        ));
    }
    findings.extend(duplicates("output", outputs.iter().map(|o| &o.name)));
    for OutputPromise { name, unit, ttl_s } in outputs {
        let place = format!("output.{name}");
        let invalid = |what: String, remedy: &str| invalid(&place, what, remedy);
        let plain = |c: char| c.is_ascii_alphanumeric() || "_@.-".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            findings.push(invalid(format!("output name `{name}`"), "use 1 to 64 letters, digits and `_@.-`"));
        }
        if unit.is_empty() {
            findings.push(invalid(format!("output `{name}` has no unit"), "give one; `1` for a plain number"));
        }
        if role != Role::Feature && ttl_s.is_some() {
            findings.push(invalid(format!("output `{name}` of a {role} has ttl_s"), "leave it out"));
        }
    }
}

fn check_params(params: &[ParamSpec], findings: &mut Vec<Finding>) {
    findings.extend(duplicates("param", params.iter().map(|p| &p.name)));
    for p in params {
        let place = format!("param.{}", p.name);
        let invalid = |what: String, remedy: &str| invalid(&place, what, remedy);
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !p.name.starts_with(|c: char| c.is_ascii_lowercase()) || !p.name.chars().all(plain) {
            findings.push(invalid(format!("param name `{}`", p.name), "use lower-case letters, digits and `_`"));
        }
        let numeric = matches!(p.kind, ParamType::Integer | ParamType::Number);
        for (key, bound) in [("min", &p.min), ("max", &p.max)] {
            if bound.as_ref().is_some_and(|b| !numeric || b.kind() != p.kind) {
                let what = format!("param `{}` is a {}, its {key} is not", p.name, p.kind);
                findings.push(invalid(what, "give bounds of the parameter's type, for numbers only"));
            }
        }
        // The same check as for a value that somebody gives.
        findings.extend(p.check(&p.default).err().map(|f| {
            Finding { what: format!("default of {}", f.what), ..f }.at(in_manifest(&format!("{place}.default")))
        }));
    }
}

fn duplicates<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    names
        .filter(|n| !seen.insert(n.as_str()))
        .map(|n| invalid(what, format!("{what} names `{n}` twice"), "name it once"))
        .collect()
}
