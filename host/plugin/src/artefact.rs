//! The artefact: a component with its manifest in the custom section `ghtrader:manifest`.

use crate::manifest::PluginManifest;
use crate::{Finding, HostConfig, manifest_check};
use std::borrow::Cow;
use wasm_encoder::{CustomSection, Section};
use wasmparser::{Encoding, Parser, Payload};

/// Name of the custom section with the canonical manifest.
pub const MANIFEST_SECTION: &str = "ghtrader:manifest";

const PACKAGE: &str = "ghtrader:plugin/";
const ROLES: [&str; 3] = ["feature", "label", "strategy"];

/// Makes an artefact of a core module that was built with the SDK, and its `plugin.toml`.
///
/// Same input, same bytes.
///
/// # Errors
/// All findings about the manifest, and `not_a_module` or `module_invalid` about the code.
pub fn pack(core_wasm: &[u8], manifest_toml: &str) -> Result<Vec<u8>, Vec<Finding>> {
    let (manifest, mut findings) = match manifest_check::parse_toml(manifest_toml) {
        Ok(manifest) => (Some(manifest), Vec::new()),
        Err(findings) => (None, findings),
    };
    if let Some(manifest) = &manifest {
        findings.extend(manifest_check::check(manifest, &manifest_check::widest()));
    }
    let component = match encode(core_wasm) {
        Ok(component) => Some(component),
        Err(finding) => {
            findings.push(finding);
            None
        }
    };
    match (manifest, component) {
        (Some(manifest), Some(mut artefact)) if findings.is_empty() => {
            let data = manifest.canonical().map_err(|e| {
                vec![Finding::new(
                    "manifest_invalid",
                    format!("the manifest has no JSON form: {e}"),
                    "use finite numbers",
                )]
            })?;
            let section = CustomSection { name: Cow::Borrowed(MANIFEST_SECTION), data: Cow::Borrowed(&data) };
            section.append_to(&mut artefact);
            // What was packed must be what a host reads; a world other than the manifest's role shows here.
            match inspect(&artefact, &HostConfig { limits: manifest_check::widest(), ..HostConfig::default() }) {
                (_, findings) if findings.is_empty() => Ok(artefact),
                (_, findings) => Err(findings),
            }
        }
        _ => Err(findings),
    }
}

fn encode(core_wasm: &[u8]) -> Result<Vec<u8>, Finding> {
    let remedy = "build the crate with the SDK for wasm32-unknown-unknown as a cdylib";
    if !Parser::is_core_wasm(core_wasm) {
        let what = format!("{} bytes that are no core WebAssembly module", core_wasm.len());
        return Err(Finding::new("not_a_module", what, remedy));
    }
    let mut module = core_wasm.to_vec();
    forget_symbol_hashes(&mut module);
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|e| Finding::new("module_invalid", format!("the module makes no component: {e:#}"), remedy))
}

/// Zeroes the hashes that Rust puts behind a symbol's name (`17h`, 16 hex digits, `E`) in the name section.
///
/// The compiler derives them from the place of the checkout among other things: with them, equal code has another digest
/// elsewhere. Names are for a trap's backtrace, where the hash is of no use.
fn forget_symbol_hashes(module: &mut [u8]) {
    const MARK: &[u8] = b"17h";
    const HASH_BYTES: usize = 16;
    let names = Parser::new(0).parse_all(module).flatten().find_map(|payload| match payload {
        Payload::CustomSection(section) if section.name() == "name" => Some(section.data_offset()..section.range().end),
        _ => None,
    });
    // A module that cannot be read is the encoder's to refuse.
    let Some(names) = names.and_then(|range| module.get_mut(range)) else { return };
    let mut at = 0;
    while let Some(found) = names[at..].windows(MARK.len()).position(|w| w == MARK) {
        let hash = at + found + MARK.len();
        at = hash;
        if let Some(digits) = names.get_mut(hash..hash + HASH_BYTES)
            && digits.iter().all(u8::is_ascii_hexdigit)
        {
            digits.fill(b'0');
        }
    }
}

/// Reads an artefact without compiling it: the manifest, if one can be read, and all that is wrong.
pub(crate) fn inspect(artefact: &[u8], config: &HostConfig) -> (Option<PluginManifest>, Vec<Finding>) {
    let outline = match Outline::read(artefact) {
        Ok(outline) => outline,
        Err(finding) => return (None, vec![finding]),
    };
    let mut findings = Vec::new();
    for import in &outline.imports {
        // The interface of types has no functions; every world refers to it.
        let allowed = ["log", "types"].iter().any(|i| strip_interface(import) == Some(i));
        if !allowed {
            findings.push(Finding::new(
                "import_undeclared",
                format!("the component imports `{import}`"),
                "a plugin may import `ghtrader:plugin/log` alone; build it for wasm32-unknown-unknown, without WASI",
            ));
        }
    }
    let manifest = outline.manifest(&mut findings);
    if let Some(manifest) = &manifest {
        findings.extend(manifest_check::check(manifest, &config.limits));
        if manifest.plugin.contract.ends_with("-next") && !config.dev_channel {
            findings.push(Finding::new(
                "contract_unreleased",
                format!("contract {} is not released", manifest.plugin.contract),
                "build against a released contract, or set plugin.dev_channel",
            ));
        }
    }
    outline.check_world(manifest.as_ref(), &mut findings);
    (manifest, findings)
}

