//! The artefact: a component with its manifest and, if it tests itself, its fixture in custom sections.

use crate::contract::Version;
use crate::manifest::PluginManifest;
use crate::{FIXTURE_SECTION, Finding, Fixture, HostConfig, PluginHost, Splits, manifest_check};
use std::borrow::Cow;
use wasm_encoder::{CustomSection, Section};
use wasmparser::{BinaryReader, Encoding, Parser, Payload};

/// Name of the custom section with the canonical manifest.
pub const MANIFEST_SECTION: &str = "ghtrader:manifest";

const PACKAGE: &str = "ghtrader:plugin/";
const ROLES: [&str; 3] = ["feature", "label", "strategy"];

/// Makes an artefact of a core module, its `plugin.toml` and, where that names one, the fixture of its self-test.
///
/// The module was built with the SDK, or exports the functions of its role under the contract's names. The fixture is run over, and
/// the digest of the outputs stands in the artefact's manifest. Same input, same bytes.
///
/// # Errors
/// All findings about the manifest, `not_a_module` or `module_invalid` about the code, `fixture_…` about the fixture, and
/// `self_test_mismatch` if `plugin.toml` names another digest than the one found.
pub fn pack(core_wasm: &[u8], manifest_toml: &str, fixture: Option<&Fixture>) -> Result<Vec<u8>, Vec<Finding>> {
    let (manifest, mut findings) = match manifest_check::parse_toml(manifest_toml) {
        Ok(manifest) => (Some(manifest), Vec::new()),
        Err(findings) => (None, findings),
    };
    if let Some(manifest) = &manifest {
        findings.extend(manifest_check::check(manifest, &manifest_check::widest()));
        findings.extend(check_fixture(manifest, fixture.is_some()));
    }
    let encoded = fixture.map(Fixture::encode).transpose().unwrap_or_else(|error| {
        findings.push(error.into());
        None
    });
    let component = encode(core_wasm, manifest.as_ref()).unwrap_or_else(|finding| {
        findings.push(finding);
        Vec::new()
    });
    let Some(mut manifest) = manifest.filter(|_| findings.is_empty()) else { return Err(findings) };
    if let (Some(test), Some(fixture)) = (manifest.self_test.take(), fixture) {
        // The code is run as it will be run, only without the promise that is still to be made.
        let found = run_self_test(&seal(&component, &manifest, None)?, fixture)?;
        if let Some(pinned) = test.output_sha256.filter(|pinned| *pinned != found) {
            return Err(vec![self_test_mismatch(&pinned, &found)]);
        }
        manifest.self_test = Some(crate::SelfTest { output_sha256: Some(found), ..test });
    }
    let artefact = seal(&component, &manifest, encoded.as_deref())?;
    // What was packed must be what a host reads; a world other than the manifest's role shows here.
    let findings = inspect(&artefact, &widest()).into_findings();
    if findings.is_empty() { Ok(artefact) } else { Err(findings) }
}

/// Adds what travels with the code.
fn seal(component: &[u8], manifest: &PluginManifest, fixture: Option<&[u8]>) -> Result<Vec<u8>, Vec<Finding>> {
    let json = manifest.canonical().map_err(|e| {
        vec![Finding::new("manifest_invalid", format!("the manifest has no JSON form: {e}"), "use finite numbers")]
    })?;
    let mut artefact = component.to_owned();
    for (name, data) in [(MANIFEST_SECTION, Some(json.as_slice())), (FIXTURE_SECTION, fixture)] {
        if let Some(data) = data {
            CustomSection { name: Cow::Borrowed(name), data: Cow::Borrowed(data) }.append_to(&mut artefact);
        }
    }
    Ok(artefact)
}

fn widest() -> HostConfig {
    HostConfig { limits: manifest_check::widest(), ..HostConfig::default() }
}

