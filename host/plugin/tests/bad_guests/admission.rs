//! What is refused before it runs, with all findings at once.

use crate::guests::{Guest, instrument, manifest};
use crate::walk::{ROWS, walk};
use ghtrader_plugin::{Boundary, Finding, Fixture, HostConfig, Limits, ParamValue, Params, PluginHost, Splits, pack};

fn host() -> PluginHost {
    PluginHost::new(HostConfig::default()).unwrap()
}

/// The truth about the default guest.
fn truth() -> String {
    manifest("feature", "0.1.0")
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
    let wasi = wat::parse_str(r#"(component (import "wasi:cli/environment@0.2.0" (instance)))"#).unwrap();
    check_codes(host().load(&wasi), &["import_undeclared", "manifest_missing", "world_mismatch"]);
    let places: Vec<String> = host().admit(&wasi, &walk()).findings.into_iter().map(|f| f.place).collect();
    assert_eq!(places, ["import wasi:cli/environment@0.2.0", "section ghtrader:manifest", "exports"]);

    let manifest = truth()
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
fn manifest_keys_are_checked() {
    let unknown = truth().replace("warmup_rows", "warm_up_rows").replace("memory_mib", "memory_gib");
    check_codes(Guest::default().with_manifest(&unknown), &["manifest_unknown_key", "manifest_unknown_key"]);
    let missing = truth().replace("version = \"0.1.0\"\n", "").replace("unit = \"CNY\"\n", "");
    check_codes(Guest::default().with_manifest(&missing), &["manifest_missing_key", "manifest_missing_key"]);
    check_codes(Guest::default().with_manifest("[plugin"), &["manifest_invalid"]);
    check_codes(Guest::default().with_manifest(""), &["manifest_missing_key"]);
    let wrong_type = truth().replace("warmup_rows = 0", "warmup_rows = \"none\"");
    check_codes(Guest::default().with_manifest(&wrong_type), &["manifest_invalid"]);
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
        "{}
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
max = 1",
        truth()
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

/// C-01, P-27: what is wrong with the promise, with the start and with the code comes in one answer, each with its place.
#[test]
fn faults_of_three_kinds_come_in_one_answer() {
    let peeking = "(call $answer (i32.add (local.get $rows) (select (i32.const 8) (i32.const 0)
        (i32.gt_u (local.get $words) (i32.const 1)))) (local.get $words))";
    let artefact = Guest { contract: "0.2.0-dev", compute: peeking, ..Guest::default() }.artefact();
    let small = Limits { memory_mib: 8, output_mib: 64, ..Limits::default() };
    let host = PluginHost::new(HostConfig { limits: small, dev_channel: false, ..HostConfig::default() }).unwrap();
    let admission = host.admit(&artefact, &walk());
    let found: Vec<(&str, &str)> = admission.findings.iter().map(|f| (f.code, f.place.as_str())).collect();
    assert_eq!(
        found,
        [
            ("limit_above_host", "plugin.toml: limits.memory_mib"),
            ("contract_unreleased", "plugin.toml: plugin.contract"),
            ("look_ahead", "row 0"),
        ]
    );
    assert!(admission.plugin.is_none() && admission.cost.is_some());
    let failed: Vec<&str> = admission.checks.iter().filter(|c| !c.passed).map(|c| c.name.as_str()).collect();
    assert_eq!(failed, ["limits", "world", "look_ahead"]);
}

/// A look ahead is named with the row whose output changed.
#[test]
fn a_look_ahead_has_its_row() {
    // From row 700 on it gives the next row's price.
    let late = Guest {
        more: "(global $seen (mut i32) (i32.const 0))",
        compute: "(local $i i32)
            (block $end (loop $more
              (br_if $end (i32.ge_u (i32.add (local.get $i) (i32.const 1)) (local.get $words)))
              (if (i32.ge_u (i32.add (global.get $seen) (local.get $i)) (i32.const 700))
                (then (i64.store (i32.add (local.get $rows) (i32.shl (local.get $i) (i32.const 3)))
                  (i64.load (i32.add (local.get $rows) (i32.shl (i32.add (local.get $i) (i32.const 1)) (i32.const 3)))))))
              (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $more)))
            (global.set $seen (i32.add (global.get $seen) (local.get $words)))
            (call $answer (local.get $rows) (local.get $words))",
        ..Guest::default()
    };
    let admission = host().admit(&late.artefact(), &walk());
    let [finding] = admission.findings.as_slice() else { panic!("{:#?}", admission.findings) };
    let row: usize = finding.place.strip_prefix("row ").unwrap().parse().unwrap();
    assert!(finding.code == "look_ahead" && (700..720).contains(&row), "{finding}");
    assert!(finding.what.contains("echo"), "{finding}");
}

/// Many bit patterns are one NaN: what differs in them alone is the same.
#[test]
fn payloads_of_nan_are_no_difference() {
    let marked = Guest {
        more: "(global $calls (mut i64) (i64.const 0))",
        compute: "(global.set $calls (i64.add (global.get $calls) (i64.const 1)))
            (i64.store (local.get $rows) (i64.or (i64.const 0x7ff8000000000000) (global.get $calls)))
            (call $answer (local.get $rows) (i32.const 1))",
        ..Guest::default()
    };
    let plugin = host().load(&marked.artefact()).unwrap();
    let one = Fixture { borders: Vec::new(), ..walk() };
    let [a, b] = [0, 1].map(|_| plugin.trace(&one, Splits::Single).unwrap());
    assert_eq!(a.first_difference(&b), None);
    let mut feature = plugin.feature(&Params::new(), &instrument()).unwrap();
    let mut raw = Vec::new();
    (0..2).for_each(|_| feature.compute(&[0], &mut raw).unwrap());
    assert_ne!(raw[0].to_bits(), raw[1].to_bits(), "the guest does mark them");
}

