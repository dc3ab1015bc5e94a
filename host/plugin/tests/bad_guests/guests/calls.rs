//! What goes wrong in a call.

use super::When::Call;
use super::{BadGuest, Deed, Guest, block, border, labels, loading, many, row, running};
use ghtrader_plugin::{Plugin, PluginFault};

type Made = fn(&Plugin) -> Result<(), PluginFault>;

fn computing(compute: &'static str) -> Guest {
    Guest { compute, ..Guest::default() }
}

fn answering(run: &'static str) -> Guest {
    Guest { run, ..Guest::strategy() }
}

pub(super) fn guests() -> Vec<BadGuest> {
    let lines: Vec<(&'static str, &'static [&'static str], Guest, Made)> = vec![
        ("a trap", &["plugin_trapped"], computing("unreachable"), block),
        (
            "a panic with its message",
            &["plugin_trapped"],
            computing("(call $log (i32.const 2) (i32.const 128) (i32.const 35)) unreachable"),
            block,
        ),
        ("a division by zero", &["plugin_trapped"], computing("(i32.div_u (i32.const 1) (i32.const 0))"), block),
        ("a read outside its memory", &["plugin_trapped"], computing("(i32.load (i32.const -8))"), block),
        (
            "a write outside its memory",
            &["plugin_trapped"],
            computing("(i64.store (i32.const -8) (i64.const 1)) (i32.const 256)"),
            block,
        ),
        (
            "a number that is too large for an integer",
            &["plugin_trapped"],
            computing("(i32.trunc_f64_s (f64.const 1e300))"),
            block,
        ),
        (
            "a call through a table by a wrong type",
            &["plugin_trapped"],
            Guest {
                more: "(type $other (func (result i64))) (table 4 4 funcref) (elem (i32.const 0) $keep)",
                ..computing("(i32.wrap_i64 (call_indirect (type $other) (i32.const 0)))")
            },
            block,
        ),
        (
            "a call through an empty place of a table",
            &["plugin_trapped"],
            Guest {
                more: "(type $other (func (result i64))) (table 4 4 funcref)",
                ..computing("(i32.wrap_i64 (call_indirect (type $other) (i32.const 3)))")
            },
            block,
        ),
        (
            "an endless recursion",
            &["plugin_trapped"],
            Guest {
                more: "(func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))",
                ..computing("(call $deep (i32.const 0))")
            },
            block,
        ),
        ("an endless loop in a block", &["plugin_deadline"], computing("(loop (br 0)) unreachable"), block),
        ("an endless loop in a row", &["plugin_deadline"], computing("(loop (br 0)) unreachable"), row),
        (
            "an endless loop at a border",
            &["plugin_deadline"],
            Guest { boundary: "(loop (br 0))", ..Guest::default() },
            border,
        ),
        ("a trap at a border", &["plugin_trapped"], Guest { boundary: "unreachable", ..Guest::default() }, border),
        (
            "a memory of 4 GiB",
            &["plugin_memory"],
            computing("(drop (memory.grow (i32.const 65535))) (call $answer (local.get $rows) (local.get $words))"),
            block,
        ),
        (
            "a page more with each call",
            &["plugin_memory"],
            computing("(drop (memory.grow (i32.const 1))) (call $answer (local.get $rows) (local.get $words))"),
            many,
        ),
        (
            "a table that grows with each call",
            &["plugin_memory"],
            Guest {
                more: "(table $t 1 funcref)",
                ..computing(
                    "(drop (table.grow $t (ref.null func) (i32.const 65536))) (call $answer (local.get $rows) (local.get $words))",
                )
            },
            many,
        ),
        (
            "results of 2 MiB where 1 is allowed",
            &["plugin_output"],
            Guest { memory: "40", ..computing("(call $answer (i32.const 0) (i32.const 262144))") },
            block,
        ),
        (
            "results of 4 GiB",
            &["plugin_contract"],
            computing("(call $answer (i32.const 0) (i32.const 536870911))"),
            block,
        ),
        ("no values", &["plugin_contract"], computing("(call $answer (local.get $rows) (i32.const 0))"), block),
        (
            "a value too few",
            &["plugin_contract"],
            computing("(call $answer (local.get $rows) (i32.sub (local.get $words) (i32.const 1)))"),
            block,
        ),
        (
            "a value too many",
            &["plugin_contract"],
            computing("(call $answer (local.get $rows) (i32.add (local.get $words) (i32.const 1)))"),
            block,
        ),
        ("an address that is not aligned", &["plugin_contract"], computing("(i32.const 3)"), block),
        ("an address outside its memory", &["plugin_contract"], computing("(i32.const -1)"), block),
        (
            "a list that is not aligned",
            &["plugin_contract"],
            computing("(call $answer (i32.const 4) (local.get $words))"),
            block,
        ),
        (
            "a result that is neither ok nor error",
            &["plugin_contract"],
            computing(
                "(drop (call $answer (local.get $rows) (local.get $words))) (i32.store8 (i32.const 256) (i32.const 9)) (i32.const 256)",
            ),
            block,
        ),
        (
            "an error of no known kind",
            &["plugin_contract"],
            computing(
                "(drop (call $error (i32.const 128) (i32.const 35))) (i32.store8 (i32.const 260) (i32.const 9)) (i32.const 256)",
            ),
            block,
        ),
        (
            "an error whose text is no UTF-8",
            &["plugin_contract"],
            computing("(i32.store (i32.const 512) (i32.const -1)) (call $error (i32.const 512) (i32.const 4))"),
            block,
        ),
        ("an error", &["plugin_error"], computing("(call $error (i32.const 128) (i32.const 35))"), block),
        (
            "an error text of 4 MiB",
            &["plugin_output"],
            Guest { memory: "80", ..computing("(call $error (i32.const 1024) (i32.const 4194304))") },
            block,
        ),
        (
            "a log line that is no UTF-8",
            &["plugin_contract"],
            computing(
                "(i32.store (i32.const 512) (i32.const -1)) (call $log (i32.const 1) (i32.const 512) (i32.const 4)) (i32.const 256)",
            ),
            block,
        ),
        (
            "a log line outside its memory",
            &["plugin_contract"],
            computing("(call $log (i32.const 1) (i32.const 65000) (i32.const 65536)) (i32.const 256)"),
            block,
        ),
        (
            "a log level that there is not",
            &["plugin_contract"],
            computing("(call $log (i32.const 77) (i32.const 128) (i32.const 35)) (i32.const 256)"),
            block,
        ),
        (
            "a log without end",
            &["plugin_deadline"],
            computing("(loop (call $log (i32.const 1) (i32.const 128) (i32.const 35)) (br 0)) unreachable"),
            block,
        ),
        (
            "log lines of 1 MiB without end",
            &["plugin_deadline"],
            Guest {
                memory: "32",
                ..computing("(loop (call $log (i32.const 1) (i32.const 65536) (i32.const 1048576)) (br 0)) unreachable")
            },
            block,
        ),
        (
            "an allocator that gives an address outside its memory",
            &["plugin_contract"],
            Guest {
                alloc: "(select (i32.const -16) (i32.const 4096) (i32.gt_u (local.get $size) (i32.const 700)))",
                ..Guest::default()
            },
            block,
        ),
        (
            "an allocator that gives an odd address",
            &["plugin_contract"],
            Guest {
                alloc: "(select (i32.const 4097) (i32.const 4096) (i32.gt_u (local.get $size) (i32.const 700)))",
                ..Guest::default()
            },
            block,
        ),
        (
            "an allocator that traps",
            &["plugin_trapped"],
            Guest {
                alloc: "(if (i32.gt_u (local.get $size) (i32.const 700)) (then unreachable)) (i32.const 4096)",
                ..Guest::default()
            },
            block,
        ),
        (
            "an allocator without end",
            &["plugin_deadline"],
            Guest {
                alloc: "(if (i32.gt_u (local.get $size) (i32.const 700)) (then (loop (br 0)))) (i32.const 4096)",
                ..Guest::default()
            },
            block,
        ),
        (
            "a label for every row it was shown",
            &["plugin_contract"],
            Guest { compute: "(call $answer (local.get $rows) (local.get $words))", ..Guest::label() },
            labels,
        ),
        (
            "an endless label",
            &["plugin_deadline"],
            Guest { compute: "(loop (br 0)) unreachable", ..Guest::label() },
            labels,
        ),
        ("an endless load", &["plugin_deadline"], Guest { load: "(loop (br 0))", ..Guest::strategy() }, loading),
        ("a trap in load", &["plugin_trapped"], Guest { load: "unreachable", ..Guest::strategy() }, loading),
        ("an endless run", &["plugin_deadline"], answering("(loop (br 0)) unreachable"), running),
        ("a trap in run", &["plugin_trapped"], answering("unreachable"), running),
        (
            "an act before its first row",
            &["plugin_contract"],
            answering("(call $act (i32.const 1) (i32.const 4))"),
            running,
        ),
        (
            "an act behind its last row",
            &["plugin_contract"],
            answering("(call $act (i32.const 6) (i32.const 0))"),
            running,
        ),
        (
            "an act at a row it was not asked for",
            &["plugin_contract"],
            answering("(call $act (i32.const 5) (i32.const 4))"),
            running,
        ),
        (
            "an act at row 4294967295",
            &["plugin_contract"],
            answering("(call $act (i32.const -1) (i32.const 0))"),
            running,
        ),
        ("part of an action", &["plugin_contract"], answering("(call $act (i32.const 3) (i32.const 3))"), running),
        ("8 MiB of actions", &["plugin_contract"], answering("(call $act (i32.const 3) (i32.const 1048576))"), running),
    ];
    lines
        .into_iter()
        .map(|(name, codes, guest, call)| {
            let deed = Deed::Call { artefact: guest.artefact(), call };
            BadGuest { name, when: Call, codes, deed }
        })
        .collect()
}