/// The digest of the outputs on a fixture, in hex.
fn run_self_test(artefact: &[u8], fixture: &Fixture) -> Result<String, Vec<Finding>> {
    let host = PluginHost::new(widest()).map_err(|f| vec![f])?;
    let trace = host.load(artefact)?.trace(fixture, Splits::Whole);
    trace.map(|trace| trace.digest().to_string()).map_err(|fault| vec![fault.into()])
}

pub(crate) fn self_test_mismatch(promised: &str, found: &str) -> Finding {
    Finding::new(
        "self_test_mismatch",
        format!("the outputs on the plugin's own fixture have the digest {found}, promised is {promised}"),
        "if the change of the outputs is meant, leave self_test.output_sha256 out and pack again",
    )
    .at(manifest_check::in_manifest("self_test.output_sha256"))
}

/// A fixture and the promise about it come together.
fn check_fixture(manifest: &PluginManifest, given: bool) -> Option<Finding> {
    match (&manifest.self_test, given) {
        (Some(test), false) => {
            let what = format!("the manifest names the fixture `{}`, which is not there", test.fixture);
            let finding = Finding::new("fixture_missing", what, "pack the module with its fixture");
            Some(finding.at(manifest_check::in_manifest("self_test.fixture")))
        }
        (None, true) => {
            let what = "there is a fixture of which the manifest says nothing".to_owned();
            let finding = Finding::new("fixture_undeclared", what, "name it in [self_test]");
            Some(finding.at(format!("section {FIXTURE_SECTION}")))
        }
        _ => None,
    }
}

/// The component of a module; empty where the manifest, which has findings of its own then, must say what it is and does not.
fn encode(core_wasm: &[u8], manifest: Option<&PluginManifest>) -> Result<Vec<u8>, Finding> {
    let remedy = "build the crate with the SDK for wasm32-unknown-unknown as a cdylib";
    if !Parser::is_core_wasm(core_wasm) {
        let what = format!("{} bytes that are no core WebAssembly module", core_wasm.len());
        return Err(Finding::new("not_a_module", what, remedy));
    }
    let mut module = core_wasm.to_vec();
    forget_symbol_hashes(&mut module);
    let invalid = |e: String| Finding::new("module_invalid", format!("the module makes no component: {e}"), remedy);
    if !names_its_world(&module) {
        // Written without the SDK: the manifest says what it is, or why nobody can tell.
        let Some(manifest) = manifest else { return Ok(Vec::new()) };
        let Some(version) = Version::find(&manifest.plugin.contract) else { return Ok(Vec::new()) };
        version.embed_world(&mut module, manifest.plugin.role).map_err(invalid)?;
    }
    let encoder = wit_component::ComponentEncoder::default().validate(true).module(&module);
    encoder.and_then(|mut encoder| encoder.encode()).map_err(|e| invalid(format!("{e:#}")))
}

/// The core module of an artefact that is nothing else: packing that module again gives the same component, byte by byte.
///
/// Then the component adds nothing to the module but what the contract says of it, and the module may be called by itself.
pub(crate) fn bare_module<'a>(artefact: &'a [u8], version: &Version, role: crate::Role) -> Option<&'a [u8]> {
    if !version.bare {
        return None;
    }
    let init = format!("{PACKAGE}{role}@{}#init", version.name);
    let modules = Parser::new(0).parse_all(artefact).flatten().filter_map(|payload| match payload {
        Payload::ModuleSection { unchecked_range, .. } => artefact.get(unchecked_range),
        _ => None,
    });
    let module = modules.into_iter().find(|module| exports(module, &init))?;
    let mut described = module.to_vec();
    version.embed_world(&mut described, role).ok()?;
    let mut encoder = wit_component::ComponentEncoder::default().module(&described).ok()?;
    let component = encoder.encode().ok()?;
    let rest = artefact.strip_prefix(component.as_slice())?;
    only_custom_sections(rest).then_some(module)
}

fn exports(module: &[u8], name: &str) -> bool {
    Parser::new(0).parse_all(module).flatten().any(|payload| match payload {
        Payload::ExportSection(section) => section.into_iter().flatten().any(|export| export.name == name),
        _ => false,
    })
}