fn self_testing(more: &str) -> String {
    format!("{}\n[self_test]\nfixture = \"ticks.csv\"\n{more}", truth())
}

#[test]
fn a_self_test_travels_inside_the_artefact() {
    let fixture = walk();
    let module = Guest::default().module();
    let artefact = pack(&module, &self_testing(""), Some(&fixture)).unwrap();
    assert_eq!(artefact, pack(&module, &self_testing(""), Some(&fixture)).unwrap(), "same input, same bytes");
    let admission = host().admit(&artefact, &walk());
    assert!(admission.findings.is_empty(), "{:#?}", admission.findings);
    let plugin = admission.plugin.unwrap();
    let promised = plugin.manifest().self_test.clone().unwrap().output_sha256.unwrap();
    assert_eq!(promised, plugin.trace(&fixture, Splits::Random(9)).unwrap().digest().to_string());
    assert!(admission.checks.iter().any(|c| c.name == "self_test" && c.passed && c.detail.contains(&promised)));

    // A pinned digest is kept, or refused with the one found.
    let pinned = self_testing(&format!("output_sha256 = \"{promised}\"\n"));
    assert_eq!(pack(&module, &pinned, Some(&fixture)).unwrap(), artefact);
    let wrong = pinned.replace(&promised[..8], "00000000");
    let findings = pack(&module, &wrong, Some(&fixture)).unwrap_err();
    assert!(findings[0].code == "self_test_mismatch" && findings[0].what.contains(&promised), "{findings:#?}");

    check_codes(pack(&module, &self_testing(""), None), &["fixture_missing"]);
    check_codes(pack(&module, &truth(), Some(&fixture)), &["fixture_undeclared"]);
    let bad = Fixture { borders: vec![(ROWS, Boundary::Gap)], ..walk() };
    check_codes(pack(&module, &self_testing(""), Some(&bad)), &["fixture_invalid"]);
    let trapping = Guest { compute: "unreachable", ..Guest::default() };
    check_codes(pack(&trapping.module(), &self_testing(""), Some(&fixture)), &["plugin_trapped"]);
}

#[test]
fn a_self_test_that_was_tampered_with_is_refused() {
    let artefact = pack(&Guest::default().module(), &self_testing(""), Some(&walk())).unwrap();
    let json = crate::guests::bytes::manifest_of(&artefact);
    let fixture = walk().encode().unwrap();
    let with = |json: &str, fixtures: &[&[u8]]| {
        let tampered = crate::guests::bytes::sealed(&artefact, &[json.as_bytes()], fixtures);
        host().admit(&tampered, &walk()).findings.iter().map(|f| f.code).collect::<Vec<_>>()
    };
    assert_eq!(with(&json, &[&fixture]), Vec::<&str>::new());
    assert_eq!(with(&json, &[]), ["fixture_missing"]);
    assert_eq!(with(&json, &[&fixture, &fixture]), ["fixture_duplicate"]);
    assert_eq!(with(&json, &[&fixture[..fixture.len() - 1]]), ["fixture_damaged"]);
    assert_eq!(with(&json, &[&[fixture.as_slice(), b"x"].concat()]), ["fixture_damaged"]);
    let mut other = walk();
    other.ticks.floats[0][3] += 10.0;
    assert_eq!(with(&json, &[&other.encode().unwrap()]), ["self_test_mismatch"]);
    let at = json.find("\"output_sha256\":\"").unwrap() + 17;
    let lie = format!("{}{}{}", &json[..at], "0".repeat(64), &json[at + 64..]);
    assert_eq!(with(&lie, &[&fixture]), ["self_test_mismatch"]);
    let unpinned = json.replace(&json[at - 18..at + 65], "");
    assert_eq!(with(&unpinned, &[&fixture]), ["manifest_missing_key"]);
}

/// P-25: the card counts, so that it is the same again; it shares every limit.
#[test]
fn the_cost_card_counts() {
    let cards = [0, 1].map(|_| host().admit(&Guest::strategy().artefact(), &walk()).cost.unwrap());
    assert_eq!(cards[0].instructions_per_row.to_bits(), cards[1].instructions_per_row.to_bits());
    assert!((10.0..100.0).contains(&cards[0].instructions_per_row), "{cards:#?}");
    assert_eq!((cards[0].rows, cards[0].memory_high_water_bytes), (ROWS as u64, 65_536));
    let names: Vec<&str> = cards[0].limits.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["memory_mib", "live_call_cpu_ms", "block_call_cpu_ms", "output_mib"]);
    assert!(cards[0].live_call_ns[0] <= cards[0].live_call_ns[1]);
    // Twice the work is about twice the instructions.
    let twice = Guest {
        compute: "(local $i i32) (loop $more (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $more (i32.lt_u (local.get $i) (i32.mul (local.get $words) (i32.const 100)))))
            (call $answer (local.get $rows) (local.get $words))",
        ..Guest::default()
    };
    let cost = host().admit(&twice.artefact(), &walk()).cost.unwrap();
    assert!((700.0..1100.0).contains(&cost.instructions_per_row), "{cost:#?}");
}