/// What is to be seen of a component from outside.
#[derive(Default)]
struct Outline {
    imports: Vec<String>,
    exports: Vec<String>,
    manifests: Vec<Vec<u8>>,
}

impl Outline {
    fn read(artefact: &[u8]) -> Result<Self, Finding> {
        if Parser::is_core_wasm(artefact) {
            let what = "the file is a core WebAssembly module, not a component".to_owned();
            return Err(Finding::new("not_a_component", what, "pack it with its plugin.toml"));
        }
        if !Parser::is_component(artefact) {
            let head: Vec<String> = artefact.iter().take(8).map(|b| format!("{b:02x}")).collect();
            let what =
                format!("{} bytes that begin with [{}] are no WebAssembly component", artefact.len(), head.join(" "));
            return Err(Finding::new("not_a_component", what, "give the packed artefact"));
        }
        let invalid = |e: wasmparser::BinaryReaderError| {
            Finding::new("component_invalid", format!("the component is damaged: {e}"), "build and pack it again")
        };
        let mut outline = Self::default();
        let mut depth = 0u32;
        for payload in Parser::new(0).parse_all(artefact) {
            match payload.map_err(invalid)? {
                Payload::Version { encoding, .. } => {
                    depth += 1;
                    debug_assert!(depth > 1 || encoding == Encoding::Component);
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section {
                        outline.imports.push(import.map_err(invalid)?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section {
                        outline.exports.push(export.map_err(invalid)?.name.name.to_owned());
                    }
                }
                Payload::CustomSection(section) if depth == 1 && section.name() == MANIFEST_SECTION => {
                    outline.manifests.push(section.data().to_owned());
                }
                _ => {}
            }
        }
        Ok(outline)
    }

    fn manifest(&self, findings: &mut Vec<Finding>) -> Option<PluginManifest> {
        let data = match self.manifests.as_slice() {
            [data] => data,
            [] => {
                let what = format!("the component has no section `{MANIFEST_SECTION}`");
                findings.push(Finding::new("manifest_missing", what, "pack the module with its plugin.toml"));
                return None;
            }
            several => {
                let what = format!("the component has {} sections `{MANIFEST_SECTION}`, one is due", several.len());
                findings.push(Finding::new("manifest_duplicate", what, "pack the module once"));
                return None;
            }
        };
        match manifest_check::parse_json(data) {
            Ok(manifest) => {
                if manifest.canonical().ok().as_ref() != Some(data) {
                    let what = "the embedded manifest is not in canonical form".to_owned();
                    findings.push(Finding::new("manifest_not_canonical", what, "pack the module again"));
                }
                Some(manifest)
            }
            Err(found) => {
                findings.extend(found);
                None
            }
        }
    }

    /// The exported interface must be the one of the manifest's role, at a contract version that this host knows.
    fn check_world(&self, manifest: Option<&PluginManifest>, findings: &mut Vec<Finding>) {
        let remedy = "export exactly one of feature, label and strategy with the SDK";
        let mut roles = Vec::new();
        for export in &self.exports {
            match strip_interface(export).and_then(|i| ROLES.iter().find(|r| **r == i)) {
                Some(role) => roles.push((*role, export.as_str())),
                None => {
                    let what = format!("the component exports `{export}`, which is no interface of the contract");
                    findings.push(Finding::new("world_mismatch", what, remedy));
                }
            }
        }
        let [(role, export)] = roles.as_slice() else {
            let what = format!("the component exports {} roles, one is due", roles.len());
            findings.push(Finding::new("world_mismatch", what, remedy));
            return;
        };
        let version = export.split_once('@').map_or("", |(_, v)| v);
        if !crate::SUPPORTED_CONTRACTS.contains(&version) {
            findings.push(manifest_check::unsupported_contract(version));
        }
        let Some(manifest) = manifest else { return };
        if *role != manifest.plugin.role.as_str() {
            let what = format!("the component is a {role}, its manifest says {}", manifest.plugin.role);
            findings.push(Finding::new("world_mismatch", what, "set plugin.role to what the code exports"));
        }
        if version != manifest.plugin.contract {
            let what = format!("the component has contract {version}, its manifest says {}", manifest.plugin.contract);
            findings.push(Finding::new("contract_mismatch", what, "set plugin.contract to the SDK's version"));
        }
    }
}

/// `feature` of `ghtrader:plugin/feature@0.1.0`.
fn strip_interface(name: &str) -> Option<&str> {
    let name = name.strip_prefix(PACKAGE)?;
    Some(name.split_once('@').map_or(name, |(interface, _)| interface))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_keeps_its_name_and_loses_its_hash() {
        let text = |hash: &str| format!("(module (func $_ZN5taker7on_tick17h{hash}E))");
        let [mut a, mut b] = ["3fb3cc06dadc1c20", "0123456789abcdef"].map(|h| wat::parse_str(text(h)).unwrap());
        assert_ne!(a, b);
        forget_symbol_hashes(&mut a);
        forget_symbol_hashes(&mut b);
        assert_eq!(a, b);
        assert!(String::from_utf8_lossy(&a).contains("_ZN5taker7on_tick17h0000000000000000E"));
    }
}
