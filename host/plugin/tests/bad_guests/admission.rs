//! What is refused before it runs, with all findings at once.

use crate::guest::{Guest, MANIFEST};
use ghtrader_plugin::{Finding, HostConfig, Instrument, Limits, ParamValue, Params, PluginHost, pack};
use wasm_encoder::{Component, ComponentImportSection, ComponentTypeRef, ComponentTypeSection, InstanceType};

fn host() -> PluginHost {
    PluginHost::new(HostConfig::default()).unwrap()
}

fn instrument() -> Instrument {
    Instrument { symbol: "SHFE.cu2602".to_owned(), price_tick: 10.0, multiplier: 5.0 }
}

#[track_caller]
fn check_codes(result: Result<impl std::fmt::Debug, Vec<Finding>>, expected: &[&str]) {
    let findings = result.expect_err("admitted");
    let codes: Vec<&str> = findings.iter().map(|f| f.code).collect();
    assert_eq!(codes, expected, "{findings:#?}");
    assert!(findings.iter().all(|f| !f.what.is_empty() && !f.remedy.is_empty()), "{findings:#?}");
}

#[test]
fn what_is_no_component_is_refused() {
    let core = Guest::default().module();
    for bytes in [&b""[..], b"\0asm", b"garbage, and enough of it to have a head", &[0xff; 4096], &core] {
        check_codes(host().load(bytes), &["not_a_component"]);
    }
    let artefact = Guest::default().artefact();
    for cut in [9, artefact.len() / 3, artefact.len() - 1] {
        assert!(host().load(&artefact[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn damage_anywhere_is_an_error_and_no_crash() {
    let artefact = Guest::default().artefact();
    let host = host();
    for at in (0..artefact.len()).step_by(37) {
        let mut damaged = artefact.clone();
        damaged[at] ^= 0x55;
        // Some bytes are free (names); whatever loads must be a plugin.
        let _ = host.load(&damaged);
    }
    host.load(&artefact).unwrap();
}

/// P-27
#[test]
fn all_findings_come_at_once() {
    let (mut types, mut imports) = (ComponentTypeSection::new(), ComponentImportSection::new());
    types.instance(&InstanceType::new());
    imports.import("wasi:cli/environment@0.2.0", ComponentTypeRef::Instance(0));
    let mut wasi = Component::new();
    wasi.section(&types).section(&imports);
    check_codes(host().load(&wasi.finish()), &["import_undeclared", "manifest_missing", "world_mismatch"]);

    let manifest = MANIFEST
        .replace("\"last_price\"", "\"last_prise\", \"volume\", \"volume\"")
        .replace("version = \"0.1.0\"", "version = \"0.1\"")
        .replace("unit = \"CNY\"", "unit = \"\"")
        .replace("memory_mib = 16", "memory_mib = 9999");
    check_codes(
        Guest::default().with_manifest(&manifest),
        &["manifest_invalid", "manifest_invalid", "unknown_column", "manifest_invalid", "limit_above_host"],
    );
}

#[test]
fn a_module_that_needs_wasi_is_not_packed() {
    let module = wat::parse_str(
        r#"(module (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32))))"#,
    );
    check_codes(pack(&module.unwrap(), MANIFEST, None), &["module_invalid"]);
    check_codes(pack(b"no wasm", MANIFEST, None), &["not_a_module"]);
}

#[test]
fn manifest_keys_are_checked() {
    let unknown = MANIFEST.replace("warmup_rows", "warm_up_rows").replace("memory_mib", "memory_gib");
    check_codes(Guest::default().with_manifest(&unknown), &["manifest_unknown_key", "manifest_unknown_key"]);
    let missing = MANIFEST.replace("version = \"0.1.0\"\n", "").replace("unit = \"CNY\"\n", "");
    check_codes(Guest::default().with_manifest(&missing), &["manifest_missing_key", "manifest_missing_key"]);
    check_codes(Guest::default().with_manifest("[plugin"), &["manifest_invalid"]);
    check_codes(Guest::default().with_manifest(""), &["manifest_missing_key"]);
    let wrong_type = MANIFEST.replace("warmup_rows = 0", "warmup_rows = \"none\"");
    check_codes(Guest::default().with_manifest(&wrong_type), &["manifest_invalid"]);
}

#[test]
fn the_world_is_the_manifests() {
    let label = MANIFEST.replace("role = \"feature\"", "role = \"label\"").replace("warmup_rows", "lookahead_rows");
    check_codes(Guest::default().with_manifest(&label), &["world_mismatch"]);
    let later = MANIFEST.replace("0.1.0-next", "9.9.9");
    check_codes(Guest::default().with_manifest(&later), &["contract_unsupported"]);
    let closed = PluginHost::new(HostConfig { dev_channel: false, ..HostConfig::default() }).unwrap();
    check_codes(closed.load(&Guest::default().artefact()), &["contract_unreleased"]);
}

#[test]
fn an_embedded_manifest_is_one_and_canonical() {
    let artefact = Guest::default().artefact();
    let section = |name: &str, data: &[u8]| {
        let mut body = vec![name.len() as u8];
        body.extend(name.as_bytes());
        body.extend(data);
        let mut out = vec![0];
        let mut rest = body.len();
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
        out.extend(body);
        out
    };
    let at = artefact.windows(17).rposition(|w| w == b"ghtrader:manifest").unwrap() + 17;
    let json = artefact[at..].to_owned();
    let bare = artefact[..artefact.len() - section("ghtrader:manifest", &json).len()].to_owned();
    let with = |sections: &[&[u8]]| {
        let mut bytes = bare.clone();
        sections.iter().for_each(|s| bytes.extend(section("ghtrader:manifest", s)));
        host().load(&bytes)
    };
    assert_eq!(with(&[&json]).unwrap().manifest().plugin.name, "echo");
    check_codes(with(&[]), &["manifest_missing"]);
    check_codes(with(&[&json, &json]), &["manifest_duplicate"]);
    check_codes(with(&[b"{}"]), &["manifest_missing_key"]);
    check_codes(with(&[b"\xff\xfe"]), &["manifest_invalid"]);
    let spaced = [b" ".as_slice(), &json].concat();
    check_codes(with(&[&spaced]), &["manifest_not_canonical"]);
    let more = String::from_utf8(json).unwrap().replacen("{\"plugin\":{", "{\"plugin\":{\"licence\":\"x\",", 1);
    check_codes(with(&[more.as_bytes()]), &["manifest_unknown_key"]);
}

#[test]
fn a_manifest_that_lies_is_refused() {
    for lie in [
        MANIFEST.replace("\"last_price\"", "\"volume\""),
        MANIFEST.replace("name = \"echo\"\nunit", "name = \"other\"\nunit"),
        MANIFEST.replace("\"CNY\"", "\"lots\""),
    ] {
        let artefact = Guest::default().with_manifest(&lie).unwrap();
        check_codes(host().load(&artefact), &["plugin_contract"]);
    }
    let warm = Guest { init: "(i32.store (i32.const 20) (i32.const 7)) (i32.const 0)", ..Guest::default() };
    check_codes(host().load(&warm.artefact()), &["plugin_contract"]);
    let unknown = Guest { init: "(i32.store8 (i32.const 64) (i32.const 0x78)) (i32.const 0)", ..Guest::default() };
    check_codes(host().load(&unknown.artefact()), &["plugin_contract"]);
}

#[test]
fn a_start_that_fails_is_refused() {
    for (init, code) in [
        ("unreachable", "plugin_trapped"),
        ("(loop (br 0)) unreachable", "plugin_deadline"),
        ("(drop (memory.grow (i32.const 65535))) (i32.const 0)", "plugin_memory"),
        ("(i32.const -4)", "plugin_contract"),
        ("(i32.store (i32.const 4) (i32.const -8)) (i32.const 0)", "plugin_contract"),
        ("(call $error (i32.const 64) (i32.const 10))", "plugin_error"),
    ] {
        check_codes(host().load(&Guest { init, ..Guest::default() }.artefact()), &[code]);
    }
    check_codes(host().load(&Guest { memory: "65536", ..Guest::default() }.artefact()), &["plugin_memory"]);
}

#[test]
fn limits_above_the_hosts_are_refused() {
    let small = Limits { memory_mib: 8, live_call_cpu_ms: 1, ..Limits::default() };
    let host = PluginHost::new(HostConfig { limits: small, ..HostConfig::default() }).unwrap();
    check_codes(host.load(&Guest::default().artefact()), &["limit_above_host", "limit_above_host"]);
}

#[test]
fn parameters_are_checked_against_the_manifest() {
    let manifest = format!(
        "{MANIFEST}
[[param]]
name = \"rows\"
type = \"integer\"
default = 5
min = 1
max = 10
unit = \"rows\"

[[param]]
name = \"share\"
type = \"number\"
default = 1
min = 0
max = 1"
    );
    let plugin = host().load(&Guest::default().with_manifest(&manifest).unwrap()).unwrap();
    let with = |name: &str, value: ParamValue| {
        let result = plugin.feature(&Params::from([(name.to_owned(), value)]), &instrument());
        result.map(|_| ()).map_err(|f| (f.code(), f.to_string()))
    };
    assert_eq!(with("rows", ParamValue::Integer(10)), Ok(()));
    assert_eq!(with("share", ParamValue::Integer(0)), Ok(()));
    let (code, what) = with("rows", ParamValue::Integer(11)).unwrap_err();
    assert_eq!(code, "param_out_of_bounds");
    assert!(what.contains("11") && what.contains("[1, 10]"), "{what}");
    assert_eq!(with("rows", ParamValue::Number(2.5)).unwrap_err().0, "param_type");
    assert_eq!(with("share", ParamValue::Number(f64::NAN)).unwrap_err().0, "param_type");
    assert_eq!(with("row", ParamValue::Integer(1)).unwrap_err().0, "param_unknown");

    let parsed = plugin.manifest().parse_params([("rows", "3"), ("share", "0.25")]).unwrap();
    assert_eq!(parsed["share"], ParamValue::Number(0.25));
    check_codes(
        plugin.manifest().parse_params([("rows", "many"), ("rows", "-1"), ("no", "1")]),
        &["param_type", "param_out_of_bounds", "param_unknown"],
    );

    let bad_default = manifest.replace("default = 5", "default = 50");
    check_codes(Guest::default().with_manifest(&bad_default), &["param_out_of_bounds"]);
}

#[test]
fn packing_is_deterministic_and_the_cache_is_only_a_cache() {
    let artefact = Guest::default().artefact();
    assert_eq!(artefact, Guest::default().artefact());
    let dir = tempfile::tempdir().unwrap();
    let config = HostConfig { compile_cache: Some(dir.path().to_owned()), ..HostConfig::default() };
    let host = PluginHost::new(config).unwrap();
    let answer = || {
        let mut out = Vec::new();
        let plugin = host.load(&artefact).unwrap();
        plugin.feature(&Params::new(), &instrument()).unwrap().compute(&[1, 2, 3], &mut out).unwrap();
        out.into_iter().map(f64::to_bits).collect::<Vec<_>>()
    };
    let files = || -> Vec<std::path::PathBuf> {
        let engine = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        let mut files: Vec<_> = std::fs::read_dir(engine).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        files
    };
    assert_eq!(answer(), [1, 2, 3]);
    let (kept, written) = (files(), std::fs::metadata(&files()[0]).unwrap().modified().unwrap());
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert_eq!(answer(), [1, 2, 3]);
    assert_eq!(std::fs::metadata(&files()[0]).unwrap().modified().unwrap(), written, "the second load wrote again");
    for damaged in &kept {
        std::fs::write(damaged, b"damaged").unwrap();
        assert_eq!(answer(), [1, 2, 3]);
        assert_ne!(std::fs::read(damaged).unwrap(), b"damaged", "{damaged:?} was not replaced");
    }
}