/// Whether bytes behind a component are custom sections and no more.
fn only_custom_sections(rest: &[u8]) -> bool {
    let mut reader = BinaryReader::new(rest, 0);
    while !reader.eof() {
        let section = reader.read_u8().and_then(|id| Ok((id, reader.read_var_u32()?)));
        let Ok((0, bytes)) = section else { return false };
        if reader.read_bytes(bytes as usize).is_err() {
            return false;
        }
    }
    true
}

/// A module may carry a section that names its world.
fn names_its_world(module: &[u8]) -> bool {
    Parser::new(0).parse_all(module).flatten().any(|payload| match payload {
        Payload::CustomSection(section) => section.name().starts_with("component-type"),
        _ => false,
    })
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

/// What reading an artefact shows, without compiling it.
#[derive(Default)]
pub(crate) struct Inspection {
    /// The manifest, if one can be read.
    pub(crate) manifest: Option<PluginManifest>,
    /// The fixture, if there is a whole one.
    pub(crate) fixture: Option<Fixture>,
    /// Findings by check, in order.
    pub(crate) checks: Vec<(&'static str, Vec<Finding>)>,
}

impl Inspection {
    pub(crate) fn into_findings(self) -> Vec<Finding> {
        self.checks.into_iter().flat_map(|(_, findings)| findings).collect()
    }
}

/// Reads an artefact and says all that is wrong.
pub(crate) fn inspect(artefact: &[u8], config: &HostConfig) -> Inspection {
    let outline = match Outline::read(artefact) {
        Ok(outline) => outline,
        Err(finding) => return Inspection { checks: vec![("component", vec![finding])], ..Inspection::default() },
    };
    let imports = outline.check_imports();
    let mut about = Vec::new();
    let manifest = outline.manifest(&mut about);
    let (mut limits, mut contract, mut own) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(manifest) = &manifest {
        (limits, about) = about
            .into_iter()
            .chain(manifest_check::check(manifest, &config.limits))
            .partition(|f| f.code == "limit_above_host");
        if manifest.self_test.as_ref().is_some_and(|test| test.output_sha256.is_none()) {
            about.push(manifest_check::missing("self_test.output_sha256"));
        }
        let released = Version::find(&manifest.plugin.contract).is_none_or(|v| v.released);
        if !released && !config.dev_channel {
            contract.push(
                Finding::new(
                    "contract_unreleased",
                    format!("contract {} is not released", manifest.plugin.contract),
                    "build against a released contract, or set plugin.dev_channel",
                )
                .at(manifest_check::in_manifest("plugin.contract")),
            );
        }
        own.extend(check_fixture(manifest, !outline.fixtures.is_empty()));
    }
    outline.check_world(manifest.as_ref(), &mut contract);
    let fixture = outline.fixture(&mut own);
    let checks = vec![
        ("component", Vec::new()),
        ("imports", imports),
        ("manifest", about),
        ("limits", limits),
        ("world", contract),
        ("fixture", own),
    ];
    Inspection { manifest, fixture, checks }
}

/// What is to be seen of a component from outside.
#[derive(Default)]
struct Outline {
    imports: Vec<String>,
    /// Interfaces that components inside it ask for.
    hidden_imports: Vec<String>,
    exports: Vec<String>,
    manifests: Vec<Vec<u8>>,
    fixtures: Vec<Vec<u8>>,
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
                Payload::ComponentImportSection(section) => {
                    for import in section {
                        let name = import.map_err(invalid)?.name.name;
                        // The packer's own inner components take functions and types by plain names.
                        if name.contains(':') {
                            outline.hidden_imports.push(name.to_owned());
                        }
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
                Payload::CustomSection(section) if depth == 1 && section.name() == FIXTURE_SECTION => {
                    outline.fixtures.push(section.data().to_owned());
                }
                _ => {}
            }
        }
        Ok(outline)
    }

    /// A plugin may ask for the log of its own contract, and refer to that one's types.
    fn check_imports(&self) -> Vec<Finding> {
        let undeclared = |name: &String, what: String| {
            let remedy = "a plugin may import `ghtrader:plugin/log` of its own contract version alone; build it for \
                          wasm32-unknown-unknown, without WASI";
            Finding::new("import_undeclared", what, remedy).at(format!("import {name}"))
        };
        let exported = self.exports.iter().find_map(|e| e.strip_prefix(PACKAGE)).and_then(|e| e.split_once('@'));
        let allowed = |import: &str| {
            let Some((interface, version)) = import.strip_prefix(PACKAGE).and_then(|i| i.split_once('@')) else {
                return false;
            };
            // The interface of types has no functions; every world refers to it.
            ["log", "types"].contains(&interface) && exported.is_none_or(|(_, v)| v == version)
        };
        let open = self.imports.iter().filter(|import| !allowed(import));
        let hidden = self.hidden_imports.iter();
        open.map(|i| undeclared(i, format!("the component imports `{i}`")))
            .chain(hidden.map(|i| undeclared(i, format!("a component inside the component imports `{i}`"))))
            .collect()
    }

    fn fixture(&self, findings: &mut Vec<Finding>) -> Option<Fixture> {
        match self.fixtures.as_slice() {
            [] => None,
            [data] => Fixture::decode(data).map_err(|error| findings.push(error.into())).ok(),
            several => {
                let what = format!("the component has {} sections `{FIXTURE_SECTION}`, one is due", several.len());
                let finding = Finding::new("fixture_duplicate", what, "pack the module once");
                findings.push(finding.at(format!("section {FIXTURE_SECTION}")));
                None
            }
        }
    }

    fn manifest(&self, findings: &mut Vec<Finding>) -> Option<PluginManifest> {
        let data = match self.manifests.as_slice() {
            [data] => data,
            [] => {
                let what = format!("the component has no section `{MANIFEST_SECTION}`");
                let finding = Finding::new("manifest_missing", what, "pack the module with its plugin.toml");
                findings.push(finding.at(format!("section {MANIFEST_SECTION}")));
                return None;
            }
            several => {
                let what = format!("the component has {} sections `{MANIFEST_SECTION}`, one is due", several.len());
                let finding = Finding::new("manifest_duplicate", what, "pack the module once");
                findings.push(finding.at(format!("section {MANIFEST_SECTION}")));
                return None;
            }
        };
        match manifest_check::parse_json(data) {
            Ok(manifest) => {
                if manifest.canonical().ok().as_ref() != Some(data) {
                    let what = "the embedded manifest is not in canonical form".to_owned();
                    let finding = Finding::new("manifest_not_canonical", what, "pack the module again");
                    findings.push(finding.at(format!("section {MANIFEST_SECTION}")));
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
                    findings.push(Finding::new("world_mismatch", what, remedy).at(format!("export {export}")));
                }
            }
        }
        let [(role, export)] = roles.as_slice() else {
            let what = format!("the component exports {} roles, one is due", roles.len());
            findings.push(Finding::new("world_mismatch", what, remedy).at("exports"));
            return;
        };
        let version = export.split_once('@').map_or("", |(_, v)| v);
        if !crate::SUPPORTED_CONTRACTS.contains(&version) {
            findings.push(manifest_check::unsupported_contract(version).at(format!("export {export}")));
        }
        let Some(manifest) = manifest else { return };
        if *role != manifest.plugin.role.as_str() {
            let what = format!("the component is a {role}, its manifest says {}", manifest.plugin.role);
            let finding = Finding::new("world_mismatch", what, "set plugin.role to what the code exports");
            findings.push(finding.at(format!("export {export}")));
        }
        if version != manifest.plugin.contract {
            let what = format!("the component has contract {version}, its manifest says {}", manifest.plugin.contract);
            let finding = Finding::new("contract_mismatch", what, "set plugin.contract to the SDK's version");
            findings.push(finding.at(format!("export {export}")));
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
