//! What is wrong before a call: modules, files, manifests, starts.

use super::bytes::{claiming, hollow, manifest_of, sealed, with_inner, with_instances};
use super::{BadGuest, Deed, Guest, When, manifest};
use When::{Packing, Reading, Start};

type Line = (&'static str, When, &'static [&'static str], Deed);

fn packed(module: &[u8], edit: impl FnOnce(String) -> String) -> Deed {
    Deed::Pack { module: module.to_owned(), manifest: edit(manifest("feature", "0.1.0")) }
}

fn parsed(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// A guest that goes wrong when it starts.
fn starting(change: impl FnOnce(&mut Guest)) -> Deed {
    let mut guest = Guest::default();
    change(&mut guest);
    Deed::Load(guest.artefact())
}

/// A truthful guest with another promise.
fn lying(from: &str, to: &str) -> Deed {
    let truth = manifest("feature", "0.1.0");
    assert!(truth.contains(from), "{from}");
    Deed::Load(Guest::default().with_manifest(&truth.replace(from, to)).unwrap_or_else(|f| panic!("{f:#?}")))
}

pub(super) fn guests() -> Vec<BadGuest> {
    let good = Guest::default().artefact();
    let json = manifest_of(&good);
    let importing = |name: &str, export: &str| {
        let text = format!(
            r#"(component (import "{name}" (instance (export "now" (func (result u64)))))
                 (instance $i) (export "{export}" (instance $i)))"#
        );
        Deed::Load(hollow(&text, &good))
    };
    let exporting = |exports: &[&str]| {
        let exports: String = exports.iter().map(|e| format!(r#"(export "{e}" (instance $i))"#)).collect();
        Deed::Load(hollow(&format!("(component (instance $i) {exports})"), &good))
    };
    const FEATURE: &str = "ghtrader:plugin/feature@0.1.0";
    let load = |bytes: Vec<u8>| Deed::Load(bytes);
    let lines: Vec<Line> = vec![
        ("text instead of a module", Packing, &["not_a_module"], packed(b"no wasm", |m| m)),
        ("a component instead of a module", Packing, &["not_a_module"], packed(&good, |m| m)),
        (
            "a module that needs WASI",
            Packing,
            &["module_invalid"],
            packed(
                &parsed(
                    r#"(module (import "wasi_snapshot_preview1" "clock_time_get" (func (param i32 i64 i32) (result i32))))"#,
                ),
                |m| m,
            ),
        ),
        ("a module without the role's functions", Packing, &["module_invalid"], packed(&parsed("(module)"), |m| m)),
        (
            "a module of another role",
            Packing,
            &["module_invalid"],
            Deed::Pack { module: Guest::label().module(), manifest: manifest("feature", "0.1.0") },
        ),
        (
            "an unknown version, packed",
            Packing,
            &["contract_unsupported"],
            packed(&Guest::default().module(), |m| m.replace("0.1.0", "9.9.9")),
        ),
        (
            "a parameter's default out of its bounds",
            Packing,
            &["param_out_of_bounds"],
            packed(&Guest::default().module(), |m| {
                m + "\n[[param]]\nname = \"rows\"\ntype = \"integer\"\ndefault = 50\nmin = 1\nmax = 10\n"
            }),
        ),
        (
            "an unknown key and a column that is none",
            Packing,
            &["manifest_unknown_key"],
            packed(&Guest::default().module(), |m| m.replace("memory_mib", "memory_gib")),
        ),
        (
            "a self-test without its fixture, packed",
            Packing,
            &["fixture_missing"],
            packed(&Guest::default().module(), |m| m + "\n[self_test]\nfixture = \"ticks.csv\"\n"),
        ),
        (
            "a fixture somewhere else on the disk",
            Packing,
            &["manifest_invalid", "fixture_missing"],
            packed(&Guest::default().module(), |m| m + "\n[self_test]\nfixture = \"../../secret.csv\"\n"),
        ),
        ("an empty file", Reading, &["not_a_component"], load(Vec::new())),
        ("garbage", Reading, &["not_a_component"], load(vec![0xff; 4096])),
        ("a core module", Reading, &["not_a_component"], load(Guest::default().module())),
        ("a file that was cut off", Reading, &["component_invalid"], load(good[..good.len() / 2].to_owned())),
        (
            "an import of a clock",
            Reading,
            &["import_undeclared"],
            importing("wasi:clocks/monotonic-clock@0.2.0", FEATURE),
        ),
        ("an import of files", Reading, &["import_undeclared"], importing("wasi:filesystem/types@0.2.0", FEATURE)),
        ("an import of sockets", Reading, &["import_undeclared"], importing("wasi:sockets/tcp@0.2.0", FEATURE)),
        ("an import by a plain name", Reading, &["import_undeclared"], importing("clock", FEATURE)),
        (
            "a second interface of the contract's own package",
            Reading,
            &["import_undeclared"],
            importing("ghtrader:plugin/state@0.1.0", FEATURE),
        ),
        (
            "the log of another version",
            Reading,
            &["import_undeclared"],
            importing("ghtrader:plugin/log@0.2.0-dev", FEATURE),
        ),
        (
            "a log with one function more",
            Reading,
            &["import_undeclared"],
            importing("ghtrader:plugin/log@0.1.0", FEATURE),
        ),
        (
            "an import hidden in a component inside it",
            Reading,
            &["import_undeclared"],
            load(with_inner(&good, r#"(component (import "wasi:random/random@0.2.0" (instance)))"#)),
        ),
        (
            "an import hidden two components deep",
            Reading,
            &["import_undeclared"],
            load(with_inner(&good, r#"(component (component (import "wasi:cli/environment@0.2.0" (instance))))"#)),
        ),
        ("no manifest", Reading, &["manifest_missing"], load(sealed(&good, &[], &[]))),
        (
            "two manifests",
            Reading,
            &["manifest_duplicate"],
            load(sealed(&good, &[json.as_bytes(), json.as_bytes()], &[])),
        ),
        (
            "a manifest that is not canonical",
            Reading,
            &["manifest_not_canonical"],
            load(sealed(&good, &[format!(" {json}").as_bytes()], &[])),
        ),
        ("a manifest that is no JSON", Reading, &["manifest_invalid"], load(sealed(&good, &[b"\xff\xfe"], &[]))),
        ("a manifest without a plugin", Reading, &["manifest_missing_key"], load(sealed(&good, &[b"{}"], &[]))),
        (
            "a key that nobody knows",
            Reading,
            &["manifest_unknown_key"],
            load(claiming(&good, "{\"plugin\":{", "{\"plugin\":{\"licence\":\"x\",")),
        ),
        (
            "a role that the code has not",
            Reading,
            &["world_mismatch"],
            load(claiming(
                &claiming(&good, "\"role\":\"feature\"", "\"role\":\"label\""),
                "\"warmup_rows\"",
                "\"lookahead_rows\"",
            )),
        ),
        ("no role", Reading, &["world_mismatch"], exporting(&[])),
        ("two roles", Reading, &["world_mismatch"], exporting(&[FEATURE, "ghtrader:plugin/label@0.1.0"])),
        ("an export beside its role", Reading, &["world_mismatch"], exporting(&[FEATURE, "own:package/spy"])),
        ("a role without its functions", Reading, &["world_mismatch"], exporting(&[FEATURE])),
        (
            "an unknown version",
            Reading,
            &["contract_unsupported", "contract_mismatch"],
            exporting(&["ghtrader:plugin/feature@9.9.9"]),
        ),
        (
            "a version that the manifest does not say",
            Reading,
            &["contract_mismatch"],
            load(claiming(&good, "\"contract\":\"0.1.0\"", "\"contract\":\"0.2.0-dev\"")),
        ),
        (
            "more memory than the host gives",
            Reading,
            &["limit_above_host"],
            load(claiming(&good, "\"memory_mib\":16", "\"memory_mib\":9999")),
        ),
        (
            "every limit above the host's",
            Reading,
            &["limit_above_host", "limit_above_host", "limit_above_host", "limit_above_host"],
            load(claiming(
                &good,
                "{\"memory_mib\":16,\"live_call_cpu_ms\":5,\"block_call_cpu_ms\":200,\"output_mib\":1}",
                "{\"memory_mib\":9999,\"live_call_cpu_ms\":9999,\"block_call_cpu_ms\":99999,\"output_mib\":9999}",
            )),
        ),
        (
            "a limit of nothing",
            Reading,
            &["manifest_invalid", "plugin_output"],
            load(claiming(&good, "\"output_mib\":1", "\"output_mib\":0")),
        ),
        (
            "a column that is none",
            Reading,
            &["unknown_column", "plugin_contract"],
            load(claiming(&good, "[\"last_price\"]", "[\"last_price\",\"next_price\"]")),
        ),
        (
            "a self-test without its fixture",
            Reading,
            &["fixture_missing"],
            load(claiming(
                &good,
                "\"output_mib\":1}}",
                &format!(
                    "\"output_mib\":1}},\"self_test\":{{\"fixture\":\"t.csv\",\"output_sha256\":\"{}\"}}}}",
                    "0".repeat(64)
                ),
            )),
        ),
        (
            "a fixture of which the manifest says nothing",
            Reading,
            &["fixture_undeclared", "fixture_damaged"],
            load(sealed(&good, &[json.as_bytes()], &[b"ghtrader fixture 1\n"])),
        ),
        ("a promise of other inputs", Start, &["plugin_contract"], lying("\"last_price\"", "\"volume\"")),
        (
            "a promise of another output",
            Start,
            &["plugin_contract"],
            lying("name = \"echo\"\nunit", "name = \"other\"\nunit"),
        ),
        ("a promise of another unit", Start, &["plugin_contract"], lying("\"CNY\"", "\"lots\"")),
        (
            "more outputs than promised",
            Start,
            &["plugin_contract"],
            lying("[limits]", "[[output]]\nname = \"more\"\nunit = \"1\"\n\n[limits]"),
        ),
        (
            "a longer warm-up than promised",
            Start,
            &["plugin_contract"],
            starting(|g| g.init = "(i32.store (i32.const 20) (i32.const 7)) (i32.const 0)"),
        ),
        (
            "an input that is no column",
            Start,
            &["plugin_contract"],
            starting(|g| g.init = "(i32.store8 (i32.const 64) (i32.const 0x78)) (i32.const 0)"),
        ),
        ("a trap in init", Start, &["plugin_trapped"], starting(|g| g.init = "unreachable")),
        ("an endless init", Start, &["plugin_deadline"], starting(|g| g.init = "(loop (br 0)) unreachable")),
        (
            "4 GiB in init",
            Start,
            &["plugin_memory"],
            starting(|g| g.init = "(drop (memory.grow (i32.const 65535))) (i32.const 0)"),
        ),
        (
            "an error in init",
            Start,
            &["plugin_error"],
            starting(|g| g.init = "(call $error (i32.const 64) (i32.const 10))"),
        ),
        ("an answer outside its memory", Start, &["plugin_contract"], starting(|g| g.init = "(i32.const -4)")),
        (
            "a list outside its memory",
            Start,
            &["plugin_contract"],
            starting(|g| g.init = "(i32.store (i32.const 4) (i32.const -8)) (i32.const 0)"),
        ),
        (
            "names that are no UTF-8",
            Start,
            &["plugin_contract"],
            starting(|g| g.init = "(i32.store8 (i32.const 64) (i32.const 0xff)) (i32.const 0)"),
        ),
        ("4 GiB declared", Start, &["plugin_memory"], starting(|g| g.memory = "65536")),
        (
            "a start function that does not end",
            Start,
            &["plugin_deadline"],
            starting(|g| g.more = "(func $first (loop (br 0))) (start $first)"),
        ),
        (
            "a start function that traps",
            Start,
            &["plugin_trapped"],
            starting(|g| g.more = "(func $first unreachable) (start $first)"),
        ),
        (
            "a table of two million elements",
            Start,
            &["plugin_memory"],
            starting(|g| g.more = "(table 2000000 funcref)"),
        ),
        ("forty instances", Start, &["plugin_contract"], load(with_instances(&good, "(module)", 40))),
        (
            "many memories that are too much together",
            Start,
            &["plugin_memory"],
            load(with_instances(&good, "(module (memory 64))", 8)),
        ),
    ];
    lines.into_iter().map(|(name, when, codes, deed)| BadGuest { name, when, codes, deed }).collect()
}
